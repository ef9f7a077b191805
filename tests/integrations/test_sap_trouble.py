"""Logging in to SAP, and servers that are none."""

from __future__ import annotations

import contextlib
import json
import threading
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from gl002.connector import State
from gl002.errors import AuthFailed, Busy, GL002Error, PartialWrite, RequestFailed, RequestTimeout
from gl002.integrations.enterprise import AsyncSAPConnector
from gl002.retry import RetryPolicy
from gl002.transport.sap import functions
from gl002.wire import odata
from gl002.wire.soap import encode
from integrations.sap_site import NOON, XML, Make, context, make, reading, system
from peers.sap_system import TOKEN, SAPSystem
from peers.web_server import Reply, Seen, WebServer

fixtures = system, context, make


async def test_a_token_logs_in_too(system: SAPSystem, make: Make) -> None:
    connector = make(user="", passwd=None, token=TOKEN)
    assert (await connector.get_material("NATURAL_GAS")).type == "ROH"


@pytest.mark.parametrize("wrong", [{"passwd": "wrong-canary"}, {"client": "999"}])
async def test_a_log_in_that_is_refused_needs_a_human(make: Make, wrong: dict[str, Any]) -> None:
    connector = make(**wrong)
    with pytest.raises(AuthFailed, match="401"):
        await connector.connect()
    assert connector.state is State.FAILED


def test_where_it_is_follows_from_host_and_instance_number() -> None:
    config = AsyncSAPConnector.Config
    assert config.parse({"ashost": "sap.x", "sysnr": 7}).base_url == "https://sap.x:44307/"
    assert config.parse({"ashost": "sap.x:8443"}).base_url == "https://sap.x:8443/"
    assert config.parse({"ashost": "http://[::1]:8000"}).base_url == "http://[::1]:8000/"
    parsed = config.parse({"ashost": "sap.x", "sysnr": "42", "client": 5})
    assert (parsed.gateway.port, parsed.client) == (3342, "005")


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(200, b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', XML), "document type"),
        (Reply(200, b"<x>" * 3_000_000, XML), "elements"),
        (Reply(200, b" " * 17_000_000, XML), "more than"),
        (Reply(200, b"<x>", XML), "no XML"),
        (Reply(200, b"<x/>", XML, promised=100), "cut short"),
        (Reply(200, b"<html>log in</html>", {"Content-Type": "text/html"}), "no"),
    ],
    ids=["bomb", "many elements", "oversize", "broken", "truncated", "log-in page"],
)
@pytest.mark.parametrize("wsdl", ["sap/bc/soap/wsdl11", ""], ids=["described", "untyped"])
async def test_an_answer_that_harms_or_says_nothing_is_an_error(
    make: Make, reply: Reply, said: str, wsdl: str
) -> None:
    def answer(seen: Seen) -> Reply:
        return reply if "soap" in seen.path else Reply()

    with WebServer(answer) as server:
        connector = make(ashost=server.url, soap={"wsdl": wsdl})
        connector.set_timeout(60_000)
        with pytest.raises(GL002Error, match=said):
            await connector.call_function("RFC_PING")


