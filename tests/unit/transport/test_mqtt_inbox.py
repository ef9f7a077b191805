"""The inbox: acknowledged in order, repeated messages known again, bounded, nothing forgotten."""

from __future__ import annotations

import asyncio
import logging

import pytest

from gl002.errors import ConnectFailed
from gl002.transport.mqtt import inbox as module
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.route import Route

LOST = ConnectFailed("the link is cut")


def message(
    number: int, topic: str = "a", *, qos: int = 1, dup: bool = False, text: str = ""
) -> Message:
    payload = (text or f"payload {number}").encode()
    return Message(
        topic=topic, payload=payload, qos=qos, duplicate=dup, packet_id=number if qos else 0
    )


class Broker:
    """The other end of an inbox: what was acknowledged, and how often there was room again."""

    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.completed: list[int] = []
        self.resumed = self.asked = 0
        self.inbox = Inbox(logging.getLogger("gl002.mqtt"))

    def connect(self, *, session_present: bool = True) -> None:
        self.inbox.begin(
            acknowledge=lambda m: self.acknowledged.append(m.packet_id),
            complete=self.completed.append,
            resume=self._resume,
            ask=self._ask,
            session_present=session_present,
        )

    def _ask(self) -> None:
        self.asked += 1
        self.inbox.asked()

    def _resume(self) -> None:
        self.resumed += 1

    def route(self, *filters: str, remembered: int = 10) -> Route:
        made = Route(self.inbox, filters or ("a",), remembered)
        self.inbox.add(made)
        return made

    def send(self, *messages: Message) -> None:
        for one in messages:
            self.inbox.arrived(one)


@pytest.fixture
async def broker():
    made = Broker()
    made.connect()
    yield made
    made.inbox.end(LOST)


def numbers(messages: list[Message]) -> list[int]:
    return [m.packet_id for m in messages]


async def test_messages_are_taken_in_order_and_acknowledged_when_done(broker) -> None:
    route = broker.route()
    broker.send(message(1), message(2), message(3))
    assert numbers(await route.take()) == [1, 2, 3]
    assert broker.acknowledged == []
    route.all_done()
    assert broker.acknowledged == [1, 2, 3]


async def test_acknowledgements_keep_the_order_of_arrival_over_all_routes(broker) -> None:
    slow, fast = broker.route("slow"), broker.route("fast")
    broker.send(message(1, "slow"), message(2, "fast"), message(3, "fast"))
    await fast.take()
    fast.all_done()
    assert broker.acknowledged == []
    await slow.take()
    slow.all_done()
    assert broker.acknowledged == [1, 2, 3]


async def test_a_message_for_two_routes_is_acknowledged_when_both_are_done(broker) -> None:
    one, other = broker.route("a/+"), broker.route("a/#")
    broker.send(message(1, "a/b"))
    (first,) = await one.take()
    (second,) = await other.take()
    assert first is second
    one.all_done()
    assert broker.acknowledged == []
    other.all_done()
    assert broker.acknowledged == [1]


async def test_what_was_done_is_not_taken_again_when_it_is_repeated(broker) -> None:
    route = broker.route()
    broker.send(message(1), message(2))
    await route.take()
    route.all_done()
    broker.inbox.end(LOST)
    broker.connect()
    broker.send(message(1, dup=True), message(2, dup=True), message(3))
    assert numbers(await route.take()) == [3]
    assert broker.acknowledged == [1, 2, 1, 2]


async def test_what_was_not_done_is_taken_again(broker) -> None:
    route = broker.route()
    broker.send(message(1), message(2))
    await route.take()
    broker.inbox.end(LOST)
    route.put_back()
    with pytest.raises(ConnectFailed, match="cut"):
        await route.take()
    broker.connect()
    broker.send(message(1, dup=True), message(2, dup=True))
    assert numbers(await route.take()) == [1, 2]


async def test_a_message_done_after_the_connection_ended_is_known_on_the_next(broker) -> None:
    route = broker.route()
    broker.send(message(1))
    await route.take()
    broker.inbox.end(LOST)
    route.all_done()
    assert broker.acknowledged == []
    broker.connect()
    broker.send(message(1, dup=True), message(2))
    assert numbers(await route.take()) == [2]
    route.all_done()
    assert broker.acknowledged == [1, 2]


