"""Sparkplug B on a connection: an edge node that publishes, a host application that listens.

The rules of sessions are `gl002.wire.sparkplug_edge` and `sparkplug_host`; here is when what is
said, and on which connection.

Data goes out with QoS 0, as the specification asks, so nobody confirms it. A batch counts as
delivered when the broker has answered a request that was sent behind it: a broker works through
what one client sends in order.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from gl002.errors import Busy, DataError, GL002Error, PartialWrite
from gl002.model import Batch, now_ns
from gl002.sink import Sink
from gl002.transport.mqtt.inbox import Inbox, Route
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.options import Will
from gl002.transport.mqtt.session import MQTTSession
from gl002.transport.mqtt.subscription import Subscription
from gl002.wire.sparkplug import decode
from gl002.wire.sparkplug_edge import REBIRTH, SEQUENCE, EdgeNode, Outgoing
from gl002.wire.sparkplug_topic import NAMESPACE, state

log = logging.getLogger("gl002.mqtt")

_NS_PER_MS = 1_000_000


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
    """

    def __init__(self, node: EdgeNode, *, name: str, counter: Path, primary_host: str = "") -> None:
        self._node = node
        self._name = name
        self._counter = counter
        self._host = state(primary_host) if primary_host else ""
        self._bd_seq = 0
        self._online = not primary_host
        self._heard = 0  # timestamp of the host's last word, ms
        self._session: MQTTSession | None = None  # the one we are connected with
        self._born: MQTTSession | None = None  # the one we are born on
        self._ear: Subscription | None = None
        self._turn = asyncio.Lock()  # numbers go out in order

    def will(self) -> Will:
        """NDEATH for the next connection, under the next number (section 5.4)."""
        self._bd_seq = self._next_number()
        death = self._node.death(self._bd_seq, now_ns())
        return Will(topic=death.topic, payload=death.payload)

    def _next_number(self) -> int:
        try:
            number = (int(self._counter.read_text()) + 1) % SEQUENCE
        except (OSError, ValueError):
            number = 0
        self._counter.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._counter.write_text(str(number))
        return number

    # ---- the session ------------------------------------------------------------------------

    async def introduce(self, session: MQTTSession, inbox: Inbox) -> None:
        """Listen for commands and the host, then be born (section 5.4)."""
        self._session = session
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
        if said.timestamp < self._heard or said.online == self._online:
            return
        self._heard, self._online = said.timestamp, said.online
        log.info("%s: the primary host is %s", self._name, "online" if said.online else "offline")
        if said.online:
            await self._be_born()
        elif self._session is not None:  # section 5.4: no host, no session
            session = self._session
            await self.take_leave(session)
            session.drop()

    async def _commanded(self, message: Message) -> None:
        """Rebirth is granted. Anything else would be a write to the plant, and is refused."""
        try:
            metrics = decode(message.payload).metrics
        except DataError as error:
            log.warning("%s: a command that cannot be read: %s", self._name, error)
            return
        others = [metric.name or f"alias {metric.alias}" for metric in metrics]
        if any(metric.name == REBIRTH and metric.value is True for metric in metrics):
            others.remove(REBIRTH)
            if self._online:
                await self._be_born()
        if others:
            log.warning(
                "%s: refused to write %s: Sparkplug commands do not reach the plant",
                self._name, ", ".join(others[:5]),
            )  # fmt: skip

    # ---- delivering -------------------------------------------------------------------------

    async def deliver(self, session: MQTTSession, batch: Batch) -> None:
        """Publish a batch; returns when the broker has it.

        Raises:
            Busy: the primary host is not online, so nobody is to be told.
            PartialWrite: samples that no metric can hold.
            ConnectFailed: the connection was lost; some may have arrived.
        """
        if not self._online:
            raise Busy(f"{self._name}: the primary host is not online", hint="the store keeps it")
        refused: dict[int, str] = {}
        async with self._turn:
            if self._born is not session:
                raise Busy(f"{self._name}: not born on this connection yet")
            await _send(session, self._node.publish(batch, self._bd_seq, now_ns(), refused))
            await session.round_trip()
        if refused:
            raise PartialWrite(f"{self._name}: {len(refused)} samples refused", refused)


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
    """A host application's word on itself: STATE, online and offline (section 5.6).

    Args:
        host: host application id.
    """

    def __init__(self, host: str) -> None:
        self._topic = state(host)
        self._since = 0  # ms; the same in the birth and the death of a connection

    def will(self) -> Will:
        """The death certificate of the next connection."""
        self._since = now_ns() // _NS_PER_MS
        return Will(topic=self._topic, payload=self._word(online=False), qos=1, retain=True)

    async def introduce(self, session: MQTTSession) -> None:
        """Say that we are online."""
        await session.publish(self._topic, self._word(online=True), qos=1, retain=True)

    async def take_leave(self, session: MQTTSession) -> None:
        """Say that we go."""
        await session.publish(self._topic, self._word(online=False), qos=1, retain=True)

    def _word(self, *, online: bool) -> bytes:
        return json.dumps({"online": online, "timestamp": self._since}).encode()
