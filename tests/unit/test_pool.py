"""The pool: never more than its places, in order of arrival, over threads and loops."""

from __future__ import annotations

import asyncio
import random
import threading
from dataclasses import dataclass, field

import pytest

from gl002.errors import ConfigError, RequestTimeout
from gl002.pool import ConnectionPool


@dataclass(eq=False)
class Connection:
    """Something open, as the pool sees it."""

    pool: ConnectionPool
    name: str = ""
    idle: bool = False
    closed: int = 0
    closing: float = 0.0
    log: list[str] = field(default_factory=list)

    async def step_aside(self) -> None:
        self.closed += 1
        await asyncio.sleep(self.closing)
        self.pool.give(self)

    def ends_its_request(self) -> None:
        self.idle = True
        self.pool.used(self)


def _pool(places: int, names: str) -> tuple[ConnectionPool, list[Connection]]:
    pool = ConnectionPool(max_connections=places)
    return pool, [Connection(pool, name) for name in names]


@pytest.mark.parametrize("places", [0, -1])
def test_a_pool_without_places_is_refused(places: int) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ConnectionPool(max_connections=places)


async def test_a_holder_takes_one_place_however_often_it_asks() -> None:
    pool, (a,) = _pool(2, "a")
    await pool.take(a, timeout=30)
    await pool.take(a, timeout=30)
    assert pool.in_use == 1
    pool.give(a)
    pool.give(a)
    assert pool.in_use == 0


async def test_where_all_are_busy_the_newcomer_waits_and_then_gives_up() -> None:
    pool, (a, b) = _pool(1, "ab")
    await pool.take(a, timeout=30)
    with pytest.raises(RequestTimeout, match=r"all 1 connections .*raise max_conn"):
        await pool.take(b, timeout=0.05)
    assert (pool.in_use, a.closed) == (1, 0)
    pool.give(a)
    await pool.take(b, timeout=30)


async def test_those_who_wait_are_served_in_order_and_nobody_jumps_the_queue() -> None:
    pool, (a, *others) = _pool(1, "abcdef")
    await pool.take(a, timeout=30)
    served: list[str] = []

    async def wait(holder: Connection) -> None:
        await pool.take(holder, timeout=30)
        served.append(holder.name)
        await asyncio.sleep(0)
        pool.give(holder)

    tasks = []
    for holder in others:
        tasks.append(asyncio.create_task(wait(holder)))
        await asyncio.sleep(0)
    pool.give(a)
    await wait(a)  # comes again at once, and has to queue
    await asyncio.gather(*tasks)
    assert "".join(served) == "bcdefa"
    assert pool.in_use == 0


async def test_the_connection_idle_longest_makes_room() -> None:
    pool, (a, b, c, d) = _pool(3, "abcd")
    for holder in (a, b, c):
        await pool.take(holder, timeout=30)
        holder.ends_its_request()
    pool.used(a)  # used again: now b has been idle longest
    await pool.take(d, timeout=30)
    assert [holder.closed for holder in (a, b, c)] == [0, 1, 0]
    assert pool.in_use == 3


async def test_a_busy_connection_makes_room_as_soon_as_it_is_idle() -> None:
    pool, (a, b) = _pool(1, "ab")
    await pool.take(a, timeout=30)
    waiting = asyncio.create_task(pool.take(b, timeout=30))
    await asyncio.sleep(0.01)
    assert (a.closed, waiting.done()) == (0, False)
    a.ends_its_request()
    await asyncio.wait_for(waiting, 30)
    assert a.closed == 1


async def test_a_connection_busy_again_before_it_could_be_closed_is_left_alone() -> None:
    pool, (a, b) = _pool(1, "ab")
    await pool.take(a, timeout=30)
    a.idle = True
    waiting = asyncio.create_task(pool.take(b, timeout=0.1))
    await asyncio.sleep(0)
    a.idle = False
    with pytest.raises(RequestTimeout):
        await waiting
    assert a.closed == 0


async def test_several_newcomers_have_several_idle_connections_closed() -> None:
    pool, holders = _pool(3, "abcdef")
    for holder in holders[:3]:
        holder.closing = 0.01
        await pool.take(holder, timeout=30)
        holder.idle = True
    async with asyncio.timeout(30):
        await asyncio.gather(*(pool.take(holder, timeout=30) for holder in holders[3:]))
    assert [holder.closed > 0 for holder in holders] == [True] * 3 + [False] * 3


async def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    pool, (a, b, c) = _pool(1, "abc")
    await pool.take(a, timeout=30)
    first = asyncio.create_task(pool.take(b, timeout=30))
    second = asyncio.create_task(pool.take(c, timeout=30))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    pool.give(a)
    await asyncio.wait_for(second, 30)
    assert pool.in_use == 1


async def test_who_is_cancelled_just_as_the_place_comes_hands_it_on() -> None:
    pool, (a, b, c) = _pool(1, "abc")
    await pool.take(a, timeout=30)
    first = asyncio.create_task(pool.take(b, timeout=30))
    second = asyncio.create_task(pool.take(c, timeout=30))
    await asyncio.sleep(0)
    pool.give(a)  # the place is b's now
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    await asyncio.wait_for(second, 30)
    assert pool.in_use == 1


def test_a_connection_on_another_loop_is_closed_there() -> None:
    pool, (a, b) = _pool(1, "ab")
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(pool.take(a, timeout=30), loop).result(30)
        a.idle = True
        asyncio.run(pool.take(b, timeout=30))
        assert a.closed == 1
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


def test_a_connection_whose_loop_has_ended_loses_its_place() -> None:
    pool, (a, b) = _pool(1, "ab")
    asyncio.run(pool.take(a, timeout=30))
    a.idle = True
    asyncio.run(pool.take(b, timeout=30))
    assert (pool.in_use, a.closed) == (1, 0)


@pytest.mark.parametrize("seed", range(5))
async def test_never_more_than_its_places_and_everybody_is_served(seed: int) -> None:
    chance = random.Random(seed)
    pool, holders = _pool(3, "abcdefghij")
    most = served = 0

    async def live(holder: Connection) -> None:
        nonlocal most, served
        for _ in range(20):
            holder.idle = False
            try:
                await pool.take(holder, timeout=30 if chance.random() < 0.9 else 0.0005)
            except RequestTimeout:
                continue
            most, served = max(most, pool.in_use), served + 1
            await asyncio.sleep(chance.random() / 1000)
            if chance.random() < 0.5:
                pool.give(holder)
            else:
                holder.ends_its_request()
            await asyncio.sleep(chance.random() / 1000)
        holder.idle = True
        pool.used(holder)

    async with asyncio.timeout(60):
        await asyncio.gather(*(live(holder) for holder in holders))
    for holder in holders:
        pool.give(holder)
    assert most == 3
    assert served > 100
    assert pool.in_use == 0
