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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import itemgetter
from pathlib import Path
from typing import Any

from gl002.errors import DataError
from gl002.model import Batch, Sample, Tag, Value
from gl002.transport.sqlite import aggregates, reading
from gl002.transport.sqlite.reading import Place
from gl002.transport.sqlite.retention import Trim
from gl002.transport.sqlite.schema import make_or_migrate, transaction
from gl002.trend import Bucket
from gl002.wire.narrow import EXACT_IN_INTEGER, checked_tag, columns, kind_of, wider

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

_BUSY_TIMEOUT = 5.0  # seconds to wait for another process that writes
_CACHE = 16 * 1024  # KiB of pages kept in memory
_CHECKPOINT = 4000  # pages of the write-ahead log before they are copied into the file
_LOOK_UP = 10_000  # instructions of SQLite, a millisecond, between two looks whether it is to end
_LARGEST_LOG = 64 * 1024 * 1024  # bytes the log keeps on disk after a large transaction


class HistoryFile:
    """One file. Blocking; all calls from one thread, except `interrupt`. Processes may share it.

    Args:
        path: where it is.
        settle_at: rows in `recent` at which they move to `sample`.
        create: make it, with its folder, where it is missing.
    """

    def __init__(self, path: Path, *, settle_at: int = 100_000, create: bool = True) -> None:
        self.path = path
        self._create = create
        self._settle_at = settle_at
        self._open: sqlite3.Connection | None = None
        self._places: dict[str, Place] = {}
        self._learnt: dict[tuple[str, type], Tag | None] = {}
        self._arrived = 0
        self._version = -1
        self._trim: Trim | None = None
        self._ending = False

    # ---- life -------------------------------------------------------------------------------

    def open(self) -> None:
        """Open or make the file; nothing where it is open.

        Raises:
            RequestFailed: another program's file, or one of a newer format.
        """
        if self._open is not None:
            return
        if self._create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        uri = f"{self.path.absolute().as_uri()}?mode={'rwc' if self._create else 'rw'}"
        self._open = sqlite3.connect(uri, timeout=_BUSY_TIMEOUT, isolation_level=None, uri=True)
        try:
            self._prepare(self._open)
        except BaseException:
            self.close()
            raise

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute(f"PRAGMA cache_size = {-_CACHE}")
        # An interrupt that finds no statement running is forgotten by SQLite: look again and again.
        db.set_progress_handler(lambda: self._ending, _LOOK_UP)
        make_or_migrate(db, self.path)
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")  # a row that was written survives a power cut
        db.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT}")
        db.execute(f"PRAGMA journal_size_limit = {_LARGEST_LOG}")
        aggregates.prepare(db)

    def close(self) -> None:
        """Close the file; safe to call twice."""
        db, self._open = self._open, None
        self._forget()
        if db is not None:
            db.close()

    def interrupt(self) -> None:
        """End a statement that is running in the file's thread, and every long one after it.

        From any thread, before the file is closed.
        """
        self._ending = True
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
        try:
            with transaction(db):
                yield db
        except BaseException:
            self._forget()
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
            changes = db.total_changes
            db.executemany(_PLACE, settled)
            if db.total_changes != changes:  # a replay costs no aggregates
                aggregates.touch(db, (row[:2] for row in settled))
                aggregates.update(db)
            self._arrived += len(recent)
        if self._arrived >= self._settle_at and not self._ending:
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
            self._places[name] = Place(*place)

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
            place = Place(*db.execute(question, (name,)).fetchone())
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
            aggregates.touch_recent(db)
            for statement in _SETTLE.split(";\n"):
                db.execute(statement)
            aggregates.update(db)
            self._forget()

    def trim(self, before: Mapping[str, int], *, seconds: float) -> bool:
        """Delete settled rows that are too old, for about `seconds` at most.

        Args:
            before: 'sample', 'minute' or 'hour' -> nanoseconds UTC; older ones go.
            seconds: how long this may hold up writing.

        Returns:
            Whether all of them are gone; call again where not.
        """
        if self._trim is None:
            self._trim = Trim(before)
        if self._trim.run(self._db, seconds=seconds):
            self._trim = None
        return self._trim is None

    # ---- reading ----------------------------------------------------------------------------

    def latest(self, names: Sequence[str]) -> dict[str, Sample]:
        """The newest sample of each tag that has one."""
        return reading.latest(self._db, names)

    def page(self, name: str, start: int, end: int, limit: int) -> Batch:
        """Samples of one tag with start <= time < end, oldest first, at most `limit`."""
        return reading.page(self._db, name, start, end, limit)

    def pages(self, names: Sequence[str], start: int, end: int, limit: int) -> Batch:
        """The same of several tags, of each at most `limit`."""
        with self._snapshot() as db:
            return reading.pages(db, names, start, end, limit)

    def trend(self, name: str, start: int, end: int, points: int) -> list[Bucket]:
        """One tag in at most about `points` buckets, oldest first; see `reading.trend`."""
        with self._snapshot() as db:
            return reading.trend(db, name, start, end, points)

    def tags(self) -> list[Tag]:
        """Every tag, in alphabetical order."""
        return reading.tags(self._db)

    @contextmanager
    def _snapshot(self) -> Iterator[sqlite3.Connection]:
        """Several questions about one state of the file."""
        db = self._db
        db.execute("BEGIN")
        try:
            yield db
        finally:
            if db.in_transaction:
                db.execute("COMMIT")
