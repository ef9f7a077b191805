"""OPC UA beyond values: methods, alarms and events, deadbands at the server. Peer: node-opcua."""

from __future__ import annotations

import asyncio
import json
from functools import partial

import pytest

from gl002.context import Context
from gl002.errors import ConfigError, DataError, RequestFailed, TagNotFound
from gl002.integrations.industrial import OPCUAConnector, SyncOPCUAConnector
from gl002.model import Quality, is_bad, is_good
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from peers.node_opcua import NodeOpcua

BOILER = "ns=2;s=Boiler1"
ALARM = "Boiler1.PressureAlarm"
FAST = {"publishing_interval": 50, "keepalive_count": 200}
"""The server may stand still for 10 s before its session counts as lost."""


@pytest.fixture(scope="module")
def peer():
    with NodeOpcua(ALARM=1) as peer:
        yield peer


@pytest.fixture
def calm(peer):
    """The alarm as it is at the start."""
    peer.set("Boiler1.PressureIn", 100)
    yield peer
    peer.set("Boiler1.PressureIn", 100)


@pytest.fixture
def context(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def connect(peer, context, no_leaks):
    made = []

    def make(**settings):
        where = {} if "server" in settings else {"url": peer.url}
        made.append(OPCUAConnector({"subscription": FAST} | where | settings, context=context))
        return made[-1]

    yield make
    for connector in made:
        await connector.close()
    context.audit.close()


# ---- methods ----------------------------------------------------------------------------------


async def test_a_method_is_called_with_the_types_it_declares(connect):
    connector = connect()
    answer = await connector.call_method(BOILER, "Start", 80, "warm up", [0.5, 1, 2])
    assert answer == ["warm up: 80 (Int16)", 3.5]
    by_id = await connector.call_method(BOILER, "ns=2;s=Boiler1.Start", 70.0, "again", [])
    assert by_id == ["again: 70 (Int16)", 0.0]
    assert await connector.call_method(BOILER, "Stop") == []


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ([80], "takes 3 arguments (load, reason, steps), not 1"),
        ([80.5, "x", []], "load takes Int16, which has no fractions"),
        ([80, 7, []], "reason takes String"),
        ([80, "x", 1.0], "steps takes a list of Float"),
    ],
)
async def test_arguments_that_do_not_fit_are_refused_before_anything_is_sent(
    connect, arguments, reason
):
    with pytest.raises(DataError) as caught:
        await connect().call_method(BOILER, "Start", *arguments)
    assert reason in str(caught.value)


async def test_what_a_method_refuses_and_one_that_is_not_there_are_named(connect):
    connector = connect()
    with pytest.raises(RequestFailed, match=r"Boiler1 Start.*BadOutOfRange"):
        await connector.call_method(BOILER, "Start", 101, "too much", [])
    with pytest.raises(TagNotFound, match=r"no such method; it has: Start, Stop"):
        await connector.call_method(BOILER, "Explode")


async def test_a_call_is_on_the_audit_file_before_and_after(connect, tmp_path, context):
    await connect().call_method(BOILER, "Start", 80, "warm up", [])
    context.audit.close()
    entries = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    said = [entry for entry in entries if "Start()" in str(entry)]
    assert len(said) == 2


def test_the_blocking_face_calls_too(peer, context):
    with SyncOPCUAConnector({"url": peer.url}, context=context) as opc:
        assert opc.call_method(BOILER, "Stop") == []


# ---- alarms and events ------------------------------------------------------------------------


def latest(samples):
    return {sample.tag: sample.value for sample in samples}


async def test_an_alarm_comes_and_goes_as_tags(connect, calm):
    connector, got = connect(), []
    async with await connector.subscribe_events(got.append):
        calm.set("Boiler1.PressureIn", 160)
        await eventually(lambda: latest(got).get(f"{ALARM}.active") is True, "active")
        await eventually(lambda: latest(got).get(f"{ALARM}.acked") is False, "to be acknowledged")
        assert latest(got)[f"{ALARM}.severity"] > 0
        assert "High" in latest(got)[f"{ALARM}.message"]
        assert latest(got)[f"{ALARM}.retain"] is True
        calm.set("Boiler1.PressureIn", 100)
        await eventually(lambda: latest(got).get(f"{ALARM}.active") is False, "gone")
    times = [s.time for s in got if s.tag == f"{ALARM}.active"]
    assert times == sorted(times)
    assert all(is_good(s.quality) for s in got)


