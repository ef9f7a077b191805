"""PostgreSQL: nothing lost, nothing doubled, nothing written that was only to be read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import trustme
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    Busy,
    ConfigError,
    ConnectFailed,
    DataError,
    GL002Error,
    NotAllowed,
    PartialWrite,
    RequestFailed,
    RequestTimeout,
    Unsupported,
)
from gl002.integrations.databases import AsyncPostgreSQLConnector, PostgreSQLConnector
from gl002.integrations.databases import postgresql as module
from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.security.secrets import Secret
from gl002.sink import Sink
from gl002.testing.stalls import Stalls
from gl002.transport.sql.connections import Connection, Connections, Login
from peers.postgresql import PostgreSQL

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
ALWAYS = (0, 2**62)
ONCE = RetryPolicy(max_attempts=1)

Make = Callable[..., AsyncPostgreSQLConnector]


@pytest.fixture(scope="module")
def server() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


OURS = "FROM pg_stat_activity WHERE application_name = 'gl002'"


@pytest.fixture(autouse=True)
def _empty(server: PostgreSQL) -> None:
    """No table and no session of an earlier test: a server notices late that a line is closed."""
    deadline = time.monotonic() + 30
    while (left := server.execute(f"SELECT count(*) {OURS}")) != [(0,)]:
        assert time.monotonic() < deadline, f"sessions that stay: {left}"
        time.sleep(0.02)
    server.execute("DROP SCHEMA public CASCADE")
    server.execute("CREATE SCHEMA public")


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def make(
    server: PostgreSQL, context: Context, no_leaks: None, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Make]:
    """Connectors that try once; whatever they do, no log at any level shows a password."""
    caplog.set_level(logging.DEBUG)
    made: list[AsyncPostgreSQLConnector] = []

    def connector(**changes: Any) -> AsyncPostgreSQLConnector:
        given = changes if "url" in changes else {**server.config, **changes}
        made.append(AsyncPostgreSQLConnector(given, context=context))
        made[-1]._retry = ONCE
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    context.audit.close()
    assert "canary" not in caplog.text


def sink_of(connector: AsyncPostgreSQLConnector, **spec: Any) -> Sink:
    output = connector.Output
    assert output is not None
    return connector.sink(output.parse({"destination": connector.kind, **spec}))


async def ready(connector: AsyncPostgreSQLConnector, **spec: Any) -> Sink:
    sink = sink_of(connector, **spec)
    await sink.prepare()
    return sink


def series(count: int, *, tags: int = 2, start: int = START) -> Batch:
    """A sample of each tag a second; the value is a counter."""
    return [
        Sample(f"boiler{i % tags}.flow", i // tags, start + i // tags * SECOND)
        for i in range(count)
    ]


async def deliver(sink: Sink, batch: Batch, *, within: float = 60) -> None:
    """As the flow does: prepare and try again while the error says that it may help."""
    async with asyncio.timeout(within):
        while True:
            try:
                await sink.prepare()
                await sink.write(batch)
            except GL002Error as error:
                if not error.retryable:
                    raise
                await asyncio.sleep(0.02)
            else:
                return


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """The server gives up a statement after 0.3 s, and we wait for its word as long as always.

    Otherwise the moment between the two is short where the time-out is, and a machine that
    stands still in it decides which of the errors it is.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_MARGIN", 0.01)
        yield


async def recorded(connector: AsyncPostgreSQLConnector, *tags: str) -> Batch:
    return [s async for batch in connector.history(tags, *ALWAYS) for s in batch]


# ---- samples ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        -7,
        2**53 + 1,
        2**64 - 1,
        0.0,
        2.0,
        1e-300,
        "",
        "auto",
        "ü ✓",
        "a\tb\\n",
        None,
    ],
)
async def test_a_sample_comes_back_as_it_was(make: Make, value: Value) -> None:
    connector = make()
    sample = Sample("boiler1.x", value, START + 1000, Quality.BAD_OUT_OF_SERVICE)
    await (await ready(connector)).write([sample])
    (latest,) = await connector.read(["boiler1.x"])
    assert latest == sample
    assert type(latest.value) is type(value)
    assert await recorded(connector, "boiler1.x") == [sample]


