"""The durable store: what is accepted is kept, in order, for every output, whatever happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from gl002.config.sections import StoreSettings
from gl002.errors import BufferFull, DataError, GL002Error
from gl002.flow.log import StoreInUse
from gl002.flow.store import Store
from gl002.model import Quality, Sample, is_bad

MIB = 1024 * 1024
SMALL = StoreSettings(max_bytes=4 * MIB, segment_bytes=1 * MIB, commit_interval=0)


def samples(first: int, count: int, tag: str = "b1.counter") -> list[Sample]:
    return [Sample(tag, i, 1_000 + i) for i in range(first, first + count)]


async def fill(store: Store, total: int = 0) -> None:
    """Put counters until the store refuses."""
    while total < 5_000_000:
        await store.put(samples(total, 2000))
        total += 2000


async def taken(store: Store, output: str, limit: int = 1000) -> list[int]:
    """Every value an output has still to deliver, taken in leases of `limit`."""
    values: list[int] = []
    while store.pending(output):
        async with store.lease(output, limit) as lease:
            values += [s.value for s in lease.batch]
    return values


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


async def test_a_damaged_segment_is_set_aside_and_the_rest_is_delivered(tmp_path):
    store = Store(tmp_path, SMALL)
    await store.open(["a"])
    total = 0
    while store.stats().segments < 3:
        await store.put(samples(total, 2000))
        total += 2000
    segments = [s.path for s in store._log.segments]
    await store.close()
    with segments[1].open("r+b") as file:
        file.seek(0)
        file.write(os.urandom(4096))
    store = Store(tmp_path, SMALL)
    await store.open(["a"])
    values = await taken(store, "a", limit=5000)
    starts = [int(p.stem) for p in segments]
    assert values == [*range(starts[1]), *range(starts[2], total)]
    assert store.stats().lost == starts[2] - starts[1]
    assert (tmp_path / "quarantine" / segments[1].name).exists()
    await store.close()


async def test_a_flipped_bit_costs_the_batch_it_is_in_and_is_counted(tmp_path):
    store = Store(tmp_path, StoreSettings(commit_interval=0))
    await store.open(["a"])
    for i in range(10):
        await store.put(samples(i * 10, 10))
    await store.close()
    (segment,) = tmp_path.glob("*.segment")
    with sqlite3.connect(segment) as db:
        data = bytearray(db.execute("SELECT data FROM batch WHERE start = 50").fetchone()[0])
        data[len(data) // 2] ^= 1
        db.execute("UPDATE batch SET data = ? WHERE start = 50", (bytes(data),))
    db.close()
    store = Store(tmp_path)
    await store.open(["a"])
    assert await taken(store, "a") == [*range(50), *range(60, 100)]
    assert store.stats().lost == 10
    await store.close()


async def test_the_end_of_the_store_never_moves_back_behind_an_output(tmp_path):
    store = Store(tmp_path)
    await store.open(["a"])
    await store.put(samples(0, 10))
    await taken(store, "a")
    await store.close()
    for segment in tmp_path.glob("*.segment*"):
        segment.unlink()
    store = Store(tmp_path)
    await store.open(["a"])
    await store.put(samples(10, 5))
    assert await taken(store, "a") == list(range(10, 15))
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


async def test_a_segment_that_breaks_while_it_is_written_costs_no_batch_behind_it(tmp_path):
    store = Store(tmp_path, StoreSettings(commit_interval=0))
    await store.open(["a"])
    await store.put(samples(0, 10))
    (segment,) = store._log.segments
    segment.close()
    for file in tmp_path.glob("*.segment*"):
        file.write_bytes(os.urandom(8192))
    with pytest.raises(BufferFull):  # comes again
        await store.put(samples(10, 10))
    await store.put(samples(10, 10))
    assert [v for v in await taken(store, "a") if v >= 10] == list(range(10, 20))
    await store.close()
    store = Store(tmp_path)
    await store.open(["a"])
    await store.put(samples(20, 1))
    assert await taken(store, "a") == [20]
    await store.close()


async def test_a_fault_while_committing_is_told_to_all_who_wait_and_the_next_is_taken(
    tmp_path, monkeypatch
):
    store = Store(tmp_path, StoreSettings(commit_interval=0))
    await store.open(["a"])
    append = store._retention.append
    faults = [ValueError("a fault of ours")]

    def faulty(records):
        if faults:
            raise faults.pop()
        return append(records)

    monkeypatch.setattr(store._retention, "append", faulty)
    with pytest.raises(ValueError, match="a fault of ours"):
        await store.put(samples(0, 5))
    async with asyncio.timeout(30):
        await store.put(samples(0, 5))
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


WRITER = """
import asyncio, os, sys
from pathlib import Path
from gl002.config.sections import StoreSettings
from gl002.flow.store import Store
from gl002.model import Sample

async def main():
    settings = StoreSettings(max_bytes=64 << 20, segment_bytes=1 << 20, commit_interval=0.001)
    store = Store(Path(sys.argv[1]), settings)
    await store.open(["a"])
    n = int(sys.argv[2])
    while True:
        await store.put([Sample("t", n + i, n + i) for i in range(20)])
        n += 20
        os.write(1, b"%d\\n" % n)

asyncio.run(main())
"""


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_no_accepted_sample_is_lost_when_the_process_is_killed_at_any_moment(tmp_path):
    """Twenty kills; what the writer reported as accepted is there afterwards, without a hole."""
    accepted = 0
    for kill in range(20):
        child = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), str(accepted)], stdout=subprocess.PIPE
        )
        assert child.stdout is not None
        wanted = accepted + 20 * (3 + 17 * kill)
        for line in child.stdout:
            accepted = int(line)
            if accepted >= wanted:
                break
        child.kill()
        rest = child.stdout.read().split(b"\n")[:-1]
        accepted = int(rest[-1]) if rest else accepted
        child.stdout.close()
        child.wait()
        store = Store(tmp_path)
        await store.open(["check"] if kill else ["check", "a"])
        end = store.stats().accepted
        await store.close()
        assert end >= accepted, "an accepted batch is missing"
        accepted = end
    store = Store(tmp_path)
    await store.open(["a"])
    assert await taken(store, "a", limit=5000) == list(range(accepted))
    await store.close()


@pytest.mark.slow
async def test_a_full_disk_drains(tmp_path):
    """On a file system of 8 MiB: puts are refused at last, but delivering frees the space."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8m", "none", disk], check=False
    ).returncode:
        pytest.fail("needs the right to mount a small file system (root)")
    try:
        settings = StoreSettings(
            max_bytes=1 << 30, segment_bytes=1 << 20, commit_interval=0, on_full="refuse"
        )
        store = Store(disk, settings)
        await store.open(["a"])
        with pytest.raises(BufferFull):
            await fill(store)
        total = store.stats().accepted
        assert shutil.disk_usage(disk).free < MIB
        values: list[int] = []
        for _ in range(3):
            async with store.lease("a", 100_000) as lease:
                values += [s.value for s in lease.batch]
        await asyncio.sleep(0.1)
        await store.put(samples(total, 100))
        values += await taken(store, "a", limit=50_000)
        assert values == list(range(total + 100))
        await store.close()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_the_writer_script_names_real_things():
    compile(WRITER, "writer", "exec")
    assert Path(sys.executable).exists()
