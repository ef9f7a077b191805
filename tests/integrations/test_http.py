"""The HTTP session that connectors share, against Python's own HTTP server."""

from __future__ import annotations

import asyncio
import gzip
import json
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
import trustme

from gl002.connector import Capability, State
from gl002.context import Context
from gl002.errors import (
    AccessDenied,
    AuthFailed,
    Busy,
    ConfigError,
    ConnectFailed,
    GL002Error,
    NotAllowed,
    RequestFailed,
    RequestTimeout,
    Unsupported,
)
from gl002.model import TagTable
from gl002.security.audit import Audit
from gl002.security.network import Endpoint, Network
from gl002.security.secrets import Secret
from gl002.security.tls import client_context
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Auth, Basic, Exchange, Header
from gl002.transport.http.client import HTTPClient, HTTPOptions, Request, segment
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.http.settings import URL, HTTPSettings
from peers.web_server import Reply, Seen, WebServer

SOON = 30.0  # seconds, for what comes at once on any machine


def echo(seen: Seen) -> Reply:
    told = {"method": seen.method, "path": seen.path, "query": seen.query}
    return Reply(200, json.dumps(told).encode(), {"Content-Type": "application/json; charset=x"})


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(echo) as running:
        yield running


@asynccontextmanager
async def client_of(
    server: WebServer, network: Network | None = None, **options: Any
) -> AsyncIterator[HTTPClient]:
    if network is None:
        network = Network()
        network.name(Endpoint("127.0.0.1", server.port))
        network.name(Endpoint("localhost", server.port))
    base = options.pop("base_url", f"{server.url}/")
    client = HTTPClient(HTTPOptions(base_url=base, **options), network)
    try:
        yield client
    finally:
        await client.close()


async def get(client: HTTPClient, path: str = "x", *, timeout: float = SOON) -> Answer:  # noqa: ASYNC109 (passed on)
    return await client.send(Request("GET", path), timeout=timeout)


# ---- requests -----------------------------------------------------------------------------------


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


# ---- limits -------------------------------------------------------------------------------------


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


# ---- the allowlist ------------------------------------------------------------------------------


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


# ---- who we are ---------------------------------------------------------------------------------


async def test_a_token_goes_with_every_request(server: WebServer) -> None:
    async with client_of(server, auth=Header("Token", Secret("my-token"))) as client:
        await get(client)
        await get(client)
    assert [s.headers["authorization"] for s in server.seen] == ["Token my-token"] * 2


async def test_a_key_may_have_a_header_of_its_own(server: WebServer) -> None:
    async with client_of(server, auth=Header("", Secret("my-key"), name="X-API-Key")) as client:
        await get(client)
    assert server.seen[0].headers["x-api-key"] == "my-key"


async def test_basic_credentials_are_utf_8(server: WebServer) -> None:
    async with client_of(server, auth=Basic("Jörg", Secret("pä:ß"))) as client:
        await get(client)
    assert server.seen[0].headers["authorization"] == "Basic SsO2cmc6cMOkOsOf"


def test_a_user_with_a_colon_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="RFC 7617"):
        Basic("a:b", Secret("password"))


class Conversation(Auth):
    """Three legs on one connection, as Negotiate has them."""

    bound_to_connection = True

    async def exchange(self) -> Exchange:
        answer = yield {}
        while answer.status == 401 and answer.challenges:
            (challenge,) = answer.challenges
            answer = yield {"Authorization": f"answer to {challenge}"}


def _three_legs(seen: Seen) -> Reply:
    known = {"": "one", "answer to one": "two"}
    challenge = known.get(seen.headers.get("authorization", ""))
    if challenge is not None:
        return Reply(401, headers={"WWW-Authenticate": challenge})
    return echo(seen)


async def test_an_authentication_may_take_several_legs_on_one_connection(
    server: WebServer,
) -> None:
    server.answer = _three_legs
    async with client_of(server, auth=Conversation()) as client:
        answers = await asyncio.gather(*(get(client) for _ in range(4)))
    assert all(answer.ok for answer in answers)
    assert len(server.seen) == 12
    assert len({seen.connection for seen in server.seen}) == 1
    legs = [seen.headers.get("authorization") for seen in server.seen]
    assert legs == [None, "answer to one", "answer to two"] * 4, "no request comes in between"


async def test_an_authentication_that_never_ends_is_given_up(server: WebServer) -> None:
    server.answer = lambda _: Reply(401, headers={"WWW-Authenticate": "again"})
    async with client_of(server, auth=Conversation()) as client:
        with pytest.raises(AuthFailed, match="again and again"):
            await get(client)
    assert len(server.seen) == 6


# ---- TLS ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def secure(authority: trustme.CA) -> Iterator[WebServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    with WebServer(echo, tls=context) as running:
        yield running


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> str:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return str(tmp_path / "ca.pem")


async def test_https_works_with_an_authority_we_trust(secure: WebServer, ca: str) -> None:
    async with client_of(secure, tls=client_context(ca=ca)) as client:
        assert (await get(client)).ok


