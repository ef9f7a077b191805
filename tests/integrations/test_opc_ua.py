"""OPC UA: every call of the guide, names, types, streams, against node-opcua."""

from __future__ import annotations

import asyncio
import logging
import math
import subprocess
import sys
import threading
import time

import pytest
from asyncua import Client

from gl002.connector import Capability, first_of
from gl002.context import Context
from gl002.errors import ConfigError, DataError, RequestFailed, TagNotFound
from gl002.integrations.industrial import OPCUAConnector, SyncOPCUAConnector
from gl002.model import Quality, is_bad, is_good, now_ns, severity
from gl002.pool import ConnectionPool
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.transport.opc_ua import browsing, client, nodes
from peers.node_opcua import NodeOpcua

MANY = 1200
FAST = {"publishing_interval": 50, "keepalive_count": 200}
"""The server may stand still for 10 s before its session counts as lost."""


@pytest.fixture(scope="module")
def peer():
    with NodeOpcua(MANY=MANY) as peer:
        yield peer


@pytest.fixture(scope="module")
def busy():
    """Values that change every 25 ms."""
    with NodeOpcua(MANY=20, PERIOD=25) as peer:
        yield peer


@pytest.fixture
def context(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def connect(peer, context, no_leaks):
    """Makes connectors to the peer and closes them."""
    made = []

    def make(to=peer, *, pool=None, **settings):
        config = {"url": to.url, "subscription": FAST, **settings}
        made.append(OPCUAConnector(config, context=context, pool=pool))
        return made[-1]

    yield make
    for connector in made:
        await connector.close()
    context.audit.close()


def node(name: str) -> str:
    return f"ns=2;s=Boiler1.{name}"


async def collect(connector, count, **spec):
    """The first batches of a source until there are `count` samples."""
    source = connector.source(connector.Input.parse({"source": "opc_ua", **spec}))
    samples = []
    async with asyncio.timeout(30), source.open() as batches:
        async for batch in batches:
            samples += batch
            if len(samples) >= count:
                break
    return samples


# ---- the guide --------------------------------------------------------------------------------


async def test_the_calls_of_the_guide_in_its_order(connect, peer):
    opc_connector = connect()
    got = []

    await opc_connector.connect()
    nodes = await opc_connector.browse_nodes("ns=2;s=Boiler1")
    subscription = await opc_connector.subscribe(
        [node("SteamFlow"), node("Pressure"), node("Temperature")], callback=got.append
    )
    values = await opc_connector.read_values([node("Efficiency"), node("FuelFlow")])
    await opc_connector.write_value(node("SetPoint"), 485.0)

    assert {"SteamFlow", "SetPoint"} <= {found.name for found in nodes}
    assert values == [85.4, 3500.0]
    assert peer.value("Boiler1.SetPoint") == 485.0
    await eventually(lambda: len(got) == 3, lambda: f"three values: {got}")
    assert {s.tag: s.value for s in got} == {
        node("SteamFlow"): 50000.0, node("Pressure"): 12.5, node("Temperature"): 485.5,
    }  # fmt: skip
    await subscription.unsubscribe()


def test_the_shapes_of_the_guide_mean_the_same(context):
    flat = OPCUAConnector(
        {
            "server_url": "opc.tcp://localhost:4840",
            "security_policy": "Basic256Sha256",
            "security_mode": "SignAndEncrypt",
            "certificate_path": "/certs/client.pem",
            "private_key_path": "/certs/client.key",
        },
        context=context,
    )
    nested = OPCUAConnector(
        {
            "server": {"url": "opc.tcp://localhost:4840"},
            "security": {
                "mode": "SignAndEncrypt",
                "policy": "Basic256Sha256",
                "certificate": "/certs/client.pem",
                "private_key": "/certs/client.key",
            },
        },
        context=context,
    )
    ((name, _, short),) = OPCUAConnector.instances(
        {
            "primary": {
                "url": "opc.tcp://localhost:4840",
                "security": "SignAndEncrypt",
                "retry_policy": {"max_attempts": 3, "backoff": "exponential"},
            }
        }
    )
    primary = OPCUAConnector.Config.parse(short)
    assert flat.config == nested.config
    assert name == "opc_ua.primary"
    assert (primary.security.chosen_mode, primary.security.chosen_policy) == (
        "SignAndEncrypt", "Basic256Sha256",
    )  # fmt: skip
    assert primary.retry().max_attempts == 3


def test_times_of_the_guide_are_milliseconds():
    config = OPCUAConnector.Config.parse(
        {
            "server": {
                "url": "opc.tcp://h", "timeout": 30000, "retry_count": 3, "retry_delay": 5000,
            }
        }
    )  # fmt: skip
    assert config.request_timeout() == 30.0
    assert list(config.retry().delays()) == [5.0, 5.0, 5.0]


def test_it_can_what_the_registry_says():
    assert OPCUAConnector.can == (
        Capability.READ | Capability.WRITE | Capability.STREAM | Capability.BROWSE
        | Capability.HISTORY
    )  # fmt: skip


# ---- reading ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SteamFlow", 50000.0), ("Temperature", 485.5), ("Limit", 700), ("Running", True),
        ("Name", "Kessel 1"), ("Starts", 12), ("Serial", 12345), ("Profile", [1.0, 2.0, 3.0]),
    ],
)  # fmt: skip
async def test_every_type_reads_as_pythons_own(connect, name, value):
    read = await connect().read_value(node(name))
    assert read == value
    assert type(read) is type(value)


