"""OPC UA in trouble: servers that die, hang, come back as others; lines that are cut or go silent.

Values must be back within five seconds of the end of the trouble, whatever it was. Each test looks
at that, and at how long we ourselves chose to wait before a next try.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from contextlib import asynccontextmanager

import pytest
from asyncua import Client, Server, ua

from gl002.connector import State
from gl002.context import Context
from gl002.errors import ConnectFailed, TagNotFound
from gl002.integrations.industrial import OPCUAConnector
from gl002.model import Quality, is_bad, is_good, now_ns
from gl002.security.audit import Audit
from gl002.security.certificates import thumbprint_of
from gl002.security.network import Network
from gl002.security.pki import Pki
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.testing.stalls import at_most
from gl002.transport.opc_ua import security
from gl002.transport.opc_ua import source as source_module
from peers.certificates import make
from peers.node_opcua import URI, NodeOpcua
from peers.process import free_port

LIMIT = "ns=2;s=Boiler1.Limit"
T0 = "ns=2;s=Many.T0"
BACK = 5.0  # seconds
SWIFT = {"publishing_interval": 100, "keepalive_count": 10}
"""Three seconds without a message and the session counts as lost."""
PATIENT = {"publishing_interval": 100, "keepalive_count": 100}
"""No machine stands still for so long: what is lost is lost by what the test does."""


@pytest.fixture(scope="module")
def healthy():
    """A peer that tests leave as it is; trouble is on the line."""
    with NodeOpcua(MANY=10, PERIOD=60) as peer:
        yield peer


@pytest.fixture(scope="module")
def shared():
    with NodeOpcua(MANY=10, PERIOD=60) as peer:
        yield peer


@pytest.fixture
def mortal(shared):
    """A peer to kill and to change; what a test changed is changed back."""
    options, certificate = dict(shared.options), shared.certificate
    yield shared
    if (shared.options, shared.certificate) != (options, certificate):
        shared.options = options
        shared.shows(certificate)
        shared.restart()


@pytest.fixture
def link(healthy):
    with Link(healthy.port) as link:
        yield link


class Waits(logging.Handler):
    """How long we wait before the next try, as we say it ourselves; seconds."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.longest = 0.0

    def emit(self, record):
        found = re.search(r"; again in ([\d.]+) s$", record.getMessage())
        self.longest = max(self.longest, float(found[1]) if found else 0.0)


@pytest.fixture
def no_wait_is_long():
    """Whatever the trouble: the next try, with its wait for a greeting, follows in time."""
    ours, waits = logging.getLogger("gl002.opc_ua"), Waits()
    level = ours.level
    ours.setLevel(logging.DEBUG)
    ours.addHandler(waits)
    yield
    ours.removeHandler(waits)
    ours.setLevel(level)
    assert waits.longest + security._GREETING <= BACK


@pytest.fixture
async def connect(tmp_path, no_wait_is_long, no_leaks):
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made = []

    def new(port, **settings):
        config = {
            "server": {"url": f"opc.tcp://127.0.0.1:{port}", "retry_count": 0},
            "subscription": PATIENT,
        }
        made.append(OPCUAConnector(config | settings, context=context))
        return made[-1]

    yield new
    for connector in made:
        await connector.close()
    audit.close()


class Watched:
    """A subscription and what came."""

    def __init__(self):
        self.samples, self.source = [], None

    def __call__(self, sample):
        self.samples.append(sample)

    async def flowing(self, within=BACK):
        """Wait for a good value that comes from now on; what the machine stood still is no wait."""
        seen = len(self.samples)
        with at_most(within):
            await eventually(
                lambda: any(is_good(s.quality) for s in self.samples[seen:]),
                lambda: f"good values again; the last: {self.samples[-3:]}",
                within=30,
            )


@asynccontextmanager
async def watching(connector, *tags):
    watched = Watched()
    async with await connector.subscribe(list(tags or [T0]), callback=watched) as subscription:
        watched.source = subscription._source
        await watched.flowing()
        yield watched


# ---- the server -------------------------------------------------------------------------------


