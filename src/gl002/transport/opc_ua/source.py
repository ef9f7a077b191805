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
from typing import Protocol, TypeAlias, TypeVar

from gl002.errors import ConnectFailed, GL002Error, RequestTimeout, TagNotFound
from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value, is_bad, now_ns
from gl002.source import Source
from gl002.transport.opc_ua.failures import status_name
from gl002.transport.opc_ua.gaps import Gaps
from gl002.transport.opc_ua.identity import Doubts, Identities, Print
from gl002.transport.opc_ua.nodes import Directory, Missing, Point, Resolved, declare
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.settings import SubscriptionSettings
from gl002.transport.opc_ua.stream import Item, Stream
from gl002.transport.opc_ua.values import NO_NODE
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
        prints: what each node was when it was first met.
        current: gives the open session, opened if need be.
        ask: makes a request on it.
    """

    name: str
    directory: Directory
    tags: TagTable
    prints: dict[str, Print]
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
        self._doubts = Doubts(len(self._points))
        self._identities = Identities(self.name, sessions.tags, sessions.prints)
        self._last = [0] * len(self._points)  # time of the newest sample of each, by its source
        self._resumed = False
        self._heard = 0  # when the server sent the last message, by its clock
        self._gaps = Gaps(self.name, self._points)
        self._returning: set[int] = set()  # not yet heard of since an outage
        self._refused_at: dict[int, int] = {}  # time of the bad sample of a node that is not there
        self._down_at = 0  # the newest bad sample of an outage; before one, the session's end
        self._back_since = 0  # when the session after it was asked for
        self._told: set[str] = set()
        self._ask_again, self._ask_again_in = 0.0, _ASK_AGAIN_FIRST

    def tags(self) -> Sequence[Tag]:
        """One a point; units of the server are added when it is connected."""
        return [point.as_tag(self.name) for point in self._points]

    # ---- life -------------------------------------------------------------------------------

    def position(self) -> bytes:
        """Up to when everything was delivered, by the server's clock, ns; then alarms, if any."""
        known, alarms = self._gaps.from_when or self._heard, self._identities.position()
        return f"{known} {alarms}".strip().encode() if known or alarms else b""

    def resume(self, position: bytes) -> None:
        """Read the history since then, of the nodes that have one, when there is a session."""
        until, _, alarms = position.partition(b" ")
        if until.isdigit():
            self._heard, self._resumed = int(until), int(until) > 0
            self._mark(self._identities.resume(alarms.decode(), self._names))

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
            if batch := self._bad(self._missing) + self._identities.news(self._down_at):
                yield batch
            while True:
                held: Batch = []
                if self._gaps.open and (self._gaps.urgent or not stream.waiting):
                    batch = await self._fill(session)
                else:
                    message, lost = await self._sessions.ask(session, stream.take, "stream")
                    batch, held = self._sure(self._batch(message, lost))
                if batch:
                    yield batch
                if self._doubts.any and (batch := await self._look_at(session, stream, held)):
                    yield batch
                due = self._missing and time.monotonic() > self._ask_again
                if due and (batch := await self._ask_for_missing(session, stream)):
                    yield batch
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
        self._returning |= self._refused_at.keys()
        self._identities.repeat()
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
        handles = set(nodes) if resumed else {h for h in self._returning if self._last[h]}
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
        checked = self._identities.checked
        nodes = await ask(session, lambda: checked(session, points, nodes), f"check {what}")
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
        await self._sessions.ask(session, lambda: stream.remove(there), "watch again")
        deadbands = {h: self._points[h].deadband for h in there}
        items = {h: Item(there[h], band and band.filter()) for h, band in deadbands.items()}
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

    async def _ask_for_missing(self, session: Session, stream: Stream) -> Batch:
        """A controller that has just started may know more nodes now than a moment ago.

        Returns:
            What is to be said of it: those that are missing for another reason now, and alarms.
        """
        before, again = self._missing, self._sessions.directory.resolve_again
        nodes = await self._find(session, before, again)
        self._missing = await self._watch(session, stream, nodes)
        self._ask_again_in = min(2 * self._ask_again_in, _ASK_AGAIN_MOST)
        self._ask_again = time.monotonic() + self._ask_again_in
        others = {h: m for h, m in self._missing.items() if m.status != before[h].status}
        return self._bad(others) + self._identities.news()

    def _sure(self, batch: Batch) -> tuple[Batch, Batch]:
        """The batch, and apart from it the values of nodes that may have become others."""
        tags = {self._names[handle] for handle in self._doubts.unlike}
        if not tags:
            return batch, []
        return [s for s in batch if s.tag not in tags], [s for s in batch if s.tag in tags]

    async def _look_at(self, session: Session, stream: Stream, held: Batch) -> Batch:
        """What may be told after a look at the nodes in doubt.

        A node that is gone is asked for again; it may come back as another one, too.
        """
        gone, unlike = self._doubts.take()
        nodes = await self._find(session, unlike, self._sessions.directory.resolve)
        refused = {h: node for h, node in nodes.items() if isinstance(node, Missing)}
        leave = partial(stream.remove, refused)
        await self._sessions.ask(session, leave, f"leave {len(refused)} nodes")
        for handle in unlike:
            self._missing.pop(handle, None)
        for handle in refused:
            self._doubts.refused(handle)
        self._missing |= gone | refused
        self._mark(gone)
        self._tell(gone | refused)
        self._ask_again_in = _ASK_AGAIN_FIRST
        self._ask_again = time.monotonic() + self._ask_again_in
        tags = {self._names[handle] for handle in refused}
        told = [sample for sample in held if sample.tag not in tags]
        return told + self._bad(refused) + self._identities.news()

    def _tell(self, missing: Mapping[int, Missing]) -> None:
        """Log once what is missing and why."""
        for handle, (reason, _) in missing.items():
            self._say(f"{self._points[handle].tag}: {reason}")

    def _say(self, text: str) -> None:
        if text not in self._told:
            self._told.add(text)
            log.warning("%s: %s", self.name, text)

    def _mark(self, handles: Iterable[int]) -> int:
        """Note that these are told to be bad now, ns UTC: what holds after that is news."""
        now = now_ns()
        self._refused_at |= dict.fromkeys(handles, now)
        self._returning.update(handles)
        return now

    # ---- samples ----------------------------------------------------------------------------

    def _bad(self, missing: Mapping[int, Missing]) -> Batch:
        now = self._mark(missing)
        return [Sample(self._names[h], None, now, m.status) for h, m in missing.items()]

    def _batch(self, message: Published, lost: int) -> Batch:
        """A message as samples."""
        batch: Batch = []
        if lost:
            self.skipped += lost
            before = (message.time or now_ns()) - _STEP
            batch = [Sample(tag, None, before, Quality.BAD_DATA_LOST) for tag in self._names]
        names, scaled, last, now = self._names, self._scaled, self._last, now_ns()
        kinds, unchanged = self._doubts.kinds, dict[int, Change]()
        self._heard, filling = message.time or now, self._gaps.filling
        for handle, value, status, source, server in message.changes:
            if handle >= len(names):
                continue
            moment, point = source or server or now, scaled[handle]
            shown = value if point is None else point.scaled(value)
            if status:
                shown, status = self._judged(batch, handle, shown, status, moment)  # noqa: PLW2901 (speed)
            elif value.__class__ is not kinds[handle]:
                self._doubts.other_kind(handle, value)
            again = filling and self._gaps.tells_again(handle, moment)
            if handle in self._returning:
                self._returning.discard(handle)
                if moment <= max(self._down_at, last[handle], self._refused_at.get(handle, 0)):
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
        if status & 0xFFFF_0000 in NO_NODE:
            self._doubts.gone(handle, status)
        return None if is_bad(status) else value, status

    def _still(self, change: Change) -> Sample:
        """The first value after an outage, where it is from before the record of the outage.

        It holds at the moment we are back too, and that is news: the bad sample would otherwise
        stay the newest of its tag. The server vouches for it with its own time (OPC 10000-4,
        7.11.4), where that is later than what was told already.
        """
        handle, value, status, moment, server = change
        told = max(self._down_at, self._refused_at.pop(handle, 0), moment)
        there = server if server > told else max(self._back_since, told + _STEP)
        return Sample(self._names[handle], value, there, status)
