"""OPC UA nodes that become others: refused, said as an alarm, and taken again as they were."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest
from asyncua import Server, ua

from gl002.context import Context
from gl002.errors import RequestFailed
from gl002.integrations.industrial import OPCUAConnector
from gl002.model import Quality, is_good, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.transport.opc_ua import source as source_module
from peers.node_opcua import NodeOpcua
from peers.process import free_port
from rigs.gateway import running

LIMIT = "ns=2;s=Boiler1.Limit"
GRADE = "ns=2;s=Boiler1.Grade"
T0 = "ns=2;s=Many.T0"
SUBSCRIPTION = {"publishing_interval": 100, "keepalive_count": 100}
ALARM = ("active", "severity", "message")


@pytest.fixture(scope="module")
def shared():
    with NodeOpcua(MANY=1, PERIOD=60) as peer:
        yield peer


@pytest.fixture
def peer(shared):
    """A peer to change; what a test changed is changed back."""
    options = dict(shared.options)
    yield shared
    if shared.options != options or shared.type("Boiler1.Grade") != "Float":
        shared.options = options
        shared.restart()


@pytest.fixture(autouse=True)
def _soon(monkeypatch):
    """What is refused is asked for again soon."""
    monkeypatch.setattr(source_module, "_ASK_AGAIN_FIRST", 0.2)
    monkeypatch.setattr(source_module, "_ASK_AGAIN_MOST", 1.0)


@pytest.fixture
async def connect(tmp_path, no_leaks):
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made = []

    def new(port, **settings):
        config = {
            "server": {"url": f"opc.tcp://127.0.0.1:{port}", "retry_count": 0},
            "subscription": SUBSCRIPTION,
        }
        made.append(OPCUAConnector(config | settings, context=context))
        return made[-1]

    yield new
    for connector in made:
        await connector.close()
    audit.close()


@asynccontextmanager
async def watching(connector, *tags):
    """What comes of the tags, from their first good values on."""
    samples = []
    async with await connector.subscribe(list(tags), callback=samples.append):
        await eventually(
            lambda: {s.tag for s in samples if is_good(s.quality)} >= set(tags),
            lambda: f"good values of {tags}: {samples[-5:]}",
        )
        yield samples


def alarm(samples, tag):
    """The state of a tag's alarm as last told, by field; None where nothing was told."""
    last = {s.tag: s for s in samples}
    return {
        field: last[f"{tag}.NodeChanged.{field}"].value
        for field in ALARM
        if f"{tag}.NodeChanged.{field}" in last
    }


async def until(samples, tag, *, active):
    await eventually(
        lambda: alarm(samples, tag).get("active") is active,
        lambda: f"the alarm of {tag} to be {active}: {samples[-8:]}",
        within=30,
    )


async def restarted(peer, **options):
    peer.options |= options
    await asyncio.to_thread(peer.restart)


# ---- over restarts of the server --------------------------------------------------------------


@pytest.mark.slow
async def test_a_node_of_another_type_is_an_alarm_until_it_is_as_before(connect, peer):
    async with watching(connect(peer.port), LIMIT, T0) as samples:
        assert alarm(samples, LIMIT) == {}, "nothing is told of a node that never changed"
        await restarted(peer, RETYPE=1)
        await until(samples, LIMIT, active=True)
        assert alarm(samples, LIMIT)["severity"] == 700
        said = alarm(samples, LIMIT)["message"]
        assert "was 'Limit' of type Int16 and is now 'Limit' of type String" in said
        assert "restart the gateway" in said
        assert alarm(samples, T0) == {}

        await restarted(peer, RETYPE=0)
        await until(samples, LIMIT, active=False)
        assert alarm(samples, LIMIT)["message"] == f"{LIMIT} is 'Limit' of type Int16"
        await eventually(
            lambda: [s.value for s in samples if s.tag == LIMIT][-1] == 700, "its values again"
        )
    assert "high" not in {s.value for s in samples}


