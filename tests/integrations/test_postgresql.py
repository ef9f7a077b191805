"""PostgreSQL for scripts: queries that only read, rows that are inserted once."""

from __future__ import annotations

import contextlib
import time
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import DataError, GL002Error, PartialWrite, RequestFailed
from gl002.integrations.databases import PostgreSQLConnector
from gl002.model import Sample
from gl002.retry import RetryPolicy
from integrations.postgresql_site import (
    SECOND,
    START,
    Make,
    context,
    empty,
    hurried,
    make,
    ready,
    server,
)
from peers.postgresql import PostgreSQL

fixtures = server, empty, context, make


# ---- queries ----------------------------------------------------------------------------------


async def test_a_query_gives_dicts_with_times_in_utc(make: Make) -> None:
    connector = make()
    await (await ready(connector)).write([Sample("a.x", 1.5, START), Sample("b.x", 2.5, START)])
    rows = await connector.query("SELECT time, value FROM samples WHERE tag LIKE 'a%'")
    assert rows == [{"time": datetime.fromtimestamp(START / SECOND, UTC), "value": 1.5}]
    rows = await connector.query("SELECT value FROM samples WHERE tag = %s", ["b.x"])
    assert rows == [{"value": 2.5}]
    named = {"tag": "b.x"}
    assert await connector.query("SELECT value FROM samples WHERE tag = %(tag)s", named) == rows
    assert await connector.query("SELECT 1 AS one WHERE false") == []


WRITING = [
    "DELETE FROM precious",
    "INSERT INTO precious VALUES (2)",
    "UPDATE precious SET x = 2",
    "DROP TABLE precious",
    "TRUNCATE precious",
    "CREATE TABLE more (x int)",
    "WITH gone AS (DELETE FROM precious RETURNING x) SELECT * FROM gone",
    "SELECT 1; DELETE FROM precious",
    "COMMIT; DELETE FROM precious",
    "ROLLBACK",
    "SELECT set_config('transaction_read_only', 'off', true)",
    "SET TRANSACTION READ WRITE",
    "SELECT nextval('numbers')",
    "COPY precious FROM STDIN",
    "COPY (SELECT 1) TO PROGRAM 'cat'",
    "DO $$ BEGIN DELETE FROM precious; END $$",
    "LISTEN precious",
    "",
]


@pytest.mark.parametrize("statement", WRITING)
async def test_a_query_cannot_write(make: Make, server: PostgreSQL, statement: str) -> None:
    server.execute("CREATE TABLE precious AS SELECT 1 AS x")
    server.execute("CREATE SEQUENCE numbers")
    connector = make()
    with contextlib.suppress(GL002Error):
        await connector.query(statement)
        assert statement == "LISTEN precious", "not refused"
    assert server.execute("SELECT x FROM precious") == [(1,)]
    assert server.execute("SELECT is_called FROM numbers") == [(False,)]
    assert server.execute("SELECT to_regclass('more')") == [(None,)]
    assert await connector.query("SHOW transaction_read_only") == [{"transaction_read_only": "on"}]


async def test_more_rows_than_allowed_are_an_error_and_not_a_cut_result(make: Make) -> None:
    connector = make(max_rows=1000)
    assert len(await connector.query("SELECT generate_series(1, 1000)")) == 1000
    with pytest.raises(RequestFailed, match="more than 1000 rows"):
        await connector.query("SELECT generate_series(1, 50000000)")
    assert connector.state is State.UP


