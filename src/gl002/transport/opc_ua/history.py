"""What a server has recorded of nodes, page by page (OPC 10000-4, 5.10.3; OPC 10000-11, 6.4.3).

Each page is one request. While a node has more than fits, the server gives a continuation point;
one that is not used up is given back.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Any, NamedTuple

from gl002.errors import RequestFailed
from gl002.model import is_bad, to_datetime
from gl002.transport.opc_ua.failures import status_name
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.values import Readout, unpacked
from gl002.wire.opc_ua import decode_history

_VALUES = 1000  # of one node in one answer
_NODES = 20  # in one request: each may hold a continuation point, of which servers have few
_MOST_EMPTY = 100  # pages without a value, one after the other; more is not believed
_NO_POINT_FREE = "BadNoContinuationPoints"
_A_TICK = timedelta(microseconds=1)  # the driver's resolution; bounds are exact again afterwards


class Page(NamedTuple):
    """A part of the history of one node.

    Attributes:
        handle: of the node.
        values: oldest first; none where the node could not be read.
        status: why not; 0 where it was.
    """

    handle: int
    values: list[Readout]
    status: int = 0


class _Answer(NamedTuple):
    status: int
    continuation: bytes
    values: Sequence[Readout]


async def recorded(
    session: Session, nodes: Mapping[int, Any], start: int, end: int
) -> AsyncGenerator[Page]:
    """The history of nodes by handle: oldest first of each, pages of different nodes in turns.

    Args:
        session: where to ask.
        nodes: handle -> the driver's node id.
        start: ns UTC, included.
        end: ns UTC, not included.
    """
    handles = list(nodes) if start < end else []
    at_once = min(session.limits.history, _NODES)
    while handles:
        piece, handles = handles[:at_once], handles[at_once:]
        reading = _Reading(session, {handle: nodes[handle] for handle in piece}, start, end)
        try:
            while reading.open:
                for page in await reading.pages():
                    yield page
        finally:
            await reading.release()
        if reading.postponed:
            at_once = 1
            handles = reading.postponed + handles


class _Reading:
    """The history of a few nodes that are read together.

    Attributes:
        open: handle -> continuation point of those that are not at their end; b'' at first.
        postponed: those the server had no continuation point for.
    """

    def __init__(self, session: Session, nodes: Mapping[int, Any], start: int, end: int) -> None:
        self.open = dict.fromkeys(nodes, b"")
        self.postponed: list[int] = []
        self._session = session
        self._nodes = nodes
        self._start, self._end = start, end
        self._empty = 0

    async def pages(self) -> list[Page]:
        """The next part of each."""
        asked = list(self.open)
        answers = await self._ask(asked)
        if len(answers) != len(asked):
            raise RequestFailed(f"asked for {len(asked)} histories, answered {len(answers)}")
        pages = [self._page(*each) for each in zip(asked, answers, strict=True)]
        self._empty = 0 if any(page.values for page in pages) else self._empty + 1
        if self._empty > _MOST_EMPTY:
            raise RequestFailed(f"{self._empty} pages of history without a value, and no end")
        return [page for page in pages if page.values or page.status]

    def _page(self, handle: int, answer: _Answer) -> Page:
        self.open[handle] = answer.continuation
        if is_bad(answer.status):
            del self.open[handle]
            if status_name(answer.status) == _NO_POINT_FREE and len(self._nodes) > 1:
                self.postponed.append(handle)
                return Page(handle, [])
            return Page(handle, [], answer.status)
        if not answer.continuation:
            del self.open[handle]
        inside = [
            readout
            for readout in answer.values
            if self._start <= (readout[2] or readout[3]) < self._end
        ]
        return Page(handle, inside)

    async def _ask(self, handles: Sequence[int], *, release: bool = False) -> Sequence[_Answer]:
        from asyncua import ua
        from asyncua.ua.ua_binary import struct_from_binary

        request = ua.HistoryReadRequest()
        request.Parameters = ua.HistoryReadParameters(
            HistoryReadDetails=ua.ReadRawModifiedDetails(
                IsReadModified=False,
                StartTime=to_datetime(self._start).replace(tzinfo=None),
                EndTime=to_datetime(self._end).replace(tzinfo=None) + _A_TICK,
                NumValuesPerNode=_VALUES,
                ReturnBounds=False,
            ),
            TimestampsToReturn=ua.TimestampsToReturn.Both,
            ReleaseContinuationPoints=release,
            NodesToRead=[
                ua.HistoryReadValueId(
                    NodeId=self._nodes[handle], ContinuationPoint=self.open[handle] or None
                )
                for handle in handles
            ],
        )
        protocol = self._session.client.uaclient.protocol
        if protocol is None:
            raise ConnectionError("the connection is closed")
        answer = await self._session.ask(protocol.send_request(request))
        decoded = decode_history(bytes(answer))
        if decoded is not None:
            return [_Answer(*each) for each in decoded]
        response = struct_from_binary(ua.HistoryReadResponse, answer)
        response.ResponseHeader.ServiceResult.check()
        return [
            _Answer(
                int(result.StatusCode.value),
                bytes(result.ContinuationPoint or b""),
                [unpacked(data) for data in getattr(result.HistoryData, "DataValues", None) or ()],
            )
            for result in response.Results
        ]

    async def release(self) -> None:
        """Give back what is not used up; never raises: it ends with the session at the latest."""
        held = [handle for handle, point in self.open.items() if point]
        self.open = {handle: self.open[handle] for handle in held}
        if not held or self._session.failure is not None:
            return
        with suppress(Exception):
            await self._ask(held, release=True)
