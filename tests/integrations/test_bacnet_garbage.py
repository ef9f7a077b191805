"""Whatever datagrams come: no wrong value is believed, nothing hangs, nothing escapes."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gl002.context import Context
from gl002.errors import GL002Error
from gl002.integrations.industrial import BACnetConnector
from gl002.model import Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from peers.bacnet_liar import Liar, datagram, liar
from virtual_time import in_virtual_time

RIGHT = 50000.0
REPORT = "1c020003e92c000000013a012c4e09552e44474350002f096f2e8204002f4f"
LIES, UNASKED = 3000, 5000


def spoilt(chance: random.Random, good: bytes, value: bytes) -> bytes:
    """A datagram with anything wrong but the octets of the value itself, and of the flags."""
    start = good.index(value)
    keep = {*range(start, start + len(value)), *range(good.rindex(b"\x82\x04"), len(good) - 2)}
    data = bytearray(good)
    match chance.randrange(8):
        case 0:
            return chance.randbytes(chance.randrange(1, 200))
        case 1:
            return bytes(data[: chance.randrange(len(data))])
        case 2:
            return b"\x81\x0a\x00" + bytes([chance.randrange(256)]) + chance.randbytes(60)
        case 3:
            return bytes(data[:4]) + b"\1" + bytes([chance.randrange(256)]) + bytes(data[6:])
        case 4:
            return bytes(data) + chance.randbytes(chance.randrange(1, 40))
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(data))
        if place not in keep:
            data[place] ^= 1 << chance.randrange(8)
    return bytes(data)


@asynccontextmanager
async def lied_to(folder: Path) -> AsyncIterator[tuple[Liar, BACnetConnector]]:
    """A device, a connector to it, and a look at what escaped."""
    escaped: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, what: escaped.append(what))
    context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
    async with liar() as device:
        settings = {
            "address": f"127.0.0.1:{device.port}", "device_id": 1001, "name": "b",
            "timeout": 0.5, "retry_count": 0, "cov": {"refresh": 3600},
        }  # fmt: skip
        connector = BACnetConnector(settings, context=context)
        yield device, connector
        await connector.close()
    context.audit.close()
    assert escaped == []


async def _outcome(connector: BACnetConnector) -> str:
    try:
        async with asyncio.timeout(5):
            (sample,) = await connector.read(["b.AI1"])
    except GL002Error as error:
        return type(error).__name__
    if sample.value is None:
        return hex(sample.quality)
    assert sample.value == RIGHT, sample
    return "right"


@pytest.mark.slow
@in_virtual_time
async def test_lies_in_front_of_the_truth_give_the_truth_or_nothing(tmp_path: Path) -> None:
    async with lied_to(tmp_path) as (liar, connector):
        assert await _outcome(connector) == "right"
        liar.lie = lambda good: spoilt(liar.chance, good, bytes.fromhex("47435000"))
        seen = Counter([await _outcome(connector) for _ in range(LIES)])
        assert seen["right"] > LIES / 3, seen
        liar.lie = lambda _: None
        assert await _outcome(connector) == "right", seen


@pytest.mark.slow
@in_virtual_time
async def test_lies_instead_of_the_truth_end_in_time(tmp_path: Path) -> None:
    async with lied_to(tmp_path) as (liar, connector):
        connector.set_timeout(50)
        assert await _outcome(connector) == "right"
        liar.lie = lambda good: spoilt(liar.chance, good, bytes.fromhex("47435000"))
        liar.truthful = False
        seen = Counter([await _outcome(connector) for _ in range(300)])
        assert len(seen) > 2, seen
        liar.truthful = True
        liar.lie = lambda _: None
        connector.set_timeout(500)
        assert await _outcome(connector) == "right", seen


@pytest.mark.slow
@in_virtual_time
async def test_reports_that_nobody_ordered_or_that_are_spoilt_are_no_values(tmp_path: Path) -> None:
    async with lied_to(tmp_path) as (liar, connector):
        samples: list[Sample] = []
        source = connector.source(connector.Input.parse({"source": "bacnet", "tags": ["b.AI1"]}))

        async def follow() -> None:
            async with source.open() as batches:
                async for batch in batches:
                    samples.extend(batch)

        task = asyncio.create_task(follow())
        await eventually(lambda: liar.subscriber and samples, "subscribed")
        chance, value = random.Random(9), bytes.fromhex("47435000")
        for number in range(UNASKED):
            report = liar.process + bytes.fromhex(REPORT)
            if number % 5 == 0:  # of another subscription, with another value
                report = b"\x09\x07" + bytes.fromhex(REPORT).replace(value, b"\x3f\x80\0\0")
                good = datagram(b"\x10\x02" + report)
            else:
                kind = chance.choice([b"\x10\x02", b"\x00\x05\x01\x01"])
                good = spoilt(chance, datagram(kind + report), value)
            liar.transport.sendto(good, liar.subscriber)
            if number % 50 == 0:
                await asyncio.sleep(0.005)
        count = len(samples)
        await eventually(lambda: len(samples) >= count, "taken")
        liar.transport.sendto(
            datagram(b"\x10\x02" + liar.process + bytes.fromhex(REPORT)), liar.subscriber
        )
        await asyncio.sleep(0.3)
        assert {s.value for s in samples} <= {RIGHT, None}
        assert not task.done(), task.exception()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


@in_virtual_time
async def test_datagrams_of_strangers_are_not_even_read(tmp_path: Path) -> None:
    async with lied_to(tmp_path) as (_, connector):
        assert await _outcome(connector) == "right"
        session = connector._session
        assert session is not None
        door = session.stack._datagrams
        assert door is not None
        loop = asyncio.get_running_loop()
        stranger, _ = await loop.create_datagram_endpoint(
            asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
        )
        for _ in range(100):
            stranger.sendto(datagram(b"\x10\x02" + bytes.fromhex(REPORT)), ("127.0.0.1", door.port))
        await eventually(lambda: door.ignored == 100, "all ignored")
        stranger.close()
