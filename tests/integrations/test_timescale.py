"""TimescaleDB: the guide's calls on the real extension, and what happens without it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gl002.transport.sql.hypertables
from gl002.context import Context
from gl002.errors import ConfigError, DataError, GL002Error, RequestFailed, Unsupported
from gl002.integrations.databases import AsyncTimescaleConnector, TimescaleConnector
from gl002.model import Batch, Sample
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink
from peers.postgresql import PostgreSQL
from peers.timescale import Timescale

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND
HOUR = timedelta(hours=1)
AGGREGATE = """
    SELECT
        time_bucket('1 hour', timestamp) as hour,
        boiler_id,
        avg(efficiency) as avg_efficiency,
        sum(fuel_rate) as total_fuel
    FROM boiler_data
    GROUP BY hour, boiler_id
"""

Make = Callable[..., AsyncTimescaleConnector]


@pytest.fixture(scope="module")
def server() -> Iterator[Timescale]:
    with Timescale() as running:
        yield running


@pytest.fixture
def _empty(server: Timescale) -> None:
    """No table of an earlier test; the extension's own objects stay."""
    for kind, catalog, column in (
        ("MATERIALIZED VIEW", "timescaledb_information.continuous_aggregates", "view_name"),
        ("TABLE", "pg_tables WHERE schemaname = 'public'", "tablename"),
    ):
        for (name,) in server.execute(f"SELECT {column} FROM {catalog}"):
            server.execute(f'DROP {kind} "{name}" CASCADE')


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def make(
    server: Timescale, context: Context, _empty: None, no_leaks: None
) -> AsyncIterator[Make]:
    made: list[AsyncTimescaleConnector] = []

    def connector(config: dict[str, Any] | None = None) -> AsyncTimescaleConnector:
        made.append(AsyncTimescaleConnector(config or server.config, context=context))
        made[-1]._retry = RetryPolicy(max_attempts=1)
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    context.audit.close()


@pytest.fixture
def timescale(server: Timescale, context: Context, _empty: None) -> Iterator[TimescaleConnector]:
    with TimescaleConnector(server.config, context=context) as face:
        yield face
    context.audit.close()


def chunks(server: Timescale, table: str) -> list[tuple]:
    return server.execute(
        "SELECT num_chunks, column_name, column_type::text, time_interval "
        "FROM timescaledb_information.hypertables JOIN timescaledb_information.dimensions "
        "USING (hypertable_schema, hypertable_name) WHERE hypertable_name = %s",
        (table,),
    )


