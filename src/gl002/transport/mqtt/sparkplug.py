"""Sparkplug B on a connection: an edge node that publishes, a host application that listens.

The rules of sessions are `gl002.wire.sparkplug_edge` and `sparkplug_host`; here is when what is
said, and on which connection.

Data goes out with QoS 0, as the specification asks, so nobody confirms it. A batch counts as
delivered when the broker has answered a request that was sent behind it: a broker works through
what one client sends in order.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from gl002.errors import Busy, DataError, GL002Error, PartialWrite
from gl002.model import Batch, now_ns
from gl002.proposal import Proposal, Proposals
from gl002.security.folders import make_private
from gl002.security.network import Endpoint
from gl002.sink import Sink
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.options import Will
from gl002.transport.mqtt.route import Route
from gl002.transport.mqtt.session import MQTTSession
from gl002.transport.mqtt.subscription import Subscription
from gl002.wire.sparkplug import Metric, Payload, decode
from gl002.wire.sparkplug_edge import REBIRTH, SEQUENCE, EdgeNode, Outgoing
from gl002.wire.sparkplug_topic import NAMESPACE, parse, state

log = logging.getLogger("gl002.mqtt")

_NS_PER_MS = 1_000_000
_HEARING = 5.0  # seconds to hear of the primary host, before the next broker is tried
_LONGEST_WORD = 200  # characters of who asks


class _State(msgspec.Struct):
    """Payload of a STATE message (section 6.4.22)."""

    online: bool
    timestamp: int = 0


class SparkplugEdge:
    """One edge node on one connector: born on each connection, dead with it.

    Args:
        node: its metrics and numbers.
        name: connector instance, for messages.
        counter: file that keeps the birth/death sequence number over restarts.
        primary_host: host application to wait for; '' publishes to whoever listens.
        proposals: takes what commands ask to be written; a person decides.
        elsewhere: makes the next broker the one to connect with; None where there is no other.
    """

    def __init__(
        self,
        node: EdgeNode,
        *,
        name: str,
        counter: Path,
        primary_host: str = "",
        proposals: Proposals,
        elsewhere: Callable[[], None] | None = None,
    ) -> None:
        self._node = node
        self._name = name
        self._counter = counter
        self._host = state(primary_host) if primary_host else ""
        self._bd_seq = 0
        self._online = not primary_host
        self._proposals = proposals
        self._elsewhere = elsewhere
        self._heard: dict[Endpoint, int] = {}  # timestamp of the host's last word at a broker, ms
        self._met = 0.0  # when we connected, by the loop's clock
        self._session: MQTTSession | None = None  # the one we are connected with
        self._born: MQTTSession | None = None  # the one we are born on
        self._ear: Subscription | None = None
        self._turn = asyncio.Lock()  # numbers go out in order

    def will(self) -> Will:
        """NDEATH for the CONNECT that follows, under the next number (section 5.4)."""
        self._bd_seq = self._next_number()
        death = self._node.death(self._bd_seq, now_ns())
        return Will(topic=death.topic, payload=death.payload)

    def _next_number(self) -> int:
        try:
            number = (int(self._counter.read_text()) + 1) % SEQUENCE
        except (OSError, ValueError):
            number = 0
        make_private(self._counter.parent)
        self._counter.write_text(str(number))
        return number

    # ---- the session ------------------------------------------------------------------------

    async def introduce(self, session: MQTTSession, inbox: Inbox) -> None:
        """Listen for commands and the host, then be born (section 5.4)."""
        self._session, self._met = session, asyncio.get_running_loop().time()
        if self._host:
            self._online = False  # until it is heard on this connection
        listening = self._listening(inbox)
        await session.subscribe(listening.route.filters, qos=listening.qos)
        if self._online:
            await self._be_born()

    def _listening(self, inbox: Inbox) -> Subscription:
        """The one subscription to what concerns us."""
        if self._ear is None:
            group, node = self._node.group, self._node.node
            filters = [f"{NAMESPACE}/{group}/NCMD/{node}", f"{NAMESPACE}/{group}/DCMD/{node}/#"]
            route = Route(inbox, [*filters, *([self._host] if self._host else [])], 0)
            inbox.add(route)
            self._ear = Subscription(route, self._heed, 1)
            self._ear.start()
        return self._ear

    async def take_leave(self, session: MQTTSession) -> None:
        """Say that we go: a broker forgets the will of whoever says goodbye (section 5.5)."""
        if self._born is session:
            death = self._node.death(self._bd_seq, now_ns())
            await session.publish(death.topic, death.payload, qos=1)
        self._session = self._born = None

    async def close(self, inbox: Inbox) -> None:
        """Listen no more; safe to call twice."""
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.end()
            inbox.remove(ear.route)

    async def _be_born(self) -> None:
        async with self._turn:
            session = self._session
            if session is not None:
                await _send(session, self._node.birth(self._bd_seq, now_ns()))
                self._born = session

    # ---- what others say --------------------------------------------------------------------

    async def _heed(self, message: Message) -> None:
        """A command, or the host's word on itself."""
        with suppress(GL002Error):  # the connection is lost: the next one begins with a birth
            if message.topic == self._host:
                await self._host_said(message)
            else:
                await self._commanded(message)

    async def _host_said(self, message: Message) -> None:
        try:
            said = msgspec.json.decode(message.payload, type=_State)
        except msgspec.DecodeError as error:
            log.warning("%s: %s is not readable: %s", self._name, message.topic, error)
            return
        session = self._session
        if session is None:
            return
        broker = session.options.endpoint
        if said.timestamp < self._heard.get(broker, said.timestamp):
            return
        self._heard[broker] = said.timestamp
        known, self._online = self._online, said.online
        if known != said.online:
            what = "online" if said.online else "offline"
            log.info("%s: the primary host is %s", self._name, what)
        if said.online and not known:
            await self._be_born()
        elif known and not said.online:  # section 5.4: no host, no session
            await self.take_leave(session)
            self._leave(session)
        elif not said.online and self._elsewhere is not None:
            self._leave(session)

    def _leave(self, session: MQTTSession) -> None:
        """End the session; the host may be with the next broker (section 5.14)."""
        if self._elsewhere is not None:
            self._elsewhere()
        session.drop()

    async def _commanded(self, message: Message) -> None:
        """Rebirth is granted. Anything else asks for a write, and a person decides."""
        try:
            payload = decode(message.payload)
        except DataError as error:
            log.warning("%s: a command that cannot be read: %s", self._name, error)
            return
        place = parse(message.topic)
        for metric in payload.metrics:
            if metric.name != REBIRTH:
                await self._propose(message, payload, metric)
            elif metric.value is True and place is not None and not place.device and self._online:
                await self._be_born()

    async def _propose(self, message: Message, payload: Payload, metric: Metric) -> None:
        """Offer what a metric of a command asks for. Sparkplug has no message to answer with."""
        place = parse(message.topic)
        assert place is not None
        point = self._node.tag_of(place.device, metric)
        moment = metric.time or payload.time or message.received
        wish = f"{place.message}/{place.device}/{metric.name or metric.alias}@{moment}"
        proposal = Proposal(
            id=_bounded(wish), point=point, value=metric.value, origin=self._name,
            asker=f"Sparkplug {message.topic}"[:_LONGEST_WORD],
        )  # fmt: skip
        try:
            answer = await self._proposals.offer(proposal)
        except GL002Error as error:
            log.error("%s: '%s' was asked for and is lost: %s", self._name, point, error)  # noqa: TRY400 (a state of ours, not a fault here)
            return
        if answer.accepted:
            log.info("%s: '%s' waits for a person: %s", self._name, point, answer.state)
        else:
            log.warning("%s: refused to write %s: %s", self._name, point, answer.reason)

    # ---- delivering -------------------------------------------------------------------------

    async def deliver(self, session: MQTTSession, batch: Batch) -> None:
        """Publish a batch; returns when the broker has it.

        Raises:
            Busy: the primary host is not online, so nobody is to be told.
            PartialWrite: samples that no metric can hold.
            ConnectFailed: the connection was lost; some may have arrived.
        """
        if not self._online:
            silent = asyncio.get_running_loop().time() - self._met
            if self._elsewhere is not None and silent > _HEARING:
                self._leave(session)
            raise Busy(f"{self._name}: the primary host is not online", hint="the store keeps it")
        refused: dict[int, str] = {}
        async with self._turn:
            if self._born is not session:
                raise Busy(f"{self._name}: not born on this connection yet")
            await _send(session, self._node.publish(batch, self._bd_seq, now_ns(), refused))
            await session.round_trip()
        if refused:
            raise PartialWrite(f"{self._name}: {len(refused)} samples refused", refused)


