"""What a stream missed while it had no session: read from the server's history, or said.

A gap begins with the last message of the session before and ends when the nodes are watched again.
What the server has recorded between is delivered with its own times, in order where that takes
seconds, behind the live values where it takes longer. Of a node that the server keeps no history
of, one sample BAD_DATA_LOST at the beginning of the gap says that there is a hole.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from gl002.errors import GL002Error
from gl002.model import Batch, Quality, Sample, now_ns
from gl002.transport.opc_ua.failures import status_name
from gl002.transport.opc_ua.history import Page, recorded
from gl002.transport.opc_ua.nodes import Point
from gl002.transport.opc_ua.session import Session

_CURRENT_TIME = 2258  # ns=0;i=: the server's clock
_HISTORY_READ = 4  # of the access level (OPC 10000-3, 8.57)
_CLOCK_STEP = 5 * 10**9  # ns
_JUST_AFTER = 1_000  # ns; one microsecond, the resolution of most databases
_IN_ORDER = 2.0  # seconds live values may wait for what is older than they

log = logging.getLogger("gl002.opc_ua")


class Gaps:
    """The gaps of one source, over sessions.

    Args:
        name: connector instance, for messages.
        points: what is watched, by handle.
    """

    def __init__(self, name: str, points: Sequence[Point]) -> None:
        self._name = name
        self._points = points
        self._after: dict[int, int] = {}  # handle -> all up to here was delivered, ns
        self._filled: dict[int, int] = {}  # handle -> newest sample taken from history
        self._live: dict[int, int] = {}  # handle -> oldest sample that came by itself
        self._pages: AsyncGenerator[Page] | None = None
        self._lost: list[int] = []
        self._unreadable = False
        self._began = 0
        self._patience = 0.0

    @property
    def open(self) -> bool:
        """Whether there is more to tell."""
        return bool(self._lost) or self._pages is not None

    @property
    def from_when(self) -> int:
        """Up to when everything was delivered, where there is more to tell; else 0."""
        return min(self._after.values(), default=0) if self.open else 0

    @property
    def urgent(self) -> bool:
        """Whether live values are to wait: what is missing still comes in order."""
        return bool(self._lost) or time.monotonic() < self._patience

    @property
    def filling(self) -> bool:
        """Whether values that come by themselves may be ones that were taken from history."""
        return self._pages is not None or bool(self._filled)

    async def find(
        self,
        session: Session,
        nodes: Mapping[int, Any],
        after: Mapping[int, int],
        began: int,
        *,
        say: bool,
    ) -> None:
        """Take note of a gap that has just ended.

        Args:
            session: the new one.
            nodes: handle -> the driver's node id of what is watched again.
            after: handle -> up to when all of it was delivered, ns.
            began: when the last message before the gap was sent, ns by the server's clock.
            say: whether to tell of a gap that cannot be filled.
        """
        from asyncua import ua

        for handle in nodes:
            self._after.setdefault(handle, after[handle])
        levels = await session.read(list(nodes.values()), ua.AttributeIds.UserAccessLevel)
        unreadable, self._unreadable = self._unreadable, False
        kept = {
            handle: node
            for (handle, node), level in zip(nodes.items(), levels, strict=True)
            if level.Value is not None and int(level.Value.Value or 0) & _HISTORY_READ
            if not unreadable  # a server that did not answer in time would not now
        }
        self._filled, self._live, self._began = {}, {}, began
        without = [handle for handle in nodes if handle not in kept]
        self._lost = without if say else []
        for handle in () if say else without:
            del self._after[handle]
        self._pages = None
        if kept:
            start = min(self._after[handle] for handle in kept) + 1
            self._pages = recorded(session, kept, start, await _clock(session))
        self._patience = time.monotonic() + _IN_ORDER

    async def next(self) -> Batch:
        """The next part; empty where it held nothing, or at the end."""
        if self._lost:
            return self._record()
        assert self._pages is not None
        page = await anext(self._pages, None)
        if page is None:
            self._pages = None
            return self._record()
        if page.status:
            log.warning(
                "%s: history of %s: %s",
                self._name, self._points[page.handle].text, status_name(page.status),
            )  # fmt: skip
            self._lost.append(page.handle)
            return self._record()
        return self._taken(page)

    def give_up(self, error: GL002Error) -> None:
        """The history cannot be read: say the gap, on this session or on the next one."""
        log.warning("%s: the history cannot be read: %s", self._name, error)
        self._pages, self._lost, self._unreadable = None, list(self._after), True

    def _taken(self, page: Page) -> Batch:
        """What of a page has not been delivered."""
        handle, after = page.handle, self._after.get(page.handle, 0)
        batch = [s for s in self._points[handle].samples(page.values) if s.time > after]
        live = self._live.get(handle)
        if live is not None:
            batch = [sample for sample in batch if sample.time < live]
        if batch:
            self._after[handle] = self._filled[handle] = batch[-1].time
        return batch

    def _record(self) -> Batch:
        """That there is a hole, for those whose history cannot be read."""
        lost, self._lost = self._lost, []
        batch = []
        for handle in lost:
            began = max(self._began, self._after.pop(handle, 0)) + _JUST_AFTER
            batch.append(Sample(self._points[handle].tag, None, began, Quality.BAD_DATA_LOST))
        if self._pages is None:
            self._after.clear()
        return batch

    def tells_again(self, handle: int, moment: int) -> bool:
        """Whether a value that has come by itself is one that was taken from history."""
        self._live.setdefault(handle, moment)
        return moment <= self._filled.get(handle, 0)

    async def close(self) -> None:
        """The session has ended; what is not filled yet is left for the next one."""
        pages, self._pages = self._pages, None
        if pages is not None:
            await pages.aclose()


async def _clock(session: Session) -> int:
    """A time that the server's clock has not reached yet, ns UTC.

    Some servers renew what they tell of their clock once a second only. Later does no harm: what
    has come by itself is not taken from history again.
    """
    from asyncua import ua

    (readout,) = await session.read_values([ua.NodeId(_CURRENT_TIME)])
    return max(readout[2], readout[3], now_ns()) + _CLOCK_STEP
