"""The HTTP session that connectors share, against Python's own HTTP server."""

from __future__ import annotations

import asyncio
import gzip
import threading
import time

import pytest

from gl002.errors import ConnectFailed, GL002Error, NotAllowed, RequestFailed
from gl002.security.network import Endpoint, Network
from gl002.security.secrets import Secret
from gl002.transport.http.answer import refusal
from gl002.transport.http.auth import Header
from gl002.transport.http.client import Request, segment
from integrations.http_site import SOON, client_of, echo, get, server
from peers.web_server import Reply, Seen, WebServer

fixtures = (server,)


# ---- requests ---------------------------------------------------------------------------------


async def test_a_request_arrives_as_it_was_meant(server: WebServer) -> None:
    async with client_of(server, base_url=f"{server.url}/below/", headers={"X-Own": "1"}) as client:
        request = Request(
            "POST",
            f"a/{segment('B&1/ü ?')}",
            [("q", "Größe & co"), ("q", "2"), ("empty", "")],
            {"Accept": "text/csv"},
            b"body",
        )
        answer = await client.send(request, timeout=SOON)
    assert answer.ok
    assert answer.content_type == "application/json"
    assert answer.json()["query"] == {"q": ["Größe & co", "2"], "empty": [""]}
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", "/below/a/B%261%2F%C3%BC%20%3F")
    assert seen.body == b"body"
    assert seen.headers["accept"] == "text/csv"
    assert seen.headers["x-own"] == "1"


