import asyncio

import pytest

from gl002.transport.modbus.turns import Turns


async def queued(turns, order, names):
    """Tasks that wait for their turn, in this order; 'w...' are urgent."""

    async def work(name):
        await turns.acquire(urgent=name.startswith("w"))
        order.append(name)
        await asyncio.sleep(0)
        turns.release()

    tasks = [asyncio.create_task(work(name)) for name in names]
    await asyncio.sleep(0)
    return tasks


async def served(*names):
    """In which order they had their turn, all having waited."""
    turns, order = Turns(), []
    assert turns.at_once()
    tasks = await queued(turns, order, names)
    turns.release()
    await asyncio.gather(*tasks)
    assert turns.at_once(), "nobody has it in the end"
    return order


async def test_a_free_line_is_taken_at_once_and_only_once():
    turns = Turns()
    assert turns.at_once()
    assert not turns.at_once()
    turns.release()
    await turns.acquire()
    assert not turns.at_once()


async def test_reads_are_served_as_they_came():
    assert await served("r1", "r2", "r3") == ["r1", "r2", "r3"]


async def test_writes_go_ahead_of_reads():
    assert await served("r1", "r2", "w1", "r3", "w2") == ["w1", "w2", "r1", "r2", "r3"]


async def test_after_four_writes_a_read_has_its_turn():
    writes = [f"w{i}" for i in range(10)]
    order = await served("r1", "r2", *writes)
    assert order[:10] == ["w0", "w1", "w2", "w3", "r1", "w4", "w5", "w6", "w7", "r2"]


@pytest.mark.parametrize("cancelled", [0, 1, 2])
async def test_who_gives_up_waiting_holds_up_nobody(cancelled):
    turns, order = Turns(), []
    assert turns.at_once()
    tasks = await queued(turns, order, ["r1", "w1", "r2"])
    tasks[cancelled].cancel()
    turns.release()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert len(order) == 2
    assert turns.at_once()


async def test_a_turn_that_comes_in_the_moment_of_giving_up_is_passed_on():
    turns, order = Turns(), []
    assert turns.at_once()
    first, second = await queued(turns, order, ["r1", "r2"])
    turns.release()  # r1 has it, and does not know yet
    first.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    assert order == ["r2"]
    assert turns.at_once()
