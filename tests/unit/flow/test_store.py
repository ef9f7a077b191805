"""The durable store: what is accepted is kept, in order, for every output."""

from __future__ import annotations

import asyncio
import threading

import pytest

from gl002.config.sections import StoreSettings
from gl002.errors import BufferFull, DataError, GL002Error
from gl002.flow.log import StoreInUse
from gl002.flow.store import Store
from gl002.model import Quality, Sample, is_bad
from unit.flow.stored_samples import SMALL, fill, samples, taken


async def test_what_is_put_comes_out_in_order_for_every_output(tmp_path):
    store = Store(tmp_path)
    await store.open(["a", "b"])
    await asyncio.gather(*(store.put(samples(i * 10, 10)) for i in range(20)))
    assert await taken(store, "a", limit=7) == list(range(200))
    assert await taken(store, "b", limit=1000) == list(range(200))
    await store.close()


async def test_what_is_accepted_survives_a_restart_and_what_is_passed_does_not_come_again(tmp_path):
    store = Store(tmp_path)
    await store.open(["a"])
    await store.put(samples(0, 100))
    async with store.lease("a", 30):
        pass
    await store.close()
    store = Store(tmp_path)
    await store.open(["a"])
    assert await taken(store, "a") == list(range(30, 100))
    await store.close()


async def test_a_lease_left_by_an_error_keeps_its_samples(tmp_path):
    store = Store(tmp_path)
    await store.open(["a"])
    await store.put(samples(0, 10))
    with pytest.raises(ZeroDivisionError):
        async with store.lease("a", 5):
            1 / 0  # noqa: B018
    assert await taken(store, "a") == list(range(10))
    await store.close()


async def test_a_new_output_begins_with_the_next_sample(tmp_path):
    store = Store(tmp_path)
    await store.open(["a"])
    await store.put(samples(0, 10))
    await store.close()
    store = Store(tmp_path)
    await store.open(["a", "late"])
    await store.put(samples(10, 5))
    assert await taken(store, "late") == list(range(10, 15))
    assert await taken(store, "a") == list(range(15))
    await store.close()


async def test_a_dead_output_does_not_keep_another_from_passing_on(tmp_path):
    store = Store(tmp_path, SMALL)
    await store.open(["alive", "dead"])
    await store.put(samples(0, 1000))
    assert len(await taken(store, "alive")) == 1000
    assert store.pending("dead") == 1000
    await store.close()


async def test_the_position_of_a_source_is_kept_with_its_last_batch_over_segments(tmp_path):
    store = Store(tmp_path, SMALL)
    await store.open(["a"])
    await store.put(samples(0, 1), source="mqtt", position=b"first")
    for i in range(60):
        await store.put(samples(i * 1000, 1000), source="opc_ua")
        await taken(store, "a", limit=5000)
    await store.put(samples(0, 1), source="other", position=b"x")
    assert store.stats().segments < 4, "delivered segments are removed"
    await store.close()
    store = Store(tmp_path, SMALL)
    await store.open(["a"])
    assert store.position("mqtt") == b"first"
    assert store.position("other") == b"x"
    assert store.position("opc_ua") == b""
    await store.close()


def test_a_store_that_is_not_open_yet_can_be_asked_how_it_stands(tmp_path):
    """A live table is drawn from the first moment on, on a machine that has no folder yet."""
    store = Store(tmp_path / "new" / "store")
    assert store.pending("a") == 0
    assert store.stats().accepted == 0
    assert store.stats().free > 0


async def test_a_second_gateway_on_the_same_store_is_refused(tmp_path):
    store = Store(tmp_path)
    await store.open(["a"])
    with pytest.raises(StoreInUse, match="another gateway"):
        await Store(tmp_path).open(["a"])
    await store.close()
    again = Store(tmp_path)
    await again.open(["a"])
    await again.close()


async def test_a_store_that_could_not_be_opened_can_be_once_the_cause_is_gone(tmp_path):
    """In the same process: a file that cannot be read now leaves the folder unlocked."""
    unreadable = tmp_path / "00000000000000000000.segment"
    unreadable.mkdir()
    store = Store(tmp_path)
    with pytest.raises(GL002Error, match=rf"{unreadable}: cannot be read"):
        await store.open(["a"])
    unreadable.rmdir()
    other = Store(tmp_path)
    await other.open(["a"])
    await other.close()


