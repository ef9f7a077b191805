"""PI by OMF: types, containers, values, and what it says of those it does not take."""

from __future__ import annotations

import asyncio
import base64
import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.context import Context
from gl002.errors import Busy, ConnectorError, PartialWrite, RequestFailed
from gl002.integrations.historians import AsyncPIConnector
from gl002.model import Quality, Sample, Tag, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink
from gl002.wire import omf
from peers.pi_web_api import PASSWORD, USER, PiWebApi
from peers.web_server import Reply, Seen, WebServer

MILLISECOND = 1_000_000
START = now_ns() // MILLISECOND * MILLISECOND - 10**12


@pytest.fixture(scope="module")
def server() -> Iterator[PiWebApi]:
    with PiWebApi() as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def pi(server: PiWebApi, context: Context) -> Any:
    async with AsyncPIConnector(server.config, context=context) as connector:
        yield connector


async def sink_of(pi: AsyncPIConnector, **changes: Any) -> Sink:
    spec = {"destination": "pi_system", "through": "omf", **changes}
    sink = pi.sink(pi.Output.parse(spec))
    await sink.prepare()
    return sink


def numbers(tag: str, *values: Any) -> list[Sample]:
    return [Sample(tag, v, START + i * MILLISECOND) for i, v in enumerate(values)]


def values(server: PiWebApi, name: str) -> list[Any]:
    return [
        json.loads(value)
        for point, _, value, *_ in sorted(server.rows(), key=lambda row: row[1])
        if point == name and "Pt Created" not in value
    ]


async def test_points_are_made_with_their_type_and_description(server: PiWebApi, pi) -> None:
    pi.context.tags.declare(Tag(name="omf.mode", type="str", description="Mode of the burner"))
    sink = await sink_of(pi, point_prefix="GL002.")
    await sink.write([*numbers("omf.flow", 1.5, 2, True), *numbers("omf.mode", "auto")])
    assert values(server, "GL002.omf.flow") == [1.5, 2, 1]
    assert values(server, "GL002.omf.mode") == ["auto"]
    about = [found async for found in pi.browse("GL002.omf.", depth=1)]
    assert {(each.name, each.type) for each in about} == {
        ("GL002.omf.flow", "Float64"), ("GL002.omf.mode", "String"),
    }  # fmt: skip
    assert [each.description for each in about if each.type == "String"] == ["Mode of the burner"]


async def test_doubt_is_a_flag_and_a_bad_value_is_a_state(server: PiWebApi, pi) -> None:
    sink = await sink_of(pi)
    doubtful = Sample("omf.q", 1.0, START, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE)
    gone = Sample("omf.q", None, START + MILLISECOND, Quality.BAD_NO_COMMUNICATION)
    await sink.write([doubtful, gone, Sample("omf.q", float("inf"), START + 2 * MILLISECOND)])
    rows = [row for row in server.rows() if row[0] == "omf.q" and "Pt Created" not in row[2]]
    assert [json.loads(row[2]) for row in rows if row[3]] == [1.0]
    states = [json.loads(row[2])["Name"] for row in rows if "IsSystem" in row[2]]
    assert sorted(states) == ["Bad Input", "I/O Timeout"]


async def test_of_a_message_only_the_value_at_fault_is_refused(server: PiWebApi, pi) -> None:
    sink = await sink_of(pi)
    batch = [*numbers("omf.a", *map(float, range(50))), *numbers("omf.b", 1.0, 2.0)]
    batch[17] = Sample("omf.a", "text", batch[17].time)
    batch[51] = Sample("omf.b", 2**60, batch[51].time)
    with pytest.raises(PartialWrite) as caught:
        await sink.write(batch)
    assert set(caught.value.rejected) == {17, 51}
    assert "is no Float64" in caught.value.rejected[17]
    assert "more digits" in caught.value.rejected[51]
    assert values(server, "omf.a") == [float(i) for i in range(50) if i != 17]
    assert values(server, "omf.b") == [1.0]


