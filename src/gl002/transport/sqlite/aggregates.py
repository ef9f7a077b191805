"""Lowest, highest and total value of each tag by minute and by hour, beside the samples.

A minute that a transaction changes is computed anew from its samples in the same transaction, and
an hour from its minutes, so that they always agree and a replay changes nothing. Only where samples
were deleted for their age the old result stays: one of fewer samples never replaces it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
LEVELS = {"minute": MINUTE, "hour": HOUR}
"""Table -> nanoseconds of one of its rows."""

USABLE = "CASE WHEN quality < 2147483648 THEN value END"
"""SQL: the number of a sample that is not bad (the top bit of a status code), else NULL."""

_SCRATCH = """
CREATE TEMP TABLE IF NOT EXISTS {level}_touched (
    tag_id INTEGER, time INTEGER, PRIMARY KEY (tag_id, time)
) WITHOUT ROWID
"""
_TOUCH = "INSERT OR IGNORE INTO minute_touched VALUES (?, ?)"
_TOUCH_RECENT = """
INSERT OR IGNORE INTO minute_touched SELECT DISTINCT tag_id, {minute} FROM recent
"""
_TOUCH_TAG = """
INSERT OR IGNORE INTO minute_touched
SELECT DISTINCT tag_id, {minute} FROM sample
WHERE tag_id = ?1 AND NOT EXISTS (SELECT 1 FROM hour WHERE tag_id = ?1)
"""
_TOUCH_HOURS = "INSERT OR IGNORE INTO hour_touched SELECT tag_id, {hour} FROM minute_touched"

_UPSERT = """
ON CONFLICT DO UPDATE SET samples = excluded.samples, used = excluded.used, low = excluded.low,
    high = excluded.high, total = excluded.total, quality = excluded.quality
WHERE excluded.samples >= samples
AND (samples, used, low, high, total, quality) IS NOT (excluded.samples, excluded.used,
    excluded.low, excluded.high, excluded.total, excluded.quality)
"""
_SUM_MINUTES = f"""
INSERT INTO minute
SELECT touched.tag_id, touched.time, count(*), count({USABLE}), min({USABLE}), max({USABLE}),
    total({USABLE}), max(quality)
FROM minute_touched AS touched CROSS JOIN sample ON sample.tag_id = touched.tag_id
    AND sample.time >= touched.time AND sample.time < touched.time + {MINUTE}
GROUP BY touched.tag_id, touched.time
{_UPSERT}
"""  # noqa: S608 (names and numbers of ours)
_SUM_HOURS = f"""
INSERT INTO hour
SELECT touched.tag_id, touched.time, sum(samples), sum(used), min(low), max(high), total(total),
    max(quality)
FROM hour_touched AS touched CROSS JOIN minute ON minute.tag_id = touched.tag_id
    AND minute.time >= touched.time AND minute.time < touched.time + {HOUR}
GROUP BY touched.tag_id, touched.time
{_UPSERT}
"""  # noqa: S608 (names and numbers of ours)


def floor(moment: int, span: int) -> int:
    """When the stretch of `span` nanoseconds begins that holds a moment."""
    return moment - moment % span


def _floor_sql(span: int) -> str:
    """The same in SQL, whose remainder has the sign of the moment: also before 1970."""
    return f"time - (time % {span} + {span}) % {span}"


def prepare(db: sqlite3.Connection) -> None:
    """Make the lists of what is to be computed anew; they belong to the connection."""
    db.execute("PRAGMA temp_store = MEMORY")
    for level in LEVELS:
        db.execute(_SCRATCH.format(level=level))


def touch(db: sqlite3.Connection, places: Iterable[tuple[int, int]]) -> None:
    """Note minutes whose samples change: tag and any moment in it."""
    minutes = {(tag_id, floor(moment, MINUTE)) for tag_id, moment in places}
    db.executemany(_TOUCH, sorted(minutes))


def touch_recent(db: sqlite3.Connection) -> None:
    """Note the minutes of everything in `recent`."""
    db.execute(_TOUCH_RECENT.format(minute=_floor_sql(MINUTE)))


def touch_tag(db: sqlite3.Connection, tag_id: int) -> None:
    """Note every minute of a tag that has no aggregates yet."""
    db.execute(_TOUCH_TAG.format(minute=_floor_sql(MINUTE)), (tag_id,))


def update(db: sqlite3.Connection) -> None:
    """Compute what was noted, inside the transaction that changed the samples."""
    db.execute(_TOUCH_HOURS.format(hour=_floor_sql(HOUR)))
    db.execute(_SUM_MINUTES)
    db.execute(_SUM_HOURS)
    forget(db)


def forget(db: sqlite3.Connection) -> None:
    """Nothing is to be computed."""
    for level in LEVELS:
        db.execute(f"DELETE FROM {level}_touched")  # noqa: S608 (names of ours)
