"""InfluxDB: points, queries and settings, beyond the contract."""

from __future__ import annotations

import asyncio
import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from influxdb_client import InfluxDBClient, Point
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

from gl002.errors import DataError, PartialWrite, RequestFailed
from gl002.integrations.databases import AsyncInfluxDBConnector, InfluxDBConnector
from gl002.model import Sample, now_ns
from gl002.transport.influxdb.settings import InfluxDBConfig
from gl002.wire.line_protocol import line
from integrations import influxdb_site
from integrations.influxdb_site import (
    SECOND,
    START,
    connected,
    either,
    numbers,
    one,
    point,
    recorded,
    two,
)
from peers.influxdb import InfluxDB
from peers.influxdb2 import InfluxDB2

fixtures = one, two, either, connected
measurement = influxdb_site.measurement  # tests have a variable of this name too


# ---- points -----------------------------------------------------------------------------------


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
    measurement = f"m{next(numbers)}"
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
        number = next(numbers)
        unique = {f"f{number}": number, **{f"{number}{k}": v for k, v in values.items()}}
        with contextlib.suppress(DataError):
            text = line(measurement, tags, unique, START + number)
            written[START + number] = (text, {**tags, **unique})
    if not written:
        return
    database = f"d{next(numbers)}"  # with few names, so that it finds all of them quickly
    one.query(f"CREATE DATABASE {database}")
    one.write("\n".join(text for text, _ in written.values()), database)
    rows = {row.pop("time"): row for row in one.query("SELECT * FROM /.*/ GROUP BY *", database)}
    assert rows.keys() == written.keys()
    for moment, (_, expected) in written.items():
        found = {name: type(value)(rows[moment][name]) for name, value in expected.items()}
        assert found == expected  # JSON has one kind of number


# ---- queries ----------------------------------------------------------------------------------


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


# ---- settings ---------------------------------------------------------------------------------


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