async def test_a_server_that_was_killed_and_started_again(connect, mortal):
    async with watching(connect(mortal.port)) as watched:
        await asyncio.to_thread(mortal.restart)
        await watched.flowing()


@pytest.mark.slow
async def test_a_server_that_was_away_for_a_while(connect, mortal):
    connector = connect(mortal.port)
    async with watching(connector) as watched:
        mortal.kill()
        await eventually(lambda: connector.state is State.RETRYING, "noticed")
        await asyncio.sleep(3)
        await asyncio.to_thread(mortal.start)
        await watched.flowing()


@pytest.mark.slow
async def test_a_server_that_hangs_is_noticed_and_taken_up_again(connect, mortal):
    connector = connect(mortal.port, subscription=SWIFT)
    async with watching(connector) as watched:
        mortal.freeze()
        try:
            await eventually(lambda: connector.state is State.RETRYING, "noticed")
            await asyncio.sleep(1)
        finally:
            mortal.thaw()
        await watched.flowing()


async def test_a_server_that_pauses_keeps_its_session(connect, mortal):
    connector = connect(mortal.port)
    async with watching(connector) as watched:
        session = connector._session
        mortal.freeze()
        await asyncio.sleep(0.5)
        mortal.thaw()
        await watched.flowing()
        assert connector._session is session


async def test_a_server_that_is_not_there_is_an_error_and_then_none(connect, link):
    link.cut()
    connector = connect(link.port)
    with pytest.raises(ConnectFailed, match=f"127.0.0.1:{link.port}.*refused"):
        await connector.subscribe([T0], callback=print)
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [T0]}))
    with pytest.raises(ConnectFailed):
        async with source.open() as batches:
            await anext(batches)
    link.restore()
    async with watching(connector):
        assert connector.state is State.UP


async def test_a_session_the_server_has_forgotten_is_replaced(connect, mortal):
    """All is well on the line, but the server says BadSessionIdInvalid."""
    connector = connect(mortal.port)
    async with watching(connector) as watched:
        protocol = connector._session.client.uaclient.protocol
        protocol.authentication_token = ua.NodeId(4711, 1)
        with pytest.raises(ConnectFailed, match="BadSessionIdInvalid"):
            await connector.read_value(LIMIT)
        await watched.flowing()
        assert await connector.read_value(LIMIT) == 700


async def test_a_session_that_expired_at_the_server_is_replaced(connect, mortal):
    connector = connect(mortal.port)
    async with watching(connector) as watched:
        session = connector._session
        mortal.expire_sessions()
        await eventually(lambda: connector._session not in {session, None}, "a new session")
        await watched.flowing()
        assert await connector.read_value(LIMIT) == 700


async def test_a_server_that_publishes_no_more_but_still_answers(connect):
    """Reads work, the socket is fine, only notifications have ceased: the watchdog's case."""
    async with little_server() as (server, port):
        connector = connect(port, subscription={"publishing_interval": 100, "keepalive_count": 2})
        async with watching(connector, "ns=2;s=Counter") as watched:
            session = connector._session
            for internal in server.iserver.subscription_service.subscriptions.values():
                internal._task.cancel()
            assert await connector.read_value("ns=2;s=Counter") is not None
            await eventually(lambda: connector._session is not session, "a new session")
            await watched.flowing()


async def test_a_node_that_appears_later_is_taken_up(connect, monkeypatch):
    monkeypatch.setattr(source_module, "_ASK_AGAIN_FIRST", 0.2)
    async with little_server() as (server, port):
        late = "ns=2;s=Late"
        connector = connect(port)
        async with watching(connector, "ns=2;s=Counter", late) as watched:
            await eventually(
                lambda: (
                    (late, Quality.BAD_NODE_ID_UNKNOWN)
                    in {(s.tag, s.quality & 0xFFFF0000) for s in watched.samples}
                ),
                "it is said to be missing",
            )
            await server.nodes.objects.add_variable(ua.NodeId("Late", 2), "2:Late", 7.0)
            await eventually(
                lambda: any(s.tag == late and s.value == 7.0 for s in watched.samples), "it"
            )


# ---- the address space ------------------------------------------------------------------------


