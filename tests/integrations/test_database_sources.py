"""Databases as sources: what others store is delivered once, soon, and from where it was left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import gl002.transport.following
from gl002.context import Context
from gl002.errors import ConfigError, RequestFailed
from gl002.integrations.databases import AsyncPostgreSQLConnector, AsyncSQLiteConnector
from gl002.model import Batch, Sample, Tag, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from peers.postgresql import PostgreSQL

SECOND = 1_000_000_000
AT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


class Site:
    """A database that one side fills, and a source on the other side reads."""

    def __init__(self, connector: Any, context: Context) -> None:
        self.connector, self.context = connector, context
        self.now = now_ns() // 1000 * 1000
        self.sink = connector.sink(connector.Output.parse({"destination": connector.kind}))

    async def store(self, *samples: tuple[str, float, int]) -> None:
        """Tag, value, seconds from now."""
        await self.sink.write(
            [Sample(tag, v, self.now + int(at * SECOND)) for tag, v, at in samples]
        )

    def source(self, **spec: Any) -> Source:
        given = {"source": self.connector.kind, "interval": 0.02, **spec}
        return self.connector.source(self.connector.Input.parse(given))


@pytest.fixture(params=["sqlite", "postgresql"])
async def site(
    request: pytest.FixtureRequest, server: PostgreSQL, context: Context
) -> AsyncIterator[Site]:
    if request.param == "sqlite":
        connector: Any = AsyncSQLiteConnector({}, context=context)
    else:
        server.execute("DROP SCHEMA public CASCADE")
        server.execute("CREATE SCHEMA public")
        connector = AsyncPostgreSQLConnector(server.config, context=context)
    async with connector:
        one = Site(connector, context)
        await one.sink.prepare()
        yield one


@asynccontextmanager
async def reading(source: Source) -> AsyncIterator[Batch]:
    """What the source delivers, growing while in the block."""
    got: Batch = []

    async def read() -> None:
        async for batch in source.batches():
            got.extend(batch)

    task = asyncio.create_task(read())
    try:
        yield got
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled() and task.exception():
            raise task.exception()  # type: ignore[misc]  # it is one


async def until(got: Batch, *values: float) -> None:
    async with asyncio.timeout(30):
        while not {s.value for s in got} >= set(values):
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert len({(s.tag, s.time) for s in got}) == len(got), "each once"


async def test_the_newest_of_each_tag_comes_first_and_then_what_is_new(site: Site) -> None:
    await site.store(("a", 1.0, -9), ("a", 2.0, -8), ("b", 3.0, -7))
    async with reading(site.source()) as got:
        await until(got, 2.0, 3.0)
        await site.store(("a", 4.0, -1), ("b", 5.0, 0))
        await until(got, 4.0, 5.0)
    assert [s.value for s in got][:2] in ([2.0, 3.0], [3.0, 2.0])
    assert 1.0 not in {s.value for s in got} or [s.value for s in got].index(1.0) > 1


async def test_what_was_read_and_never_reached_the_disk_is_read_again(site: Site) -> None:
    """The same source goes on where the store has kept its place: behind the last durable batch."""
    await site.store(("a", 1.0, -5))
    source = site.source()
    async with reading(source) as got:
        await until(got, 1.0)
        kept = source.position()
        await site.store(("a", 2.0, -4))
        await until(got, 2.0)
    source.resume(kept)
    async with reading(source) as again:
        await until(again, 2.0)


async def test_what_is_stored_a_little_late_is_delivered_too(site: Site) -> None:
    await site.store(("a", 1.0, 0))
    async with reading(site.source(lookback=30)) as got:
        await until(got, 1.0)
        await site.store(("a", 2.0, -20))
        await until(got, 2.0)
        await site.store(("a", 9.0, -50))
        await asyncio.sleep(0.2)
        assert 9.0 not in {s.value for s in got}, "that is for backfill"


async def test_new_tags_are_met(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gl002.transport.following, "_TAGS_INTERVAL", 0.05)
    async with reading(site.source()) as got:
        await asyncio.sleep(0.1)
        await site.store(("new", 1.0, 0))
        await until(got, 1.0)


async def test_a_position_leads_on_behind_what_was_delivered(site: Site) -> None:
    await site.store(*(("a", float(i), i - 200) for i in range(100)))
    first = site.source(from_start=True, lookback=0)
    async with reading(first) as got:
        await until(got, *map(float, range(100)))
    again = site.source(lookback=0)
    again.resume(first.position())
    await site.store(("a", 500.0, 0))
    async with reading(again) as got:
        await until(got, 500.0)
    assert {s.value for s in got} <= {99.0, 500.0}


async def test_everything_from_the_start_in_pages(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gl002.transport.following", "gl002.integrations.databases.sqlite",
                   "gl002.integrations.databases.postgresql"):  # fmt: skip
        monkeypatch.setattr(f"{module}.PAGE", 50)
    wanted = [(tag, float(i + 1000 * n), i - 900) for n, tag in enumerate("ab") for i in range(777)]
    await site.store(*wanted)
    async with reading(site.source(from_start=True, lookback=600)) as got:
        await until(got, *(value for _, value, _ in wanted))


async def test_one_clock_in_the_future_hides_no_other_tag(site: Site) -> None:
    await site.store(("wrong", 1.0, 10_000_000))
    async with reading(site.source(lookback=5)) as got:
        await until(got, 1.0)
        await site.store(("wrong", 2.0, 10_000_001))
        await until(got, 2.0)
    async with reading(site.source(from_start=True)) as got:
        await until(got, 1.0, 2.0)
        await site.store(("wrong", 3.0, 0))
        await until(got, 3.0)


async def test_tags_units_and_prefix(site: Site) -> None:
    site.context.tags.declare(Tag(name="a", unit="kg/s"))
    await site.store(("a", 1.0, 0), ("b", 2.0, 0))
    async with reading(site.source(tags=["a*"], prefix="old.")) as got:
        await until(got, 1.0)
    assert [s.tag for s in got] == ["old.a"]
    assert site.context.tags.source_unit("old.a") == "kg/s"


# ---- queries ------------------------------------------------------------------------------------

QUERY = """
SELECT timestamp, boiler_id, efficiency, fuel_rate FROM boiler_data
WHERE timestamp > %(cursor)s ORDER BY timestamp LIMIT 3
"""


@pytest.fixture
async def database(server: PostgreSQL, context: Context) -> AsyncIterator[AsyncPostgreSQLConnector]:
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")
    server.execute("CREATE TABLE boiler_data (no serial, timestamp timestamptz, boiler_id text, "
                   "efficiency float8, fuel_rate numeric)")  # fmt: skip
    async with AsyncPostgreSQLConnector(server.config, context=context) as connector:
        yield connector


def add(server: PostgreSQL, second: int, boiler: str, efficiency: float | None) -> None:
    moment = AT + timedelta(seconds=second)
    server.execute(
        "INSERT INTO boiler_data (timestamp, boiler_id, efficiency, fuel_rate) "
        "VALUES (%s, %s, %s, 3500.5)", (moment, boiler, efficiency),
    )  # fmt: skip


def queried(database: AsyncPostgreSQLConnector, **spec: Any) -> Source:
    given = {"source": "postgresql", "interval": 0.02, **spec}
    return database.source(database.Input.parse(given))


async def test_the_rows_of_a_query_become_samples_from_a_cursor_on(
    database: AsyncPostgreSQLConnector, server: PostgreSQL
) -> None:
    for second in range(10):
        add(server, second, f"B00{second % 2}", None if second == 4 else 80.0 + second)
    spec = {"query": QUERY, "cursor": "timestamp", "tag_column": "boiler_id",
            "start": AT.isoformat()}  # fmt: skip
    source = queried(database, **spec)
    async with reading(source) as got:
        await until(got, 89.0)
    assert got[0] == Sample("B001.efficiency", 81.0, int(AT.timestamp()) * SECOND + SECOND)
    assert [s.value for s in got if s.tag.endswith(".efficiency")] == [
        81.0, 82.0, 83.0, 85.0, 86.0, 87.0, 88.0, 89.0,
    ]  # fmt: skip
    assert [s.value for s in got if s.tag == "B000.fuel_rate"] == [3500.5] * 4
    again = queried(database, **spec)
    again.resume(source.position())
    add(server, 10, "B000", 99.0)
    async with reading(again) as got:
        await until(got, 99.0)
    assert len(got) == 2


async def test_a_number_can_be_the_cursor_and_value_the_only_column(
    database: AsyncPostgreSQLConnector, server: PostgreSQL
) -> None:
    for second in range(3):
        add(server, second, f"B00{second}", 80.0 + second)
    query = ("SELECT no, timestamp, boiler_id, efficiency AS value FROM boiler_data "
             "WHERE no > %(cursor)s ORDER BY no")  # fmt: skip
    source = queried(database, query=query, cursor="no", start=1, time_column="timestamp",
                     tag_column="boiler_id", prefix="lab.")  # fmt: skip
    async with reading(source) as got:
        await until(got, 81.0, 82.0)
    assert [(s.tag, s.value) for s in got] == [("lab.B001", 81.0), ("lab.B002", 82.0)]
    assert got[0].time == int(AT.timestamp()) * SECOND + SECOND
    assert {tag.name for tag in source.tags()} == {"lab.B001", "lab.B002"}


async def test_a_query_that_gives_no_cursor_says_so(database: AsyncPostgreSQLConnector) -> None:
    source = queried(database, query="SELECT 1 AS x, %(cursor)s::text AS t", cursor="y", start=1)
    with pytest.raises(RequestFailed, match="'y' gives None"):
        async with asyncio.timeout(30):
            await anext(aiter(source.batches()))


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ({"query": "SELECT 1", "cursor": "x"}, r"reads behind %\(cursor\)s"),
        ({"query": "SELECT %(cursor)s"}, "'cursor' names its column"),
        ({"cursor": "x"}, "belongs to a 'query'"),
        ({"query": "SELECT %(cursor)s", "cursor": "x", "table": "y"}, "either"),
        ({"table": "a;b"}, "no name of a table"),
    ],
)
def test_an_input_that_makes_no_sense_is_refused(spec: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        AsyncPostgreSQLConnector.Input.parse({"source": "postgresql", **spec})
