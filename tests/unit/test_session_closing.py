"""The end of a session: closing, cancelling, and giving way to others in a pool."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import Busy, ConnectFailed
from gl002.pool import ConnectionPool
from gl002.retry import RetryPolicy
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from peers.lines import LineServer
from unit import line_connector
from unit.line_connector import LineConnector, context, link, server

fixtures = server, link, context
connector = line_connector.connector  # tests have a variable of this name too


async def test_closing_while_it_connects_ends_the_attempt_at_once(
    connector: LineConnector, link: Link
) -> None:
    link.blackhole()
    connector.set_timeout(60_000)
    connecting = asyncio.create_task(connector.connect())
    while connector._opening is None:
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await connector.close()
        with pytest.raises(ConnectFailed, match="closed meanwhile"):
            await connecting
    assert connector.state is State.CLOSED


async def test_closing_ends_a_wait_for_a_place_in_the_pool(link: Link, context: Context) -> None:
    pool = ConnectionPool(max_connections=1)
    settings = {"port": link.port}
    first = LineConnector(settings, context=context, pool=pool, name="first")
    second = LineConnector(settings, context=context, pool=pool, name="second")
    second.set_timeout(60_000)
    await first.connect()
    with first._in_use():
        waiting = asyncio.create_task(second.connect())
        while second._opening is None:
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await second.close()
            with pytest.raises(ConnectFailed):
                await waiting
    await first.close()
    assert pool.in_use == 0
    context.audit.close()


async def test_closing_ends_a_request_that_waits_to_be_tried_again(
    connector: LineConnector, link: Link
) -> None:
    """It does not open the session behind the back of who closed it."""
    connector._retry = RetryPolicy(max_attempts=None, first=600, most=600)
    await connector.connect()
    link.cut()
    asking = asyncio.create_task(connector.echo("x"))
    await eventually(lambda: connector.state is State.RETRYING and connector.shut, "it waits")
    link.restore()
    await connector.close()
    with pytest.raises(ConnectFailed, match="lines: echo: closed meanwhile"):
        async with asyncio.timeout(30):
            await asking
    assert (connector.state, connector.opened) == (State.CLOSED, 1)
    assert await connector.echo("a new one opens it again") == "a new one opens it again"


async def test_closing_ends_a_request_under_way_and_it_is_not_tried_again(
    connector: LineConnector, link: Link
) -> None:
    await connector.connect()
    link.drop_replies()
    passed = link.request_bytes
    asking = asyncio.create_task(connector.echo("x"))
    await eventually(lambda: link.request_bytes > passed, "it is under way")
    await connector.close()
    link.restore()
    with pytest.raises(ConnectFailed):
        await asking
    assert (connector.state, connector.opened) == (State.CLOSED, 1)


async def test_what_waits_to_be_tried_again_is_tried_although_the_pool_took_its_place(
    link: Link, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ConnectionPool(max_connections=1)
    first, second = (
        LineConnector({"port": link.port}, context=context, pool=pool, name=name)
        for name in ("first", "second")
    )
    waits, go_on = asyncio.Event(), asyncio.Event()

    async def ask() -> str:
        if not waits.is_set():
            raise Busy("later")  # the session stays, and with it the place
        return await first._ask("echo x")

    async def pause(*rest: Any) -> None:
        waits.set()
        await go_on.wait()
        await LineConnector._pause(first, *rest)

    monkeypatch.setattr(first, "_pause", pause)
    asking = asyncio.create_task(first._call(ask, what="ask"))
    await waits.wait()
    assert await second.echo("y") == "y"
    assert (first.opened, first.shut) == (1, 1)
    go_on.set()
    assert await asking == "x"
    assert (first.opened, second.opened) == (2, 1)
    for connector in (first, second):
        await connector.close()
    context.audit.close()


async def test_a_request_during_close_opens_a_new_session_after_it(
    connector: LineConnector, server: LineServer
) -> None:
    await connector.connect()
    _, answer = await asyncio.gather(connector.close(), connector.echo("x"))
    assert answer == "x"
    assert connector.opened == 2


async def test_a_cancelled_connect_is_cancelled_and_leaves_nothing(
    connector: LineConnector, link: Link
) -> None:
    link.blackhole()
    connecting = asyncio.create_task(connector.connect())
    while connector._opening is None:
        await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert connector.state is State.NEW
    assert connector._writer is None
    link.restore()
    assert await connector.echo("x") == "x"


async def test_the_pool_does_not_take_a_session_that_is_just_being_opened(
    link: Link, context: Context
) -> None:
    pool = ConnectionPool(max_connections=1)
    settings = {"port": link.port}
    first = LineConnector(settings, context=context, pool=pool, name="first")
    second = LineConnector(settings, context=context, pool=pool, name="second")
    second.set_timeout(200)
    link.blackhole()
    opening = asyncio.create_task(first.connect())
    while first._opening is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert not first.idle
    with pytest.raises(ConnectFailed, match="all 1 connections of the pool"):
        await second.connect()
    link.restore()
    await opening
    assert first.state is State.UP
    for connector in (first, second):
        await connector.close()
    context.audit.close()


async def test_connectors_that_share_a_pool_take_turns(
    server: LineServer, link: Link, context: Context
) -> None:
    pool = ConnectionPool(max_connections=2)
    connectors = [
        LineConnector({"port": link.port}, context=context, pool=pool, name=f"lines.{i}")
        for i in range(5)
    ]
    for _ in range(3):
        for connector in connectors:
            assert await connector.echo(connector.name) == connector.name
            assert pool.in_use <= 2
    answers = await asyncio.gather(*(c.echo(c.name) for c in connectors))
    assert answers == [c.name for c in connectors]
    for connector in connectors:
        await connector.close()
    assert pool.in_use == 0
    context.audit.close()