@pytest.mark.slow
async def test_namespaces_that_changed_places_never_give_another_node(connect, mortal):
    """After the restart index 2 is somebody else's namespace, and ours is 4."""
    tags = [LIMIT, "nsu=urn:boiler;s=Boiler1.Name", "steam_flow"]
    connector = connect(mortal.port)
    async with watching(connector, *tags) as watched:
        mortal.options["SHIFT"] = 2
        mortal.kill()
        await eventually(lambda: connector.state is State.RETRYING, "noticed")
        watched.samples.clear()
        await asyncio.to_thread(mortal.start)

        def good():
            return {(s.tag, s.value) for s in watched.samples if is_good(s.quality)}

        await eventually(lambda: len(good()) == 3, "all three again")
        assert good() == {
            (tags[0], 700), (tags[1], "Kessel 1"), (tags[2], 50000.0),
        }  # fmt: skip
        assert await connector.read_value(LIMIT) == 700
        await connector.write_value("ns=2;s=Boiler1.Grade", 9.5)
        assert mortal.value("Boiler1.Grade") == 9.5


async def test_a_namespace_that_is_gone_is_named(connect, mortal):
    connector = connect(mortal.port)
    assert await connector.read_value(LIMIT) == 700
    connector._directory._uris[2] = "urn:of:yesterday"
    with pytest.raises(TagNotFound, match="no namespace 'urn:of:yesterday'"):
        await connector.read_value(LIMIT)


@pytest.mark.slow
async def test_a_node_that_is_gone_after_a_restart_harms_no_other(connect, mortal):
    connector = connect(mortal.port)
    async with watching(connector, LIMIT, T0) as watched:
        mortal.options["OMIT"] = "Limit"
        await asyncio.to_thread(mortal.restart)
        await watched.flowing()
        await eventually(
            lambda: any(s.tag == LIMIT and is_bad(s.quality) for s in watched.samples), "its status"
        )


@pytest.mark.slow
async def test_a_node_of_another_type_is_refused_and_said(connect, mortal, caplog, monkeypatch):
    monkeypatch.setattr(source_module, "_ASK_AGAIN_FIRST", 0.2)
    connector = connect(mortal.port)
    async with watching(connector, LIMIT, T0) as watched:
        mortal.options["RETYPE"] = 1
        await asyncio.to_thread(mortal.restart)
        await watched.flowing()
        await eventually(
            lambda: (
                (LIMIT, Quality.BAD_CONFIGURATION_ERROR)
                in {(s.tag, s.quality) for s in watched.samples}
            ),
            "it is marked",
        )
        asked = watched.source._ask_again_in
        await eventually(lambda: watched.source._ask_again_in > 2 * asked, "asked for twice again")
        await watched.flowing()  # refused nodes are asked for again; this one stays refused
    assert "high" not in {s.value for s in watched.samples}
    assert "was 'Limit' of type" in caplog.text


# ---- the line ---------------------------------------------------------------------------------


async def test_a_line_that_was_cut(connect, link, caplog):
    connector = connect(link.port)
    async with watching(connector) as watched:
        caplog.clear()
        link.cut()
        await eventually(lambda: connector.state is State.RETRYING, "noticed")
        await asyncio.sleep(2)
        link.restore()
        await watched.flowing()
    ours = [r for r in caplog.records if r.name == "gl002.opc_ua" and r.levelno > logging.DEBUG]
    assert [r.levelname for r in ours] == ["WARNING", "INFO"], "one line down, one up"
    noticed = ours[0].getMessage()
    assert not re.search(r"no (sign of life|notification|answer)", noticed), "noticed at once"


@pytest.mark.slow
async def test_a_line_that_swallows_everything(connect, link):
    connector = connect(link.port, subscription=SWIFT)
    async with watching(connector) as watched:
        link.blackhole()
        await eventually(lambda: connector.state is State.RETRYING, "noticed")
        link.restore()
        await watched.flowing()


async def test_a_slow_line_is_no_trouble(connect, link):
    connector = connect(link.port)
    async with watching(connector) as watched:
        session = connector._session
        link.delay(0.3)
        link.slice()
        await asyncio.sleep(1)
        await watched.flowing()
        assert connector._session is session