def _bounded(text: str) -> str:
    """A text as the id of a proposal; one that is too long by its digest."""
    return text if len(text) <= _LONGEST_WORD else hashlib.sha256(text.encode()).hexdigest()


async def _send(session: MQTTSession, messages: Iterable[Outgoing]) -> None:
    for message in messages:
        await session.publish(message.topic, message.payload, qos=0)


class SparkplugSink(Sink):
    """One entry of `data_flow.output`."""

    def __init__(self, name: str, deliver: Callable[[Batch], Awaitable[None]]) -> None:
        self.name = name
        self._deliver = deliver

    async def write(self, batch: Batch) -> None:
        """As `SparkplugEdge.deliver`. Twice does no harm: values carry their times."""
        await self._deliver(batch)


class SparkplugHost:
    """A host application's word on itself: STATE, online and offline (section 5.7).

    Args:
        host: host application id.
    """

    def __init__(self, host: str) -> None:
        self._topic = state(host)
        self._since = 0  # ms; the same in the will and the birth of a connection
        self._filters: list[str] = []
        self._session: MQTTSession | None = None
        self._ear: Subscription | None = None

    def listen(self, filters: Sequence[str]) -> None:
        """Subscribe to these too, before it is said that we are online."""
        self._filters += [pattern for pattern in filters if pattern not in self._filters]

    def listen_no_more(self, filters: Collection[str]) -> None:
        """Do not subscribe to these on the next connection."""
        self._filters = [pattern for pattern in self._filters if pattern not in filters]

    def will(self) -> Will:
        """The death certificate of the connection that is about to be opened."""
        self._since = now_ns() // _NS_PER_MS
        return Will(topic=self._topic, payload=self._word(online=False), qos=1, retain=True)

    async def introduce(self, session: MQTTSession, inbox: Inbox) -> None:
        """Listen, then say that we are online."""
        self._session = session
        if self._ear is None:
            route = Route(inbox, [self._topic], 0)
            inbox.add(route)
            self._ear = Subscription(route, self._heed, 1)
            self._ear.start()
        await session.subscribe([self._topic, *self._filters], qos=1)
        await self._say(session, online=True)

    async def _heed(self, message: Message) -> None:
        """Contradict whoever says that we are offline: a will of ours that came late."""
        with suppress(GL002Error, msgspec.DecodeError):
            said = msgspec.json.decode(message.payload, type=_State)
            if not said.online and self._session is not None and not message.retain:
                await self._say(self._session, online=True)

    async def take_leave(self, session: MQTTSession) -> None:
        """Say that we go, and when."""
        self._session = None
        self._since = now_ns() // _NS_PER_MS
        await self._say(session, online=False)

    async def close(self, inbox: Inbox) -> None:
        """Listen no more; safe to call twice."""
        ear, self._ear = self._ear, None
        if ear is not None:
            await ear.end()
            inbox.remove(ear.route)

    async def _say(self, session: MQTTSession, *, online: bool) -> None:
        await session.publish(self._topic, self._word(online=online), qos=1, retain=True)

    def _word(self, *, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": self._since}).encode()
