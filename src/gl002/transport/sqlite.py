"""The embedded history: one SQLite file of samples, cheap to write and quick to read by tag.

A trend reads one tag over a long time, so the rows of a tag must lie together. But new samples
belong to all tags: put in their places one by one, each of them costs a page of the disk, which at
1,000 tags a second is 700 GB a day and the end of a small flash drive. So samples arrive in the
table `recent`, in the order of time, and move to the table `sample`, in the order of tags, a
hundred thousand at a time. Of each tag, `sample` has everything up to `tag.settled`, and `recent`
everything after it; the view `history` shows both. Measured in docs/decisions/0006.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

from gl002.errors import DataError, RequestFailed
from gl002.model import Batch, Sample, Tag, Value
from gl002.wire.narrow import (
    EXACT_IN_INTEGER,
    Kind,
    checked_tag,
    columns,
    kind_of,
    restored,
    wider,
)

FORMAT = 1
_APPLICATION = 0x474C3032  # 'GL02': tells our files from others

_SCHEMA = """
CREATE TABLE tag (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    unit TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    type TEXT,                          -- bool, int, float, str; NULL while it had no value
    settled INTEGER NOT NULL DEFAULT (-9223372036854775808)  -- last time of it in `sample`
);
CREATE TABLE sample (
    tag_id INTEGER NOT NULL REFERENCES tag,
    time INTEGER NOT NULL,              -- nanoseconds since 1970-01-01 UTC
    value,                              -- number
    text TEXT,
    quality INTEGER NOT NULL,           -- OPC UA status code
    PRIMARY KEY (tag_id, time)
) WITHOUT ROWID;
CREATE TABLE recent (
    time INTEGER NOT NULL,
    tag_id INTEGER NOT NULL REFERENCES tag,
    value,
    text TEXT,
    quality INTEGER NOT NULL,
    PRIMARY KEY (time, tag_id)
) WITHOUT ROWID;
CREATE VIEW history AS
    SELECT tag.name AS tag, time, value, text, quality, unit
    FROM tag JOIN sample ON sample.tag_id = tag.id
    UNION ALL
    SELECT tag.name, time, value, text, quality, unit
    FROM tag JOIN recent ON recent.tag_id = tag.id;
"""

_ARRIVE, _PLACE = (
    f"INSERT INTO {table} (tag_id, time, value, text, quality) VALUES (?, ?, ?, ?, ?) "  # noqa: S608 (names of ours)
    "ON CONFLICT DO UPDATE SET value = excluded.value, text = excluded.text, "
    "quality = excluded.quality WHERE (value, text, quality) "
    "IS NOT (excluded.value, excluded.text, excluded.quality)"
    for table in ("recent", "sample")
)

_DESCRIBE = """
INSERT INTO tag (name, unit, description, type) VALUES (?, ?, ?, ?)
ON CONFLICT DO UPDATE SET unit = coalesce(nullif(excluded.unit, ''), unit),
    description = coalesce(nullif(excluded.description, ''), description), type = excluded.type
"""

_SETTLE = """
INSERT OR REPLACE INTO sample SELECT tag_id, time, value, text, quality FROM recent
    ORDER BY tag_id, time;
UPDATE tag SET settled = newest.time
    FROM (SELECT tag_id, max(time) AS time FROM recent GROUP BY tag_id) AS newest
    WHERE newest.tag_id = tag.id;
