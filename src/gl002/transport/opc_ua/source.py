"""Values of a server as a stream of batches, gaps included.

One answer to a publish request is one batch. What is missing is said: a value that the server had
to throw away, and a message that was lost, are samples BAD_DATA_LOST just before the next value; a
node the server does not have is a sample with its status, and is asked for again from time to
time; what was missed between two sessions is filled or said by `gaps`. The time of a value is its
source's; where the source gives none, the server's.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeAlias, TypeVar

from gl002.errors import ConnectFailed, GL002Error, RequestTimeout, TagNotFound
from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value, is_bad, now_ns
from gl002.source import Source
from gl002.transport.opc_ua.browsing import type_names
from gl002.transport.opc_ua.failures import status_name
from gl002.transport.opc_ua.gaps import Gaps
from gl002.transport.opc_ua.nodes import Directory, Missing, Point, Resolved, declare
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.settings import SubscriptionSettings
from gl002.transport.opc_ua.stream import Item, Stream
from gl002.transport.opc_ua.values import plain
from gl002.wire.opc_ua import Change, Published, overflowed, without_overflow

R = TypeVar("R")
Resolve: TypeAlias = Callable[[Session, Sequence[Point]], Awaitable[list[Resolved]]]

_STEP = 1_000  # ns; one microsecond, the resolution of most databases
_BACKLOG = 10 * 10**9  # ns a value may be older than the message that would have brought it
_BACKLOG_RESUMED = 10**9  # the same after a restart, when what it overlaps is told twice
_ASK_AGAIN_FIRST, _ASK_AGAIN_MOST = 2.0, 300.0  # seconds until refused nodes are tried again

log = logging.getLogger("gl002.opc_ua")


class Ask(Protocol):
    """One request on a session; errors are ours, and a broken session is dropped."""

    async def __call__(self, session: Session, request: Callable[[], Awaitable[R]], what: str) -> R:
        """Make it; `what` names it in messages."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What a source needs of its connector.

    Attributes:
        name: connector instance, 'opc_ua.primary'.
        directory: finds nodes.
        tags: table to declare tags in.
        current: gives the open session, opened if need be.
        ask: makes a request on it.
    """

    name: str
    directory: Directory
    tags: TagTable
    current: Callable[[], Awaitable[Session]]
    ask: Ask


class OpcUaSource(Source):
    """A stream over whatever session there is. Ends with the session; the flow starts it again.

    Args:
        sessions: where to get one.
        points: what to watch; the samples carry their tags.
        settings: of the subscription.
    """

    by_exception = True

    def __init__(
        self, sessions: Sessions, points: Sequence[Point], settings: SubscriptionSettings
    ) -> None:
        self.name = sessions.name
        self._sessions = sessions
        self._points = list(points)
        self._settings = settings
        self._names = [point.tag for point in self._points]
        self._scaled = [point if point.is_scaled else None for point in self._points]
        self._stream: Stream | None = None
        self._session: Session | None = None
        self._missing: dict[int, Missing] = {}
        self._prints: dict[str, tuple[str, str]] = {}
        self._last = [0] * len(self._points)  # time of the newest sample of each, by its source
        self._resumed = False
        self._heard = 0  # when the server sent the last message, by its clock
        self._gaps = Gaps(self.name, self._points)
        self._returning: set[int] = set()  # not yet heard of since an outage
        self._down_at = 0  # the newest bad sample of an outage; before one, the session's end
        self._back_since = 0  # when the session after it was asked for
        self._told: set[str] = set()
        self._ask_again, self._ask_again_in = 0.0, _ASK_AGAIN_FIRST

    def tags(self) -> Sequence[Tag]:
        """One a point; units of the server are added when it is connected."""
        return [point.as_tag(self.name) for point in self._points]

    # ---- life -------------------------------------------------------------------------------

    def position(self) -> bytes:
        """Up to when everything was delivered, by the server's clock: ns in decimal digits."""
        known = self._gaps.from_when or self._heard
        return str(known).encode() if known else b""

    def resume(self, position: bytes) -> None:
        """Read the history since then, of the nodes that have one, when there is a session."""
        if position.isdigit():
            self._heard, self._resumed = int(position), True

    def outage_recorded(self, time: int) -> None:
        """Values from before this time are told anew when the nodes are watched again."""
        self._down_at = time

    async def start(self) -> None:
        """Subscribe now; `batches` does it otherwise.

        Raises:
            TagNotFound: no node, or more than one, has the name that was given.
            GL002Error: there is no session, or the server refused the subscription.
        """
        await self._subscribe()
        for handle, missing in self._missing.items():
            if self._points[handle].node is None:
                await self.close()
                raise TagNotFound(f"{self.name}: {missing.reason}")

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches until the session is lost; then raises why."""
        if self._stream is None:
            await self._subscribe()
        assert self._stream is not None
        assert self._session is not None
        stream, session = self._stream, self._session
        try:
            if self._missing:
                yield self._bad(self._missing)
            while True:
                if self._gaps.open and (self._gaps.urgent or not stream.waiting):
                    batch = await self._fill(session)
                else:
                    message, lost = await self._sessions.ask(session, stream.take, "stream")
                    batch = self._batch(message, lost)
                if batch:
                    yield batch
                if self._missing and time.monotonic() > self._ask_again:
                    await self._ask_for_missing(session, stream)
        finally:
            await self.close()

    async def _fill(self, session: Session) -> Batch:
        """The next part of a gap. That it cannot be read keeps no live value from coming."""
        try:
            return await self._sessions.ask(session, self._gaps.next, "history")
        except ConnectFailed:
            raise
        except RequestTimeout as error:  # the session is of no use any more; the next one will be
            self._gaps.give_up(error)
            raise
        except GL002Error as error:
            self._gaps.give_up(error)
            return []

    async def close(self) -> None:
        """End the subscription."""
        await self._gaps.close()
        stream, self._stream = self._stream, None
        if stream is not None:
            self._down_at = now_ns()
            await stream.close()

    async def _subscribe(self) -> None:
        self._back_since = now_ns()
        session = await self._sessions.current()
        every = range(len(self._points))
        nodes = await self._find(session, every, self._sessions.directory.resolve)
        stream = await self._sessions.ask(
            session, lambda: Stream.open(session, self._settings), "subscribe"
        )
        self._stream, self._session = stream, session
        self._returning = {handle for handle, last in enumerate(self._last) if last}
        try:
            self._missing = await self._watch(session, stream, nodes)
            await self._look_back(session, nodes)
        except GL002Error:
            await self.close()
            raise
        self._ask_again_in = _ASK_AGAIN_FIRST
        self._ask_again = time.monotonic() + self._ask_again_in

    async def _look_back(self, session: Session, nodes: Mapping[int, Resolved]) -> None:
        """Find what was missed since the last session."""
        resumed, self._resumed = self._resumed, False
        handles = set(nodes) if resumed else self._returning
        there = {h: nodes[h] for h in handles if h not in self._missing}
        if not there:
            return
        backlog = int(self._settings.publishing_interval * 1e6) if resumed else 0
        backlog += _BACKLOG_RESUMED if resumed else _BACKLOG
        after = {h: max(self._last[h], self._heard - backlog) for h in there}
        find = partial(self._gaps.find, session, there, after, self._heard, say=not resumed)
        await self._sessions.ask(session, find, "look back")

    async def _find(
        self, session: Session, handles: Iterable[int], resolve: Resolve
    ) -> dict[int, Resolved]:
        """The node of each point, checked, its tag declared."""
        points = {handle: self._points[handle] for handle in handles}
        ask, what = self._sessions.ask, f"{len(points)} nodes"
        found = await ask(session, lambda: resolve(session, list(points.values())), f"find {what}")
        nodes = dict(zip(points, found, strict=True))
        nodes = await ask(session, lambda: self._checked(session, nodes), f"check {what}")
        table, named = self._sessions.tags, list(points.values())
        await ask(
            session,
            lambda: declare(session, table, self.name, named, list(nodes.values())),
            f"units of {what}",
        )
        return nodes

    async def _watch(
        self, session: Session, stream: Stream, nodes: Mapping[int, Resolved]
    ) -> dict[int, Missing]:
        """Watch what there is; why the rest cannot be."""
        missing = {h: node for h, node in nodes.items() if isinstance(node, Missing)}
        there = {h: node for h, node in nodes.items() if h not in missing}
        items = {handle: Item(node, self._filter(handle)) for handle, node in there.items()}
        what = f"watch {len(there)} nodes"
        refused = await self._sessions.ask(session, lambda: stream.add(items), what)
        plain_items = {h: Item(there[h]) for h in refused if items[h].filter is not None}
        if plain_items:
            for handle in plain_items:
                why = status_name(refused[handle])
                self._say(f"{self._points[handle].tag}: the server takes no deadband: {why}")
            again = await self._sessions.ask(session, lambda: stream.add(plain_items), what)
            refused = {h: s for h, s in refused.items() if h not in plain_items} | again
        for handle, status in refused.items():
            missing[handle] = Missing(status_name(status), status)
        self._tell(missing)
        return missing

    def _filter(self, handle: int) -> Any:
        """The deadband of a point as the driver's filter; None for every change."""
        from asyncua import ua

        deadband = self._points[handle].deadband
        if deadband is None:
            return None
        kind = ua.DeadbandType.Percent if deadband.percent else ua.DeadbandType.Absolute
        return ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue,
            DeadbandType=kind,
            DeadbandValue=deadband.size,
        )

    async def _ask_for_missing(self, session: Session, stream: Stream) -> None:
        """A controller that has just started may know more nodes now than a moment ago."""
        again = self._sessions.directory.resolve_again
        nodes = await self._find(session, self._missing, again)
        self._missing = await self._watch(session, stream, nodes)
        self._ask_again_in = min(2 * self._ask_again_in, _ASK_AGAIN_MOST)
        self._ask_again = time.monotonic() + self._ask_again_in

    # ---- what the nodes are -----------------------------------------------------------------

    async def _checked(
        self, session: Session, nodes: Mapping[int, Resolved]
    ) -> dict[int, Resolved]:
        """Refuse a node that is another one than when it was first watched."""
        from asyncua import ua

        there = {h: node for h, node in nodes.items() if not isinstance(node, Missing)}
        names = await session.read(list(there.values()), ua.AttributeIds.BrowseName)
        types = await session.read(list(there.values()), ua.AttributeIds.DataType)
        called = await type_names(session, [kind.Value and kind.Value.Value for kind in types])
        checked = dict(nodes)
        for handle, name, kind, type_now in zip(there, names, types, called, strict=True):
            now, point = (_text(name), _text(kind)), self._points[handle]
            if point.type and type_now and point.type != type_now:
                checked[handle] = Missing(
                    f"{point.text} is to be of type {point.type} and is of type {type_now}; "
                    "correct data_mapping if that is meant",
                    int(Quality.BAD_CONFIGURATION_ERROR),
                )
                continue
            before = self._prints.setdefault(point.text, now) if all(now) else now
            if before != now:
                checked[handle] = Missing(
                    f"{point.text} was '{before[0]}' of type {before[1]} and is now '{now[0]}' of "
                    f"type {now[1]}; restart the gateway if that is meant",
                    int(Quality.BAD_CONFIGURATION_ERROR),
                )
        return checked

    def _tell(self, missing: Mapping[int, Missing]) -> None:
        """Log once what is missing and why."""
        for handle, (reason, _) in missing.items():
            self._say(f"{self._points[handle].tag}: {reason}")

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            log.warning("%s: %s", self.name, text)

    # ---- samples ----------------------------------------------------------------------------

    def _bad(self, missing: Mapping[int, Missing]) -> Batch:
        now = now_ns()
        return [Sample(self._names[h], None, now, m.status) for h, m in missing.items()]

    def _batch(self, message: Published, lost: int) -> Batch:
        """A message as samples."""
        batch: Batch = []
        if lost:
            self.skipped += lost
            before = (message.time or now_ns()) - _STEP
            batch = [Sample(tag, None, before, Quality.BAD_DATA_LOST) for tag in self._names]
        names, scaled, last, now = self._names, self._scaled, self._last, now_ns()
        unchanged: dict[int, Change] = {}
        self._heard, filling = message.time or now, self._gaps.filling
        for handle, value, status, source, server in message.changes:
            if handle >= len(names):
                continue
            moment, point = source or server or now, scaled[handle]
            shown = value if point is None else point.scaled(value)
            if status:
                shown, status = self._judged(batch, handle, shown, status, moment)  # noqa: PLW2901 (speed)
            again = filling and self._gaps.tells_again(handle, moment)
            if handle in self._returning:
                self._returning.discard(handle)
                if moment <= max(self._down_at, last[handle]):
                    unchanged[handle] = handle, shown, status, moment, server
                again = again or moment <= last[handle]
            else:
                unchanged.pop(handle, None)
            if not again:
                batch.append(Sample(names[handle], shown, moment, status))
            last[handle] = moment
        return batch + [self._still(change) for change in unchanged.values()]

    def _judged(
        self, batch: Batch, handle: int, value: Value, status: int, moment: int
    ) -> tuple[Value, int]:
        """Value and status where the status says more than good.

        The value of a bad one is to be ignored (OPC 10000-4, 7.11.1). One that follows others that
        were thrown away comes with a sample that says so.
        """
        if overflowed(status):
            self.skipped += 1
            before = moment - _STEP
            batch.append(Sample(self._names[handle], None, before, Quality.BAD_DATA_LOST))
            status = without_overflow(status)
        return None if is_bad(status) else value, status

    def _still(self, change: Change) -> Sample:
        """The first value after an outage, where it is from before the record of the outage.

        It holds at the moment we are back too, and that is news: the bad sample would otherwise
        stay the newest of its tag. The server vouches for it with its own time (OPC 10000-4,
        7.11.4), where that is later than what was told already.
        """
        handle, value, status, moment, server = change
        told = max(self._down_at, moment)
        there = server if server > told else max(self._back_since, told + _STEP)
        return Sample(self._names[handle], value, there, status)


def _text(data: Any) -> str:
    value = data.Value.Value if data.Value is not None else None
    return str(plain(value) or "")
