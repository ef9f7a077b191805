"""InfluxDB: what is special to it beyond the contract.

Three counterparts, and what each can show:
    one      InfluxDB 1.6 of Debian, the vendor's own: points, types, partial writes, InfluxQL
    two      ours after the API of InfluxDB 2, with InfluxData's compiler for Flux and `one` as its
             storage; InfluxData's client talks to it in the same tests
    victoria VictoriaMetrics of Debian: another make that takes the writes of InfluxDB 2
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from gl002.config.load import load
from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    Busy,
    DataError,
    GL002Error,
    PartialWrite,
    RequestFailed,
    TagNotFound,
    Unsupported,
)
from gl002.flow.gateway import Gateway
from gl002.integrations.databases import AsyncInfluxDBConnector, InfluxDBConnector
from gl002.model import Batch, Sample, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink
from gl002.transport.influxdb import source as source_module
from gl002.transport.influxdb.settings import InfluxDBConfig, InfluxDBInput, InfluxDBOutput
from gl002.wire.line_protocol import line
from injection import CORPUS
from peers.influxdb import InfluxDB
from peers.influxdb2 import InfluxDB2, error
from peers.victoria import VictoriaMetrics
from peers.web_server import Reply, Seen, WebServer

SECOND = 1_000_000_000
START = 1_735_689_600 * SECOND  # 2025-01-01
_numbers = count(1)


@pytest.fixture(scope="module")
def one() -> Iterator[InfluxDB]:
    with InfluxDB() as running:
        yield running


@pytest.fixture(scope="module")
def two() -> Iterator[InfluxDB2]:
    with InfluxDB2() as running:
        yield running


@pytest.fixture(params=["one", "two"])
def either(request: pytest.FixtureRequest) -> InfluxDB | InfluxDB2:
    """A server that keeps and finds points, in InfluxQL and in Flux."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def measurement() -> str:
    """One that no other test uses."""
    return f"m{next(_numbers)}"


@pytest.fixture
async def connected(tmp_path: Path) -> AsyncIterator[Callable[..., AsyncInfluxDBConnector]]:
    audit = Audit(tmp_path / "audit.jsonl")
    made: list[AsyncInfluxDBConnector] = []

    def make(server: Any, **settings: Any) -> AsyncInfluxDBConnector:
        context = Context(network=Network(), audit=audit, state_dir=tmp_path)
        config = server if isinstance(server, dict) else server.config
        connector = AsyncInfluxDBConnector({**config, **settings}, context=context)
        made.append(connector)
        return connector

    yield make
    for connector in made:
        await connector.close()
    audit.close()


def point(measurement: str, value: Any, number: int = 0, **tags: str) -> dict[str, Any]:
    return {
        "measurement": measurement, "tags": tags, "fields": {"value": value},
        "timestamp": datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
    }  # fmt: skip


def samples(measurement: str, count: int, *, tags: int = 2) -> Batch:
    return [
        Sample(f"{measurement}.t{i % tags}", float(i), START + i * SECOND) for i in range(count)
    ]


def ours(connector: AsyncInfluxDBConnector, measurement: str) -> Any:
    """A sink that writes a measurement."""
    spec = InfluxDBOutput.parse({"destination": "influxdb", "measurement": measurement})
    return connector.sink(spec)


async def recorded(connector: AsyncInfluxDBConnector, *tags: str) -> Batch:
    return [s async for batch in connector.history(tags, 0, 2**62) for s in batch]


# ---- points -------------------------------------------------------------------------------------


