"""TimescaleDB: the guide's calls on the real extension."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import gl002.transport.sql.hypertables
from gl002.context import Context
from gl002.errors import DataError, GL002Error, RequestFailed
from gl002.integrations.databases import AsyncTimescaleConnector, TimescaleConnector
from integrations.timescale_site import (
    AGGREGATE,
    HOUR,
    Make,
    chunks,
    context,
    empty,
    make,
    rows_of,
    server,
)
from peers.timescale import Timescale

fixtures = server, empty, context, make


@pytest.fixture
def timescale(server: Timescale, context: Context, empty: None) -> Iterator[TimescaleConnector]:
    with TimescaleConnector(server.config, context=context) as face:
        yield face
    context.audit.close()


# ---- the guide's calls ------------------------------------------------------------------------


def test_the_guides_calls_work_in_their_order_and_again(
    timescale: TimescaleConnector, server: Timescale
) -> None:
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=5)
    data = rows_of(start, 24)
    for new in (24, 0):
        timescale.create_hypertable(
            table_name="boiler_data", time_column="timestamp", chunk_time_interval="1 day"
        )
        assert timescale.insert_data(table="boiler_data", data=data) == new
        timescale.create_continuous_aggregate(
            name="hourly_efficiency", query=AGGREGATE, refresh_interval="1 hour"
        )
        hours = timescale.query("SELECT * FROM hourly_efficiency ORDER BY hour, boiler_id")
        assert [(h["hour"] - start, h["boiler_id"]) for h in hours] == [
            (HOUR * hour, boiler) for hour in (0, 1) for boiler in ("B001", "B002")
        ]
        assert hours[0]["avg_efficiency"] == 85.0
        assert hours[0]["total_fuel"] == 6 * 3500
    (facts,) = chunks(server, "boiler_data")
    assert facts[1:] == ("timestamp", "timestamp with time zone", timedelta(days=1))


def test_columns_come_with_the_rows_that_need_them(
    timescale: TimescaleConnector, server: Timescale, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    timescale.create_hypertable("boiler_data", "timestamp", "1 day")
    now = datetime.now(UTC)
    rows = [
        {"timestamp": now, "boiler_id": "B001", "efficiency": 85.4},
        {"timestamp": now, "boiler_id": "B001", "fuel_rate": 3500, "nothing": None},
        {"timestamp": now, "running": True, "serviced": now},
    ]
    assert timescale.insert_data("boiler_data", rows) == 3
    columns = server.execute(
        "SELECT column_name, data_type FROM information_schema.columns "
        "WHERE table_name = 'boiler_data' ORDER BY ordinal_position"
    )
    assert columns == [
        ("timestamp", "timestamp with time zone"),
        ("boiler_id", "text"),
        ("efficiency", "double precision"),
        ("fuel_rate", "double precision"),
        ("running", "boolean"),
        ("serviced", "timestamp with time zone"),
    ]
    assert sum("new column" in r.getMessage() for r in caplog.records) == 5
    assert timescale.insert_data("boiler_data", [{"timestamp": now, "fuel_rate": 3500.5}]) == 1


@pytest.mark.parametrize(
    "row",
    [
        {"efficiency": "85,4"},
        {"efficiency; DROP TABLE boiler_data": 1.0},
        {"new": {"nested": 1}},
        {"new": b"bytes"},
    ],
)
async def test_a_row_that_does_not_fit_leaves_the_table_as_it_was(
    make: Make, server: Timescale, row: dict[str, Any]
) -> None:
    connector, now = make(), datetime.now(UTC)
    await connector.create_hypertable("boiler_data", "timestamp", "1 day")
    await connector.insert_data("boiler_data", [{"timestamp": now, "efficiency": 1.0}])
    with pytest.raises(DataError):
        await connector.insert_data("boiler_data", [{"timestamp": now, "fresh": 1.0, **row}])
    assert await connector.query("SELECT * FROM boiler_data") == [
        {"timestamp": now, "efficiency": 1.0}
    ]


async def test_rows_for_a_table_that_is_missing_name_the_call_that_makes_it(make: Make) -> None:
    with pytest.raises(RequestFailed, match=r"create_hypertable\('boiler_data'"):
        await make().insert_data("boiler_data", [{"a": 1}])


async def test_a_new_chunk_interval_holds_for_chunks_made_from_then_on(
    make: Make, server: Timescale
) -> None:
    connector = make()
    await connector.create_hypertable("boiler_data", "timestamp", "1 day")
    await connector.create_hypertable("boiler_data", "timestamp", timedelta(hours=6))
    assert chunks(server, "boiler_data")[0][3] == timedelta(hours=6)


async def test_the_form_of_older_versions_of_the_extension_works_too(
    make: Make, server: Timescale, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gl002.transport.sql.hypertables, "_BY_RANGE_SINCE", (99,))
    await make().create_hypertable("boiler_data", "timestamp", "2 days")
    assert chunks(server, "boiler_data")[0][3] == timedelta(days=2)


async def test_a_table_that_is_there_and_empty_becomes_a_hypertable(
    make: Make, server: Timescale
) -> None:
    server.execute("CREATE TABLE boiler_data (timestamp timestamptz NOT NULL, efficiency real)")
    await make().create_hypertable("boiler_data", "timestamp", "1 day")
    assert chunks(server, "boiler_data")


async def test_a_table_with_rows_is_not_locked_for_hours_by_surprise(
    make: Make, server: Timescale
) -> None:
    server.execute("CREATE TABLE boiler_data (timestamp timestamptz NOT NULL)")
    server.execute("INSERT INTO boiler_data VALUES (now())")
    with pytest.raises(RequestFailed, match="migrate_data"):
        await make().create_hypertable("boiler_data", "timestamp", "1 day")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("boiler data", "timestamp", "1 day"), "no name"),
        (("boiler_data", "time stamp", "1 day"), "no name"),
        (("boiler_data", "timestamp", "a while"), "a while"),
        (("boiler_data", "timestamp", "1 day'; DROP TABLE precious; --"), "interval"),
        (("precious", "not_there", "1 day"), "not_there"),
    ],
)
async def test_arguments_that_make_no_sense_are_named(
    make: Make, server: Timescale, arguments: tuple[str, str, str], word: str
) -> None:
    server.execute("CREATE TABLE precious (x int)")
    with pytest.raises(GL002Error, match=word):
        await make().create_hypertable(*arguments)
    assert server.execute("SELECT count(*) FROM precious") == [(0,)]


# ---- continuous aggregates --------------------------------------------------------------------


async def _with_aggregate(connector: AsyncTimescaleConnector, start: datetime) -> None:
    await connector.create_hypertable("boiler_data", "timestamp", "1 day")
    await connector.insert_data("boiler_data", rows_of(start, 24))
    await connector.create_continuous_aggregate("hourly_efficiency", AGGREGATE, "1 hour")


async def test_the_policy_stores_what_is_complete_and_the_view_adds_what_is_young(
    make: Make, server: Timescale
) -> None:
    connector = make()
    start = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(days=2)
    await _with_aggregate(connector, start)
    jobs = server.execute(
        "SELECT job_id, schedule_interval, config ->> 'end_offset' "
        "FROM timescaledb_information.jobs "
        "WHERE proc_name = 'policy_refresh_continuous_aggregate'"
    )
    ((job, every, end),) = jobs
    assert (every, end) == (HOUR, "01:00:00")
    server.execute("CALL run_job(%s)", (job,))
    stored = server.execute(
        "SELECT format('%I.%I', materialization_hypertable_schema, "
        "materialization_hypertable_name) FROM timescaledb_information.continuous_aggregates"
    )
    assert server.execute(f"SELECT count(*) FROM {stored[0][0]}") == [(4,)]
    late = {"timestamp": start, "boiler_id": "B001", "efficiency": 0.0, "fuel_rate": 500}
    await connector.insert_data("boiler_data", [late])
    server.execute("CALL run_job(%s)", (job,))
    rows = await connector.query(
        "SELECT total_fuel FROM hourly_efficiency ORDER BY hour, boiler_id LIMIT 1"
    )
    assert rows == [{"total_fuel": 6 * 3500 + 500}], "late data is in the aggregate"
    now = datetime.now(UTC)
    young = {"timestamp": now, "boiler_id": "B009", "efficiency": 77.0, "fuel_rate": 1}
    await connector.insert_data("boiler_data", [young])
    rows = await connector.query(
        "SELECT avg_efficiency FROM hourly_efficiency WHERE boiler_id = 'B009'"
    )
    assert rows == [{"avg_efficiency": 77.0}], "not stored yet, but there when it is read"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1; DROP TABLE precious; --",
        "SELECT 1",
        "DELETE FROM precious RETURNING x",
        "SELECT * FROM precious",
        ") WITH NO DATA; DROP TABLE precious; --",
        "",
    ],
)
async def test_a_query_that_is_no_aggregate_is_refused(
    make: Make, server: Timescale, query: str
) -> None:
    server.execute("CREATE TABLE precious AS SELECT 1 AS x")
    with pytest.raises(RequestFailed):
        await make().create_continuous_aggregate("hourly", query)
    assert server.execute("SELECT x FROM precious") == [(1,)]
