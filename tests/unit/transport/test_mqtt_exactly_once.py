"""QoS 2 into a store: what is answered when, and what is known when it comes again."""

from __future__ import annotations

import pytest

from unit.transport.exactly_once_side import LOST, Side, message, taken


@pytest.fixture
async def side():
    made = Side()
    made.connect()
    yield made
    made.inbox.end(LOST)


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
