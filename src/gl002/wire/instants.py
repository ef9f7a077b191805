"""Times as people write them, in nanoseconds."""

from __future__ import annotations

from datetime import datetime

from gl002.errors import DataError
from gl002.model import to_ns


def instant(when: datetime | str | int) -> int:
    """A time as nanoseconds: nanoseconds, or a datetime or ISO text, local where it has no zone.

    Raises:
        DataError: it is no time.
    """
    if isinstance(when, str):
        try:
            when = datetime.fromisoformat(when)
        except ValueError:
            raise DataError(f"'{when}' is no time", hint="2025-01-01 00:00:00") from None
    return to_ns(when) if isinstance(when, datetime) else int(when)
