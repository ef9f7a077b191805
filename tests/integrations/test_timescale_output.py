"""TimescaleDB as an output, and what is left without the extension."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gl002.errors import ConfigError, GL002Error, Unsupported
from gl002.integrations.databases import AsyncTimescaleConnector
from gl002.model import Batch, Sample
from gl002.sink import Sink
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
from peers.postgresql import PostgreSQL
from peers.timescale import Timescale

fixtures = server, empty, context, make


START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
DAY = 86_400 * SECOND


# ---- as an output -----------------------------------------------------------------------------


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


# ---- without the extension --------------------------------------------------------------------


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