async def test_what_many_rows_mean_is_found_out_beside_the_event_loop(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_the_loop: dict[str, set[bool]] = {"get": set(), "entities": set()}

    def watched(module: Any, name: str) -> None:
        work = getattr(module, name)

        def spy(*args: Any) -> Any:
            on_the_loop[name].add(threading.current_thread() is threading.main_thread())
            return work(*args)

        monkeypatch.setattr(module, name, spy)

    watched(functions, "get")
    watched(odata, "entities")
    rows = "".join(f"<item><WA>{n}</WA></item>" for n in range(20_000))
    table = encode(ET.fromstring(
        "<u:RFC_READ_TABLE.Response xmlns:u='urn:sap-com:document:sap:rfc:functions'>"
        f"<DATA>{rows}</DATA></u:RFC_READ_TABLE.Response>"
    ))  # fmt: skip
    points = json.dumps({"value": [{"MeasuringPoint": str(n)} for n in range(20_000)]}).encode()

    def answer(seen: Seen) -> Reply:
        return (
            Reply(200, table, XML)
            if "soap" in seen.path
            else Reply(200, points, {"Content-Type": "application/json"})
        )

    with WebServer(answer) as server:
        connector = make(ashost=server.url, soap={"wsdl": ""})
        result = await connector.call_function("RFC_READ_TABLE")
        assert result["DATA"][-1] == {"WA": "19999"}
        await connector.connect()
        found = await connector._services.query("sap/opu/x", "Points", what="points")
        assert len(found) == 20_000
    assert on_the_loop == {"get": {False}, "entities": {False}}


async def test_an_odata_answer_of_another_form_is_an_error(make: Make) -> None:
    bodies = [b"[]", b"{}", b'{"d": 1}', b'{"d": {"results": 5}}', b"{", b"\xff", b'{"value": [1]}']
    kind = {"Content-Type": "application/json", "x-csrf-token": "t"}
    with WebServer(lambda _: Reply(200, b"{}", kind)) as server:
        connector = make(ashost=server.url)
        for body in bodies:
            server.answer = lambda _, body=body: Reply(200, body, kind)
            for request in (
                connector.get_materials(["A"]),
                connector.create_measurement_document(reading(point="X")),
            ):
                with contextlib.suppress(GL002Error):
                    await request


@pytest.mark.parametrize("body", [b"<html/>", b"{}", b'{"d": {}}'])
async def test_a_document_whose_number_is_not_told_is_looked_for_again(
    make: Make, body: bytes
) -> None:
    """SAP has made it: who asks again asks for its key first."""

    def answer(seen: Seen) -> Reply:
        kind = {"Content-Type": "application/json", "x-csrf-token": "t"}
        if seen.method == "GET":
            return Reply(200, b'{"value": []}', kind)
        return Reply(201, body, kind)

    with WebServer(answer) as server:
        with pytest.raises(Busy, match="it may have been done") as caught:
            await make(ashost=server.url).create_measurement_document(reading())
        assert caught.value.retryable
        assert sum(seen.method == "POST" for seen in server.seen) == 1


async def test_a_document_behind_an_answer_that_is_too_large_is_looked_for_again(
    make: Make,
) -> None:
    def answer(seen: Seen) -> Reply:
        kind = {"Content-Type": "application/json", "x-csrf-token": "t"}
        if seen.method == "GET":
            return Reply(200, b'{"value": []}', kind)
        return Reply(201, b" " * 17_000_000, kind)

    with WebServer(answer) as server:
        connector = make(ashost=server.url)
        connector.set_timeout(60_000)
        with pytest.raises(Busy, match=r"more than .* it may have been done"):
            await connector.create_measurement_document(reading())


@pytest.mark.parametrize("cut", [False, True])
async def test_of_many_documents_one_whose_answer_says_nothing_costs_only_itself(
    make: Make,
    cut: bool,  # noqa: FBT001 (a parameter of the test)
) -> None:
    kind = {"Content-Type": "multipart/mixed; boundary=b", "x-csrf-token": "t"}
    number = b'{"MeasurementDocument": "17"}'

    def batch(status: int, *bodies: bytes) -> Reply:
        inner = b"--b\r\nContent-Type: application/http\r\n\r\nHTTP/1.1 %d X\r\n\r\n%s\r\n"
        return Reply(202, b"".join(inner % (status, body) for body in bodies) + b"--b--\r\n", kind)

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(200, b"{}", kind)
        if b"GET MeasurementDocument" in seen.body:
            return batch(200, b'{"value": []}', b'{"value": []}')
        made = batch(201, number, b"{")
        return Reply(202, made.body[:-20], kind) if cut else made

    with WebServer(answer) as server:
        many = [reading(), reading(timestamp=NOON + timedelta(minutes=1))]
        with pytest.raises(RequestFailed, match=r"may have been done|1 documents") as caught:
            await make(ashost=server.url).create_measurement_documents(many)
    if not cut:
        assert isinstance(caught.value, PartialWrite)
        assert "may have been done" in caught.value.rejected[1]


async def test_an_answer_that_never_comes_is_a_time_out_and_is_not_asked_again(
    system: SAPSystem, make: Make
) -> None:
    connector = make()
    connector._retry = RetryPolicy(max_attempts=3)
    await connector.call_function("RFC_PING")
    system.freeze()
    connector.set_timeout(300)
    try:
        with pytest.raises(RequestTimeout):
            await connector.call_function("RFC_PING")
    finally:
        system.thaw()


async def test_a_response_of_another_function_is_refused(make: Make) -> None:
    other = encode(ET.Element("{urn:sap-com:document:sap:rfc:functions}OTHER.Response"))
    with WebServer(lambda _: Reply(200, other, XML)) as server:
        connector = make(ashost=server.url, soap={"wsdl": ""})
        with pytest.raises(RequestFailed, match=r"an answer that is <OTHER\.Response>"):
            await connector.call_function("RFC_PING")


async def test_a_response_nested_without_end_says_nothing_of_what_was_done(make: Make) -> None:
    name = b"MEASUREM_DOCUM_RFC_SINGLE_001.Response"
    start = b'<u:%s xmlns:u="urn:sap-com:document:sap:rfc:functions">' % name
    deep = start + b"<A>" * 5000 + b"</A>" * 5000 + b"</u:%s>" % name
    soap = b'<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
    empty = encode(ET.fromstring(
        "<u:RFC_READ_TABLE.Response xmlns:u='urn:sap-com:document:sap:rfc:functions'/>"
    ))  # fmt: skip

    def answer(seen: Seen) -> Reply:
        if b"RFC_READ_TABLE" in seen.body:
            return Reply(200, empty, XML)
        return Reply(200, soap + deep + b"</e:Body></e:Envelope>", XML)

    with WebServer(answer) as server:
        connector = make(ashost=server.url, soap={"wsdl": ""}, documents="functions")
        with pytest.raises(Busy, match="it may have been done"):
            await connector.create_measurement_document(reading())
