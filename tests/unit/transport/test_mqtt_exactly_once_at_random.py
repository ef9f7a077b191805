"""QoS 2 into a store: once each, whatever is lost on the way and whenever we are killed."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.transport.mqtt.message import Message
from unit.transport.exactly_once_side import LOST, Side, message, taken


class Disk(NamedTuple):
    """What is durable on our side."""

    stored: int
    position: bytes


class Sender:
    """The broker's half of QoS 2 (MQTT 5.0, section 4.3.3).

    All messages look the same, so nothing but their identifiers can tell them.

    Args:
        identifiers: how many it has; few are used again soon.
        forgetful: on a new connection it sends what it had released as if it had not, as
            mosquitto 2.0.11 does when it is started again.
    """

    def __init__(self, identifiers: int, *, forgetful: bool) -> None:
        self._free = deque(range(1, identifiers + 1))
        self._forgetful = forgetful
        self._published: list[int] = []  # and no PUBREC has come
        self._released: list[int] = []  # and no PUBCOMP has come
        self._queued = 0
        self.accepted = 0
        self.wire: deque[tuple[str, Message]] = deque()

    def accept(self) -> None:
        self.accepted += 1
        self._queued += 1
        self._publish()

    def _publish(self) -> None:
        while self._queued and self._free:
            self._queued -= 1
            number = self._free.popleft()
            self._published.append(number)
            self.wire.append(("publish", message(number)))

    def heard(self, packet: str, number: int) -> None:
        if packet == "ping":
            self.wire.append(("answer", message(0)))
        elif packet == "pubrec":
            if number in self._published:
                self._published.remove(number)
                self._released.append(number)
            self.wire.append(("pubrel", message(number)))
        elif number in self._released:
            self._released.remove(number)
            self._free.append(number)
            self._publish()

    def connect(self) -> None:
        self.wire.clear()
        if self._forgetful:
            self._published, self._released = sorted(self._published + self._released), []
        self.wire += [("publish", message(n, dup=True)) for n in self._published]
        self.wire += [("pubrel", message(n)) for n in self._released]
        self._publish()

    @property
    def idle(self) -> bool:
        return not (self._queued or self._published or self._released)


class World:
    """A broker, a wire of which any end may be lost, and a gateway that may be killed."""

    def __init__(self, sender: Sender) -> None:
        self.sender = sender
        self.disk = Disk(0, b"")
        self._start()

    def _start(self) -> None:
        self.side, self._pending = Side(), None
        self.route = self.side.route()
        self._connect()
        self.route.resume(self.disk.position)

    def _connect(self) -> None:
        self.side.said.clear()
        self.side.connect()
        self.sender.connect()

    async def step(self, what: str) -> None:
        await getattr(self, what)()

    async def publish(self) -> None:
        self.sender.accept()

    async def to_us(self) -> None:
        if self.sender.wire:
            packet, one = self.sender.wire.popleft()
            if packet == "publish":
                self.side.inbox.arrived(one)
            elif packet == "pubrel":
                self.side.inbox.released(one.packet_id)
            else:
                self.side.inbox.answered()

    async def to_broker(self) -> None:
        if self.side.said:
            self.sender.heard(*self.side.said.pop(0))

    async def take(self) -> None:
        if self._pending is None and (messages := await taken(self.route)) is not None:
            self._pending = Disk(self.disk.stored + len(messages), self.route.position())

    async def store(self) -> None:
        """Durable; and nobody is told yet."""
        if self._pending is not None:
            self.disk = self._pending

    async def done(self) -> None:
        if self._pending is not None:
            await self.store()
            self._pending = None
            self.route.all_done()

    async def fail(self) -> None:
        """The store did not take it."""
        if self._pending is not None and self._pending is not self.disk:
            self._pending = None
            self.route.put_back()

    async def cut(self) -> None:
        self.side.inbox.end(LOST)
        self._connect()

    async def kill(self) -> None:
        self.side.inbox.end(LOST)
        self._start()

    async def finish(self) -> None:
        for _ in range(2000):
            if self.sender.idle:
                return
            for what in ("to_us", "take", "done", "to_broker"):
                await self.step(what)
        raise AssertionError("it does not come to rest")


ONWARD = ["publish", "to_us", "to_broker", "take", "done"]
STEPS = st.lists(  # more of what leads on, or nothing ever comes to its end
    st.sampled_from([*3 * ONWARD, "store", "fail", "cut", "kill"]), min_size=60, max_size=200
)


def stored_and_accepted(sender: Sender, steps: list[str], *, before: int) -> tuple[int, int]:
    """How many messages there are on either side in the end; `before` come first, undisturbed."""

    async def live() -> tuple[int, int]:
        world = World(sender)
        for _ in range(before):
            await world.publish()
        await world.finish()
        for what in steps:
            await world.step(what)
        await world.finish()
        world.side.inbox.end(LOST)
        return world.disk.stored, sender.accepted

    return asyncio.run(live())


@given(st.integers(1, 3), STEPS)
@settings(max_examples=300, deadline=None)
def test_messages_that_all_look_the_same_are_stored_once_each(identifiers, steps) -> None:
    sender = Sender(identifiers, forgetful=False)
    stored, accepted = stored_and_accepted(sender, steps, before=identifiers + 1)
    assert stored == accepted


@given(STEPS)
@settings(max_examples=300, deadline=None)
def test_also_when_the_broker_forgets_what_it_has_released(steps) -> None:
    stored, accepted = stored_and_accepted(Sender(1000, forgetful=True), steps, before=0)
    assert stored == accepted
