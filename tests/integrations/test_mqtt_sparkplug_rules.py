"""Sessions of a Sparkplug B edge node by the letter, as the broker saw them."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import Busy, GL002Error
from gl002.model import Quality, Sample, now_ns
from gl002.wire.sparkplug import DataType, decode
from integrations.mqtt_flow_site import until
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
from integrations.sparkplug_site import EDGE, ON_BEHALF, Ear, bd_seq, sample, sink_of
from peers.mosquitto import Mosquitto, Watcher

fixtures = tahu, broker, desk, make, watch


@pytest.fixture
def ear(watch, tahu) -> Ear:
    return Ear(watch("spBv1.0/#"), tahu)


# ---- edge node --------------------------------------------------------------------------------


@pytest.mark.parametrize(("protocol", "level"), [("5", "p5"), ("3.1.1", "p2")])
async def test_an_edge_node_connects_clean_with_its_death_as_will(
    make, broker, protocol, level
) -> None:
    edge = make(protocol=protocol, **EDGE)
    sink = sink_of(edge)
    await sink.write([sample(1.0)])
    for _ in range(2):  # also when it comes back
        line, will = connected(broker, name_of(edge))
        assert f"({level}, c1, " in line
        assert "(r0, q1)" in will
        assert "spBv1.0/GL002/NDEATH/house" in will
        assert edge._live().options.session_expiry == 0
        edge._live().drop()
        await until(lambda: edge.state is State.RETRYING, "noticed")
        await sink.write([sample(2.0)])


async def test_an_edge_node_listens_for_commands_before_it_is_born(make, broker) -> None:
    edge = make(**EDGE)
    await sink_of(edge).write([sample(1.0)])
    said = broker.output
    asked = said.index(f"Received SUBSCRIBE from {name_of(edge)}")
    born = said.index(f"Received PUBLISH from {name_of(edge)}")
    assert asked < born
    assert "spBv1.0/GL002/NCMD/house (QoS 1)" in said[asked:born]
    assert "spBv1.0/GL002/DCMD/house/# (QoS 1)" in said[asked:born]


async def test_births_and_data_go_out_with_qos_0_not_retained_in_their_order(make, broker) -> None:
    edge = make(**EDGE)
    await sink_of(edge).write([sample(1.0), sample(2.0, "b2.x"), sample(3.0, "uptime")])
    lost = Sample("b2.x", None, now_ns(), Quality.BAD_NO_COMMUNICATION)
    await sink_of(edge).write([lost])
    *topics, last = published(broker, name_of(edge))
    assert last == ("spBv1.0/GL002/DDEATH/house/b2", 0, 0)
    assert {(qos, retain) for _, qos, retain in topics} == {(0, 0)}
    kinds = [topic.split("/")[2] for topic, _, _ in topics]
    births = max(i for i, kind in enumerate(kinds) if kind == "DBIRTH")
    assert kinds[0] == "NBIRTH"
    assert set(kinds[births + 1 :]) == {"NDATA", "DDATA"}
    assert [topic for topic, _, _ in topics if "DBIRTH" in topic][-2:] == [
        "spBv1.0/GL002/DBIRTH/house/b1", "spBv1.0/GL002/DBIRTH/house/b2",
    ]  # fmt: skip


async def test_every_message_of_a_node_has_the_next_number_and_its_time(make, ear) -> None:
    sink, before = sink_of(make(**EDGE)), time.time_ns() // 1_000_000
    for value in range(5):
        await sink.write([sample(float(value)), sample(value, "uptime"), sample(1.0, "b2.x")])
    await until(lambda: ear.kinds().count("NDATA") == 5, "all came")
    heard = [payload for _, _, payload in ear.heard()]
    born = max(i for i, kind in enumerate(ear.kinds()) if kind == "NBIRTH")
    assert [int(payload["seq"]) for payload in heard[born:]] == list(range(len(heard) - born))
    assert all(before <= int(payload["timestamp"]) < before + 60_000 for payload in heard)
    for payload in heard:
        assert all(int(metric["timestamp"]) > 0 for metric in payload["metrics"])


async def test_births_tell_names_types_and_aliases_and_data_aliases_alone(make, ear) -> None:
    sink = sink_of(make(**EDGE))
    await sink.write([sample(1.0), sample(2.0, "b2.x"), sample(3.0, "uptime")])
    await sink.write([sample(1.5), sample(2.5, "b2.x"), sample(3.5, "uptime")])
    await until(lambda: ear.kinds().count("NDATA") == 2, "all came")
    last = {kind: ear.last(kind)["metrics"] for kind in ("NBIRTH", "DBIRTH", "NDATA", "DDATA")}
    ours = {"bdSeq", "Node Control/Rebirth"}
    born = [m for kind in ("NBIRTH", "DBIRTH") for m in last[kind] if m["name"] not in ours]
    assert all(m["name"] and m["type"] and "alias" in m and "value" in m for m in born)
    told = [m for kind in ("NDATA", "DDATA") for m in last[kind]]
    assert all(not m.get("name") and "alias" in m for m in told)
    (control,) = [m for m in last["NBIRTH"] if m["name"] == "Node Control/Rebirth"]
    assert (control["type"], control["value"], "alias" in control) == ("Boolean", False, False)


async def test_a_rebirth_has_the_number_of_the_will_and_only_the_node_is_asked_for_it(
    make, ear, watch, tahu
) -> None:
    edge = make(**EDGE)
    await sink_of(edge).write([sample(1.0)])
    other = watch()

    def ask(topic: str, *, value: bool) -> None:
        rebirth = {"name": "Node Control/Rebirth", "type": "Boolean", "value": value}
        payload = tahu.encode({"timestamp": 1, "metrics": [rebirth]})
        other.publish(topic, payload, qos=0)

    await asyncio.to_thread(ask, ON_BEHALF.format("NCMD"), value=False)
    await asyncio.to_thread(ask, ON_BEHALF.format("DCMD") + "/b1", value=True)
    await asyncio.to_thread(ask, ON_BEHALF.format("NCMD"), value=True)
    await until(lambda: ear.kinds().count("NBIRTH") == 2, "born again")
    await until(lambda: ear.kinds()[-2:] == ["NBIRTH", "DBIRTH"], "once, with its device")
    numbers = {bd_seq(p) for kind, _, p in ear.heard() if kind == "NBIRTH"}
    edge._live().drop()
    await until(lambda: "NDEATH" in ear.kinds(), "dead")
    assert numbers == {bd_seq(ear.last("NDEATH"))}


@pytest.mark.parametrize(("protocol", "deaths"), [("5", 2), ("3.1.1", 1)])
async def test_who_leaves_says_so_first_and_tells_the_broker_to_publish_the_will(
    make, broker, ear, protocol, deaths
) -> None:
    edge = make(protocol=protocol, **EDGE)
    await sink_of(edge).write([sample(1.0)])
    name = name_of(edge)
    await edge.close()
    await until(lambda: ear.kinds().count("NDEATH") == deaths, "told")
    await until(lambda: f"Received DISCONNECT from {name}" in broker.output, "goodbye")
    said = broker.output
    assert said.index("NDEATH/house', ") < said.index(f"Received DISCONNECT from {name}")
    for kind, _, payload in ear.heard():
        if kind == "NDEATH":
            assert "seq" not in payload
            assert [m["name"] for m in payload["metrics"]] == ["bdSeq"]


async def test_a_renewed_session_is_a_death_and_the_next_birth(make, ear) -> None:
    edge = make(**EDGE)
    await sink_of(edge).write([sample(1.0)])
    await edge._renew()
    await sink_of(edge).write([sample(2.0)])
    await until(lambda: ear.kinds().count("DDATA") == 2, "told again")
    kinds = ear.kinds()
    assert kinds[:3] == ["NBIRTH", "DBIRTH", "DDATA"]
    assert kinds[-3:] == ["NBIRTH", "DBIRTH", "DDATA"]
    assert set(kinds[3:-3]) == {"NDEATH"}
    numbers = [bd_seq(p) for kind, _, p in ear.heard() if kind in {"NBIRTH", "NDEATH"}]
    assert numbers[0] == numbers[1] == numbers[-1] - 1


async def test_a_command_is_a_proposal_and_changes_nothing_by_itself(
    make, ear, watch, tahu, desk
) -> None:
    edge = make(**EDGE)
    await sink_of(edge).write([sample(3.1, "b1.o2_setpoint")])
    await until(lambda: "DBIRTH" in ear.kinds(), "born")
    (known,) = ear.last("DBIRTH")["metrics"]
    wishes = [
        {"name": "o2_setpoint", "type": "Double", "value": 2.9},
        {"alias": int(known["alias"]), "type": "Double", "value": 3.0},
        {"name": "damper/position", "type": "Boolean", "value": True},
    ]
    command = tahu.encode({"timestamp": 1_735_689_600_000, "metrics": wishes})
    other = watch()
    for _ in range(2):
        await asyncio.to_thread(other.publish, ON_BEHALF.format("DCMD") + "/b1", command, qos=0)
    await asyncio.to_thread(other.publish, ON_BEHALF.format("NCMD"), command, qos=0)
    await until(lambda: len(desk.offered) == 9, "all were offered")
    first, second, third = desk.offered[:3]
    assert [(p.point, p.value) for p in (first, second, third)] == [
        ("b1.o2_setpoint", 2.9), ("b1.o2_setpoint", 3.0), ("b1.damper.position", True),
    ]  # fmt: skip
    assert first.origin == edge.name
    assert "DCMD/house/b1" in first.asker
    assert [p.id for p in desk.offered[3:6]] == [p.id for p in desk.offered[:3]], "known again"
    assert len({p.id for p in desk.offered}) == 6
    assert ear.kinds().count("DDATA") == 1


async def delivered(sink: Any, value: float) -> None:
    """Write it as the flow does: again until it is taken."""
    async with asyncio.timeout(60):
        while True:
            try:
                return await sink.write([sample(value)])
            except GL002Error as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(0.05)


# ---- the primary host, and several servers ----------------------------------------------------


async def test_only_the_configured_host_and_its_newest_word_count(make, ear, watch) -> None:
    edge, host = make(sparkplug={**EDGE["sparkplug"], "primary_host": "scada"}), watch()
    with pytest.raises(Busy):
        await sink_of(edge).write([sample(1.0)])
    other = json.dumps({"online": True, "timestamp": 9})
    await asyncio.to_thread(host.publish, "spBv1.0/STATE/another", other, qos=1, retain=True)
    await asyncio.to_thread(host.publish, STATE, "online", qos=1)
    with pytest.raises(Busy):
        await sink_of(edge).write([sample(1.0)])
    await asyncio.to_thread(says, host, online=True, at=5)
    await until(lambda: ear.kinds() == ["NBIRTH"], "born")
    await asyncio.to_thread(says, host, online=True, at=8)  # it has come back since
    await asyncio.to_thread(says, host, online=False, at=5)  # the will of before comes late
    await sink_of(edge).write([sample(2.0)])
    assert "NDEATH" not in ear.kinds()
    session = edge._live()
    await asyncio.to_thread(says, host, online=False, at=8)
    await until(lambda: "NDEATH" in ear.kinds(), "dead")
    await until(lambda: edge._session is not session, "and gone")


async def test_without_its_host_an_edge_node_walks_to_the_next_server(make, tahu) -> None:
    with (
        Mosquitto() as one, Mosquitto() as two,
        Watcher(one.port, "spBv1.0/#") as first, Watcher(two.port, "spBv1.0/#") as second,
    ):  # fmt: skip
        near, far = Ear(first, tahu), Ear(second, tahu)
        edge = make(one, two, sparkplug={**EDGE["sparkplug"], "primary_host": "scada"})
        sink = sink_of(edge)

        await asyncio.to_thread(says, first, online=True, at=1_000_000)
        await delivered(sink, 1.0)
        await until(lambda: near.kinds()[:1] == ["NBIRTH"], "born at the first")
        await asyncio.to_thread(says, second, online=True, at=7)  # its own clock, its own times
        await asyncio.to_thread(says, first, online=False, at=1_000_001)
        await until(lambda: "NDEATH" in near.kinds(), "dead at the first")
        await delivered(sink, 2.0)
        await until(lambda: far.kinds()[:1] == ["NBIRTH"], "born at the next")
        assert (bd_seq(far.last("NBIRTH")) - bd_seq(near.last("NBIRTH"))) % 256 >= 1
        assert one.output.count("NDATA") == 0
        await asyncio.to_thread(says, second, online=False, at=8)
        await asyncio.to_thread(says, first, online=True, at=1_000_002)
        await delivered(sink, 3.0)
        await until(lambda: near.kinds().count("NBIRTH") == 2, "back at the first")


async def test_an_edge_node_comes_back_by_itself_while_there_is_nothing_to_tell(make, ear) -> None:
    edge = make(**EDGE)
    await edge.connect()
    edge._live().drop()
    await until(lambda: ear.kinds() == ["NBIRTH", "NDEATH", "NBIRTH"], "born again")


async def test_a_server_where_nobody_has_heard_of_the_host_is_left_for_the_next(
    make, tahu, monkeypatch
) -> None:
    monkeypatch.setattr("gl002.transport.mqtt.sparkplug._HEARING", 0.2)
    with Mosquitto() as one, Mosquitto() as two, Watcher(two.port, "spBv1.0/#") as second:
        edge = make(one, two, sparkplug={**EDGE["sparkplug"], "primary_host": "scada"})
        await asyncio.to_thread(says, second, online=True, at=7)
        await delivered(sink_of(edge), 1.0)
        await until(lambda: "DDATA" in Ear(second, tahu).kinds(), "told there")


# ---- advice -----------------------------------------------------------------------------------


async def test_types_are_left_out_of_data_where_the_connection_says_so(make, watch, tahu) -> None:
    other = watch("spBv1.0/#")
    block = {"group": "GL002", "node": "house", "types_in_data": False}
    connector = make(sparkplug=block)
    await connector.connect()
    await sink_of(connector).write([Sample("b1.o2", 3.25, now_ns())])
    _, birth, data = await asyncio.to_thread(other.received, 3)
    assert [m["type"] for m in tahu.decode(birth.payload)["metrics"]] == ["Double"]
    (metric,) = decode(data.payload).metrics
    assert (metric.datatype, metric.value) == (DataType.UNKNOWN, 3.25)
