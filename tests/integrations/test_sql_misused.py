"""PostgreSQL and TimescaleDB as they are misused first: the mistake is named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gl002.context import Context
from gl002.errors import DataError, RequestFailed
from gl002.integrations.databases import AsyncPostgreSQLConnector, AsyncTimescaleConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.postgresql import PostgreSQL
from peers.timescale import Timescale

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def plain() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


@pytest.fixture(scope="module")
def extended() -> Iterator[Timescale]:
    with Timescale() as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def database(plain: PostgreSQL, context: Context) -> AsyncIterator[AsyncPostgreSQLConnector]:
    async with AsyncPostgreSQLConnector(plain.config, context=context) as connector:
        yield connector


@pytest.fixture
async def timescale(
    extended: Timescale, context: Context
) -> AsyncIterator[AsyncTimescaleConnector]:
    async with AsyncTimescaleConnector(extended.config, context=context) as connector:
        yield connector


@pytest.mark.parametrize(
    "statement",
    ["DELETE FROM pg_class", "CREATE TABLE x (y int)", "SELECT setval('numbers', 7)"],
)
async def test_a_query_that_writes_is_told_so_at_once_and_not_sent_again(
    database: AsyncPostgreSQLConnector, plain: PostgreSQL, statement: str
) -> None:
    """It was taken for a standby: tried three times, and 'is there another primary?'"""
    plain.execute("CREATE SEQUENCE IF NOT EXISTS numbers")
    with pytest.raises(RequestFailed, match="a query only reads") as caught:
        await database.query(statement)
    assert not caught.value.retryable


async def test_what_a_read_only_transaction_lets_through_is_taken_back(
    database: AsyncPostgreSQLConnector, plain: PostgreSQL
) -> None:
    """Large objects, before PostgreSQL 16."""
    await database.query("SELECT lo_create(0)")
    assert plain.execute("SELECT count(*) FROM pg_largeobject_metadata") == [(0,)]


async def test_two_columns_of_one_name_are_named_and_none_is_dropped(
    database: AsyncPostgreSQLConnector,
) -> None:
    with pytest.raises(RequestFailed, match=r"two columns are called 'a'.*AS \.\.\."):
        await database.query("SELECT 1 AS a, 2 AS b, 3 AS a")
    assert await database.query("SELECT 1 AS a") == [{"a": 1}], "the connection goes on"


async def test_a_column_that_is_no_name_is_called_a_column(
    timescale: AsyncTimescaleConnector,
) -> None:
    await timescale.create_hypertable("named", "timestamp", "1 day")
    for column in ('O2 "wet"', "x" * 80, "1st"):
        with pytest.raises(DataError, match="is no name of a column"):
            await timescale.insert_data("named", [{"timestamp": NOW, column: 1.0}])
    with pytest.raises(DataError, match="is no name of a table"):
        await timescale.create_hypertable("na;med", "timestamp", "1 day")


async def test_a_hypertable_on_another_column_is_not_passed_over(
    timescale: AsyncTimescaleConnector,
) -> None:
    await timescale.create_hypertable("placed", "timestamp", "1 day")
    await timescale.create_hypertable("placed", "timestamp", "2 days")
    with pytest.raises(RequestFailed, match="'placed' is cut by 'timestamp', not by 'ts'"):
        await timescale.create_hypertable("placed", "ts", "1 day")
