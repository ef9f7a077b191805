"""Points in time as people type them."""

from __future__ import annotations

import argparse
from datetime import datetime

from gl002.config.settings import parse_duration
from gl002.model import now_ns, to_datetime, to_ns

FORMS = "2026-11-26, 2026-11-26T08:30, with Z or +01:00, 'now', or how long ago: 90m, 24h, '7 days'"
"""For the help of arguments."""


def moment(text: str) -> int:
    """Nanoseconds UTC of a time as typed; one without a zone is local.

    Raises:
        argparse.ArgumentTypeError: text that is no time; says which forms there are.
    """
    if text.strip().lower() == "now":
        return now_ns()
    try:
        return to_ns(datetime.fromisoformat(text))
    except ValueError:
        pass
    try:
        ago = parse_duration(text.removeprefix("-"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no time: {FORMS}") from None
    assert isinstance(ago, float)
    if (then := now_ns() - int(ago * 1e9)) < 0:
        raise argparse.ArgumentTypeError(f"'{text}' ago is before 1970")
    return then


def duration(text: str) -> float:
    """Seconds of a duration as typed: '90s', '15m', '1 day'.

    Raises:
        argparse.ArgumentTypeError: text that is none, or nothing.
    """
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    assert isinstance(seconds, float)
    if seconds <= 0:
        raise argparse.ArgumentTypeError("a duration is longer than nothing")
    return seconds


def iso(nanoseconds: int) -> str:
    """ISO 8601 in UTC with as many digits as the time has."""
    text = to_datetime(nanoseconds).replace(tzinfo=None).isoformat(timespec="seconds")
    digits = f"{nanoseconds % 1_000_000_000:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"


def add_range(parser: argparse.ArgumentParser, *, since: str) -> None:
    """The arguments --from and --to."""
    parser.add_argument(
        "--from", dest="start", type=moment, metavar="TIME", help=f"{FORMS}; default {since}"
    )
    parser.add_argument(
        "--to", dest="end", type=moment, default="now", metavar="TIME",
        help="not included; default now",
    )  # fmt: skip
