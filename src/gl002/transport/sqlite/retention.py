"""Deleting what is too old from the embedded history, a little at a time."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Mapping
from typing import NamedTuple

from gl002.transport.sqlite.aggregates import HOUR, floor
from gl002.transport.sqlite.schema import transaction

_TRIM_CHUNK = 20_000  # rows deleted in one transaction

TABLES = ("sample", "minute", "hour")
"""What is kept, from fine to coarse."""


class _Work(NamedTuple):
    table: str
    tag_id: int
    before: int


class Trim:
    """One look at every tag of a file for rows that are too old.

    Args:
        before: table -> nanoseconds UTC; older rows go. Rounded down to whole hours, so that what
            an hour was computed from goes together.
    """

    def __init__(self, before: Mapping[str, int]) -> None:
        self._before = {table: floor(moment, HOUR) for table, moment in before.items()}
        self._left: list[_Work] | None = None

    def run(self, db: sqlite3.Connection, *, seconds: float) -> bool:
        """Delete for about `seconds`; returns whether all is done. Call again where not."""
        deadline = time.monotonic() + seconds
        if self._left is None:
            self._left = self._begin(db)
        while self._left and time.monotonic() < deadline:
            if _delete_some(db, self._left[-1]):
                self._left.pop()
        return not self._left

    def _begin(self, db: sqlite3.Connection) -> list[_Work]:
        """Note first from when on a table is whole: readers take older times from the next one."""
        with transaction(db):
            db.executemany(
                "INSERT INTO kept VALUES (?, ?) "
                "ON CONFLICT DO UPDATE SET since = max(since, excluded.since)",
                self._before.items(),
            )
        ids = [id_ for (id_,) in db.execute("SELECT id FROM tag")]
        return [_Work(table, id_, before) for table, before in self._before.items() for id_ in ids]


def _delete_some(db: sqlite3.Connection, work: _Work) -> bool:
    """Delete one chunk; whether nothing is left of this work."""
    old = f"FROM {work.table} WHERE tag_id = ? AND time < ?"
    with transaction(db):
        cut = db.execute(
            f"SELECT time {old} ORDER BY time LIMIT 1 OFFSET ?",
            (work.tag_id, work.before, _TRIM_CHUNK),
        ).fetchone()
        db.execute(f"DELETE {old}", (work.tag_id, cut[0] if cut else work.before))
    return cut is None
