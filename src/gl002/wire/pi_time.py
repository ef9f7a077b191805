"""Times of a PI System: time strings, intervals, and what its archive can resolve.

A Data Archive keeps times in units of 1/65536 s, 15.26 microseconds (AF SDK Reference, AFTime).
What was a whole millisecond comes back up to one unit beside it; `from_text` puts it right, so
that a sample keeps its time, which with its tag is its identity, on the way through PI.

Source of the syntax: PI Web API Reference, "Time Strings"; AF SDK Reference, AFTimeSpan.Parse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from gl002.errors import DataError
from gl002.model import to_datetime, to_ns

RESOLUTION = 15_259
"""Nanoseconds between two times that an archive can tell apart, rounded up."""

_MILLISECOND = 1_000_000
_SECOND = 1_000_000_000
_TICKS = 65_536  # of a second
_STAMP = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(Z|[+-]\d{2}:\d{2})")
_WORD = (
    r"\*|t(oday)?|y(esterday)?|(mon|tues|wednes|thurs|fri|satur|sun)day|mon|tue|wed|thu|fri|sat|sun"
)
_OFFSET = (
    r"[+-]\s*\d+(\.\d+)?\s*(ms|milliseconds?|s|sec|seconds?|m|min|minutes?|h|hours?|d|days?|"
    r"w|weeks?|mo|months?|y|years?)"
)
_RELATIVE = re.compile(rf"({_WORD})?(\s*{_OFFSET})*", re.IGNORECASE)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)
_SECONDS = {
    ("ms", "millisecond", "milliseconds"): 0.001,
    ("s", "sec", "second", "seconds"): 1.0,
    ("m", "min", "minute", "minutes"): 60.0,
    ("h", "hour", "hours"): 3600.0,
    ("d", "day", "days"): 86400.0,
    ("w", "week", "weeks"): 604800.0,
}
_NOMINAL = {"mo", "month", "months", "y", "year", "years"}  # of no fixed length


def to_text(nanoseconds: int) -> str:
    """A time as PI Web API takes it, with its seven digits: '2026-01-01T00:00:00.0010000Z'."""
    whole, rest = divmod(nanoseconds, _SECOND)
    stamp = to_datetime(whole * _SECOND).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{stamp}.{(rest + 50) // 100 if rest < _SECOND - 50 else 9_999_999:07d}Z"


def raw(text: object) -> int:
    """Nanoseconds of a 'Timestamp' as it came.

    Raises:
        DataError: it is no time.
    """
    match = _STAMP.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise DataError(f"'{text}' is no timestamp of PI Web API")
    try:
        whole = to_ns(datetime.fromisoformat(match[1] + match[3].replace("Z", "+00:00")))
    except (ValueError, OverflowError):
        raise DataError(f"'{text}' is no timestamp of PI Web API") from None
    return whole + int((match[2] or "").ljust(9, "0"))


def mended(nanoseconds: int) -> int:
    """The whole millisecond that a time lies one unit of the archive beside, or the time itself."""
    nearest = (nanoseconds + _MILLISECOND // 2) // _MILLISECOND * _MILLISECOND
    return nearest if abs(nearest - nanoseconds) <= RESOLUTION else nanoseconds


def tick(nanoseconds: int) -> int:
    """The archive's own number of a time: two samples with the same one are at the same time."""
    return (nanoseconds * _TICKS + _SECOND // 2) // _SECOND


def parameter(moment: str | datetime | int) -> str:
    """A time of a caller as a parameter of a request.

    Args:
        moment: a datetime (without a zone: local time), nanoseconds UTC, a text such as
            '2025-01-01 00:00:00' (local time), or PI's relative syntax: '*', '*-1d', 't+8h', 'y'.

    Raises:
        DataError: none of these.
    """
    if isinstance(moment, bool) or not isinstance(moment, str | datetime | int):
        raise DataError(f"{moment!r} is no time")
    if isinstance(moment, int):
        return to_text(moment)
    if isinstance(moment, datetime):
        return to_text(to_ns(moment))
    text = moment.strip()
    if text and _RELATIVE.fullmatch(text):
        return text
    try:
        return to_text(to_ns(datetime.fromisoformat(text)))
    except (ValueError, OverflowError):
        raise DataError(
            f"'{moment}' is no time",
            hint="write '2025-01-01 00:00:00' for local time, '2025-01-01T00:00:00Z', or PI's "
            "relative form: '*', '*-1d', 't+8h', 'y'",
        ) from None


def interval(span: str | float) -> str:
    """An interval of a caller as a parameter: '1h', '15m', or seconds as a number.

    Raises:
        DataError: no interval, or none that goes forward.
    """
    if isinstance(span, bool) or not isinstance(span, str | int | float):
        raise DataError(f"{span!r} is no interval")
    text = f"{span:g}s" if isinstance(span, int | float) else span.strip()
    match = _SPAN.fullmatch(text)
    known = match is not None and (_unit(match[2]) or match[2].lower() in _NOMINAL)
    if match is None or not known or float(match[1]) <= 0:
        raise DataError(f"'{span}' is no interval", hint="write '1h', '15m', '10s' or '1d'")
    return text


def nanoseconds_of(span: str) -> int | None:
    """The length of an interval; None for months and years, which have none."""
    match = _SPAN.fullmatch(span)
    factor = _unit(match[2]) if match is not None else None
    return None if match is None or factor is None else int(float(match[1]) * factor * _SECOND)


def _unit(word: str) -> float | None:
    return next((f for words, f in _SECONDS.items() if word.lower() in words), None)


def pieces(start: str, end: str, step: str, most: int) -> Iterator[tuple[str, str]]:
    """A range cut so that a grid of `step` in each piece has at most `most` points.

    Where the end is before the start, so are the pieces'. A range with a relative end is not cut:
    only the server knows what it means.
    """
    width = nanoseconds_of(step)
    if width is None or _STAMP.fullmatch(start) is None or _STAMP.fullmatch(end) is None:
        yield start, end
        return
    first, last = raw(start), raw(end)
    onwards = 1 if first <= last else -1
    for done in range(0, abs(last - first) // width + 1, most):
        here = first + onwards * done * width
        until = here + onwards * (most - 1) * width
        yield to_text(here), to_text(min(last, until) if onwards > 0 else max(last, until))


def points(start: str, end: str, step: str) -> int:
    """How many points the grid of a range has; 0 where only the server knows."""
    width = nanoseconds_of(step)
    if width is None or _STAMP.fullmatch(start) is None or _STAMP.fullmatch(end) is None:
        return 0
    return abs(raw(end) - raw(start)) // width + 1