async def test_a_point_of_another_type_is_named(server: PiWebApi, pi) -> None:
    server.create("omf.int", "Int16")
    sink = await sink_of(pi)
    with pytest.raises(PartialWrite, match=r"omf\.int: A PI point 'omf.int' exists and is a Int16"):
        await sink.write([*numbers("omf.int", 1.0), *numbers("omf.other", 1.0)])
    assert values(server, "omf.other") == [1.0]


async def test_a_container_that_has_gone_is_sent_again(server: PiWebApi, pi) -> None:
    sink = await sink_of(pi)
    await sink.write(numbers("omf.gone", 1.0))
    server.delete("omf.gone")
    with pytest.raises(ConnectorError, match="has just gone") as caught:
        await sink.write(numbers("omf.gone", 2.0))
    assert caught.value.retryable
    await sink.write(numbers("omf.gone", 2.0))
    assert values(server, "omf.gone") == [2.0]


async def test_types_of_somebody_else_are_not_written_into(context: Context) -> None:
    with PiWebApi() as server:
        mine = [{**each, "properties": {**each["properties"], "Note": {"type": "string"}}}
                for each in omf.types()]  # fmt: skip
        login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"{server.url}/omf", json.dumps(mine).encode(),
            {**omf.headers("type"), "X-Requested-With": "x", "Authorization": f"Basic {login}"},
        )  # fmt: skip
        answer = await asyncio.to_thread(urllib.request.urlopen, request, timeout=30)
        with answer:
            assert answer.status == 201
        async with AsyncPIConnector(server.config, context=context) as pi:
            with pytest.raises(RequestFailed, match="exists and is another one") as caught:
                await sink_of(pi)
    assert not caught.value.retryable
    assert "gl002.number" in caught.value.hint


async def test_more_than_a_request_holds_goes_in_several(server: PiWebApi, pi) -> None:
    sink = await sink_of(pi)
    await sink.write(numbers("omf.many", *map(float, range(6000))))
    assert values(server, "omf.many") == [float(i) for i in range(6000)]


@given(
    sizes=st.lists(st.integers(1, 60), min_size=1, max_size=20),
    largest=st.integers(300, 4000),
)
def test_requests_hold_every_value_once_in_order_and_keep_the_limit(sizes, largest) -> None:
    parts, place = [], 0
    for number, size in enumerate(sizes):
        places = list(range(place, place + size))
        parts.append(omf.Part(f"tag{number}", places, [{"Value": i} for i in places]))
        place += size
    found = list(omf.requests(parts, largest))
    assert [p for some in found for part in some for p in part.places] == list(range(place))
    for some in found:
        body = json.dumps([part.message() for part in some], separators=(",", ":"))
        assert len(body) <= largest


@pytest.mark.parametrize("content", [None, [], {}, {"Messages": 3}, {"Messages": [7, {}]}])
def test_an_answer_without_messages_refuses_nothing(content: Any) -> None:
    assert omf.refusals(content) == {}


@pytest.mark.parametrize("status", [408, 429, 503])
async def test_a_message_that_pi_puts_off_is_not_refused_for_good(
    context: Context, status: int
) -> None:
    """It is kept and sent again; it does not go to the dead letters."""
    late = {"Messages": [{"MessageIndex": 0, "Status": {"Code": status}, "Events": []}]}

    def answer(seen: Seen) -> Reply:
        if seen.method == "GET":
            return Reply(200, b'{"Items": [{"Name": "PISRV", "IsConnected": true}]}')
        data = seen.headers.get("messagetype") == "data"
        return Reply(202, json.dumps(late).encode() if data else b"{}")

    with WebServer(answer) as liar:
        config = {"server": f"{liar.url}/piwebapi"}
        async with AsyncPIConnector(config, context=context) as pi:
            sink = await sink_of(pi)
            with pytest.raises(Busy):
                await sink.write(numbers("o2", 3.2))
