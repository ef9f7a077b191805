"""The stream of all accepted samples as a folder of segments. Blocking: `store` has a thread."""

from __future__ import annotations

import fcntl
import logging
import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from gl002.errors import GL002Error
from gl002.flow.segment import Record, Segment
from gl002.security.folders import make_private

log = logging.getLogger("gl002.store")


class StoreInUse(GL002Error):
    """Another gateway already runs on this store."""


class Log:
    """Segments in order of their offsets, the last one open for appending.

    To be used by one thread at a time; `begin`, `end`, `size` and `segments` by any.

    Args:
        folder: where the segments lie.
        segment_bytes: size at which a new one is begun.
    """

    def __init__(self, folder: Path, *, segment_bytes: int) -> None:
        self.folder = folder
        self.segment_bytes = segment_bytes
        self._segments: list[Segment] = []
        self._guard = -1
        self._floor = 0
        self._fresh_next = False
        self.quarantined = 0
        self.positions: dict[str, bytes] = {}

    # ---- opening ----------------------------------------------------------------------------

    def open(self) -> None:
        """Lock the folder and take up what an earlier run left.

        Raises:
            StoreInUse: another process has it open.
            GL002Error: a file cannot be read now. The folder is unlocked again.
        """
        make_private(self.folder)
        self._guard = os.open(self.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._guard)
            self._guard = -1
            raise StoreInUse(
                f"{self.folder}: another gateway has this store open",
                hint="stop it first, or give this one its own gateway.state_dir",
            ) from None
        try:
            for path in sorted(self.folder.glob("*.segment")):
                self._take_up(path)
            if self._segments:
                self.positions = self._segments[-1].positions()
        except BaseException:
            self._let_go()
            raise

    def _take_up(self, path: Path) -> None:
        try:
            segment = Segment.open(path)
        except sqlite3.OperationalError as error:
            raise GL002Error(f"{path}: cannot be read: {error}") from error
        except sqlite3.DatabaseError as error:
            self._quarantine(path, str(error))
            return
        if segment is None:
            Segment(path).unlink()
        else:
            self._segments.append(segment)

    def _quarantine(self, path: Path, why: str) -> None:
        """Set a damaged file aside for a person to look at; never delete it, never stop for it."""
        aside = self.folder / "quarantine"
        aside.mkdir(exist_ok=True)
        for file in self.folder.glob(f"{path.name}*"):
            shutil.move(file, aside / file.name)
        self.quarantined += 1
        log.error("%s is damaged (%s): moved to %s", path.name, why, aside)

    # ---- state ------------------------------------------------------------------------------

    @property
    def begin(self) -> int:
        """Offset of the oldest sample kept."""
        segments = self.segments
        return segments[0].start if segments else self._floor

    @property
    def end(self) -> int:
        """Offset after the newest sample on disk."""
        segments = self.segments
        return max(segments[-1].end if segments else 0, self._floor)

    def raise_end(self, offset: int) -> None:
        """Give no offset below this one again: an output has already passed it."""
        if offset > self.end:
            self._floor, self._fresh_next = offset, True

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(segment.size for segment in self.segments)

    @property
    def segments(self) -> Sequence[Segment]:
        """The files, oldest first."""
        return tuple(self._segments)

    # ---- appending --------------------------------------------------------------------------

    def append(self, records: Sequence[Record]) -> None:
        """Add batches; on disk when it returns. Begins a new segment when the last one is full.

        Raises:
            OSError, sqlite3.DatabaseError: no space, an I/O error, a damaged file. Nothing was
                added, and the next call begins a new file: one whose fsync failed is not trusted
                again.
        """
        try:
            if self._fresh_next or self._is_full():
                self._begin_segment()
            self._segments[-1].append(records)
        except (sqlite3.DatabaseError, OSError):
            self._fresh_next = True
            raise
        for record in records:
            if record.position:
                self.positions[record.source] = record.position

    def _is_full(self) -> bool:
        return not self._segments or self._segments[-1].size >= self.segment_bytes

    def _begin_segment(self) -> None:
        start = self.end
        if self._segments and self._segments[-1].end == self._segments[-1].start:
            self._drop(self._segments[-1])  # nothing in it, and the new one may have its name
        elif self._segments:
            self._segments[-1].seal()
        try:
            fresh = Segment.create(self.folder, start, self.positions)
        except BaseException:
            Segment(self.folder / f"{start:020d}.segment").unlink()
            raise
        self._fresh_next = False
        self._segments.append(fresh)

    def _drop(self, segment: Segment) -> None:
        self._segments.remove(segment)
        segment.unlink()

    def remove_before(self, offset: int) -> int:
        """Remove segments that end at or before `offset`, the last one excepted; how many."""
        removed = 0
        while len(self._segments) > 1 and self._segments[0].end <= offset:
            self.remove_oldest()
            removed += 1
        return removed

    def remove_oldest(self) -> None:
        """Remove the oldest segment, delivered or not."""
        self._drop(self._segments[0])

    # ---- reading ----------------------------------------------------------------------------

    def read(self, offset: int, limit: int) -> list[Record]:
        """Batches from `offset` on, oldest first, until they hold `limit` samples or it ends.

        Raises:
            sqlite3.OperationalError: a segment cannot be read now.
        """
        found: list[Record] = []
        for segment in self.segments:
            if segment.end <= offset:
                continue
            found += self._read_segment(segment, offset, limit - sum(r.length for r in found))
            if sum(r.length for r in found) >= limit:
                break
        return found

    def _read_segment(self, segment: Segment, offset: int, limit: int) -> list[Record]:
        try:
            return segment.read(offset, limit)
        except sqlite3.OperationalError:
            raise  # not damaged: no memory, no descriptor, a disk that does not answer
        except sqlite3.DatabaseError as error:
            segment.close()
            self._floor, self._fresh_next = self.end, True
            self._segments.remove(segment)
            self._quarantine(segment.path, str(error))
            return []

    def close(self) -> None:
        """Fold away the write-ahead log and unlock the folder; safe to call twice."""
        for segment in self.segments:
            segment.seal()
        self._floor = self.end  # what `end` says of a closed log
        self._let_go()

    def _let_go(self) -> None:
        for segment in self.segments:
            segment.close()
        self._segments.clear()
        if self._guard >= 0:
            os.close(self._guard)
            self._guard = -1
