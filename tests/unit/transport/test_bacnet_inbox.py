"""The inbox of a BACnet source: bounded, in order, and what is lost is said."""

from __future__ import annotations

import asyncio

from gl002.model import Quality, Sample
from gl002.transport.bacnet.inbox import Inbox


async def test_samples_come_out_in_order_and_at_once() -> None:
    inbox = Inbox()
    inbox.put([Sample("a", 1, 10), Sample("b", 2, 11)])
    inbox.put([Sample("a", 3, 12)])
    assert [s.value for s in await inbox.take()] == [1, 2, 3]
    waiting = asyncio.create_task(inbox.take())
    await asyncio.sleep(0)
    inbox.put([Sample("a", 4, 13)])
    assert [s.value for s in await waiting] == [4]


async def test_a_full_inbox_gives_up_the_oldest_and_says_so_before_the_next_of_its_tag() -> None:
    inbox = Inbox(most=2)
    inbox.put([Sample("a", 1, 10_000), Sample("b", 2, 11_000), Sample("a", 3, 12_000)])
    batch = await inbox.take()
    assert [(s.tag, s.value) for s in batch] == [("b", 2), ("a", None), ("a", 3)]
    assert batch[1].quality == Quality.BAD_DATA_LOST
    assert batch[1].time < batch[2].time
    assert (inbox.lost(), inbox.lost()) == (1, 0)


async def test_putting_nothing_lets_the_taker_look_around() -> None:
    inbox = Inbox()
    inbox.put([])
    assert await inbox.take() == []
