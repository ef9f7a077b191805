"""Sessions of a Sparkplug B host application by the letter, as the broker saw them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

import pytest

from gl002.connector import State
from gl002.model import now_ns
from integrations.mqtt_flow_site import reading, subscribed, until
from integrations.sparkplug_rules_site import (
    STATE,
    broker,
    connected,
    desk,
    make,
    name_of,
    published,
    says,
    tahu,
    watch,
)
from integrations.sparkplug_site import ON_BEHALF, source_of

fixtures = tahu, broker, desk, make, watch


# ---- host application -------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "level"), [("5", "p5"), ("3.1.1", "p2")])
async def test_a_host_connects_clean_listens_and_only_then_says_that_it_is_online(
    make, broker, protocol, level
) -> None:
    host = make(protocol=protocol, sparkplug={"host": "scada"})
    async with reading(source_of(host, topics=["spBv1.0/GL002/#"])):
        await until(lambda: STATE in broker.output and "Sending PUBACK" in broker.output, "online")
        line, will = connected(broker, name_of(host))
        assert f"({level}, c1, " in line
        assert "(r1, q1)" in will
        assert STATE in will
        assert host._live().options.session_expiry == 0
        said = broker.output
        asked = said.index(f"Received SUBSCRIBE from {name_of(host)}")
        spoken = said.index(f"Received PUBLISH from {name_of(host)}")
        assert asked < spoken
        assert f"{STATE} (QoS 1)" in said[asked:spoken]
        assert "spBv1.0/GL002/# (QoS 1)" in said[asked:spoken]
        assert published(broker, name_of(host))[0] == (STATE, 1, 1)


async def test_a_host_that_is_said_to_be_offline_contradicts_with_the_time_of_its_birth(
    make, broker, watch
) -> None:
    host, other = make(sparkplug={"host": "scada"}), watch(STATE)

    def words() -> list[tuple[bool, int]]:
        said = [json.loads(m.payload) for m in other.messages]
        return [(word["online"], word["timestamp"]) for word in said]

    before = now_ns() // 1_000_000
    await host.connect()
    name = name_of(host)
    await until(lambda: len(words()) == 1, "online")
    (_, since) = words()[0]
    assert before <= since < before + 60_000
    await asyncio.to_thread(says, other, online=False, at=3)
    await until(lambda: words() == [(True, since), (False, 3), (True, since)], "contradicted")
    await asyncio.sleep(0.01)
    await host.close()
    await until(lambda: len(words()) == 4, "said by itself")
    assert words()[3][0] is False
    assert words()[3][1] > since, "when it went"
    assert set(published(broker, name)) == {(STATE, 1, 1)}


async def test_a_request_for_a_birth_has_qos_0_no_number_and_a_time(
    make, broker, watch, tahu
) -> None:
    host, other = make(), watch("spBv1.0/GL002/NCMD/house")
    async with reading(source_of(host)):
        await until(lambda: host.state is State.UP, "connected")
        await until(lambda: f"Sending SUBACK to {name_of(host)}" in broker.output, "subscribed")
        bd = {"name": "bdSeq", "type": "Int64", "value": 3}
        await asyncio.to_thread(
            other.publish, ON_BEHALF.format("NBIRTH"),
            tahu.encode({"timestamp": 1000, "seq": 0, "metrics": [bd]}), qos=0,
        )  # fmt: skip
        hole = {"alias": 1, "type": "Double", "value": 6.5}
        await asyncio.to_thread(
            other.publish, ON_BEHALF.format("NDATA"),
            tahu.encode({"timestamp": 1000, "seq": 9, "metrics": [hole]}), qos=0,
        )  # fmt: skip
        (request,) = await asyncio.to_thread(other.received, 1)
    payload = tahu.decode(request.payload)
    assert "seq" not in payload
    assert int(payload["timestamp"]) > 0
    assert [(m["name"], m["type"], m["value"]) for m in payload["metrics"]] == [
        ("Node Control/Rebirth", "Boolean", True)
    ]
    assert ("spBv1.0/GL002/NCMD/house", 0, 0) in published(broker, name_of(host))


# ---- advice -----------------------------------------------------------------------------------


@pytest.fixture
def says_o2(watch, tahu) -> Callable[[int], Awaitable[None]]:
    """Publishes the message of an edge node with this number, and the number as its value."""
    other = watch()

    async def said(seq: int) -> None:
        o2 = {"name": "o2", "type": "Double", "value": float(seq)}
        payload = tahu.encode({"timestamp": 1000 + seq, "seq": seq, "metrics": [o2]})
        topic = ON_BEHALF.format("NDATA" if seq else "NBIRTH")
        await asyncio.to_thread(other.publish, topic, payload, qos=0)

    return said


async def test_a_host_waits_for_what_was_overtaken_before_it_asks_for_a_birth(
    make, broker, watch, says_o2
) -> None:
    host, asked = make(), watch("spBv1.0/GL002/NCMD/house")
    async with reading(source_of(host, reorder_timeout=60.0)) as read:
        await subscribed(broker, host)
        for seq in (0, 2, 3, 1, 4):
            await says_o2(seq)
        await until(lambda: len(read.samples) == 5, "all came")
        assert read.values == [0, 1, 2, 3, 4]
        assert asked.messages == []


async def test_a_host_asks_for_a_birth_when_it_has_waited_in_vain(
    make, broker, watch, tahu, says_o2
) -> None:
    host, asked = make(), watch("spBv1.0/GL002/NCMD/house")
    async with reading(source_of(host, reorder_timeout=0.2)) as read:
        await subscribed(broker, host)
        for seq in (0, 1, 3):
            await says_o2(seq)
        (request,) = await asyncio.to_thread(asked.received, 1)
        await until(lambda: read.values == [0, 1, 3], "what waited in vain came too")
    assert tahu.decode(request.payload)["metrics"][0]["name"] == "Node Control/Rebirth"
