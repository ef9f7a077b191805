"""Times as people give them on the command line: '7d', '2026-10', '2026-10-01..2026-10-15'."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from gl002.config.settings import parse_duration
from gl002.errors import ConfigError
from gl002.model import to_ns

_MONTH = re.compile(r"(\d{4})-(\d{2})")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_FORMS = "'7d', '2026-10', '2026-10-01..2026-10-15', '2026-10-01T06:00..2026-10-01T14:00'"

Period = tuple[int, int]
"""First moment and the moment after the last, ns since 1970."""


def period(text: str, *, now: datetime | None = None) -> Period:
    """A period: a duration back from now, a month, or from one moment to another (local time).

    A day or month given as the end is part of the period.

    Raises:
        ConfigError: none of these.
    """
    now = datetime.now().astimezone() if now is None else now
    if ".." in text:
        first, _, last = text.partition("..")
        start, end = moment(first), _end(last, now)
    elif _MONTH.fullmatch(text) or _DAY.fullmatch(text):
        start, end = moment(text), _end(text, now)
    else:
        start, end = to_ns(now - _back(text)), to_ns(now)
    if not start < end:
        raise ConfigError(f"'{text}' ends before it begins")
    return start, end


def moment(text: str) -> int:
    """A moment: a month or day at its beginning, or an ISO time; local where no zone is given.

    Raises:
        ConfigError: neither.
    """
    if match := _MONTH.fullmatch(text.strip()):
        text = f"{match[1]}-{match[2]}-01"
    try:
        return to_ns(datetime.fromisoformat(text.strip()))
    except ValueError:
        raise ConfigError(f"'{text}' is no moment", hint=f"such as {_FORMS}") from None


def _end(text: str, now: datetime) -> int:
    text = text.strip()
    if not text:
        return to_ns(now)
    if match := _MONTH.fullmatch(text):
        year, month = int(match[1]), int(match[2])
        return moment(f"{year + month // 12}-{month % 12 + 1:02}")
    if _DAY.fullmatch(text):
        moment(text)  # whether there is such a day
        return to_ns(datetime.fromisoformat(text) + timedelta(days=1))
    return moment(text)


def _back(text: str) -> timedelta:
    try:
        seconds = parse_duration(text)
    except ValueError:
        seconds = None
    if not isinstance(seconds, int | float) or not seconds > 0:
        raise ConfigError(f"'{text}' is no period", hint=f"such as {_FORMS}")
    return timedelta(seconds=float(seconds))
