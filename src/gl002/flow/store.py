"""The durable store between inputs and outputs: one stream on disk, a cursor for each output.

A batch is *accepted* when `put` returns: it is on disk. It leaves the disk when every output has
passed it. Batches that arrive within the commit interval share one fsync.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import sqlite3
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import msgspec

from gl002.config.sections import StoreSettings
from gl002.errors import BufferFull, DataError, GL002Error
from gl002.flow.cursor import Cursor
from gl002.flow.log import Log
from gl002.flow.retention import Retention
from gl002.flow.segment import Record
from gl002.model import Batch, Sample

log = logging.getLogger("gl002.store")
T = TypeVar("T")

_COMMIT_SAMPLES = 2_000  # as many waiting samples are committed without further delay
_TAIL_SAMPLES = 50_000  # newest samples kept in memory, so that an output in step reads no disk
_MOST_WAITING = 200_000  # samples that may wait for their commit; then `put` waits
_NO_FIT = (OverflowError, UnicodeEncodeError, TypeError)  # what the encoder says of a value


class StoreUnreadable(GL002Error):
    """The disk does not give back what is on it; it may later."""

    retryable = True


class Lease(NamedTuple):
    """The oldest samples an output has not delivered yet, in order."""

    batch: Batch
    end: int


class StoreStats(msgspec.Struct, frozen=True, kw_only=True):
    """State of the store for people and metrics.

    Attributes:
        accepted: samples put since the store was first made.
        bytes: on disk now.
        max_bytes: the most it may take.
        free: bytes free on its file system.
        segments: files.
        dropped: samples given up undelivered since start, because it was full.
        lost: samples that could not be read back since start: damaged on disk.
    """

    accepted: int
    bytes: int
    max_bytes: int
    free: int
    segments: int
    dropped: int
    lost: int


class _Waiting(NamedTuple):
    record: Record
    batch: Batch
    done: asyncio.Future[None]


class Store:
    """All accepted samples that some output has still to deliver.

    Args:
        folder: where its files lie.
        settings: sizes and policy.

    Attributes:
        on_accepted: told the offset and the samples of each batch that was put.
    """

    def __init__(self, folder: Path, settings: StoreSettings | None = None) -> None:
        self._settings = settings or StoreSettings()
        self.folder = folder
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(list[Sample]).decode
        self._log = Log(folder, segment_bytes=self._settings.segment_bytes)
        self._cursors: dict[str, Cursor] = {}
        self._retention = Retention(
            self._log, self._cursors, self._settings, encode=self._encode, decode=self._decode
        )
        self._tail = _Tail()
        self._waiting: list[_Waiting] = []
        self._committing: list[_Waiting] = []  # those of them that are on their way to the disk
        self._waiting_samples = 0
        self._something_waits = asyncio.Event()
        self._arrived: dict[str, asyncio.Event] = {}
        self._thread: ThreadPoolExecutor | None = None
        self._committer: asyncio.Task[None] | None = None
        self._lost = 0
        self.on_accepted: Callable[[int, Batch], None] | None = None

    # ---- life -------------------------------------------------------------------------------

    async def open(self, outputs: Sequence[str]) -> None:
        """Take up what an earlier run left, for these outputs.

        An output met for the first time begins with the next sample. What only an output that is
        not named any more had still to deliver is given up.

        Raises:
            StoreInUse: another gateway has it open.
        """
        self._thread = ThreadPoolExecutor(1, "gl002-store")
        try:
            await self._on_disk(self._log.open)
        except BaseException:
            self._thread.shutdown()
            raise
        for name in outputs:
            path = self.folder / f"{_file_name(name)}.cursor"
            self._cursors[name] = Cursor(path, self._log.end)
            self._arrived[name] = asyncio.Event()
        self._log.raise_end(max((c.offset for c in self._cursors.values()), default=0))
        self._committer = asyncio.create_task(self._commit_for_ever(), name="gl002-store")
        self._announce()

    async def close(self) -> None:
        """Commit what waits, then close; safe to call twice."""
        committer, self._committer = self._committer, None
        if committer is None or self._thread is None:
            return
        while (last := self._waiting or self._committing) and not committer.done():
            await asyncio.wait([last[-1].done, committer], return_when="FIRST_COMPLETED")
        committer.cancel()
        await asyncio.wait([committer])
        for cursor in self._cursors.values():
            cursor.close()
        await self._on_disk(self._log.close)
        self._thread.shutdown()

    async def _on_disk(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # ---- putting ----------------------------------------------------------------------------

    async def put(self, batch: Batch, *, source: str = "", position: bytes = b"") -> None:
        """Accept a batch: it is on disk when this returns.

        Cancelled while it waits, the batch may or may not have been accepted.

        Args:
            batch: samples, in the order they are to be delivered; may be none.
            source: who delivers it.
            position: where that source's stream stands after it; kept with the batch, or alone.

        Raises:
            DataError: a value cannot be stored; nothing was.
            BufferFull: no room, and the policy is to refuse. Comes again later.
        """
        if not batch and position in {b"", self.position(source)}:
            return
        try:
            data = self._encode(batch)
        except _NO_FIT as error:
            raise DataError(f"{source or 'a batch'}: cannot be stored: {error}") from None
        if self._committer is None or self._committer.done():
            raise BufferFull(f"{self.folder}: the store is not open")
        while self._waiting_samples >= _MOST_WAITING:
            await asyncio.wait([self._waiting[0].done])
        record = Record(0, len(batch), "", data, source, position)
        waiting = _Waiting(record, batch, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        self._waiting_samples += len(batch)
        self._something_waits.set()
        await asyncio.shield(waiting.done)

    def takes(self, sample: Sample) -> bool:
        """Whether a sample can be stored: its value is text, or a number of 64 bits."""
        try:
            self._encode(sample)
        except _NO_FIT:
            return False
        return True

    def position(self, source: str) -> bytes:
        """The position kept with the last batch of a source, b'' where there is none."""
        return self._log.positions.get(source, b"")

    async def _commit_for_ever(self) -> None:
        while True:
            await self._something_waits.wait()
            if self._waiting_samples < _COMMIT_SAMPLES:
                await asyncio.sleep(self._settings.commit_interval)
            self._committing, self._waiting, self._waiting_samples = self._waiting, [], 0
            self._something_waits.clear()
            await self._commit(self._committing)
            self._committing = []

    async def _commit(self, group: list[_Waiting]) -> None:
        try:
            committing = self._on_disk(lambda: self._retention.append([w.record for w in group]))
            numbered = await asyncio.shield(asyncio.ensure_future(committing))
        except BaseException as error:
            refusal = error
            if isinstance(error, OSError | sqlite3.DatabaseError):
                refusal = BufferFull(f"{self.folder}: {error}", hint=self._hint())
            for waiting in group:
                _fail(waiting.done, refusal)
            if not isinstance(error, Exception):
                raise
            return
        for record, waiting in zip(numbered, group, strict=True):
            if waiting.batch:
                self._tail.add(record, waiting.batch)
            if waiting.batch and self.on_accepted is not None:
                self.on_accepted(record.start, waiting.batch)
            if not waiting.done.done():
                waiting.done.set_result(None)
        self._announce()

    def _announce(self) -> None:
        for name, cursor in self._cursors.items():
            if self._log.end > cursor.offset:
                self._arrived[name].set()

    def _hint(self) -> str:
        return (
            f"it takes {self._log.size} of {self._settings.max_bytes} bytes, {self._free()} are "
            "free on the disk; mend the output that is behind, or raise store.max_bytes"
        )

    def _free(self) -> int:
        """Bytes free on its file system; its folder is made when it is opened."""
        there = next(place for place in (self.folder, *self.folder.parents) if place.exists())
        return shutil.disk_usage(there).free

    # ---- taking -----------------------------------------------------------------------------

    def pending(self, output: str) -> int:
        """Samples an output has still to deliver; 0 before the store is open."""
        cursor = self._cursors.get(output)
        return 0 if cursor is None else self._log.end - cursor.offset

    @property
    def end(self) -> int:
        """Offset after the newest sample."""
        return self._log.end

    def keep(self, offset: int | None) -> None:
        """Keep what is delivered from an offset on while there is room; None keeps nothing."""
        self._retention.keep_from = offset

    def offset(self, output: str) -> int:
        """Offset of the first sample an output has not passed."""
        return self._cursors[output].offset

    async def records(self, start: int, *, limit: int) -> AsyncIterator[tuple[int, Batch]]:
        """Batches that were put, with their offsets, from the one on that has offset `start`."""
        while start < self._log.end:
            found = await self._on_disk(partial(self._log.read, start, limit))
            for record in found:
                if not record.only:
                    yield record.start, self._decode(record.data)
            start = max(found[-1].end, start + 1) if found else self._log.end

    async def wait(self, output: str) -> None:
        """Return when an output has something to deliver."""
        await self._arrived[output].wait()

    @asynccontextmanager
    async def lease(self, output: str, limit: int) -> AsyncIterator[Lease]:
        """The oldest samples of an output, at most `limit`; one lease per output at a time.

        Leave the block normally and they are passed; raise and they stay.

        Raises:
            StoreUnreadable: the disk does not give them now. Comes again later.
        """
        cursor = self._cursors[output]
        lease = self._tail.lease(output, cursor.offset, limit)
        if lease is None:
            lease = await self._read(output, cursor.offset, limit)
        yield lease
        self._pass(output, lease.end)

    async def _read(self, output: str, offset: int, limit: int) -> Lease:
        try:
            return await self._on_disk(lambda: self._from_disk(output, offset, limit))
        except (OSError, sqlite3.OperationalError) as error:
            raise StoreUnreadable(f"{self.folder}: cannot be read now: {error}") from error

    def _from_disk(self, output: str, offset: int, limit: int) -> Lease:
        """Read and decode in the store's thread."""
        records = self._log.read(offset, limit)
        if not records:
            self._lost += self._log.end - offset
            log.error("output '%s': %d samples cannot be read back", output, self._log.end - offset)
            return Lease([], self._log.end)
        batch: Batch = []
        for record in records:
            if record.start > offset:
                self._lost += record.start - offset
                log.error("output '%s': %d samples are damaged", output, record.start - offset)
            part, offset = _part(
                self._decode(record.data), record, max(offset, record.start), limit
            )
            limit -= len(part)
            batch += part if record.only in {"", output} else []
            if limit <= 0:
                break
        return Lease(batch, offset)

    def _pass(self, output: str, end: int) -> None:
        cursor = self._cursors[output]
        cursor.move(end)
        if cursor.offset >= self._log.end:
            self._arrived[output].clear()
        if self._thread is None:
            return
        if len(self._log.segments) > 1 and cursor.offset > self._log.begin:
            self._thread.submit(self._retention.free_delivered)
        if cursor.sync_due:
            self._thread.submit(cursor.sync)

    def stats(self) -> StoreStats:
        """The state now."""
        return StoreStats(
            accepted=self._log.end,
            bytes=self._log.size,
            max_bytes=self._settings.max_bytes,
            free=self._free(),
            segments=len(self._log.segments),
            dropped=self._retention.dropped,
            lost=self._lost,
        )