async def test_points_are_written_as_the_guide_writes_them(connected, either, measurement) -> None:
    influx = connected(either)
    written = await influx.write_points(
        [
            {
                "measurement": measurement,
                "tags": {"boiler_id": "B001", "plant": "Plant1", "absent": None},
                "fields": {"value": 85.4, "target": 88, "on": True, "mode": "auto", "no": None},
                "timestamp": datetime(2025, 1, 1, 12, 0, 0, 5),  # noqa: DTZ001 (as in the guide)
            }
        ]
    )
    assert written == 1
    storage = either if isinstance(either, InfluxDB) else either.storage
    database = either.database if isinstance(either, InfluxDB) else either.bucket
    (row,) = storage.query(f'SELECT * FROM "{measurement}" GROUP BY *', database)
    assert row == {
        "boiler_id": "B001", "plant": "Plant1", "value": 85.4, "target": 88, "on": True,
        "mode": "auto", "time": START + 43_200 * SECOND + 5_000,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("timestamp", "precision", "expected"),
    [
        (datetime(2025, 1, 1), "ns", START),  # noqa: DTZ001 (naive is UTC)
        (datetime(2025, 1, 1, 1, tzinfo=UTC) - timedelta(hours=1), "ns", START),
        ("2025-01-01T02:00:00+02:00", "ns", START), ("2025-01-01T00:00:00", "s", START),
        (START + 7, "ns", START + 7), (START // 1000, "us", START),
        (START // 10**6, "ms", START), (START // SECOND, "s", START),
    ],
)  # fmt: skip
async def test_a_time_may_be_written_in_several_ways(
    connected, one, timestamp, precision, expected
) -> None:
    measurement = f"m{next(_numbers)}"
    influx = connected(one, precision=precision)
    await influx.write_points([{**point(measurement, 1.0), "timestamp": timestamp}])
    (row,) = one.query(f'SELECT * FROM "{measurement}"')
    assert row["time"] == expected


async def test_a_point_without_a_time_has_the_time_of_now(connected, one, measurement) -> None:
    before = now_ns()
    await connected(one).write_points([{"measurement": measurement, "fields": {"v": 1}}])
    (row,) = one.query(f'SELECT * FROM "{measurement}"')
    assert before <= row["time"] <= now_ns()


async def test_points_come_in_requests_of_the_size_that_is_set(connected, two, measurement) -> None:
    before = len(two.web.seen)
    await connected(two, batch_size=10).write_points(
        [point(measurement, 1.0, i) for i in range(25)]
    )
    writes = [seen for seen in two.web.seen[before:] if seen.path == "/api/v2/write"]
    assert [seen.body.count(b"\n") + 1 for seen in writes] == [10, 10, 5]
    assert all(seen.headers["content-encoding"] == "gzip" for seen in writes)
    assert {seen.query["precision"][0] for seen in writes} == {"ns"}


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"fields": {"value": float("nan")}}, "nan"), ({"fields": {"value": float("inf")}}, "inf"),
        ({"fields": {}}, "at least one"), ({"fields": {"value": 2**63}}, "64 bits"),
        ({"fields": {"value": object()}}, "object"), ({"measurement": ""}, "empty"),
        ({"measurement": "#x"}, "comment"), ({"tags": {"a": "x\n"}}, "no line can hold"),
        ({"tags": {"a": 5}}, "no text"), ({"timestamp": "yesterday"}, "ISO 8601"),
        ({"timestamp": 2**70}, "1677 to 2262"), ({"timestamp": 1.5}, "float"),
        ({"time": 5}, "a point has no 'time'"), ({"tags": ["a"]}, "no dict"),
    ],
)  # fmt: skip
async def test_a_point_that_cannot_be_written_is_named_and_harms_no_other(
    connected, one, measurement, change, word
) -> None:
    points = [point(measurement, 1.0, i) for i in range(3)]
    points[1] = {**points[1], **change}
    with pytest.raises(PartialWrite) as caught:
        await connected(one).write_points(points)
    assert set(caught.value.rejected) == {1}
    assert word in caught.value.rejected[1]
    assert [row["time"] - START for row in one.query(f'SELECT * FROM "{measurement}"')] == [
        0,
        2 * SECOND,
    ]


async def test_what_is_no_point_at_all_is_named(connected, one, measurement) -> None:
    with pytest.raises(PartialWrite) as caught:
        await connected(one).write_points([5, point(measurement, 1.0), {"fields": {"v": 1}}])
    assert caught.value.rejected == {
        0: "a point is a dict, and this is a int", 2: "the measurement is missing",
    }  # fmt: skip


names = st.text(min_size=1, max_size=8)
fields = st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=12)
floats = st.floats(allow_nan=False, allow_infinity=False)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.tuples(names, st.dictionaries(names, names, max_size=2),
                          st.dictionaries(names, fields | floats, min_size=1, max_size=2)),
                min_size=1, max_size=40))  # fmt: skip
def test_any_point_that_we_write_is_read_by_the_server_as_it_was_meant(one, points) -> None:
    """What is wrong in one line may swallow others: all of a batch must come back."""
    written: dict[int, tuple[str, dict[str, Any]]] = {}
    for measurement, tags, values in points:
        number = next(_numbers)
        unique = {f"f{number}": number, **{f"{number}{k}": v for k, v in values.items()}}
        with contextlib.suppress(DataError):
            text = line(measurement, tags, unique, START + number)
            written[START + number] = (text, {**tags, **unique})
    if not written:
        return
    database = f"d{next(_numbers)}"  # with few names, so that it finds all of them quickly
    one.query(f"CREATE DATABASE {database}")
    one.write("\n".join(text for text, _ in written.values()), database)
    rows = {row.pop("time"): row for row in one.query("SELECT * FROM /.*/ GROUP BY *", database)}
    assert rows.keys() == written.keys()
    for moment, (_, expected) in written.items():
        found = {name: type(value)(rows[moment][name]) for name, value in expected.items()}
        assert found == expected  # JSON has one kind of number