async def test_a_replay_writes_nothing_at_all(make: Make, server: PostgreSQL) -> None:
    batch = series(500)
    sink = await ready(make())
    await sink.write(batch)
    rows = "SELECT tag, time, value, xmin, ctid FROM samples ORDER BY tag, time"
    before = server.execute(rows)
    assert len(before) == 500
    await sink.write(batch)
    await (await ready(make())).write(batch[::-1])
    assert server.execute(rows) == before, "not one row was written again"


async def test_of_one_tag_and_time_the_later_sample_stays(make: Make) -> None:
    connector = make()
    sink = await ready(connector)
    await sink.write([Sample("a", 1.0, START), Sample("a", 2.0, START)])
    assert [s.value for s in await recorded(connector, "a")] == [2.0]
    await sink.write([Sample("a", 3.0, START, Quality.UNCERTAIN)])
    assert await recorded(connector, "a") == [Sample("a", 3.0, START, Quality.UNCERTAIN)]


STEPS = st.lists(
    st.one_of(
        st.just("prepare"),
        st.lists(
            st.builds(
                Sample,
                st.sampled_from(["a", "b", "c"]),
                st.one_of(st.none(), st.integers(-9, 9), st.sampled_from(["x", "y"])),
                st.integers(0, 9).map(lambda second: START + second * SECOND),
                st.sampled_from([0, int(Quality.UNCERTAIN)]),
            ),
            max_size=6,
        ),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(STEPS, STEPS)
def test_whatever_two_outputs_write_in_whatever_order_the_last_word_stays(
    server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory, one: Any, two: Any
) -> None:
    folder, expected = tmp_path_factory.mktemp("state"), {}
    server.execute("DROP TABLE IF EXISTS samples, gl002_tag")

    async def write() -> Batch:
        context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
        async with AsyncPostgreSQLConnector(server.config, context=context) as connector:
            sinks = [await ready(connector), await ready(connector)]
            for step in zip_longest(one, two, fillvalue=[]):
                for sink, batch in zip(sinks, step, strict=True):
                    if batch == "prepare":
                        await sink.prepare()
                        continue
                    await sink.write(batch)
                    expected.update({(s.tag, s.time): s for s in batch})
            stored = await recorded(connector, "a", "b", "c")
        context.audit.close()
        return stored

    assert asyncio.run(write()) == [sample for _, sample in sorted(expected.items())]


async def test_rows_that_another_writer_was_faster_to_write_are_merged(make: Make) -> None:
    connector = make()
    one, two = await ready(connector), await ready(connector)
    await one.write(series(10))
    await two.write(series(100, start=START + SECOND))
    await one.write([Sample(s.tag, -1.0, s.time) for s in series(60)])
    await one.write(series(110))
    values = [s.value for s in await recorded(connector, "boiler0.flow")]
    assert values == [float(i) for i in range(55)]


async def test_a_table_with_row_security_is_written_too(make: Make, server: PostgreSQL) -> None:
    _role(server, "secured", "LOGIN")
    server.execute("GRANT USAGE, CREATE ON SCHEMA public TO secured")
    connector = make(user="secured", password="role-canary-1")
    sink = await ready(connector)
    server.execute("ALTER TABLE samples ENABLE ROW LEVEL SECURITY")
    server.execute("ALTER TABLE samples FORCE ROW LEVEL SECURITY")
    server.execute("CREATE POLICY all_rows ON samples USING (true)")
    await sink.write(series(4))
    await sink.write(series(8))
    assert server.execute("SELECT count(*) FROM samples") == [(8,)]
    server.execute("DROP OWNED BY secured")


async def test_samples_within_a_microsecond_are_merged_counted_and_warned_of_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    sink = await ready(connector)
    batch = [Sample("a", float(i), START + i * 100) for i in range(25)]
    await sink.write(batch)
    await sink.write(batch)
    assert [s.value for s in await recorded(connector, "a")] == [9.0, 19.0, 24.0]
    assert sink.merged == 2 * 22  # type: ignore[attr-defined]  # a PostgreSQLSink
    assert sum("microsecond" in r.getMessage() for r in caplog.records) == 1


async def test_a_repeated_sample_is_no_merged_sample(make: Make) -> None:
    sink = await ready(make())
    await sink.write([Sample("a", 1.0, START)] * 3)
    assert sink.merged == 0  # type: ignore[attr-defined]  # a PostgreSQLSink


async def test_what_no_row_can_hold_is_named_and_all_else_is_stored(make: Make) -> None:
    connector, good = make(), series(4)
    bad = [
        Sample("a\0b", 1.0, START), Sample("t", "a\0b", START), Sample("t", "\ud800", START),
        Sample("t", "x" * 1_000_001, START), Sample("t" * 501, 1.0, START), Sample("t", 10**400, 0),
    ]  # fmt: skip
    batch = [bad[0], *good[:2], *bad[1:4], *good[2:], *bad[4:]]
    with pytest.raises(PartialWrite) as caught:
        await (await ready(connector)).write(batch)
    assert {batch[i] for i in caught.value.rejected} == set(bad)
    stored = await recorded(connector, "boiler0.flow", "boiler1.flow")
    assert stored == sorted(good, key=lambda s: s.tag)


async def test_the_longest_tag_fits_the_index(make: Make) -> None:
    connector, tag = make(), "".join(chr(0x10000 + i * 7919 % 0xFFFF) for i in range(500))
    await (await ready(connector)).write([Sample(tag, 1.0, START)])
    assert len(await recorded(connector, tag)) == 1


async def test_what_is_no_number_is_a_bad_row_without_a_value(make: Make) -> None:
    connector = make()
    odd = [Sample(f"t{v}", v, START) for v in (math.nan, math.inf, -math.inf)]
    await (await ready(connector)).write(odd)
    for sample in await connector.read([s.tag for s in odd]):
        assert (sample.value, sample.quality >> 31) == (None, 1)


async def test_units_and_descriptions_are_in_the_tag_table(
    make: Make, context: Context, server: PostgreSQL
) -> None:
    context.tags.declare(Tag(name="a", unit="kg/s", description="Steam"))
    connector = make()
    sink = await ready(connector)
    await sink.write([Sample("a", 1, START), Sample("b", True, START)])
    await sink.write([Sample("a", 2.5, START + SECOND), Sample("b", "off", START + SECOND)])
    context.tags.declare(Tag(name="b", unit="", description="Burner"))
    await sink.write([Sample("b", False, START + 2 * SECOND)])
    assert server.execute("SELECT * FROM gl002_tag ORDER BY name") == [
        ("a", "kg/s", "Steam", "float"),
        ("b", "", "Burner", "bool"),
    ]
    assert [s.value for s in await recorded(connector, "b")] == [True, "off", False]
    assert [(f.name, f.unit, f.type) async for f in connector.browse("a")] == [
        ("a", "kg/s", "float")
    ]


async def test_a_type_and_a_unit_that_are_known_are_never_narrowed_or_hidden(
    make: Make, context: Context, server: PostgreSQL
) -> None:
    context.tags.declare(Tag(name="a", unit="kg/s"))
    await (await ready(make())).write([Sample("a", 1.5, START)])
    context.tags = TagTable()
    await (await ready(make())).write([Sample("a", 1, START + SECOND)])
    assert server.execute("SELECT unit, type FROM gl002_tag") == [("kg/s", "float")]


async def test_history_pages_through_many_samples_in_order(make: Make) -> None:
    connector, batch = make(), series(25_000, tags=1)
    sink = await ready(connector)
    for i in range(0, len(batch), 5000):
        await sink.write(batch[i : i + 5000])
    assert await recorded(connector, "boiler0.flow") == batch
    bounds = (batch[3].time, batch[7].time)
    (page,) = [page async for page in connector.history(["boiler0.flow"], *bounds)]
    assert page == batch[3:7]


async def test_reading_before_anything_was_written_says_so(make: Make) -> None:
    with pytest.raises(RequestFailed, match="no such table"):
        await make().read(["a"])


# ---- tables that are there already --------------------------------------------------------------


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


# ---- two writers, and trouble with the server ---------------------------------------------------


async def test_writers_of_the_same_rows_in_any_order_do_not_deadlock(make: Make) -> None:
    one, two = await ready(make()), await ready(make())
    batch = series(2000, tags=50)
    for _ in range(10):
        changed = [Sample(s.tag, s.value + 1, s.time) for s in batch]  # type: ignore[operator]
        await asyncio.gather(one.write(changed), two.write(batch[::-1]))


async def test_a_lock_held_for_long_is_no_fault_of_the_data(make: Make, server: PostgreSQL) -> None:
    connector = make(timeout=30)
    sink = await ready(connector)
    with _locked(server, "LOCK TABLE samples"), hurried(), pytest.raises(GL002Error) as caught:
        await sink.write(series(2))
    assert isinstance(caught.value, Busy)
    await sink.write(series(2))


def test_the_server_gives_up_early_enough_for_its_word_to_arrive(make: Make) -> None:
    assert make(timeout=10)._patience == 8


@contextlib.contextmanager
def _locked(server: PostgreSQL, statement: str) -> Iterator[None]:
    """Another session holds the lock that the statement takes."""
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        import psycopg

        with psycopg.connect(server.url) as other:
            other.execute(statement)
            taken.set()
            done.wait(100)

    thread = threading.Thread(target=hold)
    thread.start()
    try:
        assert taken.wait(30)
        yield
    finally:
        done.set()
        thread.join()


async def test_kill_9_of_the_server_in_the_middle_of_batches_loses_and_doubles_nothing(
    make: Make, server: PostgreSQL
) -> None:
    await _survive_kills(make(timeout=3), server, kills=4)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_a_hundred_kills_lose_and_double_nothing(make: Make, server: PostgreSQL) -> None:
    await _survive_kills(make(timeout=3), server, kills=100)


async def _survive_kills(
    connector: AsyncPostgreSQLConnector, server: PostgreSQL, *, kills: int
) -> None:
    """Write counters while the server is killed again and again; every one arrives once."""
    sink, written, tags = sink_of(connector), 0, 5
    delivered = asyncio.Event()
    killing = asyncio.create_task(_kill_again_and_again(server, kills, delivered))
    while not killing.done():
        batch = series(500, tags=tags, start=START + written // tags * SECOND)
        await deliver(sink, batch)
        delivered.set()
        written += 500
    await killing
    rows = server.execute("SELECT tag, count(*), count(DISTINCT time) FROM samples GROUP BY tag")
    assert sorted(rows) == [(f"boiler{i}.flow", written // tags, written // tags) for i in range(5)]


async def _kill_again_and_again(server: PostgreSQL, times: int, delivered: asyncio.Event) -> None:
    """Each time somewhere in a batch after one that arrived: a busy machine gets ahead too."""
    for i in range(times):
        delivered.clear()
        await delivered.wait()
        await asyncio.sleep(i * 0.037 % 0.2)
        await asyncio.to_thread(server.restart)


async def test_a_frozen_server_costs_one_time_out_and_is_taken_up_again(
    make: Make, server: PostgreSQL
) -> None:
    connector = make()
    sink = await ready(connector)
    connector.set_timeout(1000)
    server.freeze()
    try:
        with _within(2.0), pytest.raises(RequestTimeout):
            await sink.write(series(10))
        assert connector.state is State.RETRYING
        with _within(2.0), pytest.raises(ConnectFailed):
            await sink.write(series(10))
    finally:
        server.thaw()
    connector.set_timeout(10_000)
    await deliver(sink, series(10))


@contextlib.contextmanager
def _within(seconds: float) -> Iterator[None]:
    """The block takes no longer, but for the time in which the machine itself stood still."""
    start = time.monotonic()
    with Stalls() as stalls:
        yield
    assert time.monotonic() - start - stalls.total < seconds


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("40001", Busy),  # serialization failure
        ("40P01", Busy),  # deadlock
        ("53100", Busy),  # disk full
        ("55P03", Busy),  # lock not available
        ("57014", Busy),  # cancelled by the server
        ("53300", ConnectFailed),  # too many connections
        ("57P01", ConnectFailed),  # the administrator shuts it down
        ("25006", ConnectFailed),  # a standby
        ("08006", ConnectFailed),
        ("28000", AuthFailed),
        ("22003", DataError),  # out of range
        ("23514", DataError),  # a CHECK of the table
        ("54000", DataError),  # too long for the index
        ("0A000", Unsupported),
        ("42501", RequestFailed),  # no right
        ("XX000", RequestFailed),
    ],
)
async def test_what_the_server_refuses_comes_again_only_if_that_may_help(
    make: Make, sqlstate: str, kind: type[GL002Error]
) -> None:
    statement = f"DO $$ BEGIN RAISE 'as asked for' USING ERRCODE = '{sqlstate}'; END $$"
    with pytest.raises(GL002Error, match="as asked for") as caught:
        await make()._change(lambda connection: connection.execute(statement), what="try")
    assert type(caught.value) is kind
    assert caught.value.retryable == (kind in {Busy, ConnectFailed})


async def test_a_session_ended_by_the_administrator_comes_again(
    make: Make, server: PostgreSQL
) -> None:
    connector = make()
    sink = await ready(connector)
    assert server.execute(f"SELECT count(pg_terminate_backend(pid)) {OURS}") == [(1,)]
    with pytest.raises(ConnectFailed) as caught:
        await sink.write(series(2))
    assert caught.value.retryable
    await deliver(sink, series(2))


async def test_a_cancelled_query_ends_on_the_server_too(make: Make, server: PostgreSQL) -> None:
    connector = make(timeout=60)
    await connector.connect()
    running = asyncio.create_task(connector.query("SELECT pg_sleep(50)"))
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"
    await _until(lambda: server.execute(sleeping) == [(1,)])
    running.cancel()
    with _within(1.5), pytest.raises(asyncio.CancelledError):
        await running
    await _until(lambda: server.execute(sleeping) == [(0,)])
    assert await connector.query("SELECT 1 AS one") == [{"one": 1}]


async def test_a_request_cancelled_as_it_ends_leaves_no_cut_line_to_the_next(
    server: PostgreSQL,
) -> None:
    """Its answer is there, and whoever asked goes away before taking it: as a reload does."""
    login = Login(
        host="127.0.0.1", port=server.port, database=server.database, user=server.user,
        password=Secret(server.password), tls=None, application="gl002",
    )  # fmt: skip
    log = logging.getLogger("gl002.postgresql")
    network = Network()
    network.name(login.endpoint)
    connections = Connections(login, network, size=1, extra="postgresql", log=log)
    answered = asyncio.Event()

    async def one(connection: Connection) -> object:
        row = await (await connection.execute("SELECT 1")).fetchone()
        answered.set()
        return row

    await connections.open(timeout=60)
    try:
        running = asyncio.create_task(connections.run(one, timeout=60))
        await answered.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert await connections.run(one, timeout=60) == (1,)
    finally:
        await connections.close()


async def _until(holds: Callable[[], bool], within: float = 30) -> None:
    deadline = time.monotonic() + within
    while not await asyncio.to_thread(holds):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def test_a_server_without_a_free_connection_comes_again(
    make: Make, server: PostgreSQL
) -> None:
    _role(server, "narrow_door", "CONNECTION LIMIT 1 LOGIN")
    first = make(user="narrow_door", password="role-canary-1")
    await first.connect()
    with pytest.raises(ConnectFailed) as caught:
        await make(user="narrow_door", password="role-canary-1").connect()
    assert caught.value.retryable
    with pytest.raises(Busy, match="max_connections"):
        await asyncio.gather(*(first.query("SELECT pg_sleep(0.2)") for _ in range(3)))
    assert first.state is State.UP, "the connection it has is not given up for another"


def _role(server: PostgreSQL, name: str, attributes: str) -> None:
    server.execute(f"DROP ROLE IF EXISTS {name}")
    server.execute(f"CREATE ROLE {name} {attributes} PASSWORD 'role-canary-1'")


# ---- the number of connections ------------------------------------------------------------------


async def test_many_requests_at_once_use_no_more_connections_than_allowed(
    make: Make, server: PostgreSQL
) -> None:
    connector = make(max_connections=3, timeout=60)
    most = 0

    async def ask(number: int) -> None:
        nonlocal most
        rows = await connector.query(
            "SELECT %s::int AS asked, (SELECT count(*) FROM pg_stat_activity "
            "WHERE application_name = 'gl002') AS there FROM pg_advisory_xact_lock_shared(7)",
            [number],
        )
        assert rows[0]["asked"] == number
        most = max(most, rows[0]["there"])

    with _locked(server, "SELECT pg_advisory_lock(7)"):  # until as many wait as may
        asking = [asyncio.create_task(ask(number)) for number in range(40)]
        waiting = f"SELECT count(*) {OURS} AND wait_event_type = 'Lock'"
        await _until(lambda: server.execute(waiting) == [(3,)])
    await asyncio.gather(*asking)
    assert most == 3


async def test_closing_leaves_no_session_on_the_server(make: Make, server: PostgreSQL) -> None:
    connector = make(timeout=60)
    asking = [asyncio.create_task(connector.query("SELECT pg_sleep(50)")) for _ in range(3)]
    await _until(lambda: server.execute(f"SELECT count(*) {OURS}") == [(3,)])
    with _within(1.5):
        await connector.close()
        for result in await asyncio.gather(*asking, return_exceptions=True):
            assert isinstance(result, ConnectFailed)
    await _until(lambda: server.execute(f"SELECT count(*) {OURS}") == [(0,)])


# ---- who may connect ----------------------------------------------------------------------------


async def test_a_wrong_password_needs_a_person_and_is_not_shown(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector = make(password="wrong-canary-0815")
    connector._retry = RetryPolicy()
    with pytest.raises(AuthFailed) as caught:
        await connector.connect()
    assert connector.state is State.FAILED
    shown = f"{caught.value!r} {caught.value} {connector!r} {caplog.text}"
    assert "canary" not in shown
    health = await connector.check()
    assert not health.ok
    assert "canary" not in health.detail


@pytest.mark.parametrize(
    ("changes", "kind", "word"),
    [
        ({"user": "nobody_here"}, AuthFailed, "nobody_here"),
        ({"database": "not_there"}, ConnectFailed, "not_there"),
        ({"host": "name.invalid"}, ConnectFailed, "does not resolve"),
        ({"tls": {}}, AuthFailed, "tls: false"),
    ],
)
async def test_what_keeps_it_from_connecting_is_said_in_plain_words(
    make: Make, changes: dict[str, Any], kind: type[Exception], word: str
) -> None:
    with pytest.raises(kind, match=word):
        await make(**changes).connect()


async def test_a_port_where_nobody_listens_is_said_in_plain_words(make: Make) -> None:
    with socket.socket() as silent:  # it has the port, so that nobody else listens there
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed, match="nothing listens"):
            await make(port=silent.getsockname()[1]).connect()


async def test_an_address_off_the_allowlist_is_not_dialled(
    server: PostgreSQL, tmp_path: Path
) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    closed = Context(network=Network(allow=["10.0.0.1"]), audit=audit, state_dir=tmp_path)
    connector = AsyncPostgreSQLConnector(server.config, context=closed)
    with pytest.raises(NotAllowed):
        await connector.connect()
    await connector.close()
    audit.close()


async def test_rights_that_are_missing_are_named_and_nothing_is_dead(
    make: Make, server: PostgreSQL
) -> None:
    _role(server, "reader", "LOGIN")
    server.execute("GRANT USAGE ON SCHEMA public TO reader")
    sink = sink_of(make(user="reader", password="role-canary-1"))
    with pytest.raises(RequestFailed, match="GRANT"):
        await sink.prepare()
    await ready(make())
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    await sink.prepare()
    with pytest.raises(RequestFailed, match="permission denied") as caught:
        await sink.write(series(2))
    assert not isinstance(caught.value, DataError), "or the flow would bury every sample"
    server.execute("DROP OWNED BY reader")


def test_a_server_that_asks_for_the_password_in_clear_does_not_get_it(
    context: Context, server: PostgreSQL
) -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_ask_for_password, args=(listener, heard))
        thread.start()
        face = PostgreSQLConnector(
            {**server.config, "port": listener.getsockname()[1]}, context=context
        )
        with pytest.raises(AuthFailed, match="cleartext"):
            face.connect()
        face.close()
        thread.join(30)
    context.audit.close()
    assert b"gl002" in heard
    assert server.password.encode() not in heard


def _ask_for_password(listener: socket.socket, heard: bytearray) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(30)
        heard += connection.recv(4096)
        connection.sendall(b"R\0\0\0\x08\0\0\0\x03")  # AuthenticationCleartextPassword
        with contextlib.suppress(OSError):
            while more := connection.recv(4096):
                heard.extend(more)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"", b"R"])
