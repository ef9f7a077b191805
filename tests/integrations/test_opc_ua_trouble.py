"""OPC UA in trouble: servers that die, hang, come back as others; lines cut or gone silent."""

from __future__ import annotations

import asyncio
import logging
import re
import time

import pytest
from asyncua import Client, ua

from gl002.connector import State
from gl002.errors import ConnectFailed
from gl002.model import Quality
from gl002.security.certificates import thumbprint_of
from gl002.security.pki import Pki
from gl002.testing.contract.requests import eventually
from gl002.transport.opc_ua import security
from gl002.transport.opc_ua import source as source_module
from integrations.opc_ua_trouble_site import (
    LIMIT,
    T0,
    connect,
    healthy,
    link,
    little_server,
    mortal,
    no_wait_is_long,
    shared,
    watching,
)
from peers.certificates import make
from peers.node_opcua import URI

fixtures = healthy, shared, mortal, link, no_wait_is_long, connect

SWIFT = {"publishing_interval": 100, "keepalive_count": 10}
"""Three seconds without a message and the session counts as lost."""


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