async def test_many_short_cuts_leave_one_subscription_that_works(connect, link):
    connector = connect(link.port)
    async with watching(connector) as watched:
        for _ in range(8):
            link.cut()
            await asyncio.sleep(0.05)
            link.restore()
            await asyncio.sleep(0.15)
        await watched.flowing()
        await eventually(lambda: link.open == 1, "one connection")
        times = [s.time for s in watched.samples if s.tag == T0]
        assert times == sorted(times)


async def test_a_connector_closed_in_the_middle_of_trouble_stays_closed(connect, link):
    connector = connect(link.port)
    subscription = await connector.subscribe([T0], callback=lambda _: None)
    link.cut()
    await eventually(lambda: connector.state is State.RETRYING, "noticed")
    await connector.close()
    link.restore()
    await asyncio.sleep(0.6)
    assert connector.state is State.CLOSED
    assert not subscription.active
    assert link.open == 0


async def test_a_gateway_that_stood_still_itself_does_not_take_the_server_for_dead(
    connect, healthy, caplog
):
    """A busy disk or a suspended machine: what the server sent meanwhile lies in the socket."""
    swift = {"publishing_interval": 100, "keepalive_count": 20, "queue_size": 1000}
    connector = connect(healthy.port, subscription=swift)
    async with watching(connector) as watched:
        time.sleep(6.0)  # noqa: ASYNC251 (the whole loop stands; patience is 5 s)
        await watched.flowing()
    assert [r.message for r in caplog.records if r.levelno >= logging.WARNING] == []
    assert Quality.BAD_DATA_LOST not in {sample.quality for sample in watched.samples}


async def test_a_gateway_that_stands_still_while_it_connects_does_so_all_the_same(
    connect, monkeypatch
):
    monkeypatch.setattr(security, "_GREETING", 1.0)
    hello, greeted = Client.send_hello, []

    async def after_a_stall(client):
        if not greeted:
            time.sleep(1.5)  # noqa: ASYNC251 (the whole loop stands)
        greeted.append(client)
        return await hello(client)

    monkeypatch.setattr(Client, "send_hello", after_a_stall)
    async with little_server() as (_, port):
        connector = connect(port)
        await connector.connect()
        assert len(greeted) == 2
        assert connector.state is State.UP


# ---- what a source tells ----------------------------------------------------------------------


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


# ---- certificates -----------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_new_certificate_stops_the_stream_until_a_person_trusts_it(
    connect, mortal, tmp_path
):
    pki = Pki(tmp_path / "pki")
    (pki.folder / "trusted").mkdir(parents=True)
    (pki.folder / "trusted" / "peer.der").write_bytes(mortal.certificate.der)
    connector = connect(mortal.port, security="SignAndEncrypt")
    async with watching(connector) as watched:
        renewed = make(URI, name="renewed", which=4)
        mortal.kill()
        mortal.shows(renewed)
        await asyncio.to_thread(mortal.start)
        await eventually(lambda: connector.state is State.FAILED, "refused")
        pki.trust(thumbprint_of(renewed.certificate))
        await watched.flowing()


# ---- a small server of another make -----------------------------------------------------------


_LOOPS_OF_SERVER = {"InternalSession._timeout_loop", "InternalSubscription._subscription_loop"}


@asynccontextmanager
async def little_server():
    """asyncua's server with one counting node."""
    server = Server()
    await server.init()
    port = free_port()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.register_namespace("urn:little")
    node = await server.nodes.objects.add_variable(ua.NodeId("Counter", 2), "2:Counter", 0)

    async def count():
        number = 0
        while True:
            number += 1
            await node.write_value(number)
            await asyncio.sleep(0.05)

    async with server:
        counting = asyncio.create_task(count())
        try:
            yield server, port
        finally:
            counting.cancel()
            for task in asyncio.all_tasks():
                if any(loop in repr(task) for loop in _LOOPS_OF_SERVER):
                    task.cancel()  # it would watch over a session that is gone, for its 30 s
            await asyncio.wait([counting])