def rows_of(start: datetime, count: int) -> list[dict[str, Any]]:
    """A row of two boilers each ten minutes."""
    return [
        {
            "timestamp": start + timedelta(minutes=10 * (i // 2)),
            "boiler_id": f"B00{i % 2 + 1}",
            "efficiency": 80.0 + i,
            "fuel_rate": 3500,
        }
        for i in range(count)
    ]


# ---- the guide's calls --------------------------------------------------------------------------


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


# ---- continuous aggregates ----------------------------------------------------------------------


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


# ---- as an output -------------------------------------------------------------------------------


def series(count: int) -> Batch:
    return [Sample(f"boiler{i % 2}.flow", i // 2, START + i // 2 * DAY) for i in range(count)]


async def _ready(connector: AsyncTimescaleConnector, **spec: Any) -> Sink:
    sink = connector.sink(connector.Output.parse({"destination": "timescale", **spec}))
    await sink.prepare()
    return sink


async def test_samples_go_to_a_hypertable_and_a_replay_changes_nothing(
    make: Make, server: Timescale
) -> None:
    sink = await _ready(make(), table="boiler_samples", interval=60)
    await sink.write(series(20))
    (facts,) = chunks(server, "boiler_samples")
    assert facts == (10, "time", "timestamp with time zone", timedelta(days=1))
    rows = "SELECT tag, time, value, xmin, tableoid, ctid FROM boiler_samples ORDER BY tag, time"
    before = server.execute(rows)
    await sink.prepare()
    await sink.write(series(20))
    assert server.execute(rows) == before


async def test_the_length_of_a_chunk_can_be_chosen(make: Make, server: Timescale) -> None:
    await _ready(make(), chunk_time_interval="1 hour")
    assert chunks(server, "samples")[0][3] == HOUR


async def test_an_output_writes_the_guides_own_table_as_it_is(
    make: Make, server: Timescale
) -> None:
    connector = make()
    await connector.create_hypertable("boiler_data", "timestamp", "1 day")
    await connector.insert_data("boiler_data", rows_of(datetime.now(UTC), 2))
    with pytest.raises(ConfigError, match="several rows of one timestamp"):
        await _ready(connector, table="boiler_data")
    sink = await _ready(connector, table="boiler_data", key_column="boiler_id")
    for _ in range(2):
        await sink.write([Sample("B003.efficiency", 85.4, START), Sample("B003.o2", 3.1, START)])
    question = "SELECT efficiency, o2 FROM boiler_data WHERE boiler_id = 'B003'"
    assert server.execute(question) == [(85.4, 3.1)]
    assert chunks(server, "boiler_data")[0][0] == 2


async def test_a_plain_table_of_samples_with_rows_is_left_as_it_is_with_one_warning(
    make: Make, server: Timescale, caplog: pytest.LogCaptureFixture
) -> None:
    server.execute(
        "CREATE TABLE samples (time timestamptz, tag text, value float8, text text, "
        "quality bigint, PRIMARY KEY (tag, time))"
    )
    server.execute("INSERT INTO samples VALUES (now(), 'a', 1, NULL, 0)")
    sink = await _ready(make())
    await sink.prepare()
    await sink.write(series(4))
    assert server.execute("SELECT count(*) FROM samples") == [(5,)]
    assert sum("stays a plain table" in r.getMessage() for r in caplog.records) == 1


async def test_kill_9_of_the_server_keeps_what_was_written_and_delivery_goes_on(
    make: Make, server: Timescale
) -> None:
    connector = make()
    sink = await _ready(connector)
    await sink.write(series(10))
    await connector.create_hypertable("boiler_data", "timestamp", "1 day")
    await asyncio.to_thread(server.restart)
    await _deliver(sink, series(20))
    assert server.execute("SELECT count(*) FROM samples") == [(20,)]
    await connector.insert_data("boiler_data", rows_of(datetime.now(UTC), 2))
    await connector.create_continuous_aggregate("hourly_efficiency", AGGREGATE)


async def _deliver(sink: Sink, batch: Batch) -> None:
    """As the flow does: prepare and try again while the error says that it may help."""
    async with asyncio.timeout(60):
        while True:
            try:
                await sink.prepare()
                return await sink.write(batch)
            except GL002Error as error:
                if not error.retryable:
                    raise
            await asyncio.sleep(0.05)


async def test_a_check_names_both_versions(make: Make) -> None:
    detail = (await make().check()).detail
    assert "PostgreSQL 17" in detail
    assert "TimescaleDB 2" in detail


# ---- without the extension ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def plain() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


async def test_without_the_extension_its_calls_say_what_is_missing(
    make: Make, plain: PostgreSQL
) -> None:
    connector = make(plain.config)
    assert "without TimescaleDB" in (await connector.check()).detail
    for call in (
        connector.create_hypertable("boiler_data", "timestamp", "1 day"),
        connector.create_continuous_aggregate("hourly", AGGREGATE),
    ):
        with pytest.raises(Unsupported, match="not installed on that server"):
            await call
    assert plain.execute("SELECT to_regclass('boiler_data')") == [(None,)]


async def test_without_the_extension_samples_go_to_a_plain_table_with_one_warning(
    make: Make, plain: PostgreSQL, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(plain.config)
    sink = await _ready(connector)
    await sink.prepare()
    await sink.write(series(10))
    assert [s.value for s in await connector.read(["boiler0.flow"])] == [4]
    assert sum("stays a plain table" in r.getMessage() for r in caplog.records) == 1
