"""What an OPC UA source tells of the time in which it heard nothing."""

from __future__ import annotations

import asyncio
import time

import pytest
from asyncua import ua

from gl002.errors import ConnectFailed
from gl002.model import Quality, now_ns
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from integrations.opc_ua_trouble_site import (
    BACK,
    LIMIT,
    T0,
    connect,
    healthy,
    link,
    little_server,
    no_wait_is_long,
    watching,
)
from peers.node_opcua import NodeOpcua

fixtures = healthy, link, no_wait_is_long, connect


async def test_a_source_ends_with_its_session_and_starts_again(connect, link):
    connector = connect(link.port)
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [T0]}))
    async with source.open() as batches:
        await anext(batches)
        link.cut()
        with pytest.raises(ConnectFailed) as caught:
            await asyncio.wait_for(_all(batches), 30)
    assert caught.value.retryable
    assert "opc_ua" in str(caught.value)
    link.restore()
    async with source.open() as batches:
        assert (await anext(batches))[0].tag == T0


async def _all(batches):
    return [batch async for batch in batches]


async def test_after_an_outage_a_value_that_has_not_changed_is_news(connect, link):
    """The outage is on record as a bad sample: the value as before must come after it."""
    connector = connect(link.port)
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [LIMIT]}))
    async with source.open() as batches:
        (before,) = await anext(batches)
    outage = now_ns()
    async with source.open() as batches:
        (gap,) = await anext(batches)
        (after,) = await anext(batches)
    assert (gap.value, gap.quality) == (None, Quality.BAD_DATA_LOST)
    assert before.time < gap.time < outage
    assert (after.tag, after.value) == (before.tag, before.value)
    assert before.time < outage < after.time


STARTS = "ns=2;s=Boiler1.Starts"


@pytest.fixture
def starts(healthy):
    """Sets the counter of starts to 99, at a time in ms; it is as before after the test."""
    yield lambda moment: healthy.set("Boiler1.Starts", 99, time=moment)
    healthy.set("Boiler1.Starts", 12)


def milliseconds():
    return time.time_ns() // 1_000_000


async def test_a_value_from_before_the_record_of_an_outage_holds_after_it_too(
    connect, healthy, starts
):
    connector = connect(healthy.port)
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [STARTS]}))
    async with source.open() as batches:
        (before,) = await anext(batches)
    starts(changed := milliseconds())
    recorded = now_ns()
    source.outage_recorded(recorded)
    async with source.open() as batches:
        await anext(batches)  # that there was a gap
        own, now = await anext(batches)
    assert (own.value, own.time) == (99, changed * 1_000_000)
    assert now.value == 99
    assert before.time < own.time < recorded < now.time


async def test_a_value_from_after_the_record_of_an_outage_comes_once(connect, healthy, starts):
    connector = connect(healthy.port)
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [STARTS]}))
    async with source.open() as batches:
        await anext(batches)
    source.outage_recorded(now_ns())
    starts(changed := milliseconds() + 1)
    async with source.open() as batches:
        await anext(batches)  # that there was a gap
        (own,) = await anext(batches)
    assert (own.value, own.time) == (99, changed * 1_000_000)


async def test_after_an_outage_a_server_whose_clock_is_ahead_is_believed_too(
    connect, healthy, starts
):
    """The value is later than the record by an hour, and says nothing of now."""
    connector = connect(healthy.port)
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [STARTS]}))
    starts(milliseconds() + 3_600_000)
    async with source.open() as batches:
        (before,) = await anext(batches)
    source.outage_recorded(now_ns())
    async with source.open() as batches:
        await anext(batches)  # that there was a gap
        (after,) = await anext(batches)
    assert (before.value, after.value) == (99, 99)
    assert before.time < after.time


async def test_what_holds_after_an_outage_never_comes_behind_what_followed_it(connect):
    """A value that changes while we come back is not told again at a time of its successor."""
    with NodeOpcua(MANY=3, PERIOD=5) as peer:
        connector = connect(peer.port)
        tags = [f"ns=2;s=Many.T{k}" for k in range(3)]
        source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": tags}))
        told = []
        for _ in range(5):
            source.outage_recorded(now_ns())
            async with source.open() as batches:
                told += [sample for _ in range(3) for sample in await anext(batches)]
    for tag in tags:
        values = [s.value for s in sorted(told, key=lambda s: s.time) if s.value and s.tag == tag]
        assert values == sorted(values)
        assert len(values) == len(set(values)), "each value once"


async def test_a_first_start_invents_no_times(connect, healthy):
    connector = connect(healthy.port)
    (read,) = await connector.read([LIMIT])
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [LIMIT]}))
    async with source.open() as batches:
        assert (await anext(batches))[0].time == read.time


async def hangs(*_):
    await asyncio.sleep(60)


async def refuses(*_):
    raise ua.uaerrors.BadServiceUnsupported


@pytest.mark.parametrize("read_history", [hangs, refuses])
async def test_a_server_whose_history_fails_delivers_all_the_same(connect, read_history, caplog):
    """It says that it keeps a history, and then it does not answer, or refuses."""
    async with little_server() as (server, port):
        counter = server.get_node(ua.NodeId("Counter", 2))
        for name in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            await counter.set_attr_bit(name, ua.AccessLevel.HistoryRead)
        server.iserver.history_manager.read_history = read_history
        with Link(port) as link:
            connector = connect(link.port)
            async with watching(connector, "ns=2;s=Counter") as watched:
                connector.set_timeout(1500)  # holds from the next session on
                link.cut()
                await asyncio.sleep(0.5)
                link.restore()
                await watched.flowing(within=BACK + 1.5)
                await eventually(
                    lambda: Quality.BAD_DATA_LOST in {s.quality for s in watched.samples},
                    "the gap is said",
                )
                await watched.flowing()
    assert "the history cannot be read" in caplog.text
