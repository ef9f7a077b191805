"""Writing over Modbus: checked before, audited, sent once, ahead of reads."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from gl002.errors import DataError, RequestFailed, RequestTimeout, TagNotFound, Unsupported
from gl002.security.audit import read
from integrations.modbus_site import context, device, make, peer, polls, registers, server
from peers.libmodbus import Asked

fixtures = server, peer, context, make


async def test_what_a_register_cannot_hold_is_refused_before_anything_is_sent(peer, make, context):
    connector = make(
        name="b",
        registers=registers(1, format="int16", scale=0.1) + registers(30002),
        address_base=None,
    )
    for call in (
        connector.write_register(1, 70000),
        connector.write_register(1, "12"),
        connector.write_register(1, float("nan")),
        connector.write_register(1, -1),
        connector.write_registers(1, []),
        connector.write_registers(1, [0] * 124),
        connector.write_coil(1, 2),
        connector.write_coils(1, []),
        connector.write("b.r1", 3276.9),
        connector.read_holding_registers(1, 0),
        connector.read_holding_registers(65535, 2),
        connector.read_holding_registers(1, 1, "float31"),
    ):
        with pytest.raises(DataError):
            await call
    with pytest.raises(Unsupported, match="inputs cannot be written"):
        await connector.write("b.r30002", 1)
    with pytest.raises(TagNotFound, match="nonsense"):
        await connector.write("nonsense", 1)
    assert peer.asked() == []
    assert not context.audit.path.exists(), "what is never sent is no write"


@pytest.mark.parametrize(
    ("exception", "outcome"),
    [(2, "failed"), (3, "failed"), (4, "unknown"), (5, "unknown"), (6, "failed"), (11, "unknown")],
)
async def test_a_write_goes_on_the_audit_file_with_register_and_outcome(
    peer, make, context, exception, outcome
):
    """Exceptions 4, 5 and 11: it failed in the midst of it, has begun, or does not answer."""
    connector = make(retry_count=0)
    await connector.write_register(3000, 485.0, "float32")
    peer.tell("deny", 1, "holding", 0, 4999, exception)
    with pytest.raises(RequestFailed) as caught:
        await connector.write_register(3000, 1)
    assert caught.value.maybe_done == (outcome == "unknown")
    await connector.close()
    context.audit.close()
    entries = [e for e in read(context.audit.path) if e["action"].startswith("write")]
    results = [e.get("result", "").partition(":")[0] for e in entries]
    assert [(e["action"], e.get("after"), r) for e, r in zip(entries, results, strict=True)] == [
        ("write", 485.0, ""), ("write.result", None, "ok"),
        ("write", 1, ""), ("write.result", None, outcome),
    ]  # fmt: skip
    assert all("unit 1 holding 3000 (43001)" in entry["subject"] for entry in entries)


async def test_a_write_without_an_answer_is_sent_once(peer, make):
    peer.tell("silent", 1)
    connector = make(retry_count=5)
    await connector.connect()
    connector.set_timeout(100)
    with pytest.raises(RequestTimeout):
        await connector.write_register(1, 1)
    assert peer.asked() == [Asked(1, 6, 1, 1)]


async def test_a_write_need_not_wait_for_a_whole_poll(peer, make):
    for unit in (1, 2):
        peer.tell("delay", unit, 20)
    connector = make(
        devices=[device(1, *range(0, 3000, 100), interval=0, gap=0), device(2, 1, interval=0)]
    )
    poll = asyncio.create_task(polls(connector, 50))
    while not peer.asked():
        await asyncio.sleep(0.01)
    await connector.write_register(4000, 7, slave_id=1)
    between = [request.function for request in peer.asked()].index(6)
    poll.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await poll
    assert peer.get(1, "holding", 4000) == [7]
    assert between < 15, "a poll has 30 requests; those go on while the audit file takes the write"


async def test_a_write_goes_ahead_of_the_reads_that_wait_for_the_line(peer, make):
    peer.tell("delay", 1, 20)
    connector = make()
    reads = [asyncio.create_task(connector.read_holding_registers(i)) for i in range(20)]
    while not peer.asked():
        await asyncio.sleep(0.005)
    await connector.write_register(4000, 7)
    waiting = [task for task in reads if not task.done()]
    assert len(waiting) > 12, "it did not wait for them"
    await asyncio.gather(*reads)
    order = [request.function for request in peer.asked()]
    assert order.index(6) < 5


async def test_a_flood_of_writes_stops_no_poll(peer, make):
    peer.tell("delay", 1, 5)
    connector = make()
    writes = [asyncio.create_task(connector.write_register(i, 1)) for i in range(40)]
    await asyncio.sleep(0)
    assert await connector.read_holding_registers(100) == [0]
    assert sum(task.done() for task in writes) < 20
    await asyncio.gather(*writes)
