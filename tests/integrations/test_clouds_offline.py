"""A cloud that is away for an hour: what waited arrives whole, in order, no faster than allowed."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gl002.context import Context
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery
from gl002.flow.hub import Hub
from gl002.flow.store import Store
from gl002.model import Batch, Sample, now_ns
from gl002.registry import connector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.rig import Rig
from rigs import rig_for

SECOND = 1_000_000_000
HOUR, TAGS = 3600, 10
START = now_ns() // SECOND * SECOND - HOUR * SECOND


RATES = {"aws": 6.0, "azure": 2.0, "gcp": 1.0}
"""Messages a second that are allowed here: few, for thousands of samples go into one message."""


@pytest.fixture(params=RATES)
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    rig = rig_for(request.param)()
    rig.start()
    yield rig
    rig.stop()


def five_seconds(since: int) -> Batch:
    return [
        Sample(f"offline.t{tag}", float(second), START + second * SECOND)
        for second in range(since, since + 5)
        for tag in range(TAGS)
    ]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_an_hour_that_waited_arrives_once_in_order_at_the_rate_allowed(
    rig: Rig, tmp_path: Path
) -> None:
    """36,000 samples wait; 2,000 more come while they drain."""
    rate = RATES[rig.kind]
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    there = connector(rig.kind)(rig.config(messages_per_second=rate), context=context)
    spec = {
        **rig.output, "interval": 0, "batch_size": 5000,
        "retry_policy": {"first": 0.05, "most": 0.2},
        **({"topic": "plant/stored/all"} if rig.kind == "aws" else {}),
    }  # fmt: skip
    settings = there.Output.parse(spec)
    store = Store(tmp_path / "store")
    await store.open(["out"])
    delivery = Delivery(
        "out", there.sink(settings), settings, store=store,
        letters=DeadLetters(tmp_path / "letters.sqlite"), hub=Hub(),
    )  # fmt: skip
    rig.link.cut()
    delivering = asyncio.create_task(delivery.run())
    try:
        for since in range(0, HOUR, 5):
            await store.put(five_seconds(since))
        while delivery.status().state != "retrying":
            await asyncio.sleep(0.05)
        assert delivery.status().delivered == 0
        rig.link.restore()
        began = time.monotonic()
        for since in range(HOUR, HOUR + 200, 5):
            await store.put(five_seconds(since))
        delivery.drain()
        await delivering
        took = time.monotonic() - began
    finally:
        delivering.cancel()
        await there.close()
        await store.close()
        context.audit.close()
    await all_came(rig, (HOUR + 200) * TAGS)
    messages = len(rig.arrivals())
    assert messages > 3 * rate, "else the rate cannot show"
    assert took > (messages - 3 - rate) / rate  # the first had a place before the cloud was back
    arrived = [s for s in rig.stored() if s.tag.startswith("offline.")]
    for tag in range(TAGS):
        of_tag = [s.value for s in arrived if s.tag == f"offline.t{tag}"]
        assert of_tag == [float(second) for second in range(HOUR + 200)]
    assert delivery.status().dead == 0


async def all_came(rig: Rig, samples: int) -> None:
    """What was confirmed to us is seen by whoever looks at the other side a moment later."""
    await eventually(
        lambda: sum(s.tag.startswith("offline.") for s in rig.stored()) >= samples,
        "every sample arrived",
    )


async def test_a_forced_reconnect_repeats_one_batch_at_most_and_its_ids_say_so(
    rig: Rig, tmp_path: Path
) -> None:
    """Three cuts in the middle of delivering; what comes again has the id it had before."""
    batch, cuts = 200, 3
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    there = connector(rig.kind)(rig.config(), context=context)
    spec = {
        **rig.output, "interval": 0, "batch_size": batch,
        "retry_policy": {"first": 0.05, "most": 0.2},
        **({"topic": "plant/stored/all"} if rig.kind == "aws" else {}),
    }  # fmt: skip
    settings = there.Output.parse(spec)
    store = Store(tmp_path / "store")
    await store.open(["out"])
    delivery = Delivery(
        "out", there.sink(settings), settings, store=store,
        letters=DeadLetters(tmp_path / "letters.sqlite"), hub=Hub(),
    )  # fmt: skip
    for since in range(0, 1000, 5):
        await store.put(five_seconds(since))
    delivering = asyncio.create_task(delivery.run())
    try:
        for cut in range(1, cuts + 1):
            while delivery.status().delivered < cut * 2000:
                await asyncio.sleep(0.005)
            rig.link.cut()
            await asyncio.sleep(0.3)
            rig.link.restore()
        delivery.drain()
        async with asyncio.timeout(60):
            await delivering
    finally:
        delivering.cancel()
        await there.close()
        await store.close()
        context.audit.close()
    await all_came(rig, 10_000)
    messages = [json.loads(arrival) for arrival in rig.arrivals()]
    once = {message["id"]: message for message in messages}
    again = sum(len(m.get("samples", [m])) for m in messages) - 10_000
    assert sum(len(m.get("samples", [m])) for m in once.values()) == 10_000
    assert 0 <= again <= cuts * batch
    assert all(once[message["id"]] == message for message in messages)
