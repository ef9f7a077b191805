"""When each point was last written, and whose turn it is to write; for all processes at once.

The limits of a write (its step, the time since the one before) hold only if nobody else writes
between the look and the send. Two who confirm in the same second therefore go one after the other,
and the second is judged by what the first has done.

How long ago a write was, the machine's running time says: setting the clock makes it neither
longer nor shorter. Once the machine has been started again only the wall clock can say; where that
shows less than nothing, it was set back, and what counts is how long the machine has been running.
"""

from __future__ import annotations

import asyncio
import fcntl
import math
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import msgspec

from gl002.errors import WriteRefused
from gl002.security.folders import make_private
from gl002.writes.clock import Running, running

__all__ = ["WriteMemory"]

_PATIENCE: Final = 30.0  # seconds; a write and its reads may wait for a time-out each
_AGAIN: Final = 0.02  # seconds between two looks whether it is our turn


class _Written(msgspec.Struct, frozen=True):
    """When a point was written, by both clocks.

    Attributes:
        time: nanoseconds UTC.
        boot: in which running time of the machine.
        running: seconds in that.
    """

    time: int
    boot: str = ""
    running: float = 0.0


class WriteMemory:
    """The file `last_writes.json` of a state folder, and the lock beside it.

    Args:
        folder: the state folder.
        now: the wall clock in nanoseconds.
        running: the running time of the machine.
    """

    def __init__(
        self, folder: Path, now: Callable[[], int], running: Callable[[], Running] = running
    ) -> None:
        self._file = folder / "last_writes.json"
        self._now = now
        self._running = running

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Nobody else writes while in the block. The lock goes with the process that holds it.

        Raises:
            WriteRefused: somebody else is writing for too long, or the folder cannot be used.
        """
        try:
            make_private(self._file.parent)
            lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unusable(self._file.with_suffix(".lock"), error) from error
        try:
            await _locked(lock)
            yield
        finally:
            os.close(lock)

    def since(self, point: str) -> float:
        """Seconds since the point was written; infinite where it never was.

        Raises:
            WriteRefused: nobody can tell.
        """
        last = self._read().get(point)
        if last is None:
            return math.inf
        now = self._running()
        if last.boot == now.boot:
            return now.seconds - last.running
        by_the_wall = (self._now() - last.time) / 1e9
        if by_the_wall >= 0:
            return by_the_wall
        return now.seconds if last.boot else 0.0  # it was before this start, if that is known

    def remember(self, point: str) -> None:
        """Note that the point is written now; on disk when it returns, also after a power cut.

        Raises:
            WriteRefused: it could not be noted.
        """
        written = _Written(self._now(), *self._running())
        fresh, known = self._file.with_suffix(".new"), {**self._read(), point: written}
        try:
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(known))
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._file)
            folder = os.open(self._file.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise _unusable(self._file, error) from error

    def _read(self) -> dict[str, _Written]:
        try:
            found = msgspec.json.decode(self._file.read_bytes(), type=dict[str, int | _Written])
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            raise WriteRefused(
                f"{self._file}: cannot be read: {error}",
                hint="remove it; every point then counts as never written",
            ) from error
        # Earlier versions wrote the time only.
        return {point: _Written(w) if isinstance(w, int) else w for point, w in found.items()}


async def _locked(lock: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise WriteRefused(
                    "another write is under way", hint="look at the plant, then try again"
                ) from None
            await asyncio.sleep(_AGAIN)
        else:
            return


def _unusable(path: Path, error: OSError) -> WriteRefused:
    return WriteRefused(
        f"{path}: {error.strerror or error}; nothing was sent",
        hint="free disk space, or mend the file's permissions",
    )
