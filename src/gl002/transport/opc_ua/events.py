"""Alarms, conditions and other events of a server as samples (OPC 10000-9; OPC 10000-4, 7.22.3).

An event is told as a few tags below the name of what it is about: SourceName and ConditionName of
a condition ('Boiler1.PressureAlarm'), SourceName of any other event ('Burner'):

    ....message    text     what the server says
    ....severity   int      1 to 1000
    ....active     bool     conditions that are alarms: whether the cause is there
    ....acked      bool     conditions to be acknowledged: whether somebody has
    ....retain     bool     conditions: whether an operator should see it

with the event's own time and, for conditions, the quality of their source. On each new session the
server is asked for the conditions that are of interest now; one that we knew and that is not among
them is over. Earlier states of a condition that wait for their acknowledgement by themselves
(branches) are left out: the tags show its state now.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from gl002.errors import ConnectFailed, GL002Error, RequestFailed, RequestTimeout
from gl002.model import Batch, Quality, Sample, Tag, Value, is_bad, now_ns
from gl002.source import Source
from gl002.transport.opc_ua.failures import of_status, status_name
from gl002.transport.opc_ua.nodes import Missing, Point
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.settings import SubscriptionSettings
from gl002.transport.opc_ua.source import Sessions
from gl002.transport.opc_ua.stream import Item, Stream
from gl002.transport.opc_ua.values import nanoseconds, plain
from gl002.wire.opc_ua import Node, Published

SERVER = Node(0, "i", 2253)
"""The object that tells the events of the whole server."""

_ANY, _CONDITION, _ACKNOWLEDGEABLE, _ALARM = 2041, 2782, 2881, 2915  # ns=0;i=: types of events
_REFRESH_START, _REFRESH_END, _OVERFLOW = 2787, 2788, 3035
_CONDITION_REFRESH = 3875  # ns=0;i=: the method, of the condition type
_FIELDS: Sequence[tuple[int, str]] = (
    (_ANY, "EventType"), (_ANY, "SourceName"), (_ANY, "Time"), (_ANY, "Message"),
    (_ANY, "Severity"), (_CONDITION, "ConditionName"), (_CONDITION, "BranchId"),
    (_CONDITION, "Retain"), (_CONDITION, "Quality"), (_ACKNOWLEDGEABLE, "AckedState/Id"),
    (_ALARM, "ActiveState/Id"),
)  # fmt: skip
_SUBSCRIBE = 1  # of the event notifier (OPC 10000-3, 8.59)
_NO_NODE = {"BadNodeIdInvalid", "BadNodeIdUnknown"}
_MOST_CONDITIONS = 10_000  # remembered; the events of others are told as well

log = logging.getLogger("gl002.opc_ua")


class Event(NamedTuple):
    """The fields that were asked for, in their order; None where an event has none."""

    type: Any
    source: str
    time: int
    message: str
    severity: int
    condition: str
    branch: Any
    retain: bool | None
    quality: Any
    acked: bool | None
    active: bool | None

    @classmethod
    def of(cls, fields: Sequence[Any]) -> Event:
        """From what came; the fields a server does not know are None."""
        filled = [*fields, *[None] * (len(_FIELDS) - len(fields))][: len(_FIELDS)]
        kind, source, time, message, severity, condition, *rest = filled
        return cls(
            kind, str(source or "Server"), nanoseconds(time) or now_ns(),
            str(plain(message) or ""), int(severity or 0), str(condition or ""), *rest,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """What the event is about."""
        return f"{self.source}.{self.condition}" if self.condition else self.source

    @property
    def number(self) -> int:
        """Of its type, where that is one of the standard's."""
        standard = self.type is not None and self.type.NamespaceIndex == 0
        number = self.type.Identifier if standard else 0
        return number if isinstance(number, int) else 0

    @property
    def is_branch(self) -> bool:
        """Whether it tells an earlier state of its condition."""
        return self.branch is not None and not self.branch.is_null()

    def values(self) -> Iterator[tuple[str, Value]]:
        """The tags of the event, below its name."""
        yield "message", self.message
        yield "severity", self.severity
        for name in ("active", "acked", "retain"):
            state = getattr(self, name)
            if state is not None:
                yield name, bool(state)


class Condition(NamedTuple):
    """A condition of interest.

    Attributes:
        event: the last of it.
        event_id: the driver's bytes of that event.
        node: the driver's node id of the condition.
    """

    event: Event
    event_id: Any
    node: Any