async def test_a_certificate_nobody_trusts_is_refused(secure: WebServer) -> None:
    async with client_of(secure, tls=client_context()) as client:
        with pytest.raises(AuthFailed, match="not trusted"):
            await get(client)
    assert secure.seen == []


async def test_a_certificate_for_another_name_is_refused(secure: WebServer, ca: str) -> None:
    tls = client_context(ca=ca)
    async with client_of(secure, tls=tls, server_name="other") as client:
        with pytest.raises(AuthFailed, match="not trusted"):
            await get(client)
    async with client_of(secure, tls=tls, server_name="localhost") as client:
        assert (await get(client)).ok


async def test_https_to_a_port_without_tls_says_so(server: WebServer, ca: str) -> None:
    base = f"https://127.0.0.1:{server.port}/"
    async with client_of(server, base_url=base, tls=client_context(ca=ca)) as client:
        with pytest.raises(ConnectFailed, match="does that port speak TLS"):
            await get(client)


# ---- what a status means ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RequestFailed), (401, AuthFailed), (403, AccessDenied), (404, RequestFailed),
        (405, Unsupported), (407, AuthFailed), (408, Busy), (409, RequestFailed),
        (413, RequestFailed), (422, RequestFailed), (425, Busy), (429, Busy), (500, Busy),
        (501, Unsupported), (502, Busy), (503, Busy), (504, Busy), (507, Busy), (599, Busy),
        (302, RequestFailed), (418, RequestFailed), (499, RequestFailed),
    ],
)  # fmt: skip
def test_a_status_is_an_error_of_ours(status: int, error: type[GL002Error]) -> None:
    made = refusal(Answer(status, {}, b"their\n words"), "write: plant:8086")
    assert type(made) is error
    assert str(status) in str(made)
    assert "their words" in str(made)
    assert "write: plant:8086" in str(made)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("999999", 300.0), ("-1", 0.0), ("soon", 0.0), ("", 0.0),
        ("1e9", 0.0), ("nan", 0.0), ("٣", 0.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
        ("Thu, 31 Dec 9999 23:59:59 GMT", 300.0), ("Thu, 99 Foo 9999 23:59:59 GMT", 0.0),
    ],
)  # fmt: skip
def test_the_wait_that_a_server_asks_for_is_read_and_limited(said: str, seconds: float) -> None:
    made = refusal(Answer(503, {"retry-after": said}), "write")
    assert made.retry_after == seconds


def test_the_wait_may_be_a_date() -> None:
    until = int(time.time()) + 60
    before = time.time()
    made = refusal(Answer(429, {"retry-after": formatdate(until, usegmt=True)}), "write")
    assert until - time.time() <= made.retry_after <= until - before


