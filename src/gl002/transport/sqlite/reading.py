"""Reading the embedded history: newest samples, pages, tags, trends. Changes nothing."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from gl002.model import Batch, Sample, Tag
from gl002.transport.sqlite.aggregates import LEVELS, MINUTE, SECOND, USABLE, floor
from gl002.trend import Bucket, width_of
from gl002.wire.narrow import Kind, restored

_LATEST_RECENT = "SELECT tag_id, max(time), value, text, quality FROM recent GROUP BY tag_id"
_LATEST_SETTLED = """
SELECT time, value, text, quality FROM sample WHERE tag_id = ? ORDER BY time DESC LIMIT 1
"""
_PAGE = """
SELECT time, value, text, quality FROM sample WHERE tag_id = :id AND time >= :start AND time < :end
UNION ALL
SELECT time, value, text, quality FROM recent WHERE tag_id = :id AND time >= :start AND time < :end
ORDER BY time LIMIT :limit
"""
_RECENT = "SELECT tag_id, time, value, text, quality FROM recent WHERE time >= ? AND time < ?"
_SETTLED = """
SELECT time, value, text, quality FROM sample WHERE tag_id = ? AND time >= ? AND time < ?
ORDER BY time LIMIT ?
"""
_FIGURES = f"count(*), count({USABLE}), min({USABLE}), max({USABLE}), total({USABLE}), max(quality)"
_SUMS = "sum(samples), sum(used), min(low), max(high), total(total), max(quality)"
_TREND = """
SELECT (time - :start) / :width AS place, {figures} FROM {table}
WHERE tag_id = :id AND time >= :start AND time < :end GROUP BY place
"""

_FINE = 8  # aggregates to a bucket, so that whole ones fit into it
_ENOUGH = (
    60_000  # or so many steps of the next finer table in the range: more take too long to read
)


class Place(NamedTuple):
    """Where the rows of a tag go, and what the file knows about it."""

    id: int
    settled: int
    kind: Kind


def places(db: sqlite3.Connection, names: Sequence[str]) -> dict[str, Place]:
    """Those of the tags that the file has."""
    question = "SELECT id, settled, type FROM tag WHERE name = ?"
    rows = ((name, db.execute(question, (name,)).fetchone()) for name in names)
    return {name: Place(*row) for name, row in rows if row is not None}


def latest(db: sqlite3.Connection, names: Sequence[str]) -> dict[str, Sample]:
    """The newest sample of each tag that has one."""
    recent = {row[0]: row[1:] for row in db.execute(_LATEST_RECENT)}
    found = {}
    for name, place in places(db, names).items():
        row = recent.get(place.id)
        if row is None:
            row = db.execute(_LATEST_SETTLED, (place.id,)).fetchone()
        if row is not None:
            found[name] = _sample(name, place.kind, row)
    return found


def page(db: sqlite3.Connection, name: str, start: int, end: int, limit: int) -> Batch:
    """Samples of one tag with start <= time < end, oldest first, at most `limit`."""
    place = places(db, [name]).get(name)
    if place is None:
        return []
    wanted = {"id": place.id, "start": start, "end": end, "limit": limit}
    return [_sample(name, place.kind, row) for row in db.execute(_PAGE, wanted)]


def pages(db: sqlite3.Connection, names: Sequence[str], start: int, end: int, limit: int) -> Batch:
    """The same of several tags, of each at most `limit`; what has arrived is read only once."""
    recent: dict[int, list[tuple[Any, ...]]] = {}
    for tag_id, *row in db.execute(_RECENT, (start, end)):
        recent.setdefault(tag_id, []).append(tuple(row))
    batch: Batch = []
    for name, place in places(db, names).items():
        settled = db.execute(_SETTLED, (place.id, start, end, limit)).fetchall()
        rows = sorted([*settled, *recent.get(place.id, ())], key=itemgetter(0))[:limit]
        batch += [_sample(name, place.kind, row) for row in rows]
    return batch


def _sample(name: str, kind: Kind, row: tuple[Any, ...]) -> Sample:
    moment, number, text, quality = row
    return Sample(name, restored(kind, number, text), moment, quality)


def tags(db: sqlite3.Connection) -> list[Tag]:
    """Every tag, in alphabetical order."""
    rows = db.execute("SELECT name, unit, description, type FROM tag ORDER BY name")
    return [
        Tag(name=name, unit=unit, description=description, type=kind)
        for name, unit, description, kind in rows
    ]


# ---- trends -------------------------------------------------------------------------------------


def trend(db: sqlite3.Connection, name: str, start: int, end: int, points: int) -> list[Bucket]:
    """One tag in about `points` buckets, oldest first; lows and highs are all there.

    Taken from the samples; from minutes or hours where buckets or the range are long, or the
    samples are not kept any more: then buckets begin and end on whole ones, also at the ends of the
    range. Some ten thousand rows are read at 1 Hz, however long the range is. There may be fewer
    buckets than points, but not fewer than a thousand where the tag has samples all the time.

    Raises:
        ValueError: there is no range, or no point.
    """
    width = width_of(start, end, points)
    place = places(db, [name]).get(name)
    if place is None:
        return []
    found: list[Bucket] = []
    for table, since, until in _parts(db, start, end, width):
        found += _buckets(db, place.id, table, since, until, width)
    return found


def _parts(
    db: sqlite3.Connection, start: int, end: int, width: int
) -> Iterator[tuple[str, int, int]]:
    """Which table answers for which part of a range, oldest first."""
    order = ["sample", *LEVELS]
    steps = {"minute": SECOND, "hour": MINUTE}  # of samples we know no step: a second, say
    wanted = "sample"
    for table, span in LEVELS.items():
        if span * _FINE <= width or end - start >= _ENOUGH * steps[table]:
            wanted = table
    kept = dict(db.execute("SELECT level, since FROM kept"))
    since = start
    for table in reversed(order[order.index(wanted) + 1 :]):
        finer = order[order.index(table) - 1]
        until = min(max(kept.get(finer, start), since), end)
        if since < until:
            yield table, since, until
            since = until
    if since < end:
        yield wanted, since, end


def _buckets(  # noqa: PLR0917 (one row of `_parts`, and what it is of)
    db: sqlite3.Connection, tag_id: int, table: str, start: int, end: int, width: int
) -> list[Bucket]:
    span = LEVELS.get(table, 1)
    width = -(-width // span) * span
    start = floor(start, span)
    asked = {"id": tag_id, "start": start, "end": end, "width": width}
    joined: dict[int, Bucket] = {}
    for source in (table, "recent"):
        figures = _SUMS if source in LEVELS else _FIGURES
        for row in db.execute(_TREND.format(table=source, figures=figures), asked):
            bucket = _bucket(row, start, width)
            known = joined.get(bucket.start)
            joined[bucket.start] = bucket if known is None else known.joined(bucket)
    return [joined[begin] for begin in sorted(joined)]


def _bucket(row: tuple[Any, ...], start: int, width: int) -> Bucket:
    place, samples, used, low, high, total, quality = row
    begin = start + place * width
    mean = total / used if used else None
    return Bucket(begin, begin + width, samples, used, low, high, mean, quality)