async def test_a_node_that_does_not_exist_is_named(connect):
    with pytest.raises(TagNotFound, match=r"opc_ua: .*ns=2;s=Boiler1.Absent"):
        await connect().read_value(node("Absent"))


async def test_among_many_a_node_that_does_not_exist_is_none(connect):
    values = await connect().read_values([node("Limit"), node("Absent"), "absent", node("Running")])
    assert values == [700, None, None, True]


async def test_a_bad_value_is_none_and_its_sample_says_why(connect, peer):
    peer.set("Boiler1.Starts", 13, status="BadSensorFailure")
    try:
        connector = connect()
        assert await connector.read_value(node("Starts")) is None
        assert await connector.read_values([node("Starts")]) == [None]
        (sample,) = await connector.read([node("Starts")])
        assert (sample.value, sample.quality) == (None, Quality.BAD_SENSOR_FAILURE)
    finally:
        peer.set("Boiler1.Starts", 12)


async def test_an_uncertain_value_keeps_its_status(connect, peer):
    peer.set("Boiler1.Starts", 13, status="UncertainLastUsableValue")
    try:
        (sample,) = await connect().read([node("Starts")])
        assert (sample.value, sample.quality) == (13, Quality.UNCERTAIN_LAST_USABLE_VALUE)
    finally:
        peer.set("Boiler1.Starts", 12)


async def test_the_time_of_a_value_is_its_sources(connect, peer):
    an_hour_ago = int(time.time()) * 1000 - 3_600_000 + 7
    peer.set("Boiler1.Starts", 14, time=an_hour_ago)
    try:
        connector = connect()
        (read,) = await connector.read([node("Starts")])
        (streamed,) = await collect(connector, 1, tags=[node("Starts")])
        assert (read.value, read.time) == (14, an_hour_ago * 1_000_000)
        assert (streamed.value, streamed.time) == (14, an_hour_ago * 1_000_000)
    finally:
        peer.set("Boiler1.Starts", 12)


async def test_an_array_is_no_sample(connect):
    connector = connect()
    (sample,) = await connector.read([node("Profile")])
    (streamed,) = await collect(connector, 1, tags=[node("Profile")])
    for each in (sample, streamed):
        assert (each.value, each.quality) == (None, Quality.BAD_TYPE_MISMATCH)
        assert 0 < now_ns() - each.time < 3_600 * 10**9


async def test_more_nodes_than_the_server_takes_at_once(connect):
    with NodeOpcua(LIMIT=50, MANY=130) as small:
        connector = connect(small)
        tags = [f"ns=2;s=Many.T{i}" for i in range(130)]
        assert await connector.read_values_batch(tags) == [0.0] * 130
        session = connector._session
        assert session.limits.read == 50
        # a server that names no limit and has one refuses, and gets smaller requests
        session.limits = session.limits._replace(read=1000, monitor=1000, translate=1000)
        assert await connector.read_values(tags) == [0.0] * 130
        samples = await collect(connector, 130, tags=tags)
        assert {s.tag for s in samples} == set(tags)
        await connector.close()


# ---- names ------------------------------------------------------------------------------------