@pytest.mark.parametrize("form", ["%a %b %d %H:%M:%S %Y", "%a, %d %b %Y %H:%M:%S -0000"])
def test_a_date_without_a_zone_is_utc(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form of C's asctime (RFC 9110, 5.6.7) names no zone: it is not that of this machine."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        until = int(time.time()) + 60
        said = time.strftime(form, time.gmtime(until))
        before = time.time()
        made = refusal(Answer(429, {"retry-after": said}), "write")
        after = time.time()
    finally:
        monkeypatch.undo()
        time.tzset()
    assert until - after <= made.retry_after <= until - before


def test_a_secret_in_an_answer_is_not_shown() -> None:
    Secret("hunter2-hunter2")
    made = refusal(Answer(400, {}, b"bad token hunter2-hunter2\x1b[31m"), "write")
    assert "hunter2" not in str(made)
    assert "\x1b" not in str(made)


def test_a_long_answer_is_quoted_in_part() -> None:
    assert len(str(refusal(Answer(400, {}, b"x" * 100_000), "write"))) < 500


@pytest.mark.parametrize("body", [b"", b"<html>", b"[1,", b'{"a":"\xff"}', b"[" * 100_000])
def test_what_is_no_json_is_an_error_that_shows_it(body: bytes) -> None:
    with pytest.raises(RequestFailed, match="cannot be read"):
        Answer(200, {}, body).json(dict[str, Any])


# ---- settings -----------------------------------------------------------------------------------


class ToySettings(HTTPSettings):
    url: URL

    @property
    def base_url(self) -> str:
        return self.url


@pytest.mark.parametrize(
    ("url", "base", "endpoint"),
    [
        ("http://plant", "http://plant/", ("plant", 80)),
        ("https://plant", "https://plant/", ("plant", 443)),
        ("HTTP://plant:8086/", "http://plant:8086/", ("plant", 8086)),
        ("https://plant/a/b/", "https://plant/a/b/", ("plant", 443)),
        ("http://[::1]:8086", "http://[::1]:8086/", ("::1", 8086)),
    ],
)
def test_an_address_ends_with_a_slash(url: str, base: str, endpoint: tuple[str, int]) -> None:
    settings = ToySettings(url=url)
    assert settings.base_url == base
    assert settings.endpoint == endpoint


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"url": "plant:8086"}, "begins with http"),
        ({"url": "ftp://plant"}, "begins with http"),
        ({"url": "http://"}, "host"),
        ({"url": "http://plant:99999"}, "address"),
        ({"url": "http://me:secret@plant"}, "holds a user"),
        ({"url": "http://plant/?db=x"}, "'?'"),
        ({"url": "http://plant", "tls": {}}, "plain"),
        ({"url": "https://plant", "tls": {"verify": False}}, "verify"),
    ],
)
def test_a_wrong_address_is_refused(settings: Mapping[str, Any], word: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ToySettings.parse(settings)
    assert word in str(caught.value)
    assert "secret" not in str(caught.value)


# ---- the connector's base -----------------------------------------------------------------------


class Toy(HTTPConnection[ToySettings]):
    """The least that a kind over HTTP is."""

    kind = "toy"
    can = Capability(0)
    Config = ToySettings

    async def _greet(self) -> None:
        await self._send(Request("GET", "health"), what="greet")

    async def get(self, path: str) -> Answer:
        return await self._ask(Request("GET", path), what=f"get {path}")


@pytest.fixture
def toy_of(tmp_path: Path) -> Iterator[Callable[..., Toy]]:
    audit = Audit(tmp_path / "audit.jsonl")

    def make(server: WebServer, **settings: Any) -> Toy:
        context = Context(network=Network(), audit=audit, state_dir=tmp_path, tags=TagTable())
        return Toy({"url": server.url, **settings}, context=context)

    yield make
    audit.close()


async def test_connecting_is_one_request_that_is_answered(
    server: WebServer, toy_of: Callable[..., Toy]
) -> None:
    async with toy_of(server) as toy:
        assert [s.path for s in server.seen] == ["/health"]
        await toy.get("x")
        await toy.get("y")
        assert (await toy.check()).ok
    assert [s.path for s in server.seen] == ["/health", "/x", "/y"]
    assert toy.state is State.CLOSED


async def test_the_tls_block_says_whom_to_trust(
    secure: WebServer, ca: str, toy_of: Callable[..., Toy]
) -> None:
    async with toy_of(secure, tls={"ca": ca}) as toy:
        assert (await toy.get("x")).ok
    stranger = toy_of(secure)
    with pytest.raises(AuthFailed, match=r"set tls\.ca"):
        await stranger.connect()
    assert stranger.state is State.FAILED
    await stranger.close()


async def test_a_refused_greeting_is_a_failure_for_a_person(
    server: WebServer, toy_of: Callable[..., Toy]
) -> None:
    server.answer = lambda _: Reply(401)
    toy = toy_of(server)
    with pytest.raises(AuthFailed, match=r"toy: greet: 127\.0\.0\.1:"):
        await toy.connect()
    assert toy.state is State.FAILED
    assert len(server.seen) == 1, "asking again would lock the account"
    await toy.close()


async def test_a_busy_server_is_asked_again_after_the_wait_it_asks_for(
    server: WebServer, toy_of: Callable[..., Toy]
) -> None:
    times: list[float] = []

    def busy(seen: Seen) -> Reply:
        if seen.path == "/x":
            times.append(time.monotonic())
            if len(times) == 1:
                return Reply(503, headers={"Retry-After": "1"})
        return echo(seen)

    server.answer = busy
    async with toy_of(server, retry_policy={"first": 0}) as toy:
        assert (await toy.get("x")).ok
        assert toy.state is State.UP
    assert len(times) == 2
    assert times[1] - times[0] >= 1.0


async def test_a_wait_longer_than_a_request_may_take_is_left_to_the_flow(
    server: WebServer, toy_of: Callable[..., Toy]
) -> None:
    server.answer = lambda s: (
        Reply(429, headers={"Retry-After": "60"}) if s.path == "/x" else Reply()
    )
    async with toy_of(server, timeout=2) as toy:
        with pytest.raises(Busy) as caught:
            await toy.get("x")
    assert caught.value.retry_after == 60.0
    assert [s.path for s in server.seen].count("/x") == 1


async def test_a_time_out_names_the_request(server: WebServer, toy_of: Callable[..., Toy]) -> None:
    over = threading.Event()

    def never(seen: Seen) -> Reply:
        if seen.path == "/x":
            over.wait()
        return Reply()

    server.answer = never
    try:
        async with toy_of(server, retry_policy={"max_attempts": 1}) as toy:
            toy.set_timeout(100)
            with pytest.raises(RequestTimeout, match="get x"):
                await toy.get("x")
    finally:
        over.set()


async def test_a_server_that_was_away_is_taken_up_again(
    server: WebServer, toy_of: Callable[..., Toy]
) -> None:
    async with toy_of(server, retry_policy={"max_attempts": 1}) as toy:
        server.stop()
        with pytest.raises(ConnectFailed):
            await toy.get("x")
        server.start()
        assert (await toy.get("x")).ok
        assert toy.state is State.UP
