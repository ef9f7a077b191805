"""QoS 2 into a store: once each, whatever is lost on the way and whenever we are killed."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.errors import ConnectFailed
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.route import Route

LOST = ConnectFailed("the link is cut")


def message(number: int, topic: str = "a", *, dup: bool = False, text: str = "x") -> Message:
    return Message(topic=topic, payload=text.encode(), qos=2, duplicate=dup, packet_id=number)


class Side:
    """Our side of a connection: what it says to the broker."""

    def __init__(self) -> None:
        self.said: list[tuple[str, int]] = []
        self.inbox = Inbox(logging.getLogger("gl002.mqtt"))

    @property
    def received(self) -> list[int]:
        return [number for packet, number in self.said if packet == "pubrec"]

    @property
    def completed(self) -> list[int]:
        return [number for packet, number in self.said if packet == "pubcomp"]

    def _ask(self) -> None:
        self.said.append(("ping", 0))
        self.inbox.asked()

    def connect(self, *, broker: str = "broker", session_present: bool = True) -> None:
        self.inbox.begin(
            broker=broker,
            acknowledge=lambda m: self.said.append(("pubrec", m.packet_id)),
            complete=lambda number: self.said.append(("pubcomp", number)),
            resume=lambda: None,
            ask=self._ask,
            session_present=session_present,
        )

    def route(self, *filters: str, lasting: bool = True) -> Route:
        made = Route(self.inbox, filters or ("a",), 10, lasting=lasting)
        self.inbox.add(made)
        return made


@pytest.fixture
async def side():
    made = Side()
    made.connect()
    yield made
    made.inbox.end(LOST)


async def taken(route: Route) -> list[Message] | None:
    """What is taken at once; None where a reader would wait."""
    taking = asyncio.ensure_future(route.take(through_outages=True))
    await asyncio.sleep(0)
    if taking.done():
        return taking.result()
    taking.cancel()
    await asyncio.wait([taking])
    return None


async def test_pubrec_waits_for_the_store_and_pubcomp_for_what_is_forgotten(side) -> None:
    route = side.route()
    side.inbox.arrived(message(1))
    assert len(await taken(route)) == 1
    assert side.received == []
    route.all_done()
    assert side.received == [1]
    side.inbox.released(1)
    assert side.completed == []
    assert await taken(route) == []
    assert route.forgets
    assert side.completed == []
    route.all_done()
    assert side.completed == [1]
    assert await taken(route) is None


async def test_what_is_repeated_before_it_is_released_is_answered_and_not_taken(side) -> None:
    route = side.route()
    side.inbox.arrived(message(1))
    side.inbox.arrived(message(1, dup=True))
    side.inbox.arrived(message(1))
    assert len(await taken(route)) == 1
    route.all_done()
    assert side.received == [1]
    for connection in range(3):
        side.inbox.end(LOST)
        side.connect()
        side.inbox.arrived(message(1, dup=connection != 1))
        assert await taken(route) is None
    assert side.received == [1, 1, 1, 1]


async def test_the_same_identifier_and_content_is_new_when_it_was_released(side) -> None:
    route = side.route()
    for number in range(1, 4):
        side.inbox.arrived(message(1))
        assert len(await taken(route)) == 1
        route.all_done()
        side.inbox.released(1)
        await taken(route)
        route.all_done()
        assert side.completed == [1] * number


async def test_a_release_that_nobody_remembers_is_answered_at_once(side) -> None:
    route = side.route()
    assert await taken(route) is None
    side.inbox.released(7)
    assert side.completed == [7]


async def test_a_memory_that_ends_with_us_forgets_at_once(side) -> None:
    route = side.route(lasting=False)
    side.inbox.arrived(message(1))
    assert len(await taken(route)) == 1
    route.all_done()
    side.inbox.released(1)
    assert side.completed == [1]
    side.inbox.arrived(message(1))
    assert len(await taken(route)) == 1


async def test_a_release_waits_for_every_reader_that_remembers(side) -> None:
    one, other, third = side.route("a/+"), side.route("a/#"), side.route("b")
    assert await taken(third) is None
    side.inbox.arrived(message(1, "a/b"))
    for route in (one, other):
        await taken(route)
        route.all_done()
    assert side.received == [1]
    side.inbox.released(1)
    for route in (one, other):
        assert side.completed == []
        await taken(route)
        route.all_done()
    assert side.completed == [1]


async def test_a_reader_that_goes_keeps_no_release_waiting(side) -> None:
    route = side.route()
    side.inbox.arrived(message(1))
    await taken(route)
    route.all_done()
    side.inbox.released(1)
    side.inbox.remove(route)
    assert side.completed == [1]


async def test_a_release_that_comes_before_the_memory_is_there_waits_for_it(side) -> None:
    """The broker is quick, and the reader has not been told its position yet."""
    before = side.route()
    side.inbox.arrived(message(1))
    await taken(before)
    position = before.position()
    before.all_done()
    side.inbox.end(LOST)
    side.inbox.remove(before)
    side.connect()
    late = side.route()
    side.inbox.released(1)
    assert side.completed == []
    late.resume(position)
    assert await taken(late) == []
    assert late.position() != position
    late.all_done()
    assert side.completed == [1]


async def test_a_release_that_is_not_kept_comes_again(side) -> None:
    route = side.route()
    side.inbox.arrived(message(1))
    await taken(route)
    route.all_done()
    side.inbox.released(1)
    await taken(route)
    route.put_back()
    assert not route.forgets
    assert await taken(route) == []
    side.inbox.end(LOST)
    route.put_back()
    side.connect()
    assert await taken(route) is None, "the broker says so again"
    side.inbox.arrived(message(1, dup=True))
    assert await taken(route) is None, "it is still known"


async def test_another_broker_s_identifiers_neither_release_nor_repeat(side) -> None:
    route = side.route()
    side.inbox.arrived(message(1))
    await taken(route)
    route.all_done()
    side.inbox.end(LOST)
    side.connect(broker="another")
    side.inbox.released(1)
    side.inbox.arrived(message(1))
    assert len(await taken(route)) == 1, "it looks the same, and is the other broker's first"
    route.all_done()
    side.inbox.end(LOST)
    side.connect()
    side.inbox.arrived(message(1, dup=True))
    assert await taken(route) is None


async def test_what_was_stored_after_the_session_was_forgotten_hides_no_new_message(side) -> None:
    route = side.route()
    side.inbox.arrived(message(1))
    await taken(route)
    side.inbox.end(LOST)
    side.connect(session_present=False)
    route.all_done()
    side.inbox.arrived(message(1))
    assert len(await taken(route)) == 1


async def test_what_comes_again_though_it_was_released_is_known_when_it_comes_not_when_taken(
    side,
) -> None:
    """The broker answers our question behind it while the reader is still busy."""
    route = side.route()
    for number in (1, 2):
        side.inbox.arrived(message(number))
    await taken(route)
    route.all_done()
    for number in (1, 2):
        side.inbox.released(number)
    await taken(route)
    route.all_done()
    side.inbox.end(LOST)
    side.said.clear()
    side.connect()
    assert side.said == [("ping", 0)]
    side.inbox.arrived(message(1, dup=True))
    side.inbox.answered()
    assert await taken(route) is None
    side.inbox.arrived(message(2, dup=True))
    assert len(await taken(route)) == 1, "the answer said that this one would not come again"


# ---- a broker that keeps to the specification, and everything else that can happen --------------


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
