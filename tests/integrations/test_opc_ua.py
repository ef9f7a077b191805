"""OPC UA: every call of the guide, reading, names, the life of a session; against node-opcua."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time

import pytest

from gl002.connector import Capability
from gl002.errors import TagNotFound
from gl002.integrations.industrial import OPCUAConnector, SyncOPCUAConnector
from gl002.model import Quality, now_ns
from gl002.pool import ConnectionPool
from gl002.testing.contract.requests import eventually
from integrations.opc_ua_site import FAST, MAPPING, collect, connect, context, node, peer
from peers.node_opcua import NodeOpcua

fixtures = peer, context, connect


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