MAPPING = {
    "flow": {"node_id": node("SteamFlow"), "scaling": 0.001, "offset": 0.5, "unit": "klb/hr"},
    "limit": {"node_id": node("Limit"), "scaling": 0.1},
    "running": {"node_id": node("Running"), "scaling": 2.0},
    "on": node("Running"),
    "by_uri": "nsu=urn:boiler;s=Boiler1.Efficiency",
}


async def test_a_mapped_name_is_scaled_everywhere(connect):
    connector = connect(data_mapping=MAPPING)
    assert await connector.read_value("flow") == pytest.approx(50.5)
    assert (await connector.read(["flow"]))[0].value == pytest.approx(50.5)
    (sample,) = await collect(connector, 1, tags=["flow"])
    assert (sample.tag, sample.value) == ("flow", pytest.approx(50.5))


async def test_a_node_id_is_not_scaled_though_it_is_mapped(connect):
    assert await connect(data_mapping=MAPPING).read_value(node("SteamFlow")) == 50000.0


async def test_truth_values_are_not_scaled(connect):
    connector = connect(data_mapping=MAPPING)
    assert await connector.read_value("running") is True
    assert await connector.read_value("on") is True


async def test_a_node_may_be_given_by_the_uri_of_its_namespace(connect):
    connector = connect(data_mapping=MAPPING)
    assert await connector.read_value("by_uri") == 85.4
    assert await connector.read_value("nsu=urn:boiler;s=Boiler1.Limit") == 700


async def test_an_unknown_namespace_is_named_with_those_there_are(connect):
    with pytest.raises(TagNotFound, match=r"no namespace 'urn:nobody'.*urn:boiler"):
        await connect().read_value("nsu=urn:nobody;s=x")


@pytest.mark.parametrize("name", ["SteamFlow", "steam_flow", "STEAMFLOW"])
async def test_a_tag_without_mapping_is_the_one_node_of_that_name(connect, name):
    assert await connect().read_value(name) == 50000.0


async def test_a_name_of_two_nodes_is_refused_with_both(connect):
    with pytest.raises(TagNotFound) as caught:
        await connect().read_value("speed")
    assert "2 nodes are called 'speed'" in str(caught.value)
    assert "ns=2;s=LeftFan.Speed (LeftFan/Speed)" in str(caught.value)
    assert "ns=2;s=RightFan.Speed (RightFan/Speed)" in str(caught.value)


async def test_a_name_nobody_has_is_refused_with_similar_ones(connect):
    with pytest.raises(TagNotFound, match=r"no node is called 'steam_flw'.*Boiler1.SteamFlow"):
        await connect().read_value("steam_flw")


# ---- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("SetPoint", "Double", {485: 485.0, 481.25: 481.25}),
        ("Grade", "Float", {2.5: 2.5}),
        ("Limit", "Int16", {-12: -12, 700.0: 700}),
        ("Running", "Boolean", {False: False, 1: True}),
        ("Name", "String", {"Kessel 2": "Kessel 2", "Kessel 1": "Kessel 1"}),
        ("Starts", "UInt32", {4_000_000_000: 4_000_000_000, 12: 12}),
    ],
)
async def test_a_write_keeps_the_type_of_the_node(connect, peer, name, kind, values):
    connector = connect()
    for written, held in values.items():
        await connector.write_value(node(name), written)
        assert peer.value(f"Boiler1.{name}") == held
        assert peer.type(f"Boiler1.{name}") == kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Limit", 485.5), ("Limit", 40000), ("Limit", "5"), ("Limit", True), ("Limit", math.inf),
        ("Starts", -1), ("Running", 2), ("Running", "on"), ("Name", 5), ("Name", None),
        ("SetPoint", "485"), ("SetPoint", math.nan), ("Grade", 1e39), ("Profile", 1e400),
    ],
)  # fmt: skip
async def test_a_value_that_does_not_fit_is_refused_before_it_is_sent(connect, peer, name, value):
    before = peer.value(f"Boiler1.{name}")
    with pytest.raises(DataError, match=f"Boiler1.{name}"):
        await connect().write_value(node(name), value)
    assert peer.value(f"Boiler1.{name}") == before


async def test_a_node_nobody_may_write_is_a_clear_refusal(connect, peer):
    with pytest.raises(RequestFailed, match=r"BadNotWritable.*lets nobody write") as caught:
        await connect().write_value(node("SteamFlow"), 1.0)
    assert not caught.value.retryable
    assert peer.value("Boiler1.SteamFlow") == 50000


