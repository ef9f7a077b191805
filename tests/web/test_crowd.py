"""Clients that take places, or send their requests by halves, and what others still get."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from gl002.web.connections import MOST
from gl002.web.guard import Guard
from web.client import ask, bearer, events
from web.house import until

HEAD = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n"
BODY = (
    b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Content-Length: 40\r\n\r\n{"
)


@asynccontextmanager
async def opened(port, count, begin):
    """Connections that have sent this and nothing more."""
    writers, readers = [], []
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            readers.append(reader)
            writers.append(writer)
            writer.write(begin)
            await writer.drain()
        yield readers, writers
    finally:
        for writer in writers:
            writer.transport.abort()


async def ended(reader):
    """What came before the other side ended the connection."""
    try:
        return await asyncio.wait_for(reader.read(), 60)
    except ConnectionError:
        return b""


@pytest.mark.parametrize("begin", [b"", HEAD, BODY], ids=["nothing", "half a head", "half a body"])
async def test_any_number_of_half_sent_requests_keeps_nobody_out(house, begin):
    async with opened(house.port, MOST + 100, begin) as (readers, _):
        assert (await ask(house.port, "/healthz")).status == 200
        status = await ask(house.port, "/api/status", headers=bearer(house.token))
        assert status.status == 200
        assert await ended(readers[0]) == b"", "who has waited longest makes room"
        before = house.gateway.hub.latest["boiler1.efficiency_hhv"]
        await until(lambda: house.gateway.hub.latest["boiler1.efficiency_hhv"] is not before)


async def test_who_has_a_whole_request_keeps_his_place_in_a_crowd(house):
    async with events(house.port, "/api/stream", house.token) as live:
        await anext(live)
        async with opened(house.port, MOST + 100, HEAD):
            for _ in range(5):
                await asyncio.wait_for(anext(live), 60)
        assert (await ask(house.port, "/healthz")).status == 200


async def test_a_request_that_does_not_come_in_whole_is_given_up(house):
    async def dripping(writer):
        while not writer.transport.is_closing():
            writer.write(b"X: y\r\n")
            await asyncio.sleep(0.1)

    whole = HEAD + b"\r\n"
    async with (
        opened(house.port, 1, b"") as ([silent], _),
        opened(house.port, 1, HEAD) as ([half], _),
        opened(house.port, 1, HEAD) as ([dripped], [writer]),
        opened(house.port, 1, BODY) as ([bodiless], _),
        opened(house.port, 1, whole + HEAD) as ([second], _),
    ):
        drip = asyncio.ensure_future(dripping(writer))
        *nothing, answered = await asyncio.gather(
            *(ended(r) for r in (silent, half, dripped, second))
        )
        assert nothing == [b""] * 3
        assert answered.startswith(b"HTTP/1.1 200")
        assert b"HTTP/1.1 200" not in await ended(bodiless)
        drip.cancel()
    assert (await ask(house.port, "/healthz")).status == 200


async def test_one_connection_carries_request_after_request(house):
    async with opened(house.port, 1, b"") as ([reader], [writer]):
        for _ in range(30):
            writer.write(HEAD + b"\r\n")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            await reader.readuntil(b'{"status":"ok"}')


async def test_too_many_requests_are_told_so_and_health_is_answered_all_the_same():
    release = asyncio.Event()
    begun = 0

    async def slow(scope, receive, send):
        nonlocal begun
        begun += 1
        await release.wait()

    guard = Guard(slow)
    headers = [(b"host", b"127.0.0.1")]

    async def requested(path):
        sent = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": path, "headers": headers}
        await guard(scope, None, send)
        return sent

    under_way = [asyncio.ensure_future(requested("/api/trend")) for _ in range(250)]
    await until(lambda: begun == 250)
    start, body = await requested("/api/status")
    assert start["status"] == 503
    assert b"250 requests are under way" in body["body"]
    health = asyncio.ensure_future(requested("/healthz"))
    await until(lambda: begun == 251)
    release.set()
    await asyncio.gather(*under_way, health)
    again = asyncio.ensure_future(requested("/api/status"))
    await until(lambda: begun == 252)
    await again
