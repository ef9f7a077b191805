"""HTTP: the settings and the base of connectors that speak it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gl002.connector import Capability, State
from gl002.context import Context
from gl002.errors import AuthFailed, Busy, ConfigError, ConnectFailed, RequestTimeout
from gl002.model import TagTable
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.http.answer import Answer
from gl002.transport.http.client import Request
from gl002.transport.http.connection import HTTPConnection
from gl002.transport.http.settings import URL, HTTPSettings
from integrations.http_site import authority, ca, echo, secure, server
from peers.web_server import Reply, Seen, WebServer

fixtures = server, authority, secure, ca


# ---- settings ---------------------------------------------------------------------------------


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


# ---- the connector's base ---------------------------------------------------------------------


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