async def test_of_several_writes_each_has_its_outcome(connect, peer):
    outcome = await connect().write_values(
        {node("SetPoint"): 490, node("SteamFlow"): 1, node("Limit"): 1.5, node("Grade"): 3.5}
    )
    assert [(name.rpartition(".")[2], type(error)) for name, error in outcome.items()] == [
        ("SetPoint", type(None)), ("SteamFlow", RequestFailed), ("Limit", DataError),
        ("Grade", type(None)),
    ]  # fmt: skip
    assert "BadNotWritable" in str(outcome[node("SteamFlow")])
    assert (peer.value("Boiler1.SetPoint"), peer.value("Boiler1.Grade")) == (490, 3.5)


async def test_a_mapped_name_is_written_in_its_own_unit(connect, peer):
    await connect(data_mapping=MAPPING).write_value("limit", 48.5)
    assert (peer.value("Boiler1.Limit"), peer.type("Boiler1.Limit")) == (485, "Int16")
    await connect(data_mapping=MAPPING).write_value("limit", 70.0)
    assert peer.value("Boiler1.Limit") == 700


async def test_writing_what_does_not_exist_names_it(connect):
    with pytest.raises(TagNotFound, match=r"ns=2;s=Boiler1.Absent"):
        await connect().write_value(node("Absent"), 1.0)


# ---- browsing ---------------------------------------------------------------------------------


async def test_browsing_tells_type_unit_description_and_access(connect):
    found = {f.name: f for f in await connect().browse_nodes("ns=2;s=Boiler1")}
    assert (found["Pressure"].type, found["Pressure"].unit) == ("Double", "bar")
    assert (found["Limit"].type, found["Limit"].writable) == ("Int16", True)
    assert (found["SteamFlow"].description, found["SteamFlow"].writable) == (
        "steam to header", False,
    )  # fmt: skip
    assert found["Limit"].address == node("Limit")


async def test_browsing_from_the_top_leaves_the_server_itself_out(connect):
    assert {f.name for f in await connect().browse_nodes()} == {
        "Aliases", "Boiler1", "LeftFan", "Locations", "Many", "RightFan",
    }  # fmt: skip


async def test_browsing_goes_as_deep_as_asked_and_tells_the_path(connect):
    connector = connect()
    found = [f async for f in connector.browse("", depth=2)]
    paths = {f.path for f in found}
    assert {"Boiler1", "Boiler1/Limit", "LeftFan/Speed"} <= paths
    assert len(paths) == len(found)
    assert "Boiler1/Pressure/EURange" not in paths


async def test_browsing_a_thousand_children_gives_each_once(connect):
    found = await connect().browse_nodes("ns=2;s=Many")
    assert {f.name for f in found} == {f"T{i}" for i in range(MANY)}
    assert len(found) == MANY


async def test_a_browse_that_the_server_breaks_off_is_an_error_and_not_half_a_list(connect):
    """Its answer to a continuation point it no longer knows: 1,000 of 1,200 children came."""
    connector = connect()
    assert await connector.read_value(node("Limit")) == 700
    service = connector._session.client.uaclient.session
    following = service.browse_next

    async def forgotten(parameters):
        parameters.ContinuationPoints = [b"of another session"]
        return await following(parameters)

    service.browse_next = forgotten
    with pytest.raises(RequestFailed, match=r"browse ns=2;s=Many.*BadContinuationPointInvalid"):
        await connector.browse_nodes("ns=2;s=Many")


async def test_a_browse_that_finds_more_than_it_may_says_so_behind_what_it_found(
    connect, monkeypatch
):
    monkeypatch.setattr(client, "_MOST_FOUND", 800)
    found = []

    async def browse():
        async for thing in connect().browse("ns=2;s=Many"):
            found.append(thing)  # noqa: PERF401 (what came before the error counts)

    with pytest.raises(RequestFailed, match="ns=2;s=Many: more than 800 nodes lie below") as caught:
        await browse()
    assert {f.name for f in found} == {f"T{i}" for i in range(800)}
    assert "a node further down" in caught.value.hint
    monkeypatch.setattr(client, "_MOST_FOUND", MANY)
    assert len(await connect().browse_nodes("ns=2;s=Many")) == MANY