async def test_a_full_store_gives_up_the_oldest_and_says_so_to_whoever_misses_it(tmp_path):
    store = Store(tmp_path, SMALL)
    await store.open(["fast", "stuck"])
    total, fast = 0, []
    while store.stats().dropped == 0:
        await store.put(samples(total, 2000))
        total += 2000
        fast += await taken(store, "fast", limit=5000)
        assert total < 1_000_000, "never full"
    assert store.stats().bytes <= SMALL.max_bytes + SMALL.segment_bytes
    assert fast == list(range(total)), "the output in step misses nothing and hears of no gap"
    dropped = store.stats().dropped
    rest: list[Sample] = []
    while store.pending("stuck"):
        async with store.lease("stuck", 5000) as lease:
            rest += lease.batch
    gaps = [s for s in rest if s.quality == Quality.BAD_DATA_LOST]
    assert [(g.tag, g.value, g.time) for g in gaps] == [("b1.counter", None, 1_000)]
    values = [s.value for s in rest if not is_bad(s.quality)]
    assert values == list(range(dropped, total)), "the rest is whole and in order"
    await store.close()


async def test_a_store_told_to_refuse_keeps_everything_and_takes_again_once_there_is_room(tmp_path):
    settings = SMALL.model_copy(update={"on_full": "refuse"})
    store = Store(tmp_path, settings)
    await store.open(["a"])
    with pytest.raises(BufferFull, match="limit of"):
        await fill(store)
    total = store.stats().accepted
    assert await taken(store, "a", limit=5000) == list(range(total))
    await store.put(samples(total, 10))
    assert await taken(store, "a") == list(range(total, total + 10))
    assert store.stats().dropped == 0
    await store.close()


async def test_a_value_that_cannot_be_stored_is_refused_alone(tmp_path):
    store = Store(tmp_path)
    await store.open(["a"])
    with pytest.raises(DataError, match="cannot be stored"):
        await store.put([Sample("t", 2**70, 1)], source="s")
    assert not store.takes(Sample("t", "\ud800", 1))
    await store.put(samples(0, 1))
    assert await taken(store, "a") == [0]
    await store.close()


async def test_closing_commits_what_waits(tmp_path):
    store = Store(tmp_path, StoreSettings(commit_interval=0.2))
    await store.open(["a"])
    putting = asyncio.create_task(store.put(samples(0, 5)))
    await asyncio.sleep(0)
    await store.close()
    await putting
    store = Store(tmp_path)
    await store.open(["a"])
    assert await taken(store, "a") == list(range(5))
    await store.close()


async def test_closing_waits_for_a_commit_that_has_begun(tmp_path):
    """Who put the batch must not hear that it was cancelled while it goes to the disk."""
    store = Store(tmp_path, StoreSettings(commit_interval=0))
    await store.open(["a"])
    go_on = threading.Event()
    store._thread.submit(go_on.wait)  # a slow disk
    putting = asyncio.create_task(store.put(samples(0, 5)))
    await asyncio.sleep(0.05)
    closing = asyncio.create_task(store.close())
    await asyncio.sleep(0.05)
    go_on.set()
    await closing
    await putting
    store = Store(tmp_path)
    await store.open(["a"])
    assert await taken(store, "a") == list(range(5))
    await store.close()


async def test_the_size_is_told_while_files_come_and_go(tmp_path):
    """A status is asked for from another thread than the one that seals and removes segments."""
    store = Store(tmp_path)
    await store.open(["a"])
    await store.put(samples(0, 5))
    beside = tmp_path / f"{store._log.segments[0].path.name}-journal"
    over = threading.Event()

    def come_and_go() -> None:
        while not over.is_set():
            beside.touch()
            beside.unlink()

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        for _ in range(3000):
            assert store.stats().bytes > 0
    finally:
        over.set()
        thread.join()
    await store.close()
