"""PostgreSQL: tables that are there already, or not any more."""

from __future__ import annotations

import asyncio

import pytest

from gl002.errors import ConfigError, DataError, RequestFailed
from gl002.model import Sample
from integrations.postgresql_site import (
    START,
    Make,
    context,
    empty,
    make,
    ready,
    recorded,
    series,
    server,
    sink_of,
)
from peers.postgresql import PostgreSQL

fixtures = server, empty, context, make


async def test_a_table_with_other_columns_is_refused_and_the_difference_named(
    make: Make, server: PostgreSQL
) -> None:
    server.execute("CREATE TABLE boiler_data (timestamp timestamptz, boiler_id text, text int)")
    with pytest.raises(ConfigError) as caught:
        await ready(make(), table="boiler_data", layout="narrow")
    said = str(caught.value)
    assert "boiler_data" in said
    assert "it has timestamp, boiler_id, text, but not time timestamp with time zone" in said
    assert "'text' is integer, not text" in said
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("quality bigint", "no unique key"),
        ("quality integer, PRIMARY KEY (tag, time)", "'quality' is integer, not bigint"),
        ("quality bigint, site text NOT NULL, PRIMARY KEY (tag, time)", "'site' must be given"),
        ("quality bigint, PRIMARY KEY (tag, time, quality)", "no unique key"),
    ],
)
async def test_a_table_that_would_lose_or_double_samples_is_refused(
    make: Make, server: PostgreSQL, columns: str, said: str
) -> None:
    first = "time timestamptz, tag text, value float8, text text"
    server.execute(f"CREATE TABLE samples ({first}, {columns})")
    with pytest.raises(ConfigError, match=said):
        await ready(make())


async def test_a_table_with_more_columns_than_needed_is_taken(
    make: Make, server: PostgreSQL
) -> None:
    server.execute(
        "CREATE TABLE samples (id bigserial, quality bigint, tag varchar(40), value float8, "
        "time timestamptz, text text, note text, UNIQUE (time, tag))"
    )
    connector = make()
    await (await ready(connector)).write(series(4))
    assert len(await recorded(connector, "boiler0.flow", "boiler1.flow")) == 4


async def test_a_sample_the_table_itself_refuses_is_a_fault_of_the_data(
    make: Make, server: PostgreSQL
) -> None:
    server.execute(
        "CREATE TABLE samples (time timestamptz, tag varchar(12), value float8 CHECK (value < 5), "
        "text text, quality bigint, PRIMARY KEY (tag, time))"
    )
    connector = make()
    sink = await ready(connector)
    for bad in (Sample("boiler0.flow", 7.0, START), Sample("a tag of 20 letters.", 1.0, START)):
        with pytest.raises(DataError):  # the flow takes the batch apart
            await sink.write([*series(4), bad])
    assert await recorded(connector, "boiler0.flow") == []
    await sink.write(series(4))
    types = server.execute("SELECT name, type FROM gl002_tag ORDER BY name")
    assert types == [("boiler0.flow", "int"), ("boiler1.flow", "int")], "nothing undone is known"


async def test_a_schema_of_ones_own_is_used_for_both_tables(make: Make, server: PostgreSQL) -> None:
    server.execute("DROP SCHEMA IF EXISTS plant CASCADE")
    server.execute("CREATE SCHEMA plant")
    connector = make(table="plant.Samples")
    await (await ready(connector)).write(series(2))
    assert server.execute('SELECT count(*) FROM plant."Samples"') == [(2,)]
    assert server.execute("SELECT count(*) FROM plant.gl002_tag") == [(2,)]
    assert len(await connector.read(["boiler0.flow"])) == 1


async def test_a_table_dropped_meanwhile_is_made_again(make: Make, server: PostgreSQL) -> None:
    connector = make()
    sink = await ready(connector)
    await sink.write(series(2))
    server.execute("DROP TABLE samples, gl002_tag")
    with pytest.raises(RequestFailed):
        await sink.write(series(4))
    await sink.prepare()
    await sink.write(series(4))
    assert server.execute("SELECT count(*), (SELECT count(*) FROM gl002_tag) FROM samples") == [
        (4, 2)
    ]


async def test_ten_outputs_that_start_at_once_make_the_tables_once(make: Make) -> None:
    sinks = [sink_of(make(), table=f"t{i % 3}") for i in range(10)]
    await asyncio.gather(*(sink.prepare() for sink in sinks))
    await asyncio.gather(*(sink.write(series(10)) for sink in sinks))