async def test_a_node_with_more_children_than_are_believed_is_named(connect, monkeypatch):
    monkeypatch.setattr(browsing, "_MOST_REFERENCES", 1000)
    connector = connect()
    with pytest.raises(RequestFailed, match=r"Many: more than 1,000 nodes lie directly below it"):
        await connector.browse_nodes("ns=2;s=Many")
    assert len(await connector.browse_nodes("ns=2;s=Boiler1")) > 10


async def test_a_name_is_looked_for_among_so_many_nodes_and_that_is_said(
    connect, monkeypatch, caplog
):
    monkeypatch.setattr(nodes, "_MOST_NODES", 25)
    assert await connect().read_value("steam_flow") == 50000.0
    with pytest.raises(TagNotFound, match="no node is called 'T1199'"):
        await connect().read_value("T1199")
    assert "more than 25 nodes lie below it; names are looked for among those" in caplog.text
    assert "give its node id" in caplog.text


async def test_browsing_may_stop_early(connect):
    connector = connect()
    assert len(await first_of(connector.browse("ns=2;s=Many"), 3)) == 3
    assert await connector.read_value(node("Limit")) == 700


async def test_browsing_what_does_not_exist_is_an_error(connect):
    with pytest.raises(TagNotFound, match="nowhere"):
        await connect().browse_nodes("ns=2;s=nowhere")


# ---- subscriptions ----------------------------------------------------------------------------


async def test_a_subscription_tells_the_value_now_and_every_change(connect, peer):
    got = []
    async with await connect().subscribe([node("Starts")], callback=got.append):
        await eventually(lambda: [s.value for s in got] == [12], "the value now")
        for value in (13, 14, 12):
            peer.set("Boiler1.Starts", value)
            await eventually(lambda v=value: got[-1].value == v, f"the change to {value}")
        assert [s.value for s in got] == [12, 13, 14, 12]
        assert all(s.tag == node("Starts") and is_good(s.quality) for s in got)


async def test_a_coroutine_callback_is_awaited_in_order(connect, busy):
    started, finished = [], []

    async def callback(sample):
        started.append(sample.value)
        await asyncio.sleep(0)
        finished.append(sample.value)
        assert started == finished

    async with await connect(busy).subscribe(["ns=2;s=Many.T0"], callback=callback):
        await eventually(lambda: len(finished) >= 20, "twenty values")
    assert finished == sorted(finished)


async def test_a_callback_that_fails_is_logged_and_gets_the_next_value(connect, peer, caplog):
    got = []

    def callback(sample):
        got.append(sample.value)
        raise ValueError("my mistake")

    async with await connect().subscribe([node("Starts")], callback=callback):
        await eventually(lambda: got, "the first value")
        peer.set("Boiler1.Starts", 15)
        await eventually(lambda: got[-1] == 15, "the second value")
    peer.set("Boiler1.Starts", 12)
    assert "my mistake" in caplog.text
    assert "ns=2;s=Boiler1.Starts" in caplog.text


async def test_after_closing_nothing_comes(connect, busy):
    got = []
    subscription = await connect(busy).subscribe(["ns=2;s=Many.T0"], callback=got.append)
    await eventually(lambda: len(got) > 3, "values")
    assert subscription.active
    await subscription.close()
    await subscription.close()
    count = len(got)
    await asyncio.sleep(0.15)
    assert len(got) == count
    assert not subscription.active


async def test_a_callback_may_close_its_own_subscription(connect, busy):
    got = []

    async def callback(sample):
        got.append(sample)
        await subscription.close()

    subscription = await connect(busy).subscribe(["ns=2;s=Many.T0"], callback=callback)
    await eventually(lambda: not subscription.active, "it is closed")
    await asyncio.sleep(0.15)
    assert len(got) == 1


async def test_closing_the_connector_ends_its_subscriptions(connect, busy):
    connector = connect(busy)
    subscription = await connector.subscribe(["ns=2;s=Many.T0"], callback=lambda _: None)
    await connector.close()
    assert not subscription.active


async def test_subscriptions_of_one_connector_do_not_disturb_each_other(connect, busy):
    connector = connect(busy)
    one, two = [], []
    first = await connector.subscribe(["ns=2;s=Many.T0"], callback=one.append)
    second = await connector.subscribe(["ns=2;s=Many.T1"], callback=two.append)
    await eventually(lambda: len(one) > 3 and len(two) > 3, "values of both")
    await first.close()
    count = len(two)
    await eventually(lambda: len(two) > count + 5, "the second goes on")
    assert {s.tag for s in two} == {"ns=2;s=Many.T1"}
    await second.close()
    third = await connector.subscribe(["ns=2;s=Many.T2"], callback=one.append)
    await eventually(lambda: one[-1].tag == "ns=2;s=Many.T2", "and so does a third")
    await third.close()


