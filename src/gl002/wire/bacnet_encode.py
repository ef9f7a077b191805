"""BACnet values into bytes: the other direction of `gl002.wire.bacnet`."""

from __future__ import annotations

import struct
from typing import Final

from gl002.wire.bacnet import (
    ANY,
    BOOLEAN,
    INSTANCE_BITS,
    TYPE_NAMES,
    Date,
    ObjectId,
    Primitive,
    Time,
)

_CONTEXT_CLASS: Final = 0x08
_OPENING, _CLOSING = 6, 7


def opening(number: int) -> bytes:
    """An opening tag; `number` up to 14, as all services have."""
    return bytes([number << 4 | _CONTEXT_CLASS | _OPENING])


def closing(number: int) -> bytes:
    """A closing tag."""
    return bytes([number << 4 | _CONTEXT_CLASS | _CLOSING])


def context(number: int, data: bytes) -> bytes:
    """Contents with a context tag."""
    return _head(number, _CONTEXT_CLASS, len(data)) + data


def context_unsigned(number: int, value: int) -> bytes:
    """An unsigned or enumerated number with a context tag."""
    return context(number, _smallest(value))


def context_object(number: int, value: ObjectId) -> bytes:
    """An object identifier with a context tag."""
    return context(number, _object(value))


def application(tag: int, value: Primitive) -> bytes:
    """A primitive value with its application tag.

    Raises:
        ValueError: the value is not of that type.
    """
    if tag == BOOLEAN:
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is no boolean")
        return bytes([BOOLEAN << 4 | value])
    data = _contents(tag, value)
    return _head(tag, 0, len(data)) + data


def _contents(tag: int, value: Primitive) -> bytes:  # noqa: C901, PLR0911 (one line a type)
    match tag, value:
        case 0, None:
            return b""
        case ((2 | 9), bool() | int()) if 0 <= value < 1 << 32:
            return _smallest(int(value))
        case 3, bool() | int() if -(1 << 31) <= value < 1 << 31:
            return int(value).to_bytes((int(value) + (value < 0)).bit_length() // 8 + 1, "big",
                                       signed=True)  # fmt: skip
        case 4, float() | int() if not isinstance(value, bool):
            return _float(value)
        case 5, float() | int() if not isinstance(value, bool):
            return struct.pack(">d", value)
        case 6, bytes():
            return value
        case 7, str():
            return b"\0" + value.encode()
        case 8, tuple():
            flags = [bool(flag) for flag in value]
            packed = sum(1 << (len(flags) - 1 - i) for i, flag in enumerate(flags) if flag)
            unused = -len(flags) % 8
            size = (len(flags) + unused) // 8
            return bytes([unused]) + (packed << unused).to_bytes(size, "big")
        case 10, Date(year, month, day, weekday):
            return bytes([year if year == ANY else year - 1900, month, day, weekday])
        case 11, Time():
            return bytes(value)
        case 12, ObjectId():
            return _object(value)
    name = TYPE_NAMES[tag] if tag < len(TYPE_NAMES) else f"application tag {tag}"
    raise ValueError(f"{value!r} is no {name}")


def _float(value: float) -> bytes:
    try:
        return struct.pack(">f", value)
    except OverflowError:
        raise ValueError(f"{value!r} is too large for a real") from None


def _object(value: ObjectId) -> bytes:
    return (value.type << INSTANCE_BITS | value.instance).to_bytes(4, "big")


def _smallest(value: int) -> bytes:
    return value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")


def _head(number: int, kind: int, length: int) -> bytes:
    """A tag; lengths up to 4 stand in it, longer ones follow (20.2.1.3.1)."""
    first = number << 4 | kind
    if length <= 4:  # noqa: PLR2004
        return bytes([first | length])
    if length < 254:  # noqa: PLR2004
        return bytes([first | 5, length])
    return bytes([first | 5, 254]) + length.to_bytes(2, "big")
