"""The session of connectors that speak SOAP, against Python's own HTTP server."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gl002.connector import Capability
from gl002.context import Context
from gl002.errors import AuthFailed, Busy, ConnectFailed, GL002Error, RequestFailed
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.http.answer import Unreadable
from gl002.transport.http.settings import URL, HTTPSettings
from gl002.transport.soap.connection import Message, SOAPConnection
from gl002.wire.soap import Version, decode, encode
from gl002.wire.xml import Element
from peers.web_server import Reply, Seen, WebServer

XML = {"Content-Type": "text/xml; charset=utf-8"}
FAULT = (
    b'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault>'
    b"<faultcode>s:Server</faultcode><faultstring>it\n  is\n  late</faultstring>"
    b"</s:Fault></s:Body></s:Envelope>"
)


class Config(HTTPSettings):
    url: URL

    @property
    def base_url(self) -> str:
        return self.url


class Speaker(SOAPConnection[Config]):
    """The smallest connector that speaks SOAP."""

    kind = "soap"
    can = Capability(0)
    Config = Config

    async def _greet(self) -> None:
        pass

    async def say(self, body: Element, **keys: Any) -> Element:
        message = Message(path="service", body=body, action="urn:say", **keys)
        return await self._operation(message, what="say", repeatable=False)


@pytest.fixture
def server() -> Iterator[WebServer]:
    def echo(seen: Seen) -> Reply:
        said = decode(seen.body)
        assert isinstance(said, ET.Element)
        return Reply(200, encode(said), XML)

    with WebServer(echo) as running:
        yield running


@pytest.fixture
async def speaker(server: WebServer, tmp_path: Path, no_leaks: None) -> AsyncIterator[Speaker]:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    made = Speaker({"url": server.url}, context=context)
    made._retry = RetryPolicy(max_attempts=1)
    yield made
    await made.close()
    context.audit.close()


def hello() -> Element:
    body = ET.Element("{urn:x}Hello")
    body.text = "ü"
    return body


async def test_a_message_goes_out_and_its_answer_comes_back(
    server: WebServer, speaker: Speaker
) -> None:
    found = await speaker.say(hello(), headers=[ET.Element("{urn:x}Token")], query={"a": "1"})
    assert (found.tag, found.text) == ("{urn:x}Hello", "ü")
    (seen,) = server.seen
    assert (seen.method, seen.path, seen.query) == ("POST", "/service", {"a": ["1"]})
    assert seen.headers["soapaction"] == '"urn:say"'
    assert seen.headers["content-type"] == "text/xml; charset=utf-8"
    assert b"Token" in seen.body


async def test_version_1_2_says_its_action_in_the_content_type(
    server: WebServer, speaker: Speaker
) -> None:
    speaker.soap_version = "1.2"
    version: Version = "1.2"
    server.answer = lambda _: Reply(
        200, encode(hello(), version=version), {"Content-Type": "application/soap+xml"}
    )
    assert (await speaker.say(hello())).text == "ü"
    assert 'action="urn:say"' in server.seen[0].headers["content-type"]
    assert "soapaction" not in server.seen[0].headers


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_fault_is_an_error_in_its_own_words_whatever_its_status(
    server: WebServer, speaker: Speaker, status: int
) -> None:
    server.answer = lambda _: Reply(status, FAULT, XML)
    with pytest.raises(RequestFailed, match=r"say: 127\.0\.0\.1:\d+: it is late$"):
        await speaker.say(hello())


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(401, b"<html>log in</html>", {"Content-Type": "text/html"}), AuthFailed, "401"),
        (Reply(401, FAULT, XML), AuthFailed, "401"),
        (Reply(503, FAULT, XML), Busy, "503"),
        (Reply(500, b"<html>dump</html>", {"Content-Type": "text/html"}), Busy, "dump"),
        (Reply(500, FAULT[:99], XML), Busy, "500"),
        (Reply(500, encode(hello()), XML), Busy, "500"),
        (Reply(404, b"no service", {"Content-Type": "text/plain"}), RequestFailed, "no service"),
        (Reply(200, b"<html/>", {"Content-Type": "text/html"}), Unreadable, "text/html"),
        (Reply(200, b"<html/>", XML), Unreadable, "no SOAP envelope"),
        (Reply(200, FAULT[:99], XML), Unreadable, "no XML"),
        (Reply(200, b"<!DOCTYPE x><x/>", XML), Unreadable, "declaration"),
        (Reply(200, FAULT[:99], XML, promised=len(FAULT)), ConnectFailed, "cut short"),
    ],
)  # fmt: skip
async def test_an_answer_that_brings_nothing_says_why(
    server: WebServer, speaker: Speaker, reply: Reply, error: type[GL002Error], said: str
) -> None:
    server.answer = lambda _: reply
    with pytest.raises(error, match=said) as caught:
        await speaker.say(hello())
    assert type(caught.value) is error
    assert len(server.seen) == 1


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(
    server: WebServer, speaker: Speaker
) -> None:
    speaker.largest = 10_000
    server.answer = lambda _: Reply(200, b" " * 20_000, XML)
    with pytest.raises(RequestFailed, match="more than 10000 bytes"):
        await speaker.say(hello())


async def test_a_large_answer_is_read_without_keeping_the_loop(
    server: WebServer, speaker: Speaker
) -> None:
    large = ET.Element("{urn:x}Hello")
    for number in range(20_000):
        ET.SubElement(large, "item").text = str(number)
    server.answer = lambda _: Reply(200, encode(large), XML)
    assert len(await speaker.say(hello())) == 20_000