async def test_a_query_that_takes_too_long_is_stopped_and_not_repeated(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make(timeout=30)
    connector._retry = RetryPolicy(max_attempts=5, first=0.01)
    await connector.connect()
    with hurried(), pytest.raises(RequestFailed, match=r"stopped after 0\.3 s"):
        await connector.query("SELECT pg_sleep(100)")
    assert "again in" not in caplog.text
    assert connector.state is State.UP


async def test_a_query_the_server_refuses_says_why(make: Make) -> None:
    with pytest.raises(RequestFailed, match="nothing_there"):
        await make().query("SELECT * FROM nothing_there")
    with pytest.raises(GL002Error, match="division by zero"):
        await make().query("SELECT 1/0")


# ---- inserting --------------------------------------------------------------------------------


@pytest.fixture
def boiler_data(server: PostgreSQL) -> str:
    server.execute(
        "CREATE TABLE boiler_data (timestamp timestamptz, boiler_id text, efficiency float8, "
        "fuel_rate float8, starts bigint, day date)"
    )
    return "boiler_data"


async def test_rows_with_different_keys_are_inserted_and_once_only(
    make: Make, server: PostgreSQL, boiler_data: str
) -> None:
    now = datetime.now(UTC)
    data = [
        {"timestamp": now, "boiler_id": "B001", "efficiency": 85.4},
        {"timestamp": now, "boiler_id": "B001", "fuel_rate": 3500},
        {"timestamp": now, "boiler_id": "B002", "efficiency": None, "day": now.date()},
        {"timestamp": now, "boiler_id": "B001", "efficiency": 85.4},
    ]
    connector = make()
    assert await connector.insert_data(boiler_data, data) == 3
    assert await connector.insert_data(boiler_data, data) == 0
    assert await connector.insert_data(boiler_data, []) == 0
    rows = server.execute("SELECT boiler_id, efficiency, fuel_rate FROM boiler_data ORDER BY 1, 2")
    assert rows == [("B001", 85.4, None), ("B001", None, 3500.0), ("B002", None, None)]


async def test_a_time_without_a_zone_is_local_time(
    make: Make, server: PostgreSQL, boiler_data: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    try:
        at = datetime(2025, 7, 1, 12, 0)  # noqa: DTZ001 (without a zone is the point)
        await make().insert_data(boiler_data, [{"timestamp": at}])
    finally:
        monkeypatch.delenv("TZ")
        time.tzset()
    elsewhere = datetime(2025, 7, 1, 15, 30, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    assert await make().insert_data(boiler_data, [{"timestamp": elsewhere}]) == 0, "the same moment"
    assert server.execute("SELECT timestamp FROM boiler_data") == [
        (datetime(2025, 7, 1, 10, 0, tzinfo=UTC),)
    ]


@pytest.mark.parametrize(
    ("row", "kind", "word"),
    [
        ({"efficiency": "n/a"}, DataError, "efficiency"),
        ({"starts": 1.5}, DataError, "starts"),
        ({"boiler_id": "a\0b"}, DataError, "NUL"),
        ({"boiler_id": {"nested": 1}}, RequestFailed, "dict"),
        ({"pressure": 1.0}, RequestFailed, "no column 'pressure'"),
        ({"efficiency; DROP TABLE boiler_data": 1.0}, DataError, "no name"),
        ({"a.b": 1.0}, DataError, "no name"),
        ({}, DataError, "without a value"),
        ({"efficiency": None}, DataError, "without a value"),
    ],
)
async def test_a_row_that_does_not_fit_is_named_and_nothing_is_inserted(  # noqa: PLR0917
    make: Make, server: PostgreSQL, boiler_data: str, row: dict[str, Any], kind: Any, word: str
) -> None:
    connector = make()
    with pytest.raises(kind, match=word):
        await connector.insert_data(boiler_data, [{"boiler_id": "B001"}, row])
    assert server.execute("SELECT count(*) FROM boiler_data") == [(0,)]
    assert connector.state is State.UP


async def test_a_table_that_is_missing_is_not_made_by_itself(make: Make) -> None:
    with pytest.raises(RequestFailed, match="there is no table 'missing'"):
        await make().insert_data("missing", [{"a": 1}])


# ---- code in the wrong place ------------------------------------------------------------------


INJECTIONS = [
    "'; DROP TABLE precious; --", '"; DROP TABLE precious; --', "x'); DELETE FROM precious; --",
    "samples; DROP TABLE precious", 'samples"; DROP TABLE precious; --', "samples' OR '1'='1",
    "$$; DROP TABLE precious; $$",
    "\\'; DROP TABLE precious; --", "%s; DROP TABLE precious", "%(x)s",
    "{table}", "E'\\x27; DROP TABLE precious", "/**/", "--", "\\.", "\\N",
    "\n\\.\nDROP TABLE precious;",
    "a\tb", "a,b", "pg_catalog.pg_class", "\ufe5b'\ufe5c", "\uff07; DROP TABLE precious; --",
    "\u02bc; DROP TABLE precious", "\u202esamples", "samples\u0000", "a" * 5000, "U&'\\0027'",
    "COPY precious FROM '/etc/passwd'",
]  # fmt: skip


@pytest.mark.parametrize("text", INJECTIONS)
async def test_code_in_names_and_values_reaches_no_other_table(
    make: Make, server: PostgreSQL, text: str
) -> None:
    server.execute("CREATE TABLE precious AS SELECT 1 AS x")
    connector = make()
    sink = await ready(connector)
    batch = [Sample(text, 1.0, START), Sample("value", text, START)]
    with contextlib.suppress(PartialWrite):  # a NUL, or too long
        await sink.write(batch)
    with contextlib.suppress(GL002Error):
        await connector.read([text])
        await connector.query("SELECT * FROM samples WHERE tag = %s", [text])
    with contextlib.suppress(GL002Error):
        await connector.insert_data("samples", [{text: 1.0}])
    for attempt in (
        lambda: connector.insert_data(text, [{"x": 2}]),
        lambda: ready(connector, table=text),
    ):
        with contextlib.suppress(GL002Error):
            await attempt()
    assert server.execute("SELECT x FROM precious") == [(1,)]
    kept = server.execute("SELECT count(*) FROM samples WHERE tag = %s OR text = %s", (
        text.replace("\0", "?"), text.replace("\0", "?"),
    ))  # fmt: skip
    assert kept[0][0] == (0 if "\0" in text else 1 if len(text) > 500 else 2)


# ---- the blocking face ------------------------------------------------------------------------


def test_a_script_queries_and_inserts_without_asyncio(
    server: PostgreSQL, context: Context, boiler_data: str
) -> None:
    with PostgreSQLConnector(server.config, context=context) as database:
        now = datetime.now(UTC)
        assert database.insert_data(boiler_data, [{"timestamp": now, "efficiency": 85.4}]) == 1
        assert database.query("SELECT efficiency FROM boiler_data") == [{"efficiency": 85.4}]
    context.audit.close()
