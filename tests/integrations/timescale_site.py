"""The real extension, and connectors to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.databases import AsyncTimescaleConnector
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.timescale import Timescale

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
def empty(server: Timescale) -> None:
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
    server: Timescale, context: Context, empty: None, no_leaks: None
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