class EventSource(Source):
    """A stream of events over whatever session there is. Ends with the session.

    Args:
        sessions: where to get one.
        points: the objects whose events to take; their tags are put before the events' names.
        settings: of the subscription; `queue_size` is that of the events.
    """

    by_exception = True

    def __init__(
        self, sessions: Sessions, points: Sequence[Point], settings: SubscriptionSettings
    ) -> None:
        self.name = sessions.name
        self._sessions = sessions
        self._points = list(points)
        self._settings = settings
        self._stream: Stream | None = None
        self._session: Session | None = None
        self._known: dict[str, Event] = {}  # conditions by tag
        self._refreshed: set[str] | None = None
        self._declared: set[str] = set()

    def tags(self) -> Sequence[Tag]:
        """None: which events there are is seen when they come."""
        return []

    async def start(self) -> None:
        """Subscribe now; `batches` does it otherwise.

        Raises:
            GL002Error: there is no session, no such object, or it tells no events.
        """
        session = await self._sessions.current()
        ask, what = self._sessions.ask, f"events of {', '.join(p.text for p in self._points)}"
        directory = self._sessions.directory
        nodes = await ask(session, lambda: directory.resolve(session, self._points), what)
        for node in nodes:
            if isinstance(node, Missing):
                raise of_status(node.status, f"{self.name}: {what}: {node.reason}")
        await ask(session, lambda: self._check(session, nodes), what)
        stream = await ask(session, lambda: Stream.open(session, self._settings), what)
        self._stream, self._session = stream, session
        try:
            items = {h: Item(node, _filter(), events=True) for h, node in enumerate(nodes)}
            refused = await ask(session, lambda: stream.add(items), what)
            for handle, status in refused.items():
                raise of_status(status, f"{self.name}: events of {self._points[handle].text}")
            await self._refresh(session, stream)
        except GL002Error:
            await self.close()
            raise

    async def batches(self) -> AsyncIterator[Batch]:
        """Batches until the session is lost; then raises why."""
        if self._stream is None:
            await self.start()
        assert self._stream is not None
        assert self._session is not None
        stream, session = self._stream, self._session
        try:
            while True:
                message, lost = await self._sessions.ask(session, stream.take, "events")
                batch = self._batch(message)
                overflow = any(Event.of(fields).number == _OVERFLOW for _, fields in message.events)
                if lost or overflow:
                    self.skipped += lost or 1
                    batch = self._gap(message.time or now_ns()) + batch
                    await self._refresh(session, stream)
                if batch:
                    yield batch
        finally:
            await self.close()

    async def close(self) -> None:
        """End the subscription."""
        stream, self._stream = self._stream, None
        if stream is not None:
            await stream.close()

    async def _check(self, session: Session, nodes: Sequence[Any]) -> None:
        """Whether all of them tell events: some servers take a subscription to nothing."""
        from asyncua import ua

        tell = await session.read(nodes, ua.AttributeIds.EventNotifier)
        for point, answer in zip(self._points, tell, strict=True):
            if answer.StatusCode is not None and answer.StatusCode.name in _NO_NODE:
                raise of_status(answer.StatusCode.value, f"{self.name}: events of {point.text}")
            if answer.Value is None or not int(answer.Value.Value or 0) & _SUBSCRIBE:
                raise RequestFailed(
                    f"{self.name}: events of {point.text}: it tells none",
                    hint="take 'server', or the object above it",
                )

    async def _refresh(self, session: Session, stream: Stream) -> None:
        """Ask for the conditions of interest; they come as events between two marks."""
        refresh = partial(ask_for_conditions, session, stream)
        try:
            status = await self._sessions.ask(session, refresh, "condition refresh")
        except (ConnectFailed, RequestTimeout):
            raise
        except RequestFailed as error:
            log.debug("%s: no condition refresh: %s", self.name, error)
            return
        if is_bad(status):  # a server without conditions has no such method
            log.debug("%s: no condition refresh: %s", self.name, status_name(status))

    # ---- samples ----------------------------------------------------------------------------

    def _batch(self, message: Published) -> Batch:
        batch: Batch = []
        for handle, fields in message.events:
            if handle >= len(self._points):
                continue
            event = Event.of(fields)
            if event.number == _REFRESH_START:
                self._refreshed = set()
            elif event.number == _REFRESH_END:
                batch += self._over(event.time)
            elif event.number != _OVERFLOW and not event.is_branch:
                batch += self._told(self._points[handle].tag + event.name, event)
        return batch

    def _told(self, name: str, event: Event) -> Batch:
        if self._refreshed is not None:
            self._refreshed.add(name)
        if event.condition and (name in self._known or len(self._known) < _MOST_CONDITIONS):
            self._known[name] = event
        quality = int(event.quality.value) if event.quality is not None else int(Quality.GOOD)
        samples = []
        for field, value in event.values():
            tag = f"{name}.{field}"
            self._declare(tag)
            measured = field == "active"  # the rest is what the server itself says
            bad = measured and is_bad(quality)
            samples.append(
                Sample(tag, None if bad else value, event.time, quality if measured else 0)
            )
        return samples

    def _over(self, time: int) -> Batch:
        """Conditions that were of interest and are not any more."""
        told, self._refreshed = self._refreshed, None
        batch: Batch = []
        for name in list(self._known) if told is not None else ():
            event = self._known[name]
            if name not in (told or ()) and event.retain:
                calm = event._replace(
                    time=time, quality=None, retain=False,
                    active=None if event.active is None else False,
                    acked=None if event.acked is None else True,
                )  # fmt: skip
                batch += self._told(name, calm)
        return batch

    def _gap(self, time: int) -> Batch:
        """That events were lost, for every condition we know."""
        return [
            Sample(f"{name}.{field}", None, time, Quality.BAD_DATA_LOST)
            for name, event in self._known.items()
            for field, _ in event.values()
        ]

    def _declare(self, tag: str) -> None:
        if tag not in self._declared and len(self._declared) < 5 * _MOST_CONDITIONS:
            self._declared.add(tag)
            self._sessions.tags.declare(Tag(name=tag, source=self.name, address=tag))


