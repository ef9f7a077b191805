"""A query as an input, where its rows are not as one hoped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import RequestFailed
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.model import Batch, Sample, to_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from gl002.transport.sql import querying
from peers.postgresql import PostgreSQL

AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


@pytest.fixture
async def database(server: PostgreSQL, tmp_path: Path) -> AsyncIterator[AsyncPostgreSQLConnector]:
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    async with AsyncPostgreSQLConnector(server.config, context=context) as connector:
        yield connector
    audit.close()


def queried(database: AsyncPostgreSQLConnector, **spec: Any) -> Source:
    given = {"source": "postgresql", "interval": 0.01, **spec}
    return database.source(database.Input.parse(given))


async def read(source: Source, count: int) -> Batch:
    """At least so many samples."""
    found: Batch = []
    async with asyncio.timeout(30), source.open() as batches:
        while len(found) < count:
            found += await anext(batches)
    return found


async def test_rows_of_one_moment_that_a_limit_parts_are_all_there_once(
    database: AsyncPostgreSQLConnector, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several boilers have a row of one moment, and a page may end between them."""
    monkeypatch.setattr(querying, "_FULL", 4)
    server.execute("CREATE TABLE readings (at timestamptz, boiler text, o2 float8)")
    for second in range(7):
        for boiler in ("B1", "B2", "B3"):
            server.execute(
                "INSERT INTO readings VALUES (%s, %s, %s)",
                (AT + timedelta(seconds=second), boiler, float(second)),
            )
    query = "SELECT at, boiler, o2 FROM readings WHERE at > %(cursor)s ORDER BY at LIMIT 4"
    found = await read(
        queried(database, query=query, cursor="at", tag_column="boiler", start="2025-01-01"), 21
    )
    assert sorted((s.tag, s.time) for s in found) == [
        (f"{boiler}.o2", to_ns(AT + timedelta(seconds=second)))
        for boiler in ("B1", "B2", "B3")
        for second in range(7)
    ]


async def test_more_rows_of_one_cursor_than_a_page_are_told_of_and_hold_up_nothing(
    database: AsyncPostgreSQLConnector,
    server: PostgreSQL,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(querying, "_FULL", 4)
    server.execute("CREATE TABLE readings (no int, o2 float8)")
    for no in (1, 1, 1, 1, 1, 2):
        server.execute("INSERT INTO readings VALUES (%s, %s)", (no, float(no)))
    query = "SELECT no, o2 FROM readings WHERE no > %(cursor)s ORDER BY no LIMIT 4"
    found = await read(queried(database, query=query, cursor="no", start=0), 5)
    assert [s.value for s in found] == [1.0, 1.0, 1.0, 1.0, 2.0]
    assert "WITH TIES" in caplog.text


async def test_a_day_is_a_time(database: AsyncPostgreSQLConnector, server: PostgreSQL) -> None:
    """A laboratory writes the day of a sample; it is not of the moment at which we read it."""
    server.execute("CREATE TABLE lab (no int, taken_on date, ph float8)")
    server.execute("INSERT INTO lab VALUES (1, '2026-03-02', 9.1)")
    query = "SELECT no, taken_on, ph FROM lab WHERE no > %(cursor)s ORDER BY no"
    source = queried(database, query=query, cursor="no", start=0, time_column="taken_on")
    midnight = datetime.combine(date(2026, 3, 2), datetime.min.time())
    assert await read(source, 1) == [Sample("ph", 9.1, to_ns(midnight))]


async def test_what_is_no_time_is_not_taken_for_one(
    database: AsyncPostgreSQLConnector, server: PostgreSQL
) -> None:
    server.execute("CREATE TABLE lab (no int, taken text, ph float8)")
    server.execute("INSERT INTO lab VALUES (1, 'yesterday', 9.1)")
    query = "SELECT no, taken, ph FROM lab WHERE no > %(cursor)s ORDER BY no"
    source = queried(database, query=query, cursor="no", start=0, time_column="taken")
    async with asyncio.timeout(30), source.open() as batches:
        with pytest.raises(RequestFailed, match="'taken' gives 'yesterday'"):
            await anext(batches)


@pytest.mark.parametrize("value", ["NaN", "Infinity"])
async def test_a_cursor_that_is_no_number_is_said(
    database: AsyncPostgreSQLConnector, server: PostgreSQL, value: str
) -> None:
    query = "SELECT %(cursor)s::numeric AS c, '" + value + "'::numeric AS n"
    source = queried(database, query=query, cursor="n", start=0)
    async with asyncio.timeout(30), source.open() as batches:
        with pytest.raises(RequestFailed, match="for a cursor"):
            await anext(batches)