class _Tail:
    """The newest batches as they were put, without a hole between them."""

    def __init__(self) -> None:
        self._batches: deque[tuple[Record, Batch]] = deque()
        self._samples = 0

    def add(self, record: Record, batch: Batch) -> None:
        if self._batches and self._batches[-1][0].end != record.start:
            self._batches.clear()
            self._samples = 0
        self._batches.append((record._replace(data=b""), batch))
        self._samples += record.length
        while self._samples > _TAIL_SAMPLES and len(self._batches) > 1:
            oldest, _ = self._batches.popleft()
            self._samples -= oldest.length

    def lease(self, output: str, offset: int, limit: int) -> Lease | None:
        """None where the samples from `offset` on are not all here."""
        if not self._batches or not self._batches[0][0].start <= offset < self._batches[-1][0].end:
            return None
        found: list[tuple[Record, Batch]] = []
        for entry in reversed(self._batches):
            if entry[0].end <= offset:
                break
            found.append(entry)
        batch: Batch = []
        for record, samples in reversed(found):
            part, offset = _part(samples, record, offset, limit - len(batch))
            batch += part
            if len(batch) >= limit:
                break
        return Lease(batch, offset)


def _part(samples: Batch, record: Record, offset: int, limit: int) -> tuple[Batch, int]:
    """At most `limit` samples of a record from `offset` on, and the offset after them."""
    skip = offset - record.start
    part = samples[skip : skip + limit] if skip or limit < record.length else samples
    return part, offset + len(part)


def _fail(done: asyncio.Future[None], error: BaseException) -> None:
    if not done.done():
        done.set_exception(error)
        done.exception()  # seen: whoever waits may be gone


def _file_name(output: str) -> str:
    """A file name for an output, whatever its name."""
    return "".join(c if c.isalnum() or c in "._-" else f"%{ord(c):x}" for c in output)[:200]