# ---- what a server refuses ----------------------------------------------------------------------


async def test_a_type_that_a_field_has_not_is_named_and_the_others_are_written(
    connected, either, measurement
) -> None:
    influx = connected(either)
    await influx.write_points([point(measurement, 1.0)])
    points = [point(measurement, float(i), i) for i in range(1, 500)]
    for place in (7, 300):
        points[place]["fields"]["value"] = "a text"
    with pytest.raises(PartialWrite) as caught:
        await influx.write_points(points)
    assert set(caught.value.rejected) == {7, 300}
    assert all("type conflict" in reason for reason in caught.value.rejected.values())
    storage = either if isinstance(either, InfluxDB) else either.storage
    database = either.database if isinstance(either, InfluxDB) else either.bucket
    (row,) = storage.query(f'SELECT count(*) FROM "{measurement}"', database)
    assert row["count_value"] == 498


async def test_one_bad_point_of_500_costs_at_most_20_requests(connected, two, measurement) -> None:
    influx = connected(two)
    await influx.write_points([point(measurement, 1.0)])
    points = [point(measurement, float(i), i) for i in range(1, 501)]
    points[123]["fields"]["value"] = "a text"
    before = len(two.web.seen)
    with pytest.raises(PartialWrite) as caught:
        await influx.write_points(points)
    assert set(caught.value.rejected) == {123}
    assert len(two.web.seen) - before <= 20


async def test_points_that_are_too_old_to_be_kept_are_named(connected, one) -> None:
    one.query("CREATE DATABASE short WITH DURATION 1h REPLICATION 1")
    fresh = {"measurement": "m", "fields": {"value": 1.0}, "timestamp": now_ns()}
    points = [point("m", 1.0, 0), fresh, point("m", 1.0, 1)]
    with pytest.raises(PartialWrite) as caught:
        await connected(one, database="short").write_points(points)
    assert set(caught.value.rejected) == {0, 2}
    assert "retention" in caught.value.rejected[0]
    assert len(one.query("SELECT * FROM m", "short")) == 1


async def test_when_all_are_refused_one_request_is_enough(connected, two, measurement) -> None:
    influx = connected(two)
    await influx.write_points([point(measurement, 1.0)])
    before = len(two.web.seen)
    with pytest.raises(PartialWrite) as caught:
        await influx.write_points([point(measurement, "text", i) for i in range(1, 100)])
    assert len(caught.value.rejected) == 99
    assert len(two.web.seen) - before == 1


async def test_a_request_that_is_too_large_is_sent_in_halves(connected, two, measurement) -> None:
    two.largest = 2000
    try:
        await connected(two).write_points([point(measurement, float(i), i) for i in range(200)])
    finally:
        two.largest = 10_000_000
    (row,) = two.storage.query(f'SELECT count(value) FROM "{measurement}"', two.bucket)
    assert row["count"] == 200


async def test_a_page_of_a_proxy_makes_no_dead_letters(connected, two, measurement) -> None:
    """What refuses everything for reasons of its own must not look like refused samples."""
    two.refusals.append(Reply(400, b"<html>Bad Request</html>", {"Content-Type": "text/html"}))
    with pytest.raises(RequestFailed) as caught:
        await connected(two).write_points([point(measurement, 1.0)])
    assert not isinstance(caught.value, PartialWrite)
    assert "400" in str(caught.value)


@pytest.mark.parametrize(("status", "wait"), [(429, "1"), (503, "1")])
async def test_a_server_that_is_busy_is_asked_again_when_it_says(
    connected, two, measurement, status, wait
) -> None:
    influx = connected(two, retry_policy={"first": 0})
    await influx.connect()
    two.refusals.append(error(status, "exceeded limit", **{"Retry-After": wait}))
    start = time.monotonic()
    await influx.write_points([point(measurement, 1.0)])
    assert time.monotonic() - start >= float(wait)
    assert influx.state is State.UP


async def test_the_flow_is_told_how_long_a_busy_server_wants_to_be_left_alone(
    connected, two, measurement
) -> None:
    sink = ours(connected(two), measurement)
    await sink.prepare()
    two.refusals.append(error(429, "exceeded limit", **{"Retry-After": "37"}))
    with pytest.raises(Busy) as caught:
        await sink.write(samples(measurement, 3))
    assert caught.value.retry_after == 37
    await sink.write(samples(measurement, 3))