@pytest.mark.slow
async def test_an_alarm_is_told_again_after_an_outage(connect, peer):
    """The gateway's record of the outage marks its tags bad, and would else stay the newest."""
    with Link(peer.port) as link:
        async with watching(connect(link.port), LIMIT, T0) as samples:
            await restarted(peer, RETYPE=1)
            await until(samples, LIMIT, active=True)
            told = len(samples)
            link.cut()
            link.restore()
            await eventually(
                lambda: alarm(samples[told:], LIMIT).get("active") is True,
                lambda: f"the alarm again: {samples[told:]}",
                within=30,
            )


@pytest.mark.slow
async def test_a_type_of_the_servers_own_is_the_same_type_in_another_place(connect, peer):
    """Its data type stands in a namespace whose index has changed, and is no other type."""
    own = "nsu=urn:boiler;s=Boiler1.Mode"
    await restarted(peer, OWN_TYPE=1)
    async with watching(connect(peer.port), own, T0) as samples:
        seen = len(samples)
        await restarted(peer, SHIFT=2)
        await eventually(
            lambda: any(s.tag == own and is_good(s.quality) for s in samples[seen:]),
            lambda: f"its values again: {samples[-5:]}",
            within=30,
        )
    assert alarm(samples, own) == {}


# ---- within one session -----------------------------------------------------------------------


async def test_a_node_that_another_one_replaces_while_it_is_watched_is_an_alarm(connect, peer):
    """An online change of a controller: the session stays, the node goes and comes as another."""
    async with watching(connect(peer.port), GRADE, T0) as samples:
        peer._ask("Boiler1.Grade", {"becomes": {"dataType": "String", "value": "high"}})
        await until(samples, GRADE, active=True)
        last = [s for s in samples if s.tag == GRADE][-1]
        assert last.quality == Quality.BAD_CONFIGURATION_ERROR

        peer._ask("Boiler1.Grade", {"becomes": {"dataType": "Float", "value": 2.5}})
        await until(samples, GRADE, active=False)
        await eventually(
            lambda: [s.value for s in samples if s.tag == GRADE][-1] == 2.5, "its values again"
        )
    assert "high" not in {s.value for s in samples}


async def test_a_node_that_goes_and_comes_back_is_watched_again(connect, peer):
    async with watching(connect(peer.port), GRADE, T0) as samples:
        peer._ask("Boiler1.Grade", {"becomes": {"dataType": "Float", "value": 2.5}})
        await eventually(
            lambda: [s.value for s in samples if s.tag == GRADE][-1] == 2.5,
            lambda: f"the value of the new one: {[s for s in samples if s.tag == GRADE]}",
        )
        peer.set("Boiler1.Grade", 3.5)
        await eventually(
            lambda: [s.value for s in samples if s.tag == GRADE][-1] == 3.5, "its changes"
        )
    assert alarm(samples, GRADE) == {}


async def test_a_server_that_changes_a_type_without_a_word_gives_no_value_of_it(connect):
    """Some servers read whatever node has the id now, and tell nothing of the change."""
    async with silent_server() as (holds, becomes, port):
        tag = "ns=2;s=X"
        async with watching(connect(port), tag) as samples:
            await holds(ua.VariantType.Int16, 6)
            await eventually(lambda: samples[-1].value == 6, "a change")
            await becomes(ua.VariantType.String, "high")
            await until(samples, tag, active=True)
            await becomes(ua.VariantType.Int16, 7)
            await until(samples, tag, active=False)
            await eventually(
                lambda: [s.value for s in samples if s.tag == tag][-1] == 7, "its values again"
            )
        assert "high" not in {s.value for s in samples}


async def test_a_node_that_may_hold_any_number_is_no_alarm(connect):
    async with silent_server(declared=ua.ObjectIds.Number) as (holds, _, port):
        tag = "ns=2;s=X"
        async with watching(connect(port), tag) as samples:
            for value, kind in [(2.5, "Double"), (7, "Int32"), (3.5, "Double"), (8, "Int32")]:
                await holds(ua.VariantType[kind], value)
                await eventually(lambda value=value: samples[-1].value == value, f"{value}")
        assert alarm(samples, tag) == {}


