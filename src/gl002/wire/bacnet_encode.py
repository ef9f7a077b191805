"""BACnet values into bytes: the other direction of `gl002.wire.bacnet`."""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from typing import Final

from gl002.wire.bacnet import (
    ANY,
    BITS,
    BOOLEAN,
    DATE,
    DOUBLE,
    ENUMERATED,
    INSTANCE_BITS,
    NULL,
    OBJECT,
    OCTETS,
    REAL,
    SIGNED,
    TEXT,
    TIME,
    TYPE_NAMES,
    UNSIGNED,
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
        ValueError: the value is not of that type, or too large for it.
    """
    if tag == BOOLEAN:
        if not isinstance(value, bool):
            raise ValueError(f"{value!r} is no boolean")
        return bytes([BOOLEAN << 4 | value])
    encode = _ENCODERS.get(tag)
    data = None if encode is None else encode(value)
    if data is None:
        name = TYPE_NAMES[tag] if tag < len(TYPE_NAMES) else f"application tag {tag}"
        raise ValueError(f"{value!r} is no {name}")
    return _head(tag, 0, len(data)) + data


# Each gives the contents of a value, None for a value of another type.


def _null(value: Primitive) -> bytes | None:
    return b"" if value is None else None


def _unsigned(value: Primitive) -> bytes | None:
    fits = isinstance(value, int) and 0 <= value < 1 << 32
    return _smallest(int(value)) if fits else None  # type: ignore[arg-type]  # an int


def _signed(value: Primitive) -> bytes | None:
    if not isinstance(value, int) or not -(1 << 31) <= value < 1 << 31:
        return None
    size = (value + (value < 0)).bit_length() // 8 + 1  # one bit more, for the sign
    return value.to_bytes(size, "big", signed=True)


def _real(value: Primitive) -> bytes | None:
    if isinstance(value, bool) or not isinstance(value, float | int):
        return None
    try:
        return struct.pack(">f", value)
    except OverflowError:
        raise ValueError(f"{value!r} is too large for a real") from None


def _double(value: Primitive) -> bytes | None:
    number = isinstance(value, float | int) and not isinstance(value, bool)
    return struct.pack(">d", value) if number else None


def _octets(value: Primitive) -> bytes | None:
    return value if isinstance(value, bytes) else None


def _text(value: Primitive) -> bytes | None:
    return b"\0" + value.encode() if isinstance(value, str) else None  # 0: UTF-8


def _bits(value: Primitive) -> bytes | None:
    if not isinstance(value, tuple) or not all(isinstance(bit, bool) for bit in value):
        return None
    unused = -len(value) % 8
    packed = 0
    for bit in value:
        packed = packed << 1 | bool(bit)
    return bytes([unused]) + (packed << unused).to_bytes((len(value) + unused) // 8, "big")


def _date(value: Primitive) -> bytes | None:
    if not isinstance(value, Date):
        return None
    year = value.year if value.year == ANY else value.year - 1900
    return bytes([year, *value[1:]])


def _time(value: Primitive) -> bytes | None:
    return bytes(value) if isinstance(value, Time) else None


def _object_id(value: Primitive) -> bytes | None:
    return _object(value) if isinstance(value, ObjectId) else None


_ENCODERS: Final[Mapping[int, Callable[[Primitive], bytes | None]]] = {
    NULL: _null, UNSIGNED: _unsigned, SIGNED: _signed, REAL: _real, DOUBLE: _double,
    OCTETS: _octets, TEXT: _text, BITS: _bits, ENUMERATED: _unsigned, DATE: _date, TIME: _time,
    OBJECT: _object_id,
}  # fmt: skip


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
    if length >= 1 << 16:
        raise ValueError(f"{length} octets are more than a message can have")
    return bytes([first | 5, 254]) + length.to_bytes(2, "big")
