r"""Line protocol of InfluxDB: one point a line, 'measurement,tag=value field=1.5 1700000000'. Pure.

The protocol has no escape for a backslash outside of quotes, none for a line break there, and
reads '#' at the start of a line as a comment; a line that one server takes apart otherwise than we
meant may swallow its neighbours. What cannot be said without doubt is therefore refused here:

    >>> line("steam", {"boiler": "B 1"}, {"flow": 12.5, "starts": 3}, 1_700_000_000_000_000_000)
    'steam,boiler=B\\ 1 flow=12.5,starts=3i 1700000000000000000'
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Literal, TypeAlias

from gl002.errors import DataError

Precision: TypeAlias = Literal["ns", "us", "ms", "s"]
FieldValue: TypeAlias = bool | int | float | str

NANOSECONDS: Mapping[Precision, int] = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
"""Nanoseconds in one unit of each precision."""
EARLIEST, LATEST = -(2**63) + 2, 2**63 - 2
"""Nanoseconds that a point's time may have: the years 1677 to 2262."""
LONGEST_TEXT = 65_535
"""Bytes of a string field (InfluxDB: 64 KiB)."""
LONGEST_SERIES = 65_535
"""Bytes of measurement and tags together."""

_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_RESERVED = {"time", "_time", "_field", "_measurement"}
_CONTROL = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_TEXT_CANNOT = re.compile(r"[\x00\ud800-\udfff]")
_DOUBTFUL = re.compile(r"\\(?=[\\,= \"]|$)")  # a backslash that could be taken for an escape
_IN_NAME = re.compile(r"([, ])")
_IN_KEY = re.compile(r"([,= ])")
_IN_TEXT = re.compile(r"([\\\"])")


def line(
    measurement: str,
    tags: Mapping[str, str],
    fields: Mapping[str, FieldValue],
    time: int,
    precision: Precision = "ns",
) -> str:
    """One point as a line, without its end.

    Args:
        measurement: its name.
        tags: the series; one with an empty value is left out, as InfluxDB has no such tags.
        fields: at least one.
        time: nanoseconds UTC.
        precision: unit of the time in the line; it is rounded down.

    Raises:
        DataError: a name, a value or the time that InfluxDB cannot hold, and which.
    """
    if not fields:
        raise DataError("a point needs at least one field")
    pairs = [f"{key(name, 'field')}={field(value, name)}" for name, value in fields.items()]
    return f"{series(measurement, tags)} {','.join(pairs)} {moment(time, precision)}"


def series(measurement: str, tags: Mapping[str, str]) -> str:
    """What a line begins with; tags in the order of their keys, which servers store fastest.

    Raises:
        DataError: as `line`.
    """
    parts = [_name(measurement)]
    parts += [f"{key(k, 'tag')}={_tag_value(v, k)}" for k, v in sorted(tags.items()) if v != ""]
    text = ",".join(parts)
    if len(text.encode()) > LONGEST_SERIES:
        raise DataError(f"measurement and tags have more than {LONGEST_SERIES} bytes")
    return text


def _name(measurement: str) -> str:
    if measurement.startswith("#"):
        raise DataError(f"the measurement '{measurement}' begins with '#': a comment")
    return _IN_NAME.sub(r"\\\1", _checked(measurement, "measurement"))


def key(text: str, what: str) -> str:
    """Key of a tag or field, escaped.

    Args:
        text: the key.
        what: 'tag' or 'field', for messages.

    Raises:
        DataError: it cannot be a key.
    """
    if text in _RESERVED:
        raise DataError(f"the {what} '{text}' has a name that InfluxDB keeps for itself")
    return _IN_KEY.sub(r"\\\1", _checked(text, what))


def _tag_value(text: str, tag: str) -> str:
    return _IN_KEY.sub(r"\\\1", _checked(text, f"value of the tag '{tag}',"))


def _checked(text: str, what: str) -> str:
    if not isinstance(text, str):
        raise DataError(f"the {what} {text!r} is no text")
    if not text:
        raise DataError(f"the {what} is empty")
    if _CONTROL.search(text):
        raise DataError(f"the {what} {text[:60]!r} has a character that no line can hold")
    if _DOUBTFUL.search(text):
        raise DataError(f"the {what} {text[:60]!r} has a backslash that is taken for an escape")
    return text


def field(value: object, name: str = "") -> str:
    """Value of a field: 1.5, 3i, true, "text".

    Args:
        value: bool, int, float or str, or a number of another library.
        name: of the field, for messages.

    Raises:
        DataError: InfluxDB has no such value: NaN, infinity, an integer of more than 64 bits.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"the field '{name}' is {value}: InfluxDB has no such number")
        return float.__repr__(value)
    if isinstance(value, int):
        if not _SMALLEST <= value <= _LARGEST:
            raise DataError(f"the field '{name}' is an integer of more than 64 bits")
        return f"{value:d}i"
    if isinstance(value, str):
        return f'"{_IN_TEXT.sub(_ESCAPED, _text(value, name))}"'
    raise DataError(f"the field '{name}' is a {type(value).__name__}: no number, text or bool")


_ESCAPED = r"\\\1"


def _text(value: str, name: str) -> str:
    if _TEXT_CANNOT.search(value):
        raise DataError(f"the text of the field '{name}' has a NUL or half a surrogate pair")
    if len(value) > LONGEST_TEXT or len(value.encode()) > LONGEST_TEXT:
        raise DataError(f"the text of the field '{name}' has more than {LONGEST_TEXT} bytes")
    return value


def moment(time: int, precision: Precision = "ns") -> int:
    """Nanoseconds as the number that a line ends with, rounded down.

    Raises:
        DataError: outside of what InfluxDB holds.
    """
    if not EARLIEST <= time <= LATEST:
        raise DataError("its time is outside of the years 1677 to 2262")
    return time // NANOSECONDS[precision]
