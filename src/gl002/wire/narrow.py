"""The narrow layout: one row per sample in an SQL table, keyed by tag and time. Pure.

    value    the number; true and false as 1 and 0
    text     the text of a text sample
    quality  the OPC UA status code

A whole number too large for the number column is there as the nearest it can hold, and with all
its digits in `text`. NaN and infinity would spoil every average: they become a bad row without a
value. What a row cannot say, whether 1 is an integer, a float or true, the tag's type says.

    >>> columns(Sample("burner.on", True, 0), exact=EXACT_IN_DOUBLE)
    (1, None, 0)
    >>> restored("bool", 1.0, None)
    True
"""

from __future__ import annotations

import math
from typing import TypeAlias

from gl002.errors import DataError
from gl002.model import Quality, Sample, Value, ValueType, worst

Kind: TypeAlias = ValueType | None
"""Type of a tag's values; None while it had none."""
Columns: TypeAlias = tuple[float | None, str | None, int]
"""Number, text and status code."""

EXACT_IN_DOUBLE = 2**53
"""The largest whole number a double precision column holds exactly, as all below it."""
EXACT_IN_INTEGER = 2**63 - 1
"""The largest whole number a 64-bit integer column holds."""

LONGEST_TAG = 500
"""Characters a tag's name may have: in UTF-8 it then fits PostgreSQL's index rows (2,704 bytes)."""
LONGEST_TEXT = 1_000_000
"""Characters a text value may have; more is no measurement."""
EARLIEST, LATEST = -(2**63) + 1, 2**63 - 1
"""Nanoseconds in 64 bits: the years 1678 to 2261."""

_LARGEST_QUALITY = 0xFFFF_FFFF
_NUMBERS: tuple[ValueType, ...] = ("bool", "int", "float")


def columns(sample: Sample, *, exact: int) -> Columns:
    """What the row of a sample says beside tag and time: number, text, status code.

    Args:
        sample: its tag must have passed `checked_tag`.
        exact: the largest whole number that the number column holds exactly.

    Raises:
        DataError: no row can say it, and why.
    """
    value, quality = sample.value, sample.quality
    if not EARLIEST <= sample.time <= LATEST:
        raise DataError("its time is outside of the years 1678 to 2261")
    if not 0 <= quality <= _LARGEST_QUALITY:
        raise DataError(f"{quality} is no status code")
    if isinstance(value, float):
        if math.isfinite(value):
            return value, None, quality
        return None, None, worst((quality, _failure(value)))
    if value is None:
        return None, None, quality
    if isinstance(value, str):
        return None, _checked_text(value), quality
    if -exact <= value <= exact:
        return int(value), None, quality
    try:
        return float(value), str(value), quality
    except OverflowError:
        raise DataError(f"a whole number of {value.bit_length()} bits") from None


def _failure(value: float) -> int:
    """NaN is how a transmitter says it has failed (NAMUR NE 43 burnout); infinity is overflow."""
    return Quality.BAD_SENSOR_FAILURE if math.isnan(value) else Quality.BAD_OUT_OF_RANGE


def restored(kind: Kind, number: float | None, text: str | None) -> Value:
    """The value of a row, as `columns` was given it.

    Args:
        kind: type of the tag.
        number: as read, an integer or a float as the database has them.
        text: as read.
    """
    if number is None:
        return text
    if text is not None:
        return int(text)
    if kind == "bool":
        return bool(number)
    return int(number) if kind == "int" else float(number)


def checked_tag(tag: str) -> str:
    """The tag, if it can be the key of a row.

    Raises:
        DataError: why it cannot.
    """
    if len(tag) > LONGEST_TAG:
        raise DataError(f"its tag has more than {LONGEST_TAG} characters")
    return _storable(tag)


def _checked_text(text: str) -> str:
    if len(text) > LONGEST_TEXT:
        raise DataError(f"its text has more than {LONGEST_TEXT} characters")
    return _storable(text)


def _storable(text: str) -> str:
    if "\0" in text:
        raise DataError("a NUL is no text to a database")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise DataError("half a surrogate pair is no text to a database") from None
    return text


def kind_of(value: Value) -> Kind:
    """The type of a value; None of no value."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    return "float" if isinstance(value, float) else "str"


def wider(known: Kind, seen: Kind) -> Kind:
    """The type of a tag that has had values of both types.

    Of two kinds of number the one that holds both: bool, int, float. Text has a column of its
    own, so that a tag with numbers and texts keeps the type of its numbers.
    """
    numbers = [kind for kind in (known, seen) if kind in _NUMBERS]
    if numbers:
        return max(numbers, key=_NUMBERS.index)
    return known or seen
