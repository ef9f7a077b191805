"""The durable store when it is killed, its disk is full or its files are damaged."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from gl002.config.sections import StoreSettings
from gl002.errors import BufferFull
from gl002.flow.store import Store
from unit.flow.stored_samples import MIB, SMALL, fill, samples, taken


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
