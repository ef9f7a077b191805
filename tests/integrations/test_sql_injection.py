"""A name is only a name: 300 strings as tags, tables, columns, intervals, filters and aggregates.

Whatever becomes of a string, stored as it is or refused, a table beside ours stays as it was, no
other table comes into being, and nothing waits.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from data.sql_injection import corpus
from gl002.cli import main
from gl002.context import Context
from gl002.errors import GL002Error, PartialWrite
from gl002.integrations.databases import (
    AsyncPostgreSQLConnector,
    AsyncSQLiteConnector,
    AsyncTimescaleConnector,
)
from gl002.model import Batch, Sample
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.sql.names import checked_name
from peers.postgresql import PostgreSQL
from peers.timescale import Timescale

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
STRINGS = corpus()
ALWAYS = (0, 2**62)
CANARY = [("the secret",)]
OURS = ("canary", "samples", "gl002_tag", "gl002_migration", "gl002_column", "boiler_data")


def test_there_are_more_than_three_hundred_strings() -> None:
    assert len(STRINGS) > 300
    assert len(set(STRINGS)) == len(STRINGS)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


@pytest.fixture(autouse=True)
def _quick() -> Iterator[None]:
    """No string may make anybody wait."""
    start = time.monotonic()
    yield
    assert time.monotonic() - start < 400


def reset(server: PostgreSQL) -> None:
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")
    server.execute("CREATE TABLE canary (secret text)")
    server.execute("INSERT INTO canary VALUES ('the secret')")


@pytest.fixture
async def database(server: PostgreSQL, context: Context) -> AsyncIterator[AsyncPostgreSQLConnector]:
    reset(server)
    async with AsyncPostgreSQLConnector(server.config, context=context) as connector:
        connector._retry = RetryPolicy(max_attempts=1)
        yield connector
    tables = {name for (name,) in server.execute(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}  # fmt: skip
    assert server.execute("SELECT * FROM canary") == CANARY
    assert "loot" not in tables
    assert not await asyncio.to_thread(Path("/tmp/gl002-was-here").exists)


def as_tags() -> Batch:
    return [Sample(text, float(i), START + i) for i, text in enumerate(STRINGS)]


async def stored(sink: Any, batch: Batch) -> set[str]:
    """Tags that were stored; the others were refused by name."""
    await sink.prepare()
    try:
        await sink.write(batch)
    except PartialWrite as error:
        return {s.tag for i, s in enumerate(batch) if i not in error.rejected}
    return {s.tag for s in batch}


async def attempted(work: Awaitable[Any]) -> Any:
    """The result, or None where one of our own errors refuses the string."""
    try:
        return await work
    except (GL002Error, ValueError):
        return None


# ---- PostgreSQL ---------------------------------------------------------------------------------


async def test_as_tags_they_come_back_as_they_are(database: AsyncPostgreSQLConnector) -> None:
    sink = database.sink(database.Output.parse({"destination": "postgresql"}))
    assert await stored(sink, as_tags()) == set(STRINGS)
    found = {s.tag: s.value for s in await database.read(STRINGS)}
    assert found == {text: float(i) for i, text in enumerate(STRINGS)}
    assert {f.address async for f in database.browse()} == set(STRINGS)
    for text in STRINGS[::7]:
        (page,) = [page async for page in database.history([text], *ALWAYS)]
        assert [s.tag for s in page] == [text]
        (bucket,) = await database.trend(text, START, START + SECOND, points=1)
        assert bucket.samples == 1
        assert text in [f.address async for f in database.browse(text)]


async def test_as_tags_of_a_wide_table_they_become_plain_columns_or_are_refused(
    database: AsyncPostgreSQLConnector, server: PostgreSQL
) -> None:
    spec = {"destination": "postgresql", "table": "boiler_data", "layout": "wide"}
    sink = database.sink(database.Output.parse(spec))
    taken = await stored(sink, as_tags())
    assert 10 < len(taken) < len(STRINGS)
    keyed = database.sink(
        database.Output.parse({**spec, "table": "keyed", "key_column": "boiler_id"})
    )
    assert await stored(keyed, [Sample(f"{t}.x", 1.0, START) for t in STRINGS if "." not in t])
    columns = server.execute("SELECT column_name FROM information_schema.columns "
                             "WHERE table_name IN ('boiler_data', 'keyed')")  # fmt: skip
    assert all(name.replace("_", "a").isalnum() for (name,) in columns)


async def test_as_tables_they_are_refused_or_reach_what_they_name_and_nothing_else(
    database: AsyncPostgreSQLConnector, server: PostgreSQL
) -> None:
    for text in STRINGS:
        if text in {"canary", "public.canary"}:
            continue  # whoever names a table means it
        spec = await attempted(_parsed(database, {"destination": "postgresql", "table": text}))
        if spec is not None:
            await attempted(stored(database.sink(spec), [Sample("a", 1.0, START)]))
        await attempted(database.insert_data(text, [{"x": 1}]))
    for (name,) in server.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"):
        assert name in OURS or (name in STRINGS and checked_name(name) == (name,))


async def _parsed(database: AsyncPostgreSQLConnector, spec: dict[str, str]) -> Any:
    return database.Output.parse(spec)


async def test_as_columns_they_are_refused_or_only_columns(
    database: AsyncPostgreSQLConnector, server: PostgreSQL
) -> None:
    server.execute("CREATE TABLE boiler_data (timestamp timestamptz)")
    for text in STRINGS:
        await attempted(database.insert_data("boiler_data", [{text: 1.0}]))
        for key in ("time_column", "key_column"):
            spec = {"destination": "postgresql", "table": "other", "layout": "wide", key: text}
            assert await attempted(_parsed(database, spec)) is None or checked_name(text)
    assert server.execute("SELECT count(*) FROM boiler_data") == [(0,)]


async def test_as_filters_and_parameters_they_match_only_themselves(
    database: AsyncPostgreSQLConnector, server: PostgreSQL
) -> None:
    server.execute("CREATE TABLE samples (tag text, time timestamptz)")
    for text in STRINGS:
        question = "SELECT %s::text AS said, (SELECT count(*) FROM samples WHERE tag = %s) AS found"
        rows = await database.query(question, [text, text])
        assert rows == [{"said": text, "found": 0}]
        (row,) = await database.query("SELECT %(x)s::text AS said", {"x": text})
        assert row["said"] == text


async def test_as_whole_queries_they_cannot_write(
    database: AsyncPostgreSQLConnector,
) -> None:
    database.set_timeout(500)
    for text in STRINGS:
        await attempted(database.query(text))
        await attempted(database.query(f"SELECT 1; {text}"))


# ---- TimescaleDB --------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(500)
async def test_as_intervals_and_names_of_aggregates_they_reach_nothing(context: Context) -> None:
    with Timescale() as server:
        server.execute("CREATE TABLE canary (secret text)")
        server.execute("INSERT INTO canary VALUES ('the secret')")
        async with AsyncTimescaleConnector(server.config, context=context) as database:
            database._retry = RetryPolicy(max_attempts=1)
            await database.create_hypertable("boiler_data", "timestamp")
            query = ("SELECT time_bucket('1 hour', timestamp) AS hour, count(*) "
                     "FROM boiler_data GROUP BY hour")  # fmt: skip
            for text in STRINGS:
                await attempted(database.create_hypertable("boiler_data", "timestamp", text))
                await attempted(database.add_retention_policy("boiler_data", text))
                await attempted(database.add_compression_policy("boiler_data", text))
                await attempted(database.add_compression_policy("boiler_data", "7 days", [text]))
                if checked(text) is None:
                    assert await attempted(_made(database, text, query)) is None
                    await attempted(_made(database, "by_hour", query, text))
                    await attempted(database.refresh_continuous_aggregate(text))
        assert server.execute("SELECT * FROM canary") == CANARY
        views = server.execute(
            "SELECT view_name FROM timescaledb_information.continuous_aggregates"
        )
        assert set(views) <= {("by_hour",)}, "'1a' is an interval to PostgreSQL"


def checked(text: str) -> tuple[str, ...] | None:
    try:
        return checked_name(text)
    except GL002Error:
        return None


async def _made(
    database: AsyncTimescaleConnector, name: str, query: str, every: str = "1 h"
) -> bool:
    await database.create_continuous_aggregate(name, query, every)
    return True


# ---- the embedded history -----------------------------------------------------------------------


async def test_in_the_embedded_history_a_tag_is_only_a_tag(context: Context) -> None:
    async with AsyncSQLiteConnector({}, context=context) as history:
        with closing(sqlite3.connect(history.path)) as db:
            db.execute("CREATE TABLE canary (secret TEXT)")
            db.execute("INSERT INTO canary VALUES ('the secret')")
            db.commit()
        await history.store(as_tags())
        found = {s.tag: s.value for s in await history.read(STRINGS)}
        assert found == {text: float(i) for i, text in enumerate(STRINGS)}
        for text in STRINGS:
            (page,) = [page async for page in history.history([text], *ALWAYS)]
            assert [s.tag for s in page] == [text]
            (bucket,) = await history.trend(text, START, START + SECOND, points=1)
            assert bucket.samples == 1
        with closing(sqlite3.connect(history.path)) as db:
            assert db.execute("SELECT * FROM canary").fetchall() == CANARY
            tables = db.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
    assert {name for (name,) in tables} == {
        "tag", "sample", "recent", "minute", "hour", "kept", "canary",
    }  # fmt: skip


def test_on_the_command_line_they_are_only_patterns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    text = "integrations: {enabled: [sqlite]}\ngateway: {state_dir: state}\n"
    (tmp_path / "integrations.yaml").write_text(text)
    for name in [s for s in STRINGS if not s.startswith("-") and not set("*?[") & set(s)][::9]:
        assert main(["history", "query", name, "--json"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "no tag" in err
    json.dumps(STRINGS)