@pytest.mark.parametrize(
    "repeat",
    [
        message(1, text="another"),
        message(1, text="another", dup=True),
        message(1, dup=False),
        message(2, text="payload 1", dup=True),
    ],
)
async def test_only_the_same_message_repeated_is_left_out(broker, repeat) -> None:
    route = broker.route()
    broker.send(message(1))
    await route.take()
    route.all_done()
    broker.send(repeat)
    assert await route.take() == [repeat]


async def test_an_identifier_used_for_a_new_message_is_no_longer_known(broker) -> None:
    route = broker.route()
    broker.send(message(1))
    await route.take()
    route.all_done()
    broker.send(message(1))  # the same content, but new: not flagged as a repeat
    broker.inbox.end(LOST)
    broker.connect()
    broker.send(message(1, dup=True))
    assert numbers(await route.take()) == [1]


async def test_a_new_session_of_the_broker_makes_known_messages_unknown(broker) -> None:
    route = broker.route()
    broker.send(message(1))
    await route.take()
    route.all_done()
    broker.inbox.end(LOST)
    broker.connect(session_present=False)
    broker.send(message(1, dup=True))
    assert numbers(await route.take()) == [1]


async def test_a_repeat_on_the_same_connection_is_ignored_while_it_is_dealt_with(broker) -> None:
    route = broker.route()
    broker.send(message(1), message(1, dup=True))
    assert len(await route.take()) == 1
    route.all_done()
    assert broker.acknowledged == [1]


async def test_what_is_put_back_comes_first(broker) -> None:
    route = broker.route()
    broker.send(message(1), message(2))
    await route.take()
    broker.send(message(3))
    route.put_back()
    assert numbers(await route.take()) == [1, 2, 3]


async def test_qos_0_outlives_the_connection_and_is_never_acknowledged(broker) -> None:
    route = broker.route()
    broker.send(message(0, qos=0), message(1))
    broker.inbox.end(LOST)
    (kept,) = await route.take()
    assert kept.qos == 0
    route.all_done()
    assert broker.acknowledged == []


async def test_a_reader_can_wait_through_an_outage(broker) -> None:
    route = broker.route()
    taking = asyncio.create_task(route.take(through_outages=True))
    await asyncio.sleep(0)
    broker.inbox.end(LOST)
    await asyncio.sleep(0.01)
    assert not taking.done()
    broker.connect()
    broker.send(message(1))
    assert numbers(await taking) == [1]


async def test_a_message_that_comes_before_its_reader_waits_for_it(broker) -> None:
    broker.send(message(1, "a"), message(2, "b"))
    route = broker.route("a")
    assert numbers(await route.take()) == [1]
    assert broker.inbox.unwanted == 0