async def ask_for_conditions(session: Session, stream: Stream) -> int:
    """Have the conditions of interest sent, between two marks (ConditionRefresh); its status."""
    from asyncua import ua

    request = ua.CallMethodRequest(
        ObjectId=ua.NodeId(_CONDITION),
        MethodId=ua.NodeId(_CONDITION_REFRESH),
        InputArguments=[ua.Variant(stream.subscription, ua.VariantType.UInt32)],
    )
    (result,) = await session.ask(session.client.uaclient.session.call([request]))
    return int(result.StatusCode.value)


async def conditions(
    session: Session, settings: SubscriptionSettings, server: Any
) -> dict[str, Condition]:
    """The conditions of interest now, by name; none of a server that has no conditions.

    Args:
        session: where.
        settings: of the subscription that is made for it.
        server: the driver's node id of the server object.
    """
    stream = await Stream.open(session, settings)
    found: dict[str, Condition] = {}
    try:
        refused = await stream.add({0: Item(server, _filter(identified=True), events=True)})
        if refused or is_bad(await ask_for_conditions(session, stream)):
            return {}
        while True:
            message, _ = await stream.take()
            for _, fields in message.events:
                event = Event.of(fields)
                if event.number == _REFRESH_END:
                    return found
                event_id, node, *_ = [*fields[len(_FIELDS) :], None, None]
                if node is not None and not event.is_branch and len(found) < _MOST_CONDITIONS:
                    found[event.name] = Condition(event, event_id, node)
    finally:
        await stream.close()


def _filter(*, identified: bool = False) -> Any:
    """Which fields to send with each event; behind them those of `Condition`, where asked for."""
    from asyncua import ua

    fields = [*_FIELDS, (_ANY, "EventId")] if identified else _FIELDS
    clauses = [
        ua.SimpleAttributeOperand(
            TypeDefinitionId=ua.NodeId(kind),
            BrowsePath=[ua.QualifiedName(name, 0) for name in path.split("/")],
            AttributeId=ua.AttributeIds.Value,
        )
        for kind, path in fields
    ]
    if identified:  # the condition itself has no path (OPC 10000-9, 5.5.2)
        clauses.append(
            ua.SimpleAttributeOperand(
                TypeDefinitionId=ua.NodeId(_CONDITION),
                BrowsePath=[],
                AttributeId=ua.AttributeIds.NodeId,
            )
        )
    return ua.EventFilter(SelectClauses=clauses)