async def test_what_is_no_database_is_a_connection_error(make: Make, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed):
            await make(port=port).connect()


# ---- encryption ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def encrypted(authority: trustme.CA) -> Iterator[PostgreSQL]:
    with PostgreSQL(tls=authority) as running:
        yield running


async def test_a_certificate_of_the_named_authority_is_accepted(
    make: Make, encrypted: PostgreSQL, authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    connector = make(**{**encrypted.config, "host": "localhost", "tls": {"ca": str(ca)}})
    assert "TLS" in (await connector.check()).detail
    rows = await connector.query(
        "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    )
    assert rows[0]["ssl"] is True
    assert rows[0]["version"] in {"TLSv1.2", "TLSv1.3"}


async def test_a_certificate_of_another_authority_is_refused_before_the_password_is_sent(
    make: Make, encrypted: PostgreSQL, tmp_path: Path
) -> None:
    ca = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    connector = make(**{**encrypted.config, "host": "localhost", "tls": {"ca": str(ca)}})
    with pytest.raises(AuthFailed, match=r"tls\.ca"):
        await connector.connect()


async def test_a_certificate_of_another_name_is_refused(
    make: Make, encrypted: PostgreSQL, authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with pytest.raises(AuthFailed, match="does not match"):
        await make(**{**encrypted.config, "tls": {"ca": str(ca)}}).connect()
    tls = {"ca": str(ca), "server_name": "localhost"}
    assert (await make(**{**encrypted.config, "tls": tls}).check()).ok


async def test_a_server_that_wants_encryption_says_so(make: Make, encrypted: PostgreSQL) -> None:
    with pytest.raises(AuthFailed, match="add a 'tls' block"):
        await make(**encrypted.config).connect()


async def test_a_certificate_of_ones_own_can_stand_for_the_password(
    make: Make, encrypted: PostgreSQL, authority: trustme.CA, tmp_path: Path
) -> None:
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "client.pem", "client.key"))
    issued = authority.issue_cert(common_name="by_certificate")
    authority.cert_pem.write_to_path(str(ca))
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    encrypted.execute("CREATE ROLE by_certificate LOGIN")
    of_the_role = {"host": "localhost", "user": "by_certificate", "password": None}
    config = {**encrypted.config, **of_the_role, "tls": {"ca": str(ca)}}
    with pytest.raises(AuthFailed, match=r"tls\.cert"):
        await make(**config).connect()
    config["tls"] |= {"cert": str(cert), "key": str(key)}
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        await make(**config).connect()
    key.chmod(0o600)
    (row,) = await make(**config).query("SELECT current_user AS me")
    assert row == {"me": "by_certificate"}


async def test_an_authority_file_that_is_missing_is_named(
    make: Make, encrypted: PostgreSQL
) -> None:
    tls = {"ca": "/nowhere/ca.pem"}
    with pytest.raises(ConfigError, match=r"/nowhere/ca\.pem"):
        await make(**{**encrypted.config, "tls": tls}).connect()


# ---- queries ------------------------------------------------------------------------------------


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


# ---- inserting ----------------------------------------------------------------------------------


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


# ---- code in the wrong place --------------------------------------------------------------------

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


# ---- the blocking face --------------------------------------------------------------------------


def test_a_script_queries_and_inserts_without_asyncio(
    server: PostgreSQL, context: Context, boiler_data: str
) -> None:
    with PostgreSQLConnector(server.config, context=context) as database:
        now = datetime.now(UTC)
        assert database.insert_data(boiler_data, [{"timestamp": now, "efficiency": 85.4}]) == 1
        assert database.query("SELECT efficiency FROM boiler_data") == [{"efficiency": 85.4}]
    context.audit.close()