async def test_who_comes_later_hears_of_the_alarms_there_are(connect, calm):
    calm.set("Boiler1.PressureIn", 170)
    connector, got = connect(), []
    async with await connector.subscribe_events(got.append, [BOILER]):
        await eventually(lambda: latest(got).get(f"{ALARM}.active") is True, "active")


async def test_a_plain_event_is_its_message_and_severity(connect, peer):
    connector, got = connect(), []
    async with await connector.subscribe_events(got.append):
        peer.raise_event("flame lost")
        await eventually(lambda: "Burner.message" in latest(got), lambda: f"the event: {got}")
    assert latest(got)["Burner.message"] == "flame lost"
    assert latest(got)["Burner.severity"] == 300


async def test_an_input_of_events_is_a_source_with_a_prefix(connect, calm):
    connector = connect()
    spec = {"source": "opc_ua", "events": ["server"], "prefix": "plant."}
    source = connector.source(connector.Input.parse(spec))
    got = []
    async with asyncio.timeout(30), source.open() as batches:
        calm.set("Boiler1.PressureIn", 5000)
        async for batch in batches:
            got += batch
            if latest(got).get(f"plant.{ALARM}.active"):
                break
    assert connector.context.tags[f"plant.{ALARM}.active"].source == "opc_ua"


async def test_alarms_are_asked_for_again_after_an_outage(connect, calm, context):
    with Link(calm.port) as link:
        connector, got = connect(server={"url": f"opc.tcp://127.0.0.1:{link.port}"}), []
        async with await connector.subscribe_events(got.append):
            calm.set("Boiler1.PressureIn", 180)
            await eventually(lambda: latest(got).get(f"{ALARM}.active") is True, "active")
            link.cut()
            await eventually(lambda: connector.state.value == "retrying", "noticed")
            calm.set("Boiler1.PressureIn", 100)
            link.restore()
            await eventually(lambda: latest(got).get(f"{ALARM}.active") is False, "over")


async def test_an_alarm_is_acknowledged_once_with_a_comment_and_on_the_audit_file(
    connect, calm, context, tmp_path
):
    connector, got = connect(), []
    async with await connector.subscribe_events(got.append):
        calm.set("Boiler1.PressureIn", 160)
        await eventually(lambda: latest(got).get(f"{ALARM}.acked") is False, "to be acknowledged")
        await connector.acknowledge(ALARM, "Miller looks at it")
        await eventually(lambda: latest(got).get(f"{ALARM}.acked") is True, "acknowledged")
        assert latest(got)[f"{ALARM}.active"] is True, "it is still there"
        with pytest.raises(RequestFailed, match="is acknowledged already"):
            await connector.acknowledge(ALARM, "again")
    context.audit.close()
    written = [
        line for line in (tmp_path / "audit.jsonl").read_text().splitlines() if ALARM in line
    ]
    assert len(written) == 4, "each before it is sent and with its outcome"
    assert "Miller looks at it" in written[0]


async def test_an_alarm_that_is_none_is_named_with_those_there_are(connect, calm):
    calm.set("Boiler1.PressureIn", 160)
    with pytest.raises(TagNotFound, match=r"no alarm 'Boiler1\.Pressure' now") as caught:
        await connect().acknowledge("Boiler1.Pressure", "seen")
    assert caught.value.hint == f"it tells of: {ALARM}"
    assert not caught.value.maybe_done


async def test_objects_without_events_and_wrong_inputs_are_named(connect):
    connector = connect()
    with pytest.raises(RequestFailed, match=r"events of ns=2;s=Boiler1.Limit"):
        await connector.subscribe_events(print, ["ns=2;s=Boiler1.Limit"])
    with pytest.raises(TagNotFound, match="Absent"):
        await connector.subscribe_events(print, ["ns=2;s=Absent"])
    for wrong in ({"events": ["boiler"]}, {"events": ["server"], "tags": ["x"]}, {"events": []}):
        with pytest.raises(ConfigError, match="events"):
            connector.Input.parse({"source": "opc_ua", **wrong})


# ---- deadband ---------------------------------------------------------------------------------


