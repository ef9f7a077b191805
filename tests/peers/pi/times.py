"""AF time strings, intervals and the clock of a PI Data Archive.

Source: PI Web API Reference, Time Strings (Core Services); AF SDK Reference, AFTimeSpan.Parse. A
Data Archive keeps times in units of 1/65536 s.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

TICKS = 65536  # of a second
_UNITS = {
    "ms": 0.001, "millisecond": 0.001, "milliseconds": 0.001,
    "s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86400.0, "day": 86400.0, "days": 86400.0,
    "w": 604800.0, "week": 604800.0, "weeks": 604800.0,
}  # fmt: skip
_PART = re.compile(r"([+-]?)\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*")
_ISO = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?"
    r"(Z|[+-]\d{2}:?\d{2})?"
)


class BadTime(ValueError):
    """A text that is no time; the message is the server's."""


def now() -> int:
    """Ticks now."""
    moment = datetime.now(UTC)
    return int(moment.timestamp()) * TICKS + moment.microsecond * TICKS // 1_000_000


def ticks(text: str) -> int:
    """Ticks of an AF time string. What has no zone is in the server's, which is UTC here.

    Raises:
        BadTime: no such time.
    """
    text = text.strip().strip("'\"")
    iso = _ISO.fullmatch(text)
    if iso is not None:
        return _absolute(text, iso)
    lower = text.lower()
    for word, start in (("*", now), ("today", _today), ("t", _today), ("yesterday", _yesterday),
                        ("y", _yesterday), ("", now)):  # fmt: skip
        rest = lower.removeprefix(word)
        if lower.startswith(word) and (not rest or rest[0] in "+-"):
            return start() + _relative(rest, text)
    raise BadTime(f"'{text}' is not recognized as a valid time.")


def _absolute(text: str, iso: re.Match[str]) -> int:
    year, month, day, hour, minute, second, fraction, zone = iso.groups()
    try:
        moment = datetime(
            int(year), int(month), int(day), int(hour or 0), int(minute or 0), int(second or 0),
            tzinfo=UTC,
        )  # fmt: skip
    except ValueError:
        raise BadTime(f"'{text}' is not recognized as a valid time.") from None
    if zone not in {None, "Z"}:
        sign = -1 if zone[0] == "-" else 1
        digits = zone[1:].replace(":", "")
        moment -= sign * timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    nanoseconds = int((fraction or "0").ljust(9, "0"))
    whole = int(moment.timestamp())
    return whole * TICKS + (nanoseconds * TICKS + 500_000_000) // 1_000_000_000


def _today() -> int:
    moment = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return int(moment.timestamp()) * TICKS


def _yesterday() -> int:
    return _today() - 86400 * TICKS


def _relative(text: str, whole: str) -> int:
    total, place = 0.0, 0
    while place < len(text):
        part = _PART.match(text, place)
        if part is None or part[3] not in _UNITS:
            raise BadTime(f"'{whole}' is not recognized as a valid time.")
        total += (-1 if part[1] == "-" else 1) * float(part[2]) * _UNITS[part[3]]
        place = part.end()
    return int(total * TICKS)


def span(text: str) -> int:
    """Ticks of an interval such as '1h' or '10m'.

    Raises:
        BadTime: no interval.
    """
    part = _PART.fullmatch(text.strip().lower())
    if part is None or part[1] == "-" or part[3] not in _UNITS:
        raise BadTime(f"'{text}' is not recognized as a valid time span.")
    length = int(float(part[2]) * _UNITS[part[3]] * TICKS)
    if length <= 0:
        raise BadTime(f"The time span '{text}' must be positive.")
    return length


def text(moment: int) -> str:
    """Ticks as the server prints them: seven digits, and none where they are zero."""
    seconds, rest = divmod(moment, TICKS)
    whole = datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{whole}.{rest * 10_000_000 // TICKS:07d}Z" if rest else f"{whole}Z"
