"""Sparkplug B before a real broker; what is published is read by Eclipse Tahu's codec."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import Busy, ConfigError, PartialWrite
from gl002.integrations.industrial import MQTTConnector
from gl002.model import Quality, Sample, Tag, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.link import Link
from integrations.mqtt_flow_site import reading, subscribed, until
from integrations.sparkplug_site import EDGE, ON_BEHALF, Ear, bd_seq, sample, sink_of, source_of
from peers.mosquitto import Mosquitto, Watcher
from peers.tahu import Tahu


@pytest.fixture(scope="module")
def tahu() -> Iterator[Tahu]:
    with Tahu() as codec:
        yield codec


@pytest.fixture
def broker() -> Iterator[Mosquitto]:
    with Mosquitto() as started:
        yield started


@pytest.fixture
def watch(broker) -> Iterator[Callable[..., Watcher]]:
    with ExitStack() as stack:
        yield lambda *topics: stack.enter_context(Watcher(broker.port, *topics))


@pytest.fixture
async def make(tmp_path, broker) -> AsyncIterator[Callable[..., MQTTConnector]]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    context.tags.declare(Tag(name="b1.steam_flow", unit="t/h"))
    made: list[MQTTConnector] = []

    def connector(port: int = broker.port, **settings: Any) -> MQTTConnector:
        made.append(MQTTConnector({"broker": f"127.0.0.1:{port}", **settings}, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


@pytest.fixture
def ear(watch, tahu) -> Ear:
    return Ear(watch("spBv1.0/#"), tahu)


# ---- edge node --------------------------------------------------------------------------------


async def test_an_edge_node_is_born_and_publishes_metrics_with_aliases(make, ear) -> None:
    sink = sink_of(make(**EDGE))
    await sink.write([sample(12.5), sample(3.1, "b1.o2"), sample(7.0, "uptime")])
    await sink.write([sample(12.6)])
    await until(lambda: len(ear.heard()) >= 6, "all came")
    kinds = ear.kinds()
    assert kinds[0] == "NBIRTH"
    assert kinds[-1] == "DDATA"
    birth = ear.last("DBIRTH")
    (flow,) = [m for m in birth["metrics"] if m["name"] == "steam_flow"]
    assert (flow["type"], flow["value"]) == ("Double", 12.5)
    assert flow["properties"]["engUnit"]["value"] == "t/h"
    (data,) = ear.last("DDATA")["metrics"]
    assert (data["alias"], data["value"]) == (flow["alias"], 12.6)
    sequence = [int(payload["seq"]) for kind, _, payload in ear.heard()[kinds.index("DBIRTH") :]]
    assert sequence == list(range(sequence[0], sequence[0] + len(sequence)))


async def test_a_birth_tells_unit_range_and_quality_to_another_implementation(make, ear) -> None:
    edge = make(**EDGE)
    edge.context.tags.configure_all([Tag(name="b1.steam_flow", low=0.0, high=60.0)])
    await sink_of(edge).write([sample(12.5, quality=Quality.UNCERTAIN)])
    await until(lambda: "DBIRTH" in ear.kinds(), "born")
    (flow,) = [m for m in ear.last("DBIRTH")["metrics"] if m["name"] == "steam_flow"]
    told = {name: (p["type"], p["value"]) for name, p in flow["properties"].items()}
    assert told == {
        "Quality": ("Int32", 500), "engUnit": ("String", "t/h"),
        "engLow": ("Double", 0), "engHigh": ("Double", 60),
    }  # fmt: skip


async def test_a_lost_connection_is_a_death_that_the_next_birth_follows_under_the_next_number(
    make, broker, ear
) -> None:
    link = Link(broker.port)
    link.start()
    try:
        edge = make(link.port, **EDGE)
        await sink_of(edge).write([sample(1.0)])
        await until(lambda: "DDATA" in ear.kinds(), "told")
        first = bd_seq(ear.last("NBIRTH"))
        link.cut()
        await until(lambda: "NDEATH" in ear.kinds(), "the broker publishes the will")
        assert bd_seq(ear.last("NDEATH")) == first
        tries = edge._attempts
        await until(lambda: edge._attempts > tries + 1, "tries in vain, which use up no number")
        link.restore()
        await sink_of(edge).write([sample(2.0)])
        await until(lambda: ear.kinds().count("DDATA") == 2, "told again")
        kinds, number = ear.kinds(), bd_seq(ear.last("NBIRTH"))
    finally:
        link.stop()
    assert kinds[kinds.index("NDEATH") :] == ["NDEATH", "NBIRTH", "DBIRTH", "DDATA"]
    assert number == (first + 1) % 256


async def test_the_number_of_births_goes_on_over_a_restart(make, ear) -> None:
    for _ in range(2):
        edge = make(**EDGE)
        await edge.connect()
        await edge.close()
    # In good order it is said twice: by us, and by the broker, told to publish the will.
    await until(lambda: ear.kinds() == ["NBIRTH", "NDEATH", "NDEATH"] * 2, "born and dead twice")
    numbers = [bd_seq(payload) for _, _, payload in ear.heard()]
    assert numbers == [0, 0, 0, 1, 1, 1]


async def test_a_rebirth_is_granted_with_every_device(make, ear, watch, tahu) -> None:
    edge = make(**EDGE)
    await sink_of(edge).write([sample(1.0), sample(2.0, "b2.x")])
    rebirth = {"name": "Node Control/Rebirth", "type": "Boolean", "value": True}
    command = tahu.encode({"timestamp": 1, "metrics": [rebirth]})
    await asyncio.to_thread(watch().publish, ON_BEHALF.format("NCMD"), command, qos=0)
    await until(lambda: ear.kinds().count("NBIRTH") == 2, "born again")
    await until(lambda: ear.kinds()[-3:] == ["NBIRTH", "DBIRTH", "DBIRTH"], "with its devices")
    assert int(ear.last("NBIRTH")["seq"]) == 0


async def test_any_other_command_is_refused_and_told(make, watch, tahu, caplog) -> None:
    edge = make(**EDGE)
    await edge.connect()
    command = tahu.encode(
        {"timestamp": 1, "metrics": [{"name": "SetPoint", "type": "Double", "value": 99.0}]}
    )
    with caplog.at_level(logging.WARNING, "gl002.mqtt"):
        await asyncio.to_thread(watch().publish, ON_BEHALF.format("DCMD") + "/b1", command, qos=0)
        await until(lambda: "refused to write b1.SetPoint: no gateway" in caplog.text, "told")


async def test_what_was_kept_while_nobody_could_be_told_is_historical(make, ear) -> None:
    sink = sink_of(make(**EDGE))
    old = [Sample("b1.steam_flow", float(i), now_ns() - 10_000_000_000 + i) for i in range(3)]
    await sink.write(old)
    await sink.write([sample(9.0)])
    await until(lambda: ear.kinds().count("DDATA") == 2, "told")
    first, second = [payload for kind, _, payload in ear.heard() if kind == "DDATA"]
    assert [m.get("isHistorical") for m in first["metrics"]] == [True, True, True]
    assert not second["metrics"][0].get("isHistorical")


async def test_while_the_primary_host_is_offline_nothing_is_told_and_the_store_keeps_it(
    make, ear, watch
) -> None:
    edge = make(sparkplug={"group": "GL002", "node": "house", "primary_host": "scada"})
    sink, host = sink_of(edge), watch()

    def says(*, online: bool, at: int) -> None:
        word = json.dumps({"online": online, "timestamp": at})
        host.publish("spBv1.0/STATE/scada", word, qos=1, retain=True)

    with pytest.raises(Busy, match="primary host"):
        await sink.write([sample(1.0)])
    assert ear.kinds() == []
    await asyncio.to_thread(says, online=True, at=5)
    await until(lambda: ear.kinds() == ["NBIRTH"], "born")
    await sink.write([sample(1.0)])
    await asyncio.to_thread(says, online=False, at=4)  # an old word counts for nothing
    await sink.write([sample(2.0)])
    await asyncio.to_thread(says, online=False, at=6)
    await until(lambda: ear.kinds()[-1] == "NDEATH", "dead")
    with pytest.raises(Busy, match="primary host"):
        await sink.write([sample(3.0)])


async def test_what_the_store_kept_while_the_primary_host_was_away_comes_as_historical(
    make, ear, watch
) -> None:
    edge = make(sparkplug={"group": "GL002", "node": "house", "primary_host": "scada"})
    sink, host = sink_of(edge), watch()
    kept = [sample(float(i)) for i in range(3)]
    with pytest.raises(Busy, match="primary host"):
        await sink.write(kept)
    word = json.dumps({"online": True, "timestamp": 5})
    await asyncio.to_thread(host.publish, "spBv1.0/STATE/scada", word, qos=1, retain=True)
    await until(lambda: "NBIRTH" in ear.kinds(), "born")
    await sink.write(kept)  # as the flow does, until it is through
    await sink.write([sample(9.0)])
    await until(lambda: ear.kinds().count("DDATA") == 2, "told")
    old, new = [payload["metrics"] for kind, _, payload in ear.heard() if kind == "DDATA"]
    assert [(m["value"], m.get("isHistorical")) for m in old] == [
        (float(i), True) for i in range(3)
    ]
    assert [(m["value"], bool(m.get("isHistorical"))) for m in new] == [(9.0, False)]


async def test_a_sample_that_no_metric_can_hold_is_named(make) -> None:
    with pytest.raises(PartialWrite) as caught:
        await sink_of(make(**EDGE)).write([sample(1.0), sample(2.0, "x" * 300 + ".y")])
    assert list(caught.value.rejected) == [1]


def test_an_output_on_a_connection_that_is_no_edge_node_is_a_mistake_of_the_file(make) -> None:
    with pytest.raises(ConfigError, match="no edge node"):
        sink_of(make())


def test_an_input_on_an_edge_node_would_lose_messages_and_is_refused(make) -> None:
    with pytest.raises(ConfigError, match="starts clean"):
        source_of(make(**EDGE))


@pytest.mark.parametrize(
    ("block", "word"),
    [
        ({"group": "g"}, "'group' and a 'node'"),
        ({"group": "g", "node": "n", "host": "h"}, "two connections"),
        ({}, "two connections"),
        ({"group": "a/b", "node": "n"}, "no id"),
        ({"host": "h", "primary_host": "p"}, "edge node waits"),
    ],
)
def test_a_wrong_block_is_refused_with_a_word_that_helps(make, block, word) -> None:
    with pytest.raises(ConfigError, match=word):
        make(sparkplug=block)


# ---- host application -------------------------------------------------------------------------


async def test_a_host_reads_births_data_and_deaths_of_another_make(
    make, broker, watch, tahu
) -> None:
    host = make()
    other = watch()

    def says(kind: str, **payload: Any) -> None:
        other.publish(ON_BEHALF.format(kind), tahu.encode({"timestamp": 1000, **payload}), qos=0)

    bd = {"name": "bdSeq", "type": "Int64", "value": 3}
    unit = {"engUnit": {"type": "String", "value": "lb/hr"}}
    flow = {"name": "flow", "alias": 1, "type": "Double", "value": 5.5, "properties": unit}
    async with reading(source_of(host, tag="{device}{node}.{key}")) as reader:
        await subscribed(broker, host)
        await asyncio.to_thread(says, "NBIRTH", seq=0, metrics=[bd, flow])
        await until(lambda: reader.values == [5.5], "born")
        await asyncio.to_thread(
            says, "NDATA", seq=1, metrics=[{"alias": 1, "type": "Double", "value": 6.5}]
        )
        await asyncio.to_thread(says, "NDEATH", metrics=[bd])
        await until(lambda: len(reader.values) == 3, "dead")
    assert reader.values == [5.5, 6.5, None]
    assert [s.tag for s in reader.samples] == ["house.flow"] * 3
    assert reader.samples[0].time == 1_000_000_000
    assert reader.samples[-1].quality == Quality.BAD_NO_COMMUNICATION
    assert host.context.tags.unit("house.flow") == "lb/hr"


async def test_a_host_that_comes_later_asks_for_the_birth_it_missed(make, broker) -> None:
    edge, host = make(**EDGE), make(sparkplug={"host": "scada"})
    sink = sink_of(edge)
    await sink.write([sample(1.0)])
    async with reading(source_of(host)) as reader, asyncio.timeout(60):
        await subscribed(broker, host)
        value = 1.0
        while not any(s.tag == "house.b1.steam_flow" for s in reader.samples):
            value += 1
            await sink.write([sample(value)])
            await asyncio.sleep(0.1)
    assert host.context.tags.unit("house.b1.steam_flow") == "t/h"


async def test_a_host_says_whether_it_is_online_also_when_it_is_lost(make, broker, watch) -> None:
    ear = watch("spBv1.0/STATE/scada")

    def words() -> list[bool]:
        return [json.loads(m.payload)["online"] for m in ear.messages]

    host = make(sparkplug={"host": "scada"})
    await host.connect()
    await until(lambda: words() == [True], "online")
    host._live().drop()  # without a goodbye
    await until(lambda: words()[:2] == [True, False], "the broker says it")
    await host.check()
    await host.close()
    await until(lambda: words() == [True, False, True, False], "said by itself")
    births = [json.loads(m.payload)["timestamp"] for m in ear.messages]
    assert births[0] == births[1], "a death names the birth it ends"
    assert births[3] >= births[2] > births[0], "who goes says when"