@pytest.mark.parametrize("size", [10, 400_000])
async def test_a_body_is_sent_as_gzip_on_request(server: WebServer, size: int) -> None:
    body = b"boiler1.steam_flow=12.5\n" * (size // 24 + 1)
    async with client_of(server) as client:
        await client.send(Request("POST", "write", body=body, compress=True), timeout=SOON)
    (seen,) = server.seen
    assert seen.headers["content-encoding"] == "gzip"
    assert seen.body == body
    assert size < 1000 or int(seen.headers["content-length"]) < len(body) / 10


async def test_a_compressed_answer_is_unpacked(server: WebServer) -> None:
    packed = gzip.compress(b"x" * 100_000)
    server.answer = lambda _: Reply(200, packed, {"Content-Encoding": "gzip"})
    async with client_of(server) as client:
        assert (await get(client)).body == b"x" * 100_000


async def test_connections_are_used_again_and_no_more_than_allowed(server: WebServer) -> None:
    def slowly(seen: Seen) -> Reply:
        time.sleep(0.02)
        return echo(seen)

    server.answer = slowly
    async with client_of(server, connections=2) as client:
        await asyncio.gather(*(get(client) for _ in range(10)))
    assert len(server.seen) == 10
    assert len({seen.connection for seen in server.seen}) == 2


async def test_cookies_are_kept_only_where_asked_for(server: WebServer) -> None:
    server.answer = lambda _: Reply(headers={"Set-Cookie": "session=42; Path=/"})
    for cookies in (False, True):
        async with client_of(server, cookies=cookies) as client:
            await get(client)
            await get(client)
        assert server.seen[-1].headers.get("cookie") == ("session=42" if cookies else None)


# ---- limits -----------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
async def test_an_answer_above_the_limit_is_refused(server: WebServer, packed: bool) -> None:  # noqa: FBT001 (a parameter of the test)
    huge = b"0" * 5_000_000
    headers = {"Content-Encoding": "gzip"} if packed else {}
    server.answer = lambda _: Reply(200, gzip.compress(huge) if packed else huge, headers)
    async with client_of(server, largest=1_000_000) as client:
        with pytest.raises(RequestFailed, match="more than 1000000 bytes"):
            await get(client)


async def test_an_answer_that_does_not_come_is_a_time_out(server: WebServer) -> None:
    over = threading.Event()

    def never(_: Seen) -> Reply:
        over.wait()
        return Reply()

    server.answer = never
    try:
        async with client_of(server) as client:
            with pytest.raises(TimeoutError):
                await get(client, timeout=0.1)
    finally:
        over.set()


async def test_an_answer_cut_short_is_an_error_that_comes_again(server: WebServer) -> None:
    server.answer = lambda _: Reply(200, b"half", promised=100)
    async with client_of(server) as client:
        with pytest.raises(ConnectFailed, match="cut short") as caught:
            await get(client)
    assert caught.value.retryable


@pytest.mark.parametrize(
    "raw", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 2x0 what\r\n\r\n", b"\x00\xff" * 50, b""]
)
async def test_what_is_no_http_is_an_error_of_ours(server: WebServer, raw: bytes) -> None:
    server.answer = lambda _: Reply(raw=raw)
    async with client_of(server) as client:
        with pytest.raises(ConnectFailed, match=str(server.port)):
            await get(client)


async def test_where_nothing_listens_it_says_so(server: WebServer) -> None:
    server.stop()
    async with client_of(server) as client:
        with pytest.raises(ConnectFailed, match="nothing listens on that port"):
            await get(client)


# ---- the allowlist ----------------------------------------------------------------------------


async def test_an_address_nobody_named_is_not_dialled(server: WebServer) -> None:
    async with client_of(server, Network()) as client:
        with pytest.raises(NotAllowed):
            await get(client)
    assert server.seen == []


async def test_a_rule_that_narrows_holds_for_a_name_too(server: WebServer) -> None:
    network = Network(allow=["10.0.0.0/8"])
    network.name(Endpoint("localhost", server.port))
    base = f"http://localhost:{server.port}/"
    async with client_of(server, network, base_url=base) as client:
        with pytest.raises(NotAllowed):
            await get(client)
    assert server.seen == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_to_another_server_is_not_followed(server: WebServer, status: int) -> None:
    with WebServer(echo) as other:
        server.answer = lambda _: Reply(status, headers={"Location": f"{other.url}/steal"})
        network = Network()
        for port in (server.port, other.port):
            network.name(Endpoint("127.0.0.1", port))
        async with client_of(server, network, auth=Header("Bearer", Secret("s3cret-token"))) as c:
            with pytest.raises(RequestFailed, match="is not on"):
                await get(c)
        assert other.seen == []


async def test_a_redirect_on_the_same_server_is_followed_with_the_method_it_had(
    server: WebServer,
) -> None:
    def moved(seen: Seen) -> Reply:
        if seen.path == "/x":
            return Reply(308, headers={"Location": "/y"})
        return echo(seen)

    server.answer = moved
    async with client_of(server) as client:
        answer = await client.send(Request("POST", "x", body=b"b"), timeout=SOON)
    assert answer.json()["path"] == "/y"
    assert [(s.method, s.body) for s in server.seen] == [("POST", b"b")] * 2


async def test_a_write_is_not_turned_into_a_read_by_a_redirect(server: WebServer) -> None:
    server.answer = lambda _: Reply(302, headers={"Location": "/y"})
    async with client_of(server) as client:
        answer = await client.send(Request("POST", "x", body=b"b"), timeout=SOON)
    assert answer.status == 302
    error = refusal(answer, "write")
    assert isinstance(error, RequestFailed)
    assert "/y" in str(error)


async def test_a_header_that_is_no_text_is_text_when_it_comes_to_us(server: WebServer) -> None:
    """It stands in errors, and they in files that take only what UTF-8 can hold."""
    raw = b"HTTP/1.1 302 Found\r\nLocation: //other/\xff\r\nContent-Length: 0\r\n\r\n"
    server.answer = lambda _: Reply(raw=raw)
    async with client_of(server) as client:
        answer = await client.send(Request("POST", "x", body=b"{}"), timeout=SOON)
        assert answer.headers["location"] == r"//other/\xff"
        with pytest.raises(RequestFailed) as refused:
            await get(client)
    str(refused.value).encode()


async def test_a_circle_of_redirects_ends(server: WebServer) -> None:
    server.answer = lambda _: Reply(307, headers={"Location": "/x"})
    async with client_of(server) as client:
        with pytest.raises(RequestFailed, match="circles"):
            await get(client)
    assert len(server.seen) == 4


@pytest.mark.parametrize("path", ["http://127.0.0.1:1/x", "//example.org/x", "http://[::1/x", "\\"])
async def test_a_path_cannot_lead_elsewhere(server: WebServer, path: str) -> None:
    async with client_of(server) as client:
        try:
            await get(client, path)
        except GL002Error:
            assert server.seen == []
        else:
            assert len(server.seen) == 1