async def test_subscribing_to_an_unknown_name_is_an_error_and_leaves_nothing(connect):
    connector = connect()
    with pytest.raises(TagNotFound, match="no node is called 'no_such_name'"):
        await connector.subscribe([node("Limit"), "no_such_name"], callback=print)
    assert not connector._session.publisher.active


async def test_what_the_server_had_to_drop_is_a_sample_before_the_next_value(connect, busy):
    settings = {"publishing_interval": 400, "sampling_interval": 0, "queue_size": 3}
    settings["keepalive_count"] = 25
    connector = connect(busy, subscription=settings)
    source = connector.source(
        connector.Input.parse({"source": "opc_ua", "tags": ["ns=2;s=Many.T0"]})
    )
    samples = []
    async with source.open() as batches:
        async for batch in batches:
            samples += batch
            lost = [i for i, s in enumerate(samples) if s.quality == Quality.BAD_DATA_LOST]
            if len(samples) > 12 and lost:
                break
    assert source.skipped == len(lost)
    for i in lost:
        gap, following = samples[i], samples[i + 1]
        assert gap.value is None
        assert gap.time == following.time - 1000
        assert following.quality == Quality.GOOD
        if i:
            assert following.value > samples[i - 1].value + 1


async def test_a_message_holds_no_more_than_max_notifications(connect):
    connector = connect(subscription={**FAST, "max_notifications": 10})
    tags = [f"ns=2;s=Many.T{i}" for i in range(50)]
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": tags}))
    sizes = []
    async with source.open() as batches:
        async for batch in batches:
            sizes.append(len(batch))
            if sum(sizes) == 50:
                break
    assert max(sizes) <= 10


async def test_the_server_is_asked_for_the_options_of_the_guide(connect):
    wanted = {
        "publishing_interval": 700, "lifetime_count": 4321, "keepalive_count": 11, "priority": 7,
    }  # fmt: skip
    connector = connect(subscription=wanted)
    async with await connector.subscribe([node("Limit")], callback=lambda _: None):
        found = await _diagnostics(connector)
    assert found == (700.0, 4321, 11, 7)


async def _diagnostics(connector):
    """What the server itself says about our one subscription."""
    async with Client(connector.config.server.url) as other:
        array = await other.get_node("i=2290").read_value()  # SubscriptionDiagnosticsArray
    (ours,) = [s for s in array if s.PublishingInterval == 700.0]
    return ours.PublishingInterval, ours.MaxLifetimeCount, ours.MaxKeepAliveCount, ours.Priority


# ---- sources ----------------------------------------------------------------------------------


async def test_a_source_without_tags_delivers_the_whole_mapping_with_its_prefix(connect, context):
    connector = connect(data_mapping=MAPPING)
    samples = await collect(connector, len(MAPPING), prefix="b1.")
    assert {s.tag for s in samples} == {f"b1.{name}" for name in MAPPING}
    assert context.tags["b1.flow"].unit == "klb/hr"
    assert context.tags["b1.flow"].address == node("SteamFlow")
    assert context.tags["b1.flow"].source == "opc_ua"


async def test_units_come_from_the_server_where_the_configuration_names_none(connect, context):
    await collect(connect(), 1, tags=["pressure", node("Limit")])
    await connect().read([node("Pressure")])
    assert context.tags.unit("pressure") == context.tags.unit(node("Pressure")) == "bar"
    assert context.tags.unit(node("Limit")) == ""


async def test_a_source_of_nothing_is_a_mistake(connect):
    connector = connect()
    with pytest.raises(ConfigError, match="nothing to subscribe to"):
        connector.source(connector.Input.parse({"source": "opc_ua"}))


async def test_one_unknown_node_in_500_harms_no_other(connect, caplog):
    tags = [f"ns=2;s=Many.T{i}" for i in range(498)]
    tags[250:250] = [node("Absent"), "absent_name"]
    before = now_ns()
    samples = {s.tag: s for s in await collect(connect(), 500, tags=tags)}
    bad = {tag: s.quality for tag, s in samples.items() if is_bad(s.quality)}
    assert len(samples) == 500
    assert bad == {
        node("Absent"): Quality.BAD_NODE_ID_UNKNOWN, "absent_name": Quality.BAD_NODE_ID_UNKNOWN,
    }  # fmt: skip
    assert samples[node("Absent")].time >= before
    assert "absent_name" in caplog.text


