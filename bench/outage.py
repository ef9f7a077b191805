"""A database that is away for a day: what 1,000 values a second leave behind, and how it drains.

The samples of all those hours are put into the store while PostgreSQL is stopped, as fast as the
disk takes them: the outage is shortened, what it leaves is not. Then the server starts, and while
the backlog drains a live input goes on with 1,000 values a second. At the end PostgreSQL is asked
whether each sample is there once, and whether each tag was written in the order of its time.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from throughput import _rss as peak_memory

from gl002.config.sections import StoreSettings
from gl002.context import Context
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery
from gl002.flow.hub import Hub
from gl002.flow.store import Store
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.model import Batch, Sample, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.postgresql import PostgreSQL

TAGS, SECOND = 1000, 1_000_000_000
NAMES = [f"boiler{i // 100}.t{i % 100}" for i in range(TAGS)]
SETTINGS = {"destination": "postgresql", "table": "samples"}

COUNT = "SELECT count(*), count(DISTINCT time), min(time), max(time) FROM samples"
DISORDER = """
    SELECT count(*) FROM (
        SELECT time < lag(time) OVER (PARTITION BY tag ORDER BY ctid) AS back FROM samples
    ) AS step WHERE back
"""


def second(number: int, start: int) -> Batch:
    """One sample of every tag."""
    moment = start + number * SECOND
    return [Sample(name, (i + number) * 0.37, moment) for i, name in enumerate(NAMES)]


async def fill(store: Store, seconds: int, start: int) -> None:
    """Put the samples of the outage, five seconds at a time."""
    began = time.monotonic()
    for number in range(0, seconds, 5):
        batch = [s for n in range(number, min(number + 5, seconds)) for s in second(n, start)]
        await store.put(batch)
        if number % 3600 == 0:
            print(f"  {number // 3600} h put", end="\r", file=sys.stderr, flush=True)
    elapsed = time.monotonic() - began
    print(
        f"put while the server was away   {seconds * TAGS:>12,} samples, "
        f"{seconds * TAGS / elapsed:,.0f}/s, {store.stats().bytes / 2**20:,.0f} MiB on disk"
    )


async def live(store: Store, seconds: int, start: int, enough: asyncio.Event) -> tuple[int, float]:
    """Go on with one sample of each tag a second; returns how often, and the slowest put."""
    number, slowest, due = seconds, 0.0, time.monotonic()
    while not enough.is_set():
        began = time.monotonic()
        await store.put(second(number, start))
        slowest = max(slowest, time.monotonic() - began)
        number += 1
        due += 1.0
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return number - seconds, slowest


async def drained(delivery: Delivery, total: int) -> float:
    """Wait until the samples of the outage are delivered; returns the seconds it took."""
    began = shown = time.monotonic()
    while (status := delivery.status()).delivered < total:
        await asyncio.sleep(0.2)
        if time.monotonic() - shown > 10:
            shown = time.monotonic()
            print(f"  {status.delivered:,} of {total:,}", end="\r", file=sys.stderr, flush=True)
    return time.monotonic() - began


async def run(folder: Path, hours: float) -> None:
    seconds = int(hours * 3600)
    start = now_ns() // SECOND * SECOND - seconds * SECOND
    server = PostgreSQL()
    server.start()
    context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
    connector = AsyncPostgreSQLConnector(server.config, context=context)
    settings = connector.Output.parse(SETTINGS)
    store = Store(folder / "store", StoreSettings(max_bytes=1 << 40))
    await store.open(["postgresql"])
    letters = DeadLetters(folder / "letters.sqlite")
    delivery = Delivery(
        "postgresql", connector.sink(settings), settings, store=store, letters=letters, hub=Hub()
    )
    server.kill()
    try:
        delivering = asyncio.create_task(delivery.run())
        await fill(store, seconds, start)
        assert delivery.status().delivered == 0
        server.start()
        enough = asyncio.Event()
        living = asyncio.create_task(live(store, seconds, start, enough))
        took = await drained(delivery, seconds * TAGS)
        enough.set()
        more, slowest = await living
        total = (seconds + more) * TAGS
        caught_up = await drained(delivery, total)
        delivery.drain()
        await delivering
        print(
            f"drained                         {seconds * TAGS / took:>12,.0f} rows/s, "
            f"{took:,.0f} s for {hours:g} h: {hours * 3600 / took:,.0f} times as fast as it filled"
        )
        print(
            f"live meanwhile                  {more * TAGS:>12,} samples, slowest put "
            f"{slowest * 1000:,.0f} ms, in step {caught_up:.1f} s after the backlog was through"
        )
        judge(server, total, delivery.status().dead)
        print(f"memory of the gateway           {peak_memory(os.getpid()):>12,.0f} MiB at most")
    finally:
        await connector.close()
        await store.close()
        context.audit.close()
        server.stop()


def judge(server: PostgreSQL, total: int, dead: int) -> None:
    """Ask the database, not the gateway."""
    rows, moments, first, last = server.execute(COUNT)[0]
    back = server.execute(DISORDER)[0][0]
    expected = total // TAGS
    span = round((last - first).total_seconds()) + 1
    print(
        f"in PostgreSQL                   {rows:>12,} rows: {total - rows} missing, {dead} dead, "
        f"{back} out of order, {moments} of {expected} moments over {span:,} s"
    )
    assert (rows, moments, back, dead) == (total, expected, 0, 0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=24.0, help="length of the outage")
    hours = parser.parse_args().hours
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(Path(folder), hours))


if __name__ == "__main__":
    main()
