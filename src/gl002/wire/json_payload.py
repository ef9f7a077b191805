"""JSON in and out: one documented form for every Python value, and safe limits for foreign text.

Out: datetimes are ISO 8601 in UTC (one without a zone is local time), sets are sorted
lists, `...` is null, NaN and infinity are null, bytes are base64, enumerations are
their values, numbers and arrays of other packages are plain ones.

    >>> encode({"efficiency": 85.4, "recommendations": {...}})
    b'{"efficiency":85.4,"recommendations":[null]}'

In: text that is too large, nested too deeply or no JSON is refused as a `DataError`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import singledispatch
from types import EllipsisType
from typing import Any, Literal, TypeAlias

import msgspec

from gl002.errors import DataError
from gl002.model import to_ns

TimeUnit: TypeAlias = Literal["iso", "s", "ms", "us", "ns"]

LARGEST = 1 << 20
"""Bytes of JSON that are read; more is refused."""
_DEEPEST = 32
_AS_THEY_ARE = {bool, int, float, str, bytes}
_NS_PER = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_END_OF_TIME = 1 << 63


def encode(value: object) -> bytes:
    """Any value as JSON in UTF-8, in the form described above.

    Raises:
        DataError: no form is known for a value in it, or it is nested deeper than 32 levels.
    """
    try:
        return msgspec.json.encode(_plain(value, 0))
    except UnicodeEncodeError as error:
        raise DataError(f"no JSON: {error}") from None


def _plain(value: object, depth: int) -> object:
    """The value made of what JSON knows."""
    if value is None or type(value) in _AS_THEY_ARE:
        return value
    if depth >= _DEEPEST:
        raise DataError(f"no JSON: nested deeper than {_DEEPEST} levels, or within itself")
    if isinstance(value, Mapping):
        return {_key(key): _plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, AbstractSet):
        return _in_order([_plain(item, depth + 1) for item in value])
    if isinstance(value, list | tuple):
        return [_plain(item, depth + 1) for item in value]
    return _plain(_simpler(value), depth + 1)


def _in_order(items: list[Any]) -> list[Any]:
    """Sorted; by their JSON where they cannot be compared, so that the same set reads the same."""
    try:
        return sorted(items)
    except TypeError:
        return sorted(items, key=msgspec.json.encode)


def _key(key: object) -> str:
    simple = _simpler(key) if isinstance(key, Enum | date) else key
    if not isinstance(simple, str | int | float):
        raise DataError(f"no JSON: {type(key).__name__} cannot be a key")
    return str(simple)


@singledispatch
def _simpler(value: object) -> object:
    """One step towards what JSON knows: the value in another type."""
    if hasattr(value, "tolist"):  # numpy scalars and arrays, array.array
        return value.tolist()
    try:
        return msgspec.to_builtins(value, builtin_types=(datetime, bytes))  # dataclasses, structs
    except (TypeError, RecursionError):
        raise DataError(f"no JSON: there is no form for a {type(value).__name__}") from None


@_simpler.register
def _(_value: EllipsisType) -> None:
    return None


@_simpler.register
def _(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


@_simpler.register(date)
@_simpler.register(time)
def _(value: date | time) -> str:
    return value.isoformat()


@_simpler.register
def _(value: timedelta) -> float:
    return value.total_seconds()


@_simpler.register(float)
@_simpler.register(Decimal)
def _(value: float | Decimal) -> float:
    return float(value)


@_simpler.register
def _(value: int) -> int:
    return int(value)


@_simpler.register
def _(value: str) -> str:
    return str.__str__(value)  # not the name an enumeration of texts gives itself


@_simpler.register
def _(value: Enum) -> object:
    return value.value


@_simpler.register(bytearray)
@_simpler.register(memoryview)
def _(value: bytearray | memoryview) -> bytes:
    return bytes(value)


def decode(payload: bytes | str) -> Any:
    """JSON as dicts, lists and scalars; numbers are finite.

    Args:
        payload: bytes or text.

    Raises:
        DataError: no JSON, larger than 1 MiB, or nested deeper than 32 levels.
    """
    if len(payload) > LARGEST:
        raise DataError(f"{len(payload)} bytes of JSON: at most {LARGEST} are read")
    try:
        value = msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DataError(f"no JSON: {error}") from None
    except RecursionError:
        raise DataError("no JSON: nested too deeply") from None
    if _too_deep(value):
        raise DataError(f"JSON nested deeper than {_DEEPEST} levels")
    return value


def _too_deep(value: object) -> bool:
    """Whether more than the permitted number of levels lie inside each other."""
    here = [value]
    for _ in range(_DEEPEST + 1):
        here = [item for outer in here for item in _inside(outer)]
        if not here:
            return False
    return True


def _inside(value: object) -> Iterator[object]:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return (item for item in items if isinstance(item, dict | list))


def timestamp(value: object, unit: TimeUnit) -> int:
    """A point in time from a payload, in nanoseconds since 1970-01-01 UTC.

    Args:
        value: ISO 8601 text for 'iso' (without a zone it is local time), else a number.
        unit: what it is written in; never guessed.

    Raises:
        DataError: it is of the wrong type, or outside of 1970 to 2262.
    """
    try:
        moment = _from_text(value) if unit == "iso" else _from_number(value, _NS_PER[unit])
    except (ValueError, OverflowError, OSError):
        raise DataError(f"{str(value)[:60]!r} is no time in '{unit}'") from None
    if not 0 <= moment < _END_OF_TIME:
        raise DataError(f"{str(value)[:60]!r} as '{unit}' is not between 1970 and 2262")
    return moment


def _from_text(value: object) -> int:
    if not isinstance(value, str):
        raise ValueError("no text")  # noqa: TRY004 (one kind of error for the caller)
    return to_ns(datetime.fromisoformat(value))


def _from_number(value: object, factor: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("no number")  # noqa: TRY004 (one kind of error for the caller)
    if isinstance(value, int):
        return value * factor
    if not math.isfinite(value):
        raise ValueError("not finite")
    whole = math.floor(value)
    return whole * factor + round((value - whole) * factor)