async def test_a_thousand_items_arrive_and_go_on(connect, peer):
    tags = [f"ns=2;s=Many.T{i}" for i in range(1000)]
    connector = connect()
    samples = await collect(connector, 1000, tags=tags)
    assert {s.tag for s in samples} == set(tags)
    assert all(severity(s.quality) == "good" for s in samples)


async def test_a_consumer_that_pauses_holds_a_bounded_number_of_messages(connect, busy):
    settings = {**FAST, "sampling_interval": 0, "queue_size": 2}
    connector = connect(busy, subscription=settings)
    source = connector.source(
        connector.Input.parse({"source": "opc_ua", "tags": ["ns=2;s=Many.T0"]})
    )
    async with source.open() as batches:
        await anext(batches)
        await asyncio.sleep(1.0)  # about twenty messages; what does not fit waits at the server
        (inbox,) = connector._session.publisher._inboxes.values()
        assert len(inbox._messages) <= 10
        values = []
        async with asyncio.timeout(30):
            while Quality.BAD_DATA_LOST not in {s.quality for s in values}:
                values += await anext(batches)
        times = [s.time for s in values]
        assert times == sorted(times)


# ---- life -------------------------------------------------------------------------------------


async def test_a_streaming_session_is_not_idle_and_no_pool_takes_it(connect, peer):
    pool = ConnectionPool(max_connections=1)
    streaming = connect(pool=pool)
    async with await streaming.subscribe([node("Limit")], callback=lambda _: None):
        await eventually(lambda: streaming._session.publisher.active, "it streams")
        assert not streaming.idle
    assert streaming.idle
    other = connect(pool=pool)
    assert await other.read_value(node("Limit")) == 700
    assert pool.in_use == 1


async def test_a_check_names_the_server_and_warns_where_nothing_is_protected(connect):
    health = await connect().check()
    assert health.ok
    assert "BoilerPeer" in health.detail
    assert "up since 20" in health.detail
    assert health.notes == ("messages are neither signed nor encrypted",)


async def test_an_idle_session_outlives_the_servers_patience(connect):
    connector = connect()
    await connector.connect()
    session = connector._session
    session._renew_at = 0.0  # the channel's hour is over: the next beat renews it
    await asyncio.sleep(0)
    session._heard = 0.0
    await eventually(lambda: session._renew_at > 0 and session._heard > 0, "a beat and a renewal")
    assert await connector.read_value(node("Limit")) == 700
    assert connector._session is session


def test_a_script_that_closes_nothing_ends_without_a_word(peer):
    """The guide never closes."""
    script = (
        "import asyncio, sys\n"
        "from gl002.integrations.industrial import OPCUAConnector\n"
        "async def main():\n"
        "    opc = OPCUAConnector({'url': sys.argv[1]})\n"
        "    await opc.subscribe(['ns=2;s=Boiler1.Limit'], callback=str)\n"
        "    print(await opc.read_value('ns=2;s=Boiler1.Limit'))\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-W", "error", "-c", script, peer.url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "700\n", "")


async def test_debug_logging_shows_no_password(connect, caplog):
    caplog.set_level(logging.DEBUG)
    connector = connect(data_mapping=MAPPING)
    await connector.read_value("flow")
    assert "ActivateSession" not in caplog.text


def test_the_blocking_face_reads_writes_and_streams(peer, context):
    got: list[tuple[str, object]] = []
    with SyncOPCUAConnector({"url": peer.url, "subscription": FAST}, context=context) as opc:

        def callback(sample):
            thread = threading.current_thread().name
            got.append((thread, opc.read_value(sample.tag)))  # a callback may call back

        subscription = opc.subscribe([node("Limit")], callback=callback)
        deadline = time.monotonic() + 30
        while not got and time.monotonic() < deadline:
            time.sleep(0.02)
        assert got[0][0].startswith("gl002-callbacks")
        assert got[0][1] == 700
        subscription.close()
        assert not subscription.active
        opc.write_value(node("SetPoint"), 470.0)
        assert opc.read_values([node("SetPoint")]) == [470.0]
        assert [f.name for f in opc.browse_nodes("ns=2;s=LeftFan")] == ["Speed"]
