"""How many connections may be open at once, over all connectors that share a pool.

pool = ConnectionPool(max_connections=10)
connector = OPCUAConnector(config, pool=pool)
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections import OrderedDict, deque
from typing import NamedTuple, Protocol

from gl002.errors import ConfigError, RequestTimeout


class Holder(Protocol):
    """What takes a place in a pool: something open that can be closed while nobody uses it."""

    @property
    def idle(self) -> bool:
        """Whether closing it now would disturb nobody."""
        ...

    async def step_aside(self) -> None:
        """Close for now; must give the place back to the pool."""
        ...


class _Waiting(NamedTuple):
    holder: Holder
    loop: asyncio.AbstractEventLoop
    place: concurrent.futures.Future[None]


class ConnectionPool:
    """A limit on open connections, shared by any number of connectors.

    A connector takes a place when it connects and gives it back when it closes. When all places
    are taken, newcomers wait in order of arrival, and the connection that has been idle longest is
    closed to make room (it opens again on its next request); where none is idle, the next that
    becomes idle. Safe to share between threads and event loops.

    Args:
        max_connections: places, at least 1.
    """

    def __init__(self, max_connections: int = 10) -> None:
        if max_connections < 1:
            raise ConfigError(f"max_connections is {max_connections}", hint="at least 1")
        self.max_connections = max_connections
        self._lock = threading.Lock()
        self._open: OrderedDict[Holder, asyncio.AbstractEventLoop] = OrderedDict()
        self._waiting: deque[_Waiting] = deque()
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def in_use(self) -> int:
        """Places taken now."""
        return len(self._open)

    async def take(self, holder: Holder, *, timeout: float) -> None:  # noqa: ASYNC109
        """Take a place; a holder that has one keeps it.

        Raises:
            RequestTimeout: no place came free within `timeout` seconds.
        """
        loop = asyncio.get_running_loop()
        waiting = _Waiting(holder, loop, concurrent.futures.Future())
        with self._lock:
            if holder in self._open:
                return
            self._waiting.append(waiting)
            self._hand_out()
        if not waiting.place.done():
            self._make_room()
        try:
            async with asyncio.timeout(timeout):
                await asyncio.wrap_future(waiting.place)
        except BaseException as error:
            self._stop_waiting(waiting)
            if isinstance(error, TimeoutError):
                raise RequestTimeout(
                    f"all {self.max_connections} connections of the pool are in use",
                    hint="raise max_connections, or close connectors that are not needed",
                ) from None
            raise

    def give(self, holder: Holder) -> None:
        """Give the place back; harmless for one that has none."""
        with self._lock:
            if self._open.pop(holder, None) is None:
                return
            self._hand_out()
            somebody_waits = bool(self._waiting)
        if somebody_waits:
            self._make_room()

    def used(self, holder: Holder) -> None:
        """Note that the holder has just been used; somebody may be waiting for it to be idle."""
        with self._lock:
            if holder not in self._open:
                return
            self._open.move_to_end(holder)
            somebody_waits = bool(self._waiting)
        if somebody_waits:
            self._make_room()

    def _hand_out(self) -> None:
        """Give free places to those who wait, first come first served. Call it under the lock."""
        while self._waiting and len(self._open) < self.max_connections:
            waiting = self._waiting.popleft()
            if waiting.place.set_running_or_notify_cancel():
                self._open[waiting.holder] = waiting.loop
                waiting.place.set_result(None)

    def _stop_waiting(self, waiting: _Waiting) -> None:
        with self._lock:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
                return
        self.give(waiting.holder)  # the place came just as we left

    def _make_room(self) -> None:
        """Have the holder that has been idle longest closed, on the loop it lives on."""
        with self._lock:
            idle = next(((h, loop) for h, loop in self._open.items() if h.idle), None)
        if idle is None:
            return
        holder, loop = idle
        try:
            loop.call_soon_threadsafe(self._close, holder)
        except RuntimeError:  # its loop has ended, and its connection with it
            self.give(holder)

    def _close(self, holder: Holder) -> None:
        """On the holder's own loop, where nothing can come between the look and the close."""
        if holder.idle and holder in self._open and self._waiting:
            task = asyncio.ensure_future(holder.step_aside())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