async def test_what_nobody_wants_is_acknowledged_counted_and_told_once(
    broker, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(module, "_GRACE", 0.02)
    broker.connect()
    broker.send(message(1, "old/topic"), message(2, "old/topic"))
    assert broker.acknowledged == []
    deadline = asyncio.get_running_loop().time() + 30
    while broker.inbox.unwanted < 2 and asyncio.get_running_loop().time() < deadline:
        await asyncio.sleep(0.005)
    broker.send(message(3, "old/topic"))
    assert broker.acknowledged == [1, 2, 3]
    assert broker.inbox.unwanted == 3
    assert [r.getMessage().count("old/topic") for r in caplog.records] == [1]


async def test_a_reader_that_goes_leaves_nothing_unacknowledged(broker) -> None:
    stays, goes = broker.route("b"), broker.route("a")
    broker.send(message(1), message(2, "b"), message(3))
    await goes.take()
    await stays.take()
    stays.all_done()
    broker.inbox.remove(goes)
    broker.inbox.remove(goes)
    assert broker.acknowledged == [1, 2, 3]
    goes.done(message(1))  # its callback returns late: nothing happens
    assert broker.acknowledged == [1, 2, 3]


async def test_a_reader_that_is_replaced_leaves_what_it_was_not_done_with_in_order(broker) -> None:
    old = broker.route()
    broker.send(message(1), message(2))
    await old.take()
    old.put_back()
    new, third = broker.route(), broker.route("b")
    broker.send(message(3), message(4, "b"))
    broker.inbox.retire(old)
    broker.inbox.retire(old)
    assert broker.acknowledged == []
    assert numbers(await new.take()) == [1, 2, 3]
    await third.take()
    third.all_done()
    new.all_done()
    assert broker.acknowledged == [1, 2, 3, 4]
    assert broker.inbox._held == 0


async def test_what_both_got_and_the_one_before_was_done_with_is_not_taken_again(broker) -> None:
    old, new = broker.route(), broker.route()
    broker.send(message(1), message(2))
    await old.take()
    position = old.position()
    old.all_done()
    broker.send(message(3))
    broker.inbox.retire(old)
    new.resume(position)
    assert numbers(await new.take()) == [3]
    new.all_done()
    assert broker.acknowledged == [1, 2, 3]


async def test_what_nobody_takes_over_is_given_up_and_keeps_no_other_waiting(broker) -> None:
    goes, stays = broker.route("a"), broker.route("b")
    broker.send(message(1), message(2, "b"))
    await stays.take()
    stays.all_done()
    assert broker.acknowledged == []
    broker.inbox.retire(goes)
    assert broker.acknowledged == [1, 2]


async def test_reading_pauses_when_too_much_waits_and_goes_on_when_it_is_gone(
    broker, monkeypatch
) -> None:
    monkeypatch.setattr(module, "_MOST_HELD", 3)
    route = broker.route()
    broker.send(*(message(i) for i in (1, 2)))
    assert not broker.inbox.full
    broker.send(message(3))
    assert broker.inbox.full
    await route.take()
    assert broker.inbox.full
    route.all_done()
    assert not broker.inbox.full
    assert broker.resumed == 1


async def test_reading_pauses_when_too_many_bytes_wait(broker, monkeypatch) -> None:
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    route = broker.route()
    broker.send(message(1, text="x" * 1000))
    assert broker.inbox.full
    broker.inbox.end(LOST)
    assert not broker.inbox.full, "what the broker sends again is not held"
    broker.connect()
    broker.send(message(1, text="x" * 1000, dup=True))
    await route.take()
    broker.inbox.end(LOST)
    route.put_back()
    assert not broker.inbox.full


# ---- acknowledgements under way -----------------------------------------------------------------


async def dealt_with(broker: Broker, route: Route, numbers_: range) -> None:
    """One after the other: never more than one is open here, whatever the broker has open."""
    for number in numbers_:
        broker.send(message(number))
        await route.take()
        route.all_done()


async def test_what_the_broker_has_not_said_to_have_worked_through_is_all_remembered(
    broker,
) -> None:
    """Its acknowledgements may lie unread before it when the connection ends."""
    route = broker.route(remembered=5)
    await dealt_with(broker, route, range(1, 41))
    broker.inbox.end(LOST)
    broker.connect()
    broker.send(*(message(number, dup=True) for number in range(1, 41)), message(41))
    assert numbers(await route.take()) == [41]


async def test_the_broker_is_asked_behind_many_acknowledgements_and_its_answer_makes_room(
    broker,
) -> None:
    route = broker.route(remembered=5)
    await dealt_with(broker, route, range(1, 100))
    assert broker.asked == 0, "few may be repeated: they are remembered"
    await dealt_with(broker, route, range(100, 251))
    assert broker.asked == 1, "one question at a time"
    assert len(route.memory.window) == 250
    broker.inbox.answered()
    assert broker.asked == 2, "150 more were acknowledged behind the first question"
    await dealt_with(broker, route, range(251, 252))
    assert len(route.memory.window) == 151, "the first hundred will never come again"
    broker.inbox.answered()
    await dealt_with(broker, route, range(252, 253))
    assert len(route.memory.window) == 5


async def test_an_identifier_used_again_is_not_settled_by_the_answer_to_an_older_question(
    broker,
) -> None:
    route = broker.route(remembered=1)
    await dealt_with(broker, route, range(1, 101))
    broker.send(message(1, text="another"))
    await route.take()
    route.all_done()
    broker.inbox.answered()
    await dealt_with(broker, route, range(200, 210))
    broker.inbox.end(LOST)
    broker.connect()
    broker.send(message(1, text="another", dup=True), message(300))
    assert numbers(await route.take()) == [300]


async def test_an_answer_on_a_new_connection_settles_nothing_of_the_last_one(broker) -> None:
    route = broker.route(remembered=1)
    await dealt_with(broker, route, range(1, 101))
    broker.inbox.end(LOST)
    broker.connect()
    broker.inbox.asked()  # a sign of life that the driver asks for by itself
    broker.inbox.answered()
    broker.send(*(message(number, dup=True) for number in range(1, 101)), message(101))
    assert numbers(await route.take()) == [101]
