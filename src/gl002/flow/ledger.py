"""The ledger: by tag, hour and output, how many samples were to be delivered, and were.

    expected    accepted by the store for this output
    bad         of these, without a usable value
    delivered   written by the output's sink
    refused     kept as dead letters

Hours are those of the samples' own times. Counts are kept in memory and written every few seconds
together with the offset of the store up to which they count; after a crash the rest is counted
again from the store, and what an output delivers twice is counted once.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from gl002.config.sections import LedgerSettings
from gl002.errors import GL002Error
from gl002.flow.store import Store
from gl002.model import Batch, Quality, Sample, is_bad, now_ns
from gl002.security.folders import make_private

log = logging.getLogger("gl002.ledger")
T = TypeVar("T")

HOUR = 3_600_000_000_000
_FLUSH_INTERVAL = 5.0  # seconds
_PRUNE_INTERVAL = 3600.0
_MOST_WAITING = 200_000  # counts in memory, while the file cannot be written
_RECOUNT = 20_000  # samples read from the store at once

_SCHEMA = """
CREATE TABLE IF NOT EXISTS tag (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS output (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
    expected_to INTEGER NOT NULL DEFAULT 0, delivered_to INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS entry (
    hour INTEGER NOT NULL, output_id INTEGER NOT NULL, tag_id INTEGER NOT NULL,
    expected INTEGER NOT NULL, bad INTEGER NOT NULL,
    delivered INTEGER NOT NULL, refused INTEGER NOT NULL,
    PRIMARY KEY (hour, output_id, tag_id)
) WITHOUT ROWID;
"""
_ADD = """
INSERT INTO entry SELECT ?, output.id, tag.id, ?, ?, ?, ? FROM output, tag
WHERE output.name = ? AND tag.name = ?
ON CONFLICT DO UPDATE SET expected = expected + excluded.expected, bad = bad + excluded.bad,
    delivered = delivered + excluded.delivered, refused = refused + excluded.refused
"""
_READ = """
SELECT hour, output.name, tag.name, expected, bad, delivered, refused
FROM entry JOIN output ON output.id = output_id JOIN tag ON tag.id = tag_id
WHERE hour >= ? AND hour < ? ORDER BY hour, output.name, tag.name
"""


class LedgerUnreadable(GL002Error):
    """The file cannot be read just now: damaged, or somebody else's."""


class Entry(NamedTuple):
    """One tag in one hour at one output. `hour` is when it begins, nanoseconds UTC."""

    hour: int
    output: str
    tag: str
    expected: int
    bad: int
    delivered: int
    refused: int

    @property
    def missing(self) -> int:
        """Neither delivered nor kept as dead letters: on the way, or lost."""
        return self.expected - self.delivered - self.refused


class Progress(NamedTuple):
    """How far an output is.

    Attributes:
        output: its name.
        waiting: samples in the store that it has still to deliver.
    """

    output: str
    waiting: int


class _Output:
    """One output: what it takes, and the offsets up to which it was counted."""

    def __init__(self, patterns: Sequence[str] | None) -> None:
        self._patterns = patterns
        self._wanted: dict[str, bool] = {}
        self.expected_to = 0
        self.delivered_to = 0

    def wants(self, tag: str) -> bool:
        if self._patterns is None:
            return True
        known = self._wanted.get(tag)
        if known is None:
            known = any(fnmatch.fnmatchcase(tag, p) for p in self._patterns)
            self._wanted[tag] = known
        return known


class Ledger:
    """The ledger of one gateway. Counting takes no time; writing has a thread.

    Args:
        path: the file.
        settings: how long it is kept.
    """

    def __init__(self, path: Path, settings: LedgerSettings | None = None) -> None:
        self.path = path
        self._settings = settings or LedgerSettings()
        self._outputs: dict[str, _Output] = {}
        self._counts: dict[tuple[str, str, int], list[int]] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._store: Store | None = None
        self._prune_at = 0.0
        self._failing = False

    # ---- life -------------------------------------------------------------------------------

    async def open(self, outputs: Mapping[str, Sequence[str] | None], store: Store) -> None:
        """Take up what an earlier run left, and count what it had no time to write.

        Values flow without a ledger: a damaged file is set aside and begun anew.

        Args:
            outputs: name -> patterns of the tags it takes; None takes all.
            store: open.
        """
        self._thread = ThreadPoolExecutor(1, "gl002-ledger")
        self._store = store
        self._outputs = {name: _Output(patterns) for name, patterns in outputs.items()}
        offsets = await self._in_thread(self._begin)
        for name, output in self._outputs.items():
            passed = store.offset(name)
            output.expected_to, output.delivered_to = offsets.get(name, (passed, passed))
            await self._recount(name, output, store)
        await self.flush()  # from here on a crash is noticed
        store.on_accepted = self.accepted

    async def _recount(self, name: str, output: _Output, store: Store) -> None:
        passed = store.offset(name)
        start = min(output.expected_to, output.delivered_to)
        async for begin, batch in store.records(start, limit=_RECOUNT):
            self._expect(name, output, begin, batch)
            if begin < passed:
                end = min(begin + len(batch), passed)
                self.delivered(name, begin, end, batch[: end - begin], ())
        output.expected_to = max(output.expected_to, store.end)
        output.delivered_to = max(output.delivered_to, passed)

    async def run(self) -> None:
        """Write what was counted, every few seconds, until cancelled."""
        while True:
            await asyncio.sleep(_FLUSH_INTERVAL)
            await self.flush()

    async def close(self) -> None:
        """Write what was counted; safe to call twice."""
        if self._thread is not None:
            await self.flush()
            self._thread.shutdown()
            self._thread = None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # ---- counting ---------------------------------------------------------------------------

    def accepted(self, start: int, batch: Batch) -> None:
        """A batch is in the store, from an offset on."""
        for name, output in self._outputs.items():
            self._expect(name, output, start, batch)

    def _expect(self, name: str, output: _Output, start: int, batch: Batch) -> None:
        end = start + len(batch)
        for sample in _new(batch, start, output.expected_to):
            if output.wants(sample.tag) and not _is_gap(sample):
                count = self._count(name, sample)
                count[0] += 1
                count[1] += is_bad(sample.quality)
        output.expected_to = max(output.expected_to, end)

    def delivered(
        self, name: str, start: int, end: int, batch: Batch, refused: Iterable[Sample]
    ) -> None:
        """An output has passed a stretch of the store.

        Args:
            name: of the output.
            start: offset of the first sample.
            end: offset after the last one.
            batch: what was in it, all of it.
            refused: those kept as dead letters.
        """
        output = self._outputs[name]
        if end <= output.delivered_to:
            return
        whole = len(batch) == end - start
        for sample in _new(batch, start, output.delivered_to) if whole else batch:
            if output.wants(sample.tag) and not _is_gap(sample):
                self._count(name, sample)[2] += 1
        for sample in refused:
            self._moved(name, sample, 1)
        output.delivered_to = end

    def delivered_after_all(self, name: str, samples: Iterable[Sample]) -> None:
        """Dead letters of an output were delivered on another try."""
        for sample in samples:
            self._moved(name, sample, -1)

    def _moved(self, name: str, sample: Sample, count: int) -> None:
        """From delivered to refused."""
        counts = self._count(name, sample)
        counts[2] -= count
        counts[3] += count

    def _count(self, name: str, sample: Sample) -> list[int]:
        return self._counts.setdefault((name, sample.tag, sample.time // HOUR), [0, 0, 0, 0])

    # ---- the file ---------------------------------------------------------------------------

    async def flush(self) -> None:
        """Write what was counted; where that fails it stays in memory, within a limit."""
        counts, self._counts = self._counts, {}
        offsets = {n: (o.expected_to, o.delivered_to) for n, o in self._outputs.items()}
        try:
            await self._in_thread(partial(self._write, counts, offsets))
            self._failing = False
            self._keep(min((min(pair) for pair in offsets.values()), default=None))
        except (OSError, sqlite3.Error) as error:
            if not self._failing:
                log.warning("%s: cannot be written now: %s", self.path, error)
            self._failing = True
            self._put_back(counts)
            self._keep(None)

    def _keep(self, offset: int | None) -> None:
        """What is not written yet must stay in the store, to be counted again after a crash."""
        if self._store is not None:
            self._store.keep(offset)

    def _put_back(self, counts: dict[tuple[str, str, int], list[int]]) -> None:
        for key, numbers in counts.items():
            known = self._counts.setdefault(key, [0, 0, 0, 0])
            for i, number in enumerate(numbers):
                known[i] += number
        if len(self._counts) > _MOST_WAITING:
            log.error("%s: %d counts given up", self.path, len(self._counts))
            self._counts.clear()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self.path, timeout=10)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")  # what a power cut takes is counted again
            with db:
                yield db

    def _begin(self) -> dict[str, tuple[int, int]]:
        make_private(self.path.parent)
        try:
            return self._left()
        except sqlite3.OperationalError as error:  # locked, no space: it may go by
            log.warning("%s: cannot be used now: %s", self.path, error)
            return {}
        except sqlite3.DatabaseError as error:
            self._set_aside(str(error))
            return self._left()

    def _left(self) -> dict[str, tuple[int, int]]:
        with self._open() as db:
            db.executescript(_SCHEMA)
            rows = db.execute("SELECT name, expected_to, delivered_to FROM output").fetchall()
        return {name: (expected, delivered) for name, expected, delivered in rows}

    def _set_aside(self, why: str) -> None:
        """Keep a damaged file for a person to look at; never delete it, never stop for it."""
        aside = f"{self.path.name}.damaged"
        log.error("%s is damaged (%s): moved to %s, begun anew", self.path, why, aside)
        for ending in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                self.path.with_name(f"{self.path.name}{ending}").replace(
                    self.path.with_name(f"{aside}{ending}")
                )

    def _write(
        self,
        counts: Mapping[tuple[str, str, int], Sequence[int]],
        offsets: Mapping[str, tuple[int, int]],
    ) -> None:
        with self._open() as db:
            db.executescript(_SCHEMA)  # where it could not be begun when the gateway was
            db.executemany(
                "INSERT INTO output (name, expected_to, delivered_to) VALUES (?, ?, ?) ON CONFLICT "
                "DO UPDATE SET expected_to = excluded.expected_to, "
                "delivered_to = excluded.delivered_to",
                [(name, *offset) for name, offset in offsets.items()],
            )
            names = sorted({tag for _, tag, _ in counts})
            db.executemany("INSERT OR IGNORE INTO tag (name) VALUES (?)", [(n,) for n in names])
            db.executemany(
                _ADD, [(hour, *n, output, tag) for (output, tag, hour), n in counts.items()]
            )
            if time.monotonic() >= self._prune_at:
                self._prune_at = time.monotonic() + _PRUNE_INTERVAL
                self._prune(db)

    def _prune(self, db: sqlite3.Connection) -> None:
        """Delete what is too old, and the oldest hours of what is too much."""
        oldest = (now_ns() - int(self._settings.retention * 1e9)) // HOUR
        db.execute("DELETE FROM entry WHERE hour < ?", (oldest,))
        (rows,) = db.execute("SELECT count(*) FROM entry").fetchone()
        if rows > self._settings.max_rows:
            db.execute(
                "DELETE FROM entry WHERE hour <= "
                "(SELECT hour FROM entry ORDER BY hour LIMIT 1 OFFSET ?)",
                (rows - self._settings.max_rows - 1,),
            )
        db.execute("DELETE FROM tag WHERE id NOT IN (SELECT tag_id FROM entry)")

    # ---- reading ----------------------------------------------------------------------------

    def entries(self, start: int, end: int) -> list[Entry]:
        """Entries of the hours in a range (nanoseconds UTC); from any process, at any time.

        Raises:
            LedgerUnreadable: it cannot be read.
        """
        rows = self._read(_READ, start // HOUR, -(-end // HOUR))
        return [Entry(hour * HOUR, *rest) for hour, *rest in rows]

    def progress(self) -> list[Progress]:
        """How far each output was when the file was last written.

        Raises:
            LedgerUnreadable: it cannot be read.
        """
        rows = self._read("SELECT name, expected_to - delivered_to FROM output ORDER BY name")
        return [Progress(*row) for row in rows]

    def _read(self, query: str, *values: int) -> list[tuple[Any, ...]]:
        try:
            if not self.path.exists():
                return []
            with self._open() as db:
                return db.execute(query, values).fetchall()
        except (OSError, sqlite3.Error) as error:
            raise LedgerUnreadable(
                f"ledger: {self.path}: {error}",
                hint="mend its permissions; a damaged one is set aside when the gateway starts",
            ) from error


def _new(batch: Batch, start: int, counted_to: int) -> Batch:
    """The samples of a batch behind an offset."""
    return batch if start >= counted_to else batch[counted_to - start :]


def _is_gap(sample: Sample) -> bool:
    """The store's own word for what it had to give up: it stands for others and counts for none."""
    return sample.value is None and sample.quality == Quality.BAD_DATA_LOST