async def told(connector, peer, node, steps):
    """What a tag with a deadband tells while its node goes through these (value, whether told).

    The same node is watched without one too, so that the server has looked at each step.
    """
    got = {"banded": [], "every": []}
    first = peer.value(node)
    now = {"every": first, "banded": first}

    def has(tag, value):
        return bool(got[tag]) and got[tag][-1] == value

    def heard(sample):
        got[sample.tag].append(sample.value)

    async with await connector.subscribe(["every", "banded"], callback=heard):
        for step, is_told in [(first, True), *steps]:
            peer.set(node, step)
            now |= {"every": step} | ({"banded": step} if is_told else {})
            for tag, value in now.items():
                await eventually(partial(has, tag, value), lambda tag=tag: f"{tag}: {got}")
    return got["banded"]


async def test_changes_within_the_deadband_are_not_sent(connect, peer):
    node = {"node_id": f"{BOILER}.SetPoint"}
    mapping = {"banded": {**node, "deadband": 2}, "every": node}
    peer.set("Boiler1.SetPoint", 480)
    steps = [(481.5, False), (481.9, False), (483, True), (484, False)]
    shown = await told(connect(data_mapping=mapping), peer, "Boiler1.SetPoint", steps)
    assert shown == [480, 483]


async def test_a_deadband_is_in_the_unit_of_the_tag(connect, peer):
    node = {"node_id": f"{BOILER}.SetPoint"}
    mapping = {"banded": {**node, "deadband": 2, "scaling": 2.0}, "every": node}
    peer.set("Boiler1.SetPoint", 480)
    got = []
    async with await connect(data_mapping=mapping).subscribe(list(mapping), callback=got.append):
        await eventually(lambda: len(latest(got)) == 2, "the values now")
        peer.set("Boiler1.SetPoint", 480.9)
        await eventually(lambda: latest(got)["every"] == 480.9, "the first change")
        peer.set("Boiler1.SetPoint", 482)
        await eventually(lambda: latest(got) == {"every": 482, "banded": 964}, "the second")
    values = [s.value for s in got if s.tag == "banded"]
    assert values == [960, 964], "two in the tag's unit is one in the node's"


async def test_a_deadband_in_percent_is_of_the_nodes_range(connect, peer):
    node = {"node_id": f"{BOILER}.Pressure"}
    mapping = {"banded": {**node, "deadband_percent": 10}, "every": node}  # of 0..20
    peer.set("Boiler1.Pressure", 12.5)
    steps = [(13.5, False), (14, False), (15, True)]
    shown = await told(connect(data_mapping=mapping), peer, "Boiler1.Pressure", steps)
    assert shown == [12.5, 15]


async def test_a_node_that_takes_no_deadband_is_watched_without_and_said(connect, peer, caplog):
    mapping = {
        "name": {"node_id": f"{BOILER}.Name", "deadband": 1},
        "flow": {"node_id": f"{BOILER}.SteamFlow", "deadband_percent": 1},
    }
    got = []
    async with await connect(data_mapping=mapping).subscribe(list(mapping), callback=got.append):
        await eventually(lambda: len(got) == 2, lambda: f"both: {got}")
    assert not any(is_bad(s.quality) for s in got)
    assert "name: the server takes no deadband" in caplog.text


def test_a_deadband_is_absolute_or_in_percent():
    with pytest.raises(ConfigError, match="keep one"):
        OPCUAConnector.Config.parse(
            {
                "url": "opc.tcp://h",
                "data_mapping": {"a": {"node_id": "i=1", "deadband": 1, "deadband_percent": 1}},
            }
        )


# ---- what a node must be ----------------------------------------------------------------------


async def test_a_node_of_another_type_than_configured_is_refused_from_the_start(connect, caplog):
    mapping = {
        "limit": {"node_id": f"{BOILER}.Limit", "type": "Double"},
        "grade": {"node_id": f"{BOILER}.Grade", "type": "Float"},
    }
    got = []
    async with await connect(data_mapping=mapping).subscribe(list(mapping), callback=got.append):
        await eventually(lambda: latest(got).keys() >= {*mapping}, lambda: f"both: {got}")
    quality = {s.tag: s.quality for s in got}
    assert latest(got)["limit.NodeChanged.active"] is True
    assert quality["limit"] == Quality.BAD_CONFIGURATION_ERROR
    assert is_good(quality["grade"])
    assert "limit is to be of type Double and is of type Int16" in caplog.text