@asynccontextmanager
async def silent_server(declared=ua.ObjectIds.Int16):
    """asyncua's server with one node, whose type can be changed under its watchers."""
    server = Server()
    await server.init()
    port = free_port()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    server.iserver.aspace._is_expected_variant_type = lambda *_: True  # it does not look
    await server.register_namespace("urn:little")
    node = await server.nodes.objects.add_variable(
        ua.NodeId("X", 2), "2:X", ua.Variant(5, ua.VariantType.Int16), datatype=ua.NodeId(declared)
    )

    async def becomes(kind, value):
        data_type = ua.DataValue(ua.Variant(ua.NodeId(kind.value), ua.VariantType.NodeId))
        await node.write_attribute(ua.AttributeIds.DataType, data_type)
        await holds(kind, value)

    async def holds(kind, value):
        await node.write_value(ua.Variant(value, kind))

    async with server:
        yield holds, becomes, port


# ---- what a person and an output see -----------------------------------------------------------


@pytest.mark.slow
async def test_outputs_get_the_alarm_and_a_restart_of_the_gateway_ends_it(tmp_path, peer):
    integrations = {
        "enabled": ["opc_ua", "sqlite"],
        "opc_ua": {
            "server": {"url": peer.url, "retry_count": 0},
            "subscription": SUBSCRIPTION,
            "data_mapping": {"limit": LIMIT},
        },
        "data_flow": {
            "input": [{"source": "opc_ua", "prefix": "boiler1."}],
            "output": [{"destination": "sqlite", "interval": 0.1}],
        },
    }
    async with running(tmp_path, integrations) as gateway:
        await stored(gateway, "boiler1.limit", 700)
        await restarted(peer, RETYPE=1)
        await stored(gateway, "boiler1.limit.NodeChanged.active", True)
        said = gateway.hub.latest["boiler1.limit.NodeChanged.message"].value
        assert said.startswith("limit was 'Limit' of type Int16 and is now 'Limit' of type String")
        assert f"({LIMIT})" in said
    async with running(tmp_path, integrations) as gateway:
        await stored(gateway, "boiler1.limit", "high")  # a restart takes nodes as they are
        await stored(gateway, "boiler1.limit.NodeChanged.active", False)


async def stored(gateway, tag, value):
    """Wait until the newest value of a tag at the destination is this one."""
    seen = []

    async def newest():
        batches = gateway.connectors["sqlite"].history([tag], 0, now_ns() + 10**12)
        seen[:] = [sample async for batch in batches for sample in batch]
        return bool(seen) and seen[-1].value == value and is_good(seen[-1].quality)

    async with asyncio.timeout(60):
        while not await newest():
            await asyncio.sleep(0.1)


# ---- writing ----------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_node_that_has_become_another_one_is_not_written(connect, peer):
    connector = connect(peer.port)
    async with watching(connector, LIMIT, T0) as samples:
        await connector.write_value(LIMIT, 650)
        assert peer.value("Boiler1.Limit") == 650
        await restarted(peer, RETYPE=1)
        await until(samples, LIMIT, active=True)
        with pytest.raises(RequestFailed, match=r"was 'Limit' of type Int16 .* restart"):
            await connector.write_value(LIMIT, "low")
    assert peer.value("Boiler1.Limit") == "high"


async def test_a_node_of_another_type_than_configured_is_not_written(connect, shared):
    mapping = {"limit": {"node_id": LIMIT, "type": "Double"}}
    with pytest.raises(RequestFailed, match="to be of type Double and is of type Int16"):
        await connect(shared.port, data_mapping=mapping).write_value("limit", 600)
    assert shared.value("Boiler1.Limit") == 700
