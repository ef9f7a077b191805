"""PostgreSQL: wide tables, versions of tables, and types and units that change."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import ConfigError, PartialWrite, RequestFailed
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.model import Quality, Sample, Tag
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink
from gl002.transport.sql import tags as tag_table
from peers.postgresql import PostgreSQL

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
AT = datetime(2025, 10, 9, 8, 53, 20, tzinfo=UTC)

Make = Callable[..., AsyncPostgreSQLConnector]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


@pytest.fixture
async def make(server: PostgreSQL, tmp_path: Path, no_leaks: None) -> AsyncIterator[Make]:
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[AsyncPostgreSQLConnector] = []

    def connector(**changes: Any) -> AsyncPostgreSQLConnector:
        made.append(AsyncPostgreSQLConnector({**server.config, **changes}, context=context))
        made[-1]._retry = RetryPolicy(max_attempts=1)
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


async def ready(connector: AsyncPostgreSQLConnector, **spec: Any) -> Sink:
    output = connector.Output
    assert output is not None
    sink = connector.sink(output.parse({"destination": connector.kind, **spec}))
    await sink.prepare()
    return sink


async def wide(make: Make, **spec: Any) -> Sink:
    return await ready(make(), **{"table": "boiler_data", "layout": "wide", **spec})


def rows(server: PostgreSQL, columns: str = "*", table: str = "boiler_data") -> list[tuple]:
    return server.execute(f"SELECT {columns} FROM {table} ORDER BY 1, 2")


# ---- wide ---------------------------------------------------------------------------------------


async def test_a_moment_is_a_row_and_a_tag_a_column(make: Make, server: PostgreSQL) -> None:
    sink = await wide(make)
    await sink.write(
        [
            Sample("efficiency", 85.4, START), Sample("running", True, START),
            Sample("mode", "auto", START), Sample("efficiency", 85.5, START + SECOND),
            Sample("starts", 7, START + SECOND),
        ]
    )  # fmt: skip
    columns = "timestamp, efficiency, running, mode, starts"
    assert rows(server, columns) == [
        (AT, 85.4, True, "auto", None),
        (AT.replace(second=21), 85.5, None, None, 7.0),
    ]


async def test_what_comes_in_parts_is_put_together_and_a_replay_changes_nothing(
    make: Make, server: PostgreSQL
) -> None:
    sink = await wide(make)
    parts = [[Sample("a", 1.0, START)], [Sample("b", 2.0, START)], [Sample("a", 3.0, START)]]
    for part in parts:
        await sink.write(part)
    before = rows(server, "timestamp, a, b, xmin")
    assert before[0][1:3] == (3.0, 2.0)
    await (await wide(make)).write([*parts[1], *parts[2]])
    assert rows(server, "timestamp, a, b, xmin") == before, "not one row was written again"


async def test_a_key_column_takes_what_stands_before_the_dot(
    make: Make, server: PostgreSQL
) -> None:
    sink = await wide(make, key_column="boiler_id")
    with pytest.raises(PartialWrite) as caught:
        await sink.write(
            [
                Sample("B001.efficiency", 85.4, START), Sample("B002.efficiency", 83.0, START),
                Sample("B001.flow.steam", 12.0, START), Sample("load", 1.0, START),
            ]
        )  # fmt: skip
    assert list(caught.value.rejected) == [3]
    assert "no part before a dot" in caught.value.rejected[3]
    assert rows(server, "timestamp, boiler_id, efficiency, flow_steam") == [
        (AT, "B001", 85.4, 12.0),
        (AT, "B002", 83.0, None),
    ]


async def test_a_bad_sample_leaves_its_place_empty_and_takes_nothing_away(
    make: Make, server: PostgreSQL
) -> None:
    sink = await wide(make)
    bad = int(Quality.BAD_SENSOR_FAILURE)
    await sink.write([Sample("a", 1.0, START), Sample("b", 2.0, START, bad)])
    await sink.write([Sample("a", None, START, bad), Sample("a", float("nan"), START + SECOND)])
    assert rows(server, "timestamp, a") == [(AT, 1.0)]


async def test_tags_that_would_share_a_column_are_told_apart_also_after_a_restart(
    make: Make, server: PostgreSQL
) -> None:
    await (await wide(make)).write([Sample("boiler.flow", 1.0, START)])
    with pytest.raises(PartialWrite) as caught:
        await (await wide(make)).write([Sample("boiler/flow", 9.0, START)])
    assert "is that of 'boiler.flow' already" in caught.value.rejected[0]
    assert rows(server, "timestamp, boiler_flow") == [(AT, 1.0)]


@pytest.mark.parametrize(
    ("column", "value", "refused"),
    [
        ("integer", 3.0, False),
        ("integer", 3.5, True),
        ("integer", 2**40, True),
        ("smallint", -40_000, True),
        ("boolean", True, False),
        ("boolean", 0.5, True),
        ("boolean", "yes", True),
        ("double precision", True, False),
        ("double precision", "12", True),
        ("numeric", 2.5, False),
        ("text", "auto", False),
        ("text", 5.0, True),
        ("date", 5.0, True),
    ],
)
async def test_a_value_its_column_cannot_hold_is_kept_as_a_dead_letter_and_not_bent(
    make: Make, server: PostgreSQL, column: str, value: Any, *, refused: bool
) -> None:
    server.execute(f"CREATE TABLE boiler_data (timestamp timestamptz, x {column}, ok float8)")
    sink = await wide(make)
    batch = [Sample("x", value, START), Sample("ok", 1.0, START)]
    if refused:
        with pytest.raises(PartialWrite) as caught:
            await sink.write(batch)
        assert list(caught.value.rejected) == [0]
        assert f"its column 'x' is {column}" in caught.value.rejected[0]
    else:
        await sink.write(batch)
        assert rows(server, "x, timestamp")[0][0] == value
    assert rows(server, "timestamp, ok") == [(AT, 1.0)]


async def test_a_new_column_is_said(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    sink = await wide(make)
    await sink.write([Sample("a", 1.0, START)])
    await sink.write([Sample("a", 2.0, START + SECOND)])
    said = [r.getMessage() for r in caplog.records if "new column" in r.getMessage()]
    assert said == ["postgresql: boiler_data: new column boiler_data.a double precision"]


async def test_a_table_of_the_guide_is_taken_as_it_is(make: Make, server: PostgreSQL) -> None:
    server.execute("CREATE TABLE boiler_data (timestamp timestamptz NOT NULL, boiler_id text)")
    server.execute("INSERT INTO boiler_data VALUES (now(), 'B001')")
    sink = await ready(make(), table="boiler_data")
    await sink.write([Sample("efficiency", 85.4, START)])
    assert rows(server, "timestamp, efficiency")[0] == (AT, 85.4)


@pytest.mark.parametrize(
    ("columns", "spec", "said"),
    [
        ("timestamp timestamp", {}, "'timestamp' is timestamp without time zone"),
        ("timestamp timestamptz, site int NOT NULL", {}, "'site' must be given a value"),
        ("timestamp timestamptz, boiler_id int", {"key_column": "boiler_id"}, "is integer, not"),
    ],
)
async def test_a_table_that_cannot_take_rows_says_why(
    make: Make, server: PostgreSQL, columns: str, spec: dict[str, str], said: str
) -> None:
    server.execute(f"CREATE TABLE boiler_data ({columns})")
    with pytest.raises(ConfigError, match=said):
        await wide(make, **spec)


async def test_rows_that_a_key_cannot_tell_apart_are_named(make: Make, server: PostgreSQL) -> None:
    server.execute("CREATE TABLE boiler_data (timestamp timestamptz, boiler_id text)")
    server.execute("INSERT INTO boiler_data SELECT '2026-01-01', x FROM unnest('{a,b}'::text[]) x")
    with pytest.raises(ConfigError, match="several rows of one timestamp") as caught:
        await wide(make)
    assert "key_column" in caught.value.hint
    await wide(make, key_column="boiler_id")


async def test_a_tag_whose_name_looks_like_code_becomes_a_plain_column(
    make: Make, server: PostgreSQL
) -> None:
    sink = await wide(make)
    names = ['x"; DROP TABLE gl002_tag; --', "x' OR '1'='1", "%s {a}", "läuft ✓"]
    await sink.write([Sample(name, float(i), START) for i, name in enumerate(names)])
    question = "SELECT column_name FROM information_schema.columns WHERE table_name = 'boiler_data'"
    columns = {name for (name,) in server.execute(question)}
    assert columns == {"timestamp", "x_DROP_TABLE_gl002_tag_", "x_OR_1_1", "_s_a_", "läuft_"}
    assert server.execute("SELECT count(*) FROM gl002_tag") == [(4,)]


# ---- types and units that change ----------------------------------------------------------------


async def test_a_type_or_unit_that_changes_is_said_once_before_it_is_stored(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    connector.context.tags.declare(Tag(name="flow", unit="kg/s"))
    sink = await ready(connector)
    await sink.write([Sample("flow", 1.0, START), Sample("mode", 1, START)])
    connector.context.tags.declare(Tag(name="flow", unit="t/h"))
    for i in (1, 2):
        moment = START + i * SECOND
        await sink.write([Sample("flow", 3.6, moment), Sample("mode", "auto", moment)])
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    kind, unit = said
    assert kind.endswith("'mode' had values of type int, and now has one of type str")
    assert unit.endswith(
        "'flow' was in kg/s, and now is in t/h: its older values keep the old unit"
    )


# ---- versions -----------------------------------------------------------------------------------

VERSIONS = "SELECT subject, version FROM gl002_migration ORDER BY 1, 2"


async def test_what_was_done_to_a_table_is_noted_and_done_once(
    make: Make, server: PostgreSQL
) -> None:
    for _ in range(2):
        await ready(make())
    assert server.execute(VERSIONS) == [("gl002_tag", 1), ("samples", 1)]


async def test_a_table_of_an_older_version_is_changed_and_keeps_its_rows(
    make: Make, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    await (await ready(make())).write([Sample("a", 1.0, START)])
    steps = (*tag_table._STEPS, "ALTER TABLE {tags} ADD COLUMN site text DEFAULT 'here'")
    monkeypatch.setattr(tag_table, "_STEPS", steps)
    for _ in range(2):
        await (await ready(make())).write([Sample("b", 1.0, START)])
    assert server.execute(VERSIONS) == [("gl002_tag", 1), ("gl002_tag", 2), ("samples", 1)]
    assert rows(server, "name, site", "gl002_tag") == [("a", "here"), ("b", "here")]


async def test_a_table_from_before_versions_were_noted_is_taken_up_as_the_first(
    make: Make, server: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ready(make())
    server.execute("DROP TABLE gl002_migration")
    await ready(make())
    assert server.execute("SELECT to_regclass('gl002_migration')") == [(None,)]
    steps = (*tag_table._STEPS, "ALTER TABLE {tags} ADD COLUMN site text")
    monkeypatch.setattr(tag_table, "_STEPS", steps)
    await ready(make())
    assert server.execute(VERSIONS) == [("gl002_tag", 2)]


async def test_a_table_of_a_newer_version_is_left_alone(make: Make, server: PostgreSQL) -> None:
    await ready(make())
    server.execute("INSERT INTO gl002_migration (subject, version) VALUES ('samples', 9)")
    with pytest.raises(RequestFailed, match="version 9, we know 1") as caught:
        await ready(make())
    assert "newer version of gl002" in caught.value.hint


async def test_a_table_that_was_dropped_is_made_anew(make: Make, server: PostgreSQL) -> None:
    await ready(make())
    server.execute("DROP TABLE samples")
    await (await ready(make())).write([Sample("a", 1.0, START)])
    assert server.execute("SELECT count(*) FROM samples") == [(1,)]


async def test_a_role_that_may_only_write_needs_no_right_to_make_tables(
    make: Make, server: PostgreSQL
) -> None:
    await ready(make())
    server.execute("DROP ROLE IF EXISTS writer")
    server.execute("CREATE ROLE writer LOGIN PASSWORD 'role-canary-2'")
    server.execute("GRANT USAGE ON SCHEMA public TO writer")
    server.execute("GRANT SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA public TO writer")
    sink = await ready(make(user="writer", password="role-canary-2"))
    await sink.write([Sample("a", 1.0, START)])
    server.execute("DROP OWNED BY writer")


# ---- reading ------------------------------------------------------------------------------------


async def test_reading_cannot_write_and_is_limited_in_time(make: Make) -> None:
    connector = make(timeout=20)
    await (await ready(connector)).write([Sample("a", 1.0, START)])

    async def asked(connection: Any) -> tuple[Any, ...]:
        row = await (await connection.execute(
            "SELECT current_setting('transaction_read_only'), current_setting('statement_timeout')"
        )).fetchone()  # fmt: skip
        return tuple(row)

    assert await connector._look(asked, what="look") == ("on", "16s")


async def test_a_trend_is_computed_by_the_server(make: Make) -> None:
    connector = make()
    batch = [Sample("a", float(i % 100), START + i * SECOND) for i in range(1000)]
    batch[500] = Sample("a", 999.0, batch[500].time)
    batch[501] = Sample("a", None, batch[501].time, Quality.BAD)
    await (await ready(connector)).write(batch)
    found = await connector.trend("a", START, START + 1000 * SECOND, points=10)
    assert [(b.start - START) // SECOND for b in found] == list(range(0, 1000, 100))
    assert [(b.samples, b.used, b.low, b.high) for b in found][4:6] == [
        (100, 100, 0.0, 99.0),
        (100, 99, 2.0, 999.0),
    ]
    assert found[5].quality == int(Quality.BAD)
    assert found[0].mean == 49.5
    assert await connector.trend("absent", START, START + SECOND, points=3) == []
