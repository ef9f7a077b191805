"""What may leave the store, and when: what is delivered; by policy the oldest when it is full."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Mapping

from gl002.config.sections import StoreSettings
from gl002.flow.cursor import Cursor
from gl002.flow.log import Log
from gl002.flow.segment import Record
from gl002.model import Batch, Quality, Sample

log = logging.getLogger("gl002.store")

_FEWEST = 2  # segments: the last one is being written and never removed


class Retention:
    """Keeps a log within its limits. Blocking, in the thread that appends.

    Attributes:
        dropped: samples given up undelivered.
        keep_from: offset from which on what is delivered stays while there is room: somebody has
            still to read it.
        owed: gap records still to be appended: what was dropped, for the outputs that miss it.
    """

    def __init__(
        self,
        log_: Log,
        cursors: Mapping[str, Cursor],
        settings: StoreSettings,
        *,
        encode: Callable[[Batch], bytes],
        decode: Callable[[bytes], Batch],
    ) -> None:
        self._log = log_
        self._cursors = cursors
        self._settings = settings
        self._encode = encode
        self._decode = decode
        self.dropped = 0
        self.keep_from: int | None = None
        self.owed: list[Record] = []

    def append(self, records: list[Record]) -> list[Record]:
        """Append batches, making room where need be; returns them with their offsets.

        Raises:
            OSError, sqlite3.DatabaseError: no room, or a damaged file; nothing was appended.
        """
        needed = sum(len(record.data) for record in records)
        while self._log.size + needed > self._settings.max_bytes:
            if not self.make_room():
                raise OSError(f"the limit of {self._settings.max_bytes} bytes is reached")
        while True:
            numbered = self._numbered([*self.owed, *records])
            try:
                self._log.append(numbered)
            except sqlite3.OperationalError as error:
                if "full" not in str(error) or not self.make_room():
                    raise
            else:
                owed, self.owed = len(self.owed), []
                return numbered[owed:]

    def _numbered(self, records: list[Record]) -> list[Record]:
        end, numbered = self._log.end, []
        for record in records:
            numbered.append(record._replace(start=end))
            end += record.length
        return numbered

    def make_room(self) -> bool:
        """Remove delivered segments, or by policy the oldest; whether anything was removed."""
        self.keep_from = None
        if self.free_delivered():
            return True
        if self._settings.on_full == "refuse" or len(self._log.segments) < _FEWEST:
            return False
        self._drop_oldest()
        return True

    def free_delivered(self) -> bool:
        """Remove the segments that every output has passed; whether there were any."""
        passed = min((c.offset for c in self._cursors.values()), default=self._log.end)
        if self.keep_from is not None:
            passed = min(passed, self.keep_from)
        segments = self._log.segments
        if len(segments) < _FEWEST or segments[0].end > passed:
            return False
        for cursor in self._cursors.values():
            cursor.sync()  # first the cursors on disk, then the data gone: never the other way
        return self._log.remove_before(passed) > 0

    def _drop_oldest(self) -> None:
        """Give up the oldest segment; outputs that miss it are told which tags from when."""
        oldest = self._log.segments[0]
        records = oldest.read(oldest.start, oldest.end - oldest.start)
        for name, cursor in self._cursors.items():
            if cursor.offset >= oldest.end:
                continue
            lost = self._undelivered(records, name, cursor.offset)
            self.dropped += len(lost)
            log.error("the store is full: %d samples for output '%s' given up", len(lost), name)
            first = {sample.tag: sample.time for sample in reversed(lost)}
            gap = [Sample(tag, None, time, Quality.BAD_DATA_LOST) for tag, time in first.items()]
            self.owed.append(Record(0, len(gap), name, self._encode(gap)))
            cursor.move(oldest.end)
        for cursor in self._cursors.values():
            cursor.sync()
        self._log.remove_oldest()

    def _undelivered(self, records: list[Record], output: str, offset: int) -> Batch:
        return [
            sample
            for record in records
            if record.end > offset and record.only in {"", output}
            for sample in self._decode(record.data)[max(0, offset - record.start) :]
        ]
