"""How far an output has come: a file of two slots written in turn, so that one is always whole.

The file has its full size from the start and is written in place: moving a cursor needs no disk
space, which is what lets a full disk drain.
"""

from __future__ import annotations

import os
import struct
import threading
import time
import zlib
from pathlib import Path

_SLOT = struct.Struct("<QQI")  # turn, offset, CRC-32 of both
_SLOT_SIZE = 512  # a disk sector: a torn write hurts one slot only
_SYNC_INTERVAL = 1.0  # seconds; after a power cut the output repeats at most this much


class Cursor:
    """The place of one output in the stream of all samples.

    Moving it survives the end of the process at once, and a power cut after `sync`: what was
    delivered in between comes again, which sinks take without harm. Any thread may move it.

    Args:
        path: the file; made with the offset `start` where missing.
        start: where a new output begins.
    """

    def __init__(self, path: Path, start: int) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._turn, self.offset = max(self._slots(), default=(0, -1))
        self._synced_at = time.monotonic()
        self._dirty = False
        self._lock = threading.Lock()
        if self.offset < 0:
            os.pwrite(self._file, bytes(2 * _SLOT_SIZE), 0)
            self.move(start)
            self.sync()

    def _slots(self) -> list[tuple[int, int]]:
        whole = []
        for place in (0, _SLOT_SIZE):
            raw = os.pread(self._file, _SLOT.size, place)
            if len(raw) == _SLOT.size:
                turn, offset, crc = _SLOT.unpack(raw)
                if turn and crc == zlib.crc32(raw[:16]):
                    whole.append((turn, offset))
        return whole

    def move(self, offset: int) -> None:
        """Note that everything before `offset` is delivered; never moves back."""
        with self._lock:
            if offset <= self.offset:
                return
            self._turn += 1
            self.offset = offset
            head = struct.pack("<QQ", self._turn, offset)
            slot = head + struct.pack("<I", zlib.crc32(head))
            os.pwrite(self._file, slot, self._turn % 2 * _SLOT_SIZE)
            self._dirty = True

    @property
    def sync_due(self) -> bool:
        """Whether it has moved and was last on disk longer than a second ago."""
        return self._dirty and time.monotonic() - self._synced_at > _SYNC_INTERVAL

    def sync(self) -> None:
        """Let it survive a power cut; called before anything it has passed is removed."""
        with self._lock:
            if self._dirty:
                os.fdatasync(self._file)
                self._dirty = False
            self._synced_at = time.monotonic()

    def close(self) -> None:
        """Sync and close; safe to call twice."""
        if self._file >= 0:
            self.sync()
            os.close(self._file)
            self._file = -1
