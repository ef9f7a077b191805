"""What an InfluxDB refuses: named, told from an outage, and no harm to other points."""

from __future__ import annotations

import time

import pytest

from gl002.connector import State
from gl002.errors import AuthFailed, Busy, PartialWrite, RequestFailed, TagNotFound
from gl002.model import now_ns
from integrations.influxdb_site import (
    connected,
    either,
    measurement,
    one,
    ours,
    point,
    samples,
    two,
)
from peers.influxdb import InfluxDB
from peers.influxdb2 import error
from peers.web_server import Reply

fixtures = one, two, either, measurement, connected


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