async def test_a_wrong_token_is_said_when_connecting(connected, two) -> None:
    with pytest.raises(AuthFailed, match="unauthorized access") as caught:
        await connected(two, token="wrong-canary").connect()
    assert "wrong-canary" not in str(caught.value)


@pytest.mark.parametrize("change", [{"bucket": "absent"}, {"org": "absent"}])
async def test_a_bucket_that_is_not_there_is_said_with_a_way_out(
    connected, two, measurement, change
) -> None:
    with pytest.raises(TagNotFound, match='"absent" not found') as caught:
        await connected(two, **change).write_points([point(measurement, 1.0)])
    assert "check org and bucket" in caught.value.hint


async def test_a_database_that_is_not_there_is_said_with_a_way_out(connected, one) -> None:
    with pytest.raises(TagNotFound, match="database not found") as caught:
        await connected(one, database="absent").write_points([point("m", 1.0)])
    assert "check database" in caught.value.hint


# ---- samples ------------------------------------------------------------------------------------


async def test_samples_of_every_type_come_back_by_either_language(
    connected, either, measurement
) -> None:
    influx = connected(either, measurement=measurement)
    batch = [
        Sample(f"{measurement}.{i}", value, START + i, quality)
        for i, (value, quality) in enumerate(
            [(1.5, 0), (5, 0), (2**62, 0), (True, 0), ("läuft ✓", 0), (None, 0x80310000),
             (-0.5, 0x40930000), ("", 0), (1e300, 0)]
        )
    ]  # fmt: skip
    await ours(influx, measurement).write(batch)
    tags = [sample.tag for sample in batch]
    found = await recorded(influx, *tags)
    assert found == batch
    assert [type(s.value) for s in found] == [type(s.value) for s in batch]
    assert {thing.address async for thing in influx.browse(measurement)} <= set(tags)


async def test_a_history_of_many_pages_is_complete(connected, either, measurement) -> None:
    influx = connected(either, measurement=measurement)
    batch = samples(measurement, 21_000, tags=1)
    batch[5] = Sample(batch[5].tag, None, batch[5].time, 0x80000000)  # one field fewer
    await ours(influx, measurement).write(batch)
    assert await recorded(influx, batch[0].tag) == batch