DELETE FROM recent;
"""

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

_BUSY_TIMEOUT = 5.0  # seconds to wait for another process that writes
_CACHE = 16 * 1024  # KiB of pages kept in memory
_CHECKPOINT = 4000  # pages of the write-ahead log before they are copied into the file
_LARGEST_LOG = 64 * 1024 * 1024  # bytes the log keeps on disk after a large transaction
_TRIM_CHUNK = 20_000  # rows deleted in one transaction


class _Place(NamedTuple):
    """Where the rows of a tag go, and what the file knows about it."""

    id: int
    settled: int
    kind: Kind


class HistoryFile:
    """One file. Blocking; all calls from one thread, except `interrupt`. Processes may share it.

    Args:
        path: made, with its folder, where missing.
        settle_at: rows in `recent` at which they move to `sample`.
    """

    def __init__(self, path: Path, *, settle_at: int = 100_000) -> None:
        self.path = path
        self._settle_at = settle_at
        self._open: sqlite3.Connection | None = None
        self._places: dict[str, _Place] = {}
        self._learnt: dict[tuple[str, type], Tag | None] = {}
        self._arrived = 0
        self._version = -1
        self._to_trim: list[int] = []

    # ---- life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Open or make the file; nothing where it is open.

        Raises:
            RequestFailed: another program's file, or one of a newer format.
        """
        if self._open is not None:
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._open = sqlite3.connect(self.path, timeout=_BUSY_TIMEOUT, isolation_level=None)
        try:
            self._prepare(self._open)
        except BaseException:
            self.close()
            raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA cache_size = {-_CACHE}")
        with self._transaction():
            version, application, tables = (
                db.execute(question).fetchone()[0]
                for question in (
                    "PRAGMA user_version",
                    "PRAGMA application_id",
                    "SELECT count(*) FROM sqlite_schema",
                )
            )
            if not tables:
                for statement in (*_SCHEMA.split(";\n"), f"PRAGMA user_version = {FORMAT}"):
                    db.execute(statement)
                db.execute(f"PRAGMA application_id = {_APPLICATION}")
            elif application != _APPLICATION:
                raise RequestFailed(f"{self.path} is another program's file", hint="change 'path'")
            elif version != FORMAT:
                raise RequestFailed(
                    f"{self.path} has format {version}, this version knows {FORMAT}",
                    hint="it was written by a newer version of gl002: install that",
                )
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a row that was written survives a power cut
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        db.execute(f"PRAGMA journal_size_limit = {_LARGEST_LOG}")

    def close(self) -> None:
        """Close the file; safe to call twice."""
        db, self._open = self._open, None
        self._forget()
        if db is not None:
            db.close()

    def interrupt(self) -> None:
        """End a statement that is running in the file's thread; from any thread."""
        db = self._open
        if db is not None:
            db.interrupt()

    @property
    def _db(self) -> sqlite3.Connection:
        if self._open is None:
            raise sqlite3.ProgrammingError("the file is closed")
        return self._open

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        db = self._db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
            db.execute("COMMIT")
        except BaseException:
            self._forget()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _forget(self) -> None:
        """What was learnt in a transaction that is undone, or before another process wrote."""
        self._places, self._learnt, self._version = {}, {}, -1

    # ---- writing ----------------------------------------------------------------------------

    def write(self, batch: Batch, about: Mapping[str, Tag]) -> dict[int, str]:
        """Add or replace samples by tag and time, in one transaction on disk when it returns.

        Args:
            batch: any order; of two samples with one tag and time the later one in it wins.
            about: unit, description and type of tags.

        Returns:
            What no row can hold: place in the batch -> reason. All else is written.
        """
        with self._transaction() as db:
            self._catch_up(db)
            refused = self._learn(db, batch, about)
            recent, settled, rejected = self._sorted_out(batch, refused)
            db.executemany(_ARRIVE, recent)
            db.executemany(_PLACE, settled)
            self._arrived += len(recent)
        if self._arrived >= self._settle_at:
            self.settle()
        return rejected

    def _catch_up(self, db: sqlite3.Connection) -> None:
        """Learn again what another process may have changed."""
        (version,) = db.execute("PRAGMA data_version").fetchone()
        if version != self._version:
            self._forget()
            self._version = version
            self._read_places(db)
            (self._arrived,) = db.execute("SELECT count(*) FROM recent").fetchone()

    def _read_places(self, db: sqlite3.Connection) -> None:
        for name, *place in db.execute("SELECT name, id, settled, type FROM tag"):
            self._places[name] = _Place(*place)

    def _learn(
        self, db: sqlite3.Connection, batch: Batch, about: Mapping[str, Tag]
    ) -> dict[str, str]:
        """Note tags that are new, have a new type or a new description; those that cannot be."""
        refused = {}
        seen = {(sample.tag, type(sample.value)): sample.value for sample in batch}
        for known, value in seen.items():
            tag = about.get(known[0])
            if known in self._learnt and self._learnt[known] is tag:
                continue
            try:
                self._describe(db, checked_tag(known[0]), value, tag)
                self._learnt[known] = tag
            except DataError as error:
                refused[known[0]] = str(error)
        return refused

    def _describe(self, db: sqlite3.Connection, name: str, value: Value, tag: Tag | None) -> None:
        place = self._places.get(name)
        kind = wider(tag.type if tag else None, kind_of(value))
        if place is not None:
            kind = wider(place.kind, kind)
        db.execute(_DESCRIBE, (name, tag.unit if tag else "", tag.description if tag else "", kind))
        if place is None:
            question = "SELECT id, settled, type FROM tag WHERE name = ?"
            place = _Place(*db.execute(question, (name,)).fetchone())
        self._places[name] = place._replace(kind=kind)

    def _sorted_out(
        self, batch: Batch, refused: Mapping[str, str]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], dict[int, str]]:
        """Rows for `recent`, rows for `sample`, and what cannot be a row."""
        recent: list[tuple[Any, ...]] = []
        settled: list[tuple[Any, ...]] = []
        rejected = {}
        for i, sample in enumerate(batch):
            place = self._places.get(sample.tag)
            if place is None:
                rejected[i] = refused[sample.tag]
                continue
            try:
                row = (place.id, sample.time, *columns(sample, exact=EXACT_IN_INTEGER))
            except DataError as error:
                rejected[i] = str(error)
                continue
            (recent if sample.time > place.settled else settled).append(row)
        settled.sort(key=itemgetter(0, 1))
        return recent, settled, rejected

    def settle(self) -> None:
        """Move what has arrived to its place among the rows of its tag."""
        with self._transaction() as db:
            for statement in _SETTLE.split(";\n"):
                db.execute(statement)
            self._forget()

    def trim(self, before: int, *, seconds: float) -> bool:
        """Delete settled samples older than `before`, for about `seconds` at most.

        Returns:
            Whether all of them are gone; call again where not.
        """
        deadline = time.monotonic() + seconds
        if not self._to_trim:
            self._to_trim = [id_ for (id_,) in self._db.execute("SELECT id FROM tag")]
        while self._to_trim and time.monotonic() < deadline:
            if self._trim_chunk(self._to_trim[-1], before):
                self._to_trim.pop()
        return not self._to_trim

    def _trim_chunk(self, tag_id: int, before: int) -> bool:
        with self._transaction() as db:
            cut = db.execute(
                "SELECT time FROM sample WHERE tag_id = ? AND time < ? ORDER BY time "
                "LIMIT 1 OFFSET ?",
                (tag_id, before, _TRIM_CHUNK),
            ).fetchone()
            end = cut[0] if cut else before
            db.execute("DELETE FROM sample WHERE tag_id = ? AND time < ?", (tag_id, end))
        return cut is None

    # ---- reading ----------------------------------------------------------------------------

    def latest(self, names: Sequence[str]) -> dict[str, Sample]:
        """The newest sample of each tag that has one."""
        places = self._known(names)
        recent = {row[0]: row[1:] for row in self._db.execute(_LATEST_RECENT)}
        found = {}
        for name, place in places.items():
            row = recent.get(place.id)
            if row is None:
                row = self._db.execute(_LATEST_SETTLED, (place.id,)).fetchone()
            if row is not None:
                found[name] = _sample(name, place.kind, row)
        return found

    def page(self, name: str, start: int, end: int, limit: int) -> Batch:
        """Samples of one tag with start <= time < end, oldest first, at most `limit`."""
        place = self._known([name]).get(name)
        if place is None:
            return []
        wanted = {"id": place.id, "start": start, "end": end, "limit": limit}
        return [_sample(name, place.kind, row) for row in self._db.execute(_PAGE, wanted)]

    def tags(self) -> list[Tag]:
        """Every tag, in alphabetical order."""
        rows = self._db.execute("SELECT name, unit, description, type FROM tag ORDER BY name")
        return [
            Tag(name=name, unit=unit, description=description, type=kind)
            for name, unit, description, kind in rows
        ]

    def _known(self, names: Sequence[str]) -> dict[str, _Place]:
        question = "SELECT id, settled, type FROM tag WHERE name = ?"
        rows = ((name, self._db.execute(question, (name,)).fetchone()) for name in names)
        return {name: _Place(*row) for name, row in rows if row is not None}


def _sample(name: str, kind: Kind, row: tuple[Any, ...]) -> Sample:
    moment, number, text, quality = row
    return Sample(name, restored(kind, number, text), moment, quality)
