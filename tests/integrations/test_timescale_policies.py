"""TimescaleDB: compression, retention, refresh, and aggregates that late samples change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gl002.transport.sql.hypertables
from gl002.context import Context
from gl002.errors import DataError, RequestFailed
from gl002.integrations.databases import AsyncTimescaleConnector
from gl002.model import Sample, to_ns
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink
from peers.timescale import Timescale

BY_HOUR = """
    SELECT time_bucket('1 hour', time) AS hour, tag, max(value) AS high, count(*) AS samples
    FROM samples GROUP BY hour, tag
"""
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)

Make = Callable[..., AsyncTimescaleConnector]

both_apis = pytest.mark.parametrize("columnstore_since", [(2, 18), (99,)], ids=["new", "old"])


@pytest.fixture(scope="module")
def server() -> Iterator[Timescale]:
    with Timescale() as running:
        yield running


@pytest.fixture
async def make(server: Timescale, tmp_path: Path, no_leaks: None) -> AsyncIterator[Make]:
    for kind, catalog, column in (
        ("MATERIALIZED VIEW", "timescaledb_information.continuous_aggregates", "view_name"),
        ("TABLE", "pg_tables WHERE schemaname = 'public'", "tablename"),
    ):
        for (name,) in server.execute(f"SELECT {column} FROM {catalog}"):
            server.execute(f'DROP {kind} "{name}" CASCADE')
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[AsyncTimescaleConnector] = []

    def connector() -> AsyncTimescaleConnector:
        made.append(AsyncTimescaleConnector(server.config, context=context))
        made[-1]._retry = RetryPolicy(max_attempts=1)
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


async def ready(connector: AsyncTimescaleConnector, **spec: Any) -> Sink:
    sink = connector.sink(connector.Output.parse({"destination": "timescale", **spec}))
    await sink.prepare()
    return sink


def jobs(server: Timescale, name: str) -> dict[str, dict[str, Any]]:
    """Policy -> its configuration."""
    rows = server.execute(
        "SELECT proc_name, config FROM timescaledb_information.jobs WHERE hypertable_name = %s",
        (name,),
    )
    return dict(rows)


@both_apis
async def test_chunks_are_compressed_at_an_age_in_the_old_and_the_new_api(
    make: Make, server: Timescale, monkeypatch: pytest.MonkeyPatch, columnstore_since: tuple
) -> None:
    monkeypatch.setattr(gl002.transport.sql.hypertables, "_COLUMNSTORE_SINCE", columnstore_since)
    connector = make()
    sink = await ready(connector, compress_after="7 days")
    old = to_ns(NOW - 30 * DAY)
    await sink.write([Sample(f"t{i % 3}", float(i), old + i * 10**9) for i in range(300)])
    (config,) = [c for name, c in jobs(server, "samples").items() if name == "policy_compression"]
    assert config["compress_after"] == "7 days"
    await ready(make(), compress_after="7 days")
    (job,) = server.execute(
        "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'"
    )
    server.execute("CALL run_job(%s)", job)
    chunks = server.execute("SELECT is_compressed FROM timescaledb_information.chunks")
    assert chunks == [(True,)]
    segments = server.execute(
        "SELECT segmentby FROM timescaledb_information.hypertable_compression_settings"
    )
    assert segments == [("tag",)]
    batch = [Sample("t0", 99.0, old), Sample("t0", 7.0, old + 1_000_000)]
    await sink.write(batch)
    found = [s async for b in connector.history(["t0"], old, old + 10**9) for s in b]
    assert [s.value for s in found] == [99.0, 7.0], "also into compressed chunks"


async def test_another_age_takes_the_place_of_the_one_before(make: Make, server: Timescale) -> None:
    connector = make()
    await ready(connector, compress_after="7 days", retention="1 year")
    await connector.add_compression_policy("samples", timedelta(days=14), ["tag"])
    await connector.add_retention_policy("samples", "2 years")
    found = jobs(server, "samples")
    assert found["policy_compression"]["compress_after"] == "14 days"
    assert found["policy_retention"]["drop_after"] == "2 years"
    before = server.execute("SELECT max(job_id) FROM timescaledb_information.jobs")
    await connector.add_retention_policy("samples", "2 years")
    await connector.add_compression_policy("samples", "14 days", ["tag"])
    assert server.execute("SELECT max(job_id) FROM timescaledb_information.jobs") == before


async def test_chunks_are_dropped_at_an_age(make: Make, server: Timescale) -> None:
    sink = await ready(make(), retention="100 days")
    await sink.write([Sample("t", 1.0, to_ns(NOW - age * DAY)) for age in (1, 50, 200)])
    (job,) = server.execute(
        "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_retention'"
    )
    server.execute("CALL run_job(%s)", job)
    assert server.execute("SELECT count(*) FROM samples") == [(2,)]


async def test_a_wide_table_is_kept_together_by_its_key(make: Make, server: Timescale) -> None:
    await ready(
        make(), table="boiler_data", layout="wide", key_column="boiler_id", compress_after="7 days"
    )
    segments = server.execute(
        "SELECT segmentby FROM timescaledb_information.hypertable_compression_settings"
    )
    assert segments == [("boiler_id",)]


@both_apis
async def test_an_aggregate_is_compressed_and_dropped_by_policies_of_its_own(
    make: Make, server: Timescale, monkeypatch: pytest.MonkeyPatch, columnstore_since: tuple
) -> None:
    monkeypatch.setattr(gl002.transport.sql.hypertables, "_COLUMNSTORE_SINCE", columnstore_since)
    connector = make()
    await ready(connector)
    for _ in range(2):
        await connector.create_continuous_aggregate(
            "by_hour", BY_HOUR, "30 minutes", start_offset="7 days", compress_after="30 days",
            retention="5 years",
        )  # fmt: skip
    found = jobs(server, "by_hour")
    assert found["policy_refresh_continuous_aggregate"]["start_offset"] == "7 days"
    assert found["policy_compression"]["compress_after"] == "30 days"
    assert found["policy_retention"]["drop_after"] == "5 years"


async def test_a_range_is_computed_anew_when_asked_for(make: Make, server: Timescale) -> None:
    connector = make()
    sink = await ready(connector)
    await connector.create_continuous_aggregate("by_hour", BY_HOUR)
    await sink.write([Sample("t", 5.0, to_ns(NOW - 10 * DAY))])
    start = NOW - 11 * DAY
    await connector.refresh_continuous_aggregate("by_hour", start, start + 2 * DAY)
    stored = "ALTER MATERIALIZED VIEW by_hour SET (timescaledb.materialized_only = true)"
    server.execute(stored)
    assert server.execute("SELECT high FROM by_hour") == [(5.0,)]
    with pytest.raises(DataError, match="too small"):
        await connector.refresh_continuous_aggregate("by_hour", start, start + timedelta(minutes=1))


async def test_late_samples_change_the_aggregate_that_had_looked_away(
    make: Make, server: Timescale
) -> None:
    connector = make()
    await ready(connector)
    await connector.create_continuous_aggregate("by_hour", BY_HOUR, start_offset="2 days")
    sink = await ready(connector)
    early = NOW - 30 * DAY
    await sink.write([Sample("t", 1.0, to_ns(early + i * HOUR)) for i in range(48)])
    server.execute("ALTER MATERIALIZED VIEW by_hour SET (timescaledb.materialized_only = true)")
    assert server.execute("SELECT sum(samples) FROM by_hour") == [(48,)]
    sink._refresh_at = float("inf")  # type: ignore[attr-defined]  # a TimescaleSink
    await sink.write([Sample("t", 9.0, to_ns(early + 5 * HOUR + timedelta(minutes=7)))])
    await sink.write([Sample("t", 1.0, to_ns(NOW))])
    assert server.execute("SELECT max(high) FROM by_hour") == [(1.0,)], "not yet"
    assert server.execute("SELECT place, until - since FROM gl002_late") == [
        ("samples", timedelta(microseconds=1))
    ]
    sink = await ready(make())  # another start: what was noted is not forgotten
    await sink.write([Sample("t", 1.0, to_ns(NOW) + 1000)])
    hours = server.execute("SELECT hour, high, samples FROM by_hour WHERE high > 1")
    assert hours == [(early + 5 * HOUR, 9.0, 2)]
    assert server.execute("SELECT count(*) FROM gl002_late") == [(0,)]


async def test_an_aggregate_that_looks_back_to_the_beginning_needs_no_notes(
    make: Make, server: Timescale
) -> None:
    connector = make()
    await ready(connector)
    await connector.create_continuous_aggregate("by_hour", BY_HOUR)
    sink = await ready(connector)
    await sink.write([Sample("t", 1.0, to_ns(NOW - 900 * DAY))])
    assert server.execute("SELECT to_regclass('gl002_late')") == [(None,)]


@pytest.mark.parametrize(
    ("call", "arguments", "kind"),
    [
        ("add_compression_policy", ("absent", "7 days"), RequestFailed),
        ("add_compression_policy", ("samples", "soon"), DataError),
        ("add_compression_policy", ("samples", "7 days", ["tag; --"]), DataError),
        ("add_retention_policy", ("absent", "7 days"), RequestFailed),
        ("add_retention_policy", ("samples'", "7 days"), DataError),
        ("refresh_continuous_aggregate", ("absent",), RequestFailed),
    ],
)
async def test_arguments_that_make_no_sense_are_named(
    make: Make, call: str, arguments: tuple, kind: type[Exception]
) -> None:
    connector = make()
    await ready(connector)
    with pytest.raises(kind):
        await getattr(connector, call)(*arguments)