async def test_the_newest_value_is_looked_for_as_far_back_as_is_set(
    connected, either, measurement
) -> None:
    day = 86_400 * SECOND
    old, new = Sample("old", 1.0, now_ns() - 3 * day), Sample("new", 2.0, now_ns() - day // 2)
    await ours(connected(either), measurement).write([old, new])
    influx = connected(either, measurement=measurement, lookback="1 day")
    found = await influx.read(["new", "old"])
    if isinstance(either, InfluxDB):
        assert [s.value for s in found] == [2.0, None]
    assert found[0] == new
    patient = connected(either, measurement=measurement)
    assert await patient.read(["old", "new"]) == [old, new]


async def test_the_same_samples_again_change_nothing(connected, either, measurement) -> None:
    influx = connected(either, measurement=measurement)
    batch = samples(measurement, 50)
    sink = ours(influx, measurement)
    for _ in range(3):
        await sink.write(batch)
    assert sorted(await recorded(influx, *{s.tag for s in batch}), key=lambda s: s.time) == batch


@pytest.mark.parametrize(
    "kills", [3, pytest.param(100, marks=[pytest.mark.slow, pytest.mark.timeout(900)])]
)
async def test_kill_9_of_the_server_in_the_middle_of_batches_loses_and_doubles_nothing(
    connected, kills: int
) -> None:
    with InfluxDB(auth=False) as server:  # the hash of a password takes it longer than to start
        influx = connected(server, timeout=3, retry_policy={"max_attempts": 1})
        sink, written = ours(influx, "samples"), 0

        async def kill() -> None:
            for i in range(kills):
                await asyncio.sleep(0.05 + i * 0.037 % 0.2)
                await asyncio.to_thread(server.restart)

        killing = asyncio.create_task(kill())
        while not killing.done():
            batch = [Sample("t", float(i), START + i) for i in range(written, written + 500)]
            await _until_written(sink, batch)
            written += 500
        await killing
        (row,) = server.query("SELECT count(value), sum(value) FROM samples")
    assert (row["count"], row["sum"]) == (written, written * (written - 1) / 2)


async def _until_written(sink: Sink, batch: Batch) -> None:
    """Write as the flow does: prepare and try again until it is delivered."""
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(GL002Error):
                await sink.prepare()
                await sink.write(batch)
                return
            await asyncio.sleep(0.05)


async def test_no_name_of_a_tag_reaches_anything_else(connected, either, measurement) -> None:
    """300 strings as tags: each comes back alone or is refused, and nothing else changes."""
    influx = connected(either, measurement=measurement)
    await influx.write_points([point(f"{measurement}_other", 7.0)])
    batch = [Sample(tag, float(i), START + i) for i, tag in enumerate(CORPUS)]
    refused: set[int] = set()
    try:
        await ours(influx, measurement).write(batch)
    except PartialWrite as error:
        refused = set(error.rejected)
    assert len(refused) < len(batch) / 2
    kept = [sample for i, sample in enumerate(batch) if i not in refused]
    asked = kept if isinstance(either, InfluxDB) else kept[::8]  # each takes its compiler 50 ms
    assert await recorded(influx, *(s.tag for s in asked)) == asked
    storage = either if isinstance(either, InfluxDB) else either.storage
    database = either.database if isinstance(either, InfluxDB) else either.bucket
    found = {row["name"] for row in storage.query("SHOW MEASUREMENTS", database)}
    assert {name for name in found if name.startswith(measurement)} == {
        measurement, f"{measurement}_other",
    }  # fmt: skip
    assert not found & {"stolen", "v", "other"}


# ---- queries ------------------------------------------------------------------------------------


async def test_a_flux_query_gives_typed_rows(connected, two, measurement) -> None:
    influx = connected(two)
    await influx.write_points([
        {"measurement": measurement, "tags": {"id": "B1"}, "timestamp": START + 5_000,
         "fields": {"a": 1.5, "b": 3, "c": True, "d": 'x,"y"\n'}},
    ])  # fmt: skip
    query = "from(bucket: bucket) |> range(start: since) |> filter(fn: (r) => r._measurement == m)"
    values = {"bucket": two.bucket, "since": datetime(2025, 1, 1), "m": measurement}  # noqa: DTZ001 (naive is UTC)
    rows = await influx.query(query, values)
    assert {row["_field"]: row["_value"] for row in rows} == {
        "a": 1.5, "b": 3, "c": True, "d": 'x,"y"\n',
    }  # fmt: skip
    moment = datetime(2025, 1, 1, 0, 0, 0, 5, tzinfo=UTC)
    assert {(row["_time"], row["id"]) for row in rows} == {(moment, "B1")}


async def test_rows_are_those_that_the_client_of_influxdata_gets(
    connected, two, measurement
) -> None:
    influx = connected(two)
    await influx.write_points([point(measurement, float(i), i, id=f"B{i % 3}") for i in range(30)])
    query = f"""from(bucket: "{two.bucket}")
        |> range(start: 2025-01-01T00:00:00Z, stop: 2025-01-02T00:00:00Z)
        |> filter(fn: (r) => r["_measurement"] == "{measurement}")"""

    def theirs() -> list[dict[str, Any]]:
        with InfluxDBClient(two.url, two.token, org=two.org) as client:
            tables = client.query_api().query(query)
            return [dict(record.values) for table in tables for record in table.records]

    assert await influx.query(query) == await asyncio.to_thread(theirs)


async def test_what_the_client_of_influxdata_writes_is_read(connected, two, measurement) -> None:
    def write() -> None:
        with InfluxDBClient(two.url, two.token, org=two.org) as client:
            made = Point(measurement).tag("tag", "a b,c=d").field("value", 1.5).time(START)
            client.write_api(SYNCHRONOUS).write(two.bucket, record=made)

    await asyncio.to_thread(write)
    found = await recorded(connected(two, measurement=measurement), "a b,c=d")
    assert found == [Sample("a b,c=d", 1.5, START)]


def test_the_server_of_the_tests_refuses_the_client_of_influxdata_as_the_api_says(two) -> None:
    stranger = InfluxDBClient(two.url, "wrong", org=two.org)
    with stranger as client, pytest.raises(ApiException) as caught:
        client.query_api().query("buckets()")
    assert caught.value.status == 401
    with InfluxDBClient(two.url, two.token, org=two.org) as client:
        with pytest.raises(ApiException) as caught:
            client.write_api(SYNCHRONOUS).write("absent", record="m v=1 5")
        assert (caught.value.status, json.loads(caught.value.body)["code"]) == (404, "not found")
        with pytest.raises(ApiException) as caught:
            client.query_api().query("from(")
        assert caught.value.status == 400


async def test_a_query_that_is_wrong_is_the_servers_word(connected, one, two) -> None:
    with pytest.raises(RequestFailed, match="compilation failed"):
        await connected(two).query("from(bucket:")
    with pytest.raises(RequestFailed, match="could not find bucket"):
        await connected(two).query('from(bucket: "absent") |> range(start: -1h)')
    with pytest.raises(RequestFailed, match="error parsing query"):
        await connected(one).query("SELECT FROM")


async def test_an_influxql_query_gives_typed_rows(connected, one, measurement) -> None:
    influx = connected(one)
    await influx.write_points([point(measurement, 5.0, i, id=f"B{i}") for i in range(3)])
    query = f'SELECT * FROM "{measurement}" WHERE id = $id'
    (row,) = await influx.query(query, {"id": "B1"})
    assert row == {
        "measurement": measurement, "time": datetime(2025, 1, 1, 0, 0, 1, tzinfo=UTC),
        "id": "B1", "value": 5.0,
    }  # fmt: skip
    assert isinstance(row["value"], float)
    assert await influx.query(query, {"id": "' OR ''='"}) == []


@pytest.mark.parametrize(
    "text",
    [
        "DROP DATABASE gl002", "SELECT v INTO stolen FROM m", "show databases; drop measurement m",
        "DELETE FROM m", "CREATE DATABASE x", "SELECT v FROM m /* x */ ; ALTER RETENTION POLICY a",
        "GRANT ALL TO u", "SET PASSWORD FOR u = 'x'", 'SELECT /"/; DROP DATABASE gl002; /"/',
    ],
)  # fmt: skip
async def test_an_influxql_query_that_changes_something_is_not_sent(connected, one, text) -> None:
    with pytest.raises(RequestFailed, match="only reads"):
        await connected(one).query(text)
    assert {row["name"] for row in one.query("SHOW DATABASES")} >= {"gl002"}


async def test_more_rows_than_allowed_are_refused(connected, either, measurement) -> None:
    await connected(either).write_points([point(measurement, 1.0, i) for i in range(11)])
    flux = (
        'from(bucket: "boiler_data") |> range(start: 0) '
        f'|> filter(fn: (r) => r._measurement == "{measurement}")'
    )
    query = flux if isinstance(either, InfluxDB2) else f'SELECT * FROM "{measurement}"'
    assert len(await connected(either, max_rows=11).query(query)) == 11
    with pytest.raises(RequestFailed, match="more than 10 rows"):
        await connected(either, max_rows=10).query(query)


# ---- as a source --------------------------------------------------------------------------------


@asynccontextmanager
async def following(connector: AsyncInfluxDBConnector, position: bytes = b"", **spec: Any):
    """Batches of a source as they come, and the source."""
    given = {"source": "influxdb", "interval": 0.05, **spec}
    source = connector.source(InfluxDBInput.parse(given))
    if position:
        source.resume(position)
    queue: asyncio.Queue[Sample] = asyncio.Queue()

    async def run() -> None:
        async for batch in source.batches():
            for sample in batch:
                queue.put_nowait(sample)

    task = asyncio.create_task(run())
    try:
        yield source, queue
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def received(queue: asyncio.Queue[Sample], count: int) -> Batch:
    async with asyncio.timeout(30):
        return [await queue.get() for _ in range(count)]


async def test_what_is_new_is_delivered_once_also_when_it_was_written_late(
    connected, either, measurement
) -> None:
    influx = connected(either, measurement=measurement)
    sink = ours(influx, measurement)
    now = now_ns()
    await sink.write([Sample("a", 1.0, now - 10 * SECOND), Sample("b", 1.0, now - 9 * SECOND)])
    async with following(influx, overlap=60) as (_, queue):
        assert {(s.tag, s.value) for s in await received(queue, 2)} == {("a", 1.0), ("b", 1.0)}
        await sink.write([Sample("a", 2.0, now_ns())])
        assert [s.value for s in await received(queue, 1)] == [2.0]
        await sink.write([Sample("a", 1.5, now - 5 * SECOND)])
        assert [s.value for s in await received(queue, 1)] == [1.5]
        await asyncio.sleep(0.3)
        assert queue.empty()


async def test_after_a_restart_it_goes_on_where_it_stood(connected, either, measurement) -> None:
    influx = connected(either, measurement=measurement)
    sink = ours(influx, measurement)
    await sink.write([Sample("a", 1.0, now_ns())])
    async with following(influx, overlap=0) as (source, queue):
        await received(queue, 1)
        await asyncio.sleep(0.1)
        position = source.position()
    missed = [Sample("a", float(i), now_ns() + i) for i in range(2, 6)]
    await sink.write(missed)
    async with following(influx, position, overlap=0) as (_, queue):
        assert await received(queue, 4) == missed


async def test_what_was_not_asked_beyond_comes_again(connected, one, measurement) -> None:
    """The flow asks for the next batch when the last is durable; if it fails before, it is not."""
    influx = connected(one, measurement=measurement)
    await ours(influx, measurement).write([Sample("a", 1.0, now_ns())])
    source = influx.source(InfluxDBInput.parse({"source": "influxdb", "interval": 0.05}))
    for _ in range(2):
        async with source.open() as batches:
            assert [s.value for s in await anext(batches)] == [1.0]
    assert int(source.position()) <= now_ns()


async def test_a_backlog_is_delivered_page_by_page_in_order(
    connected, either, measurement, monkeypatch
) -> None:
    monkeypatch.setattr(source_module, "PAGE", 10)
    influx = connected(either, measurement=measurement)
    begin = now_ns() - 1000 * SECOND
    batch = [Sample(f"t{i % 3}", float(i), begin + i * SECOND) for i in range(100)]
    batch += [Sample("slow", 1.0, begin), Sample("slow", None, begin + 99 * SECOND, 0x80000000)]
    await ours(influx, measurement).write(batch)
    async with following(influx, start=2000, overlap=0) as (_, queue):
        found = await received(queue, 102)
    assert [s.time for s in found] == sorted(s.time for s in found)
    assert {(s.tag, s.time, s.value) for s in found} == {(s.tag, s.time, s.value) for s in batch}


async def test_through_the_flow_nothing_is_lost_over_a_restart_of_the_gateway(
    connected, one, measurement, tmp_path
) -> None:
    """From a measurement of others, through the durable store, into one of ours."""
    arrived = f"{measurement}_arrived"
    entry = {"source": "influxdb", "measurement": measurement, "tag": "{id}", "interval": 0.1}
    file = tmp_path / "integrations.yaml"
    file.write_text(
        json.dumps(
            {
                "gateway": {"state_dir": "state"},
                "web": {"enabled": False},
                "integrations": {
                    "enabled": ["influxdb"],
                    "influxdb": one.config,
                    "data_flow": {
                        "input": [{**entry, "overlap": 900}],
                        "output": [
                            {"destination": "influxdb", "measurement": arrived, "interval": 0}
                        ],
                    },
                },
            }
        )
    )
    writer = connected(one)
    begin, written = now_ns() - 300 * SECOND, 0
    for _ in range(2):
        gateway = asyncio.create_task(Gateway(load(file)).run())
        for _ in range(20):
            points = [
                {"measurement": measurement, "tags": {"id": f"B{i % 3}"},
                 "fields": {"value": float(i)}, "timestamp": begin + i}
                for i in range(written, written + 50)
            ]  # fmt: skip
            await writer.write_points(points)
            written += 50
            await asyncio.sleep(0.02)
        count = f'SELECT count(value), sum(value) FROM "{arrived}"'
        async with asyncio.timeout(30):
            while (rows := one.query(count)) == [] or rows[0]["count"] < written:
                assert not gateway.done(), gateway
                await asyncio.sleep(0.1)
        assert (rows[0]["count"], rows[0]["sum"]) == (written, written * (written - 1) / 2)
        gateway.cancel()
        await asyncio.gather(gateway, return_exceptions=True)


async def test_points_of_others_become_tags_by_a_template(connected, either, measurement) -> None:
    influx = connected(either)
    now = now_ns()
    await influx.write_points([
        {"measurement": measurement, "tags": {"boiler": f"B{i}", "plant": "P"}, "timestamp": now,
         "fields": {"value": 85.5 + i, "count": i, "mode": "auto"}}
        for i in range(3)
    ])  # fmt: skip
    only = {"measurement": measurement, "where": {"boiler": ["B1", "B2"]}}
    async with following(influx, **only, fields=["value", "count"], tag="{boiler}/{field}") as (
        source,
        queue,
    ):
        found = {s.tag: s.value for s in await received(queue, 4)}
        assert found == {"B1/value": 86.5, "B1/count": 1, "B2/value": 87.5, "B2/count": 2}
        assert {tag.name for tag in source.tags()} == set(found)
        assert type(found["B1/count"]) is int
    async with following(influx, measurement=measurement, prefix="x.") as (_, queue):
        names = {s.tag for s in await received(queue, 9)}
        assert f"x.{measurement}.B0.P.value" in names


async def test_more_tags_than_allowed_are_counted_and_told(
    connected, one, measurement, caplog
) -> None:
    influx = connected(one, measurement=measurement)
    await ours(influx, measurement).write([Sample(f"t{i}", 1.0, now_ns()) for i in range(5)])
    async with following(influx, max_tags=3) as (source, queue):
        await received(queue, 3)
        await asyncio.sleep(0.1)
        assert queue.empty()
        assert source.skipped >= 2
    assert sum("more than 3 tags" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize(
    ("spec", "word"),
    [
        ({"fields": ["v"]}, "needs a 'measurement'"),
        ({"measurement": "m", "tags": ["t"]}, "use 'where' and 'fields'"),
        ({"measurement": "m", "where": {"a": []}}, "no value at all"),
        ({"measurement": "m", "tag": "{"}, "no template"), ({"interval": 0}, "interval"),
        ({"overlap": "2 days"}, "overlap"),
    ],
)  # fmt: skip
def test_an_input_that_makes_no_sense_is_refused(spec: dict[str, Any], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        InfluxDBInput.parse({"source": "influxdb", **spec})


# ---- other makes and generations ----------------------------------------------------------------


async def test_another_make_takes_the_writes_of_generation_two(connected) -> None:
    with VictoriaMetrics() as victoria:
        influx = connected({"url": victoria.url, "bucket": "b"})
        assert (await influx.check()).ok
        now = now_ns() // 10**6 * 10**6
        await influx.write_points([
            {"measurement": "boiler", "tags": {"id": "B 1,=x"}, "timestamp": now + i * 10**6,
             "fields": {"value": 85.0 + i, "on": True, "count": i}}
            for i in range(10)
        ])  # fmt: skip
        async with asyncio.timeout(30):  # it shows what is new after a moment, and in pieces
            while sum(len(one["values"]) for one in victoria.exported('{id="B 1,=x"}')) < 30:
                await asyncio.sleep(0.1)
        exported = victoria.exported('{id="B 1,=x"}')
        found = {one["metric"]["__name__"]: one for one in exported}
        assert len(exported) == len(found) == 3
    assert found["boiler_value"]["values"] == [85.0 + i for i in range(10)]
    assert found["boiler_value"]["timestamps"] == [now // 10**6 + i for i in range(10)]
    assert found["boiler_count"]["values"] == list(range(10))
    assert found["boiler_on"]["values"] == [1] * 10


def _three(seen: Seen) -> Reply:
    """The write interface of InfluxDB 3 as its reference describes it."""
    if seen.headers.get("authorization") != "Bearer token-of-three":
        return Reply(401, b'{"error": "the request was not authenticated"}')
    if seen.path == "/ping":
        return Reply(200, b'{"version": "3.0"}', {"X-Influxdb-Version": "3.0-of-the-tests"})
    wrong = [
        {"error_message": "invalid column type", "line_number": i, "original_line": text}
        for i, text in enumerate(seen.body.decode().split("\n"), start=1)
        if '"text"' in text
    ]
    if wrong:
        said = {"error": "partial write of line protocol occurred", "data": wrong}
        return Reply(400, json.dumps(said).encode())
    return Reply(204)


async def test_generation_three_names_refused_lines_by_number(connected) -> None:
    with WebServer(_three) as three:
        config = {"url": three.url, "api": 3, "token": "token-of-three", "database": "boilers"}
        influx = connected(config, precision="ms")
        assert "3.0-of-the-tests" in (await influx.check()).detail
        points = [point("m", "text" if i in {2, 5} else 1.0, i) for i in range(8)]
        with pytest.raises(PartialWrite) as caught:
            await influx.write_points(points)
        assert caught.value.rejected == dict.fromkeys((2, 5), "invalid column type")
        writes = [seen for seen in three.seen if seen.path == "/api/v3/write_lp"]
        assert writes[0].query == {
            "db": ["boilers"], "precision": ["millisecond"], "accept_partial": ["true"],
        }  # fmt: skip
        assert len(writes) == 2, "those that were not refused are sent once more"
        assert len(writes[1].body.split(b"\n")) == 6
        with pytest.raises(Unsupported, match="only written"):
            await influx.query("SELECT 1")
        with pytest.raises(Unsupported, match="only written"):
            await influx.read(["t"])


# ---- settings -----------------------------------------------------------------------------------


def test_a_token_in_the_address_is_a_secret() -> None:
    url = "http://h:8086/?org=o&bucket=b&token=canary-token-4711"
    config = InfluxDBConfig.parse({"url": url})
    assert (config.url, config.org, config.bucket) == ("http://h:8086/", "o", "b")
    assert config.token is not None
    assert config.token.reveal() == "canary-token-4711"
    assert "canary" not in repr(config)


def test_the_address_alone_is_enough() -> None:
    assert InfluxDBConnector({"url": "http://localhost:8086"}).aio.config.bucket == "gl002"


@pytest.mark.parametrize(
    ("url", "base"),
    [("influxdb://h:8086?bucket=b", "http://h:8086/"), ("influxdbs://h/x", "https://h/x/")],
)
def test_an_address_of_the_command_line(url: str, base: str) -> None:
    settings_of = AsyncInfluxDBConnector.settings_of(url)
    assert InfluxDBConfig.parse(settings_of).base_url == base
