"""PostgreSQL in trouble: locks, kills, time-outs, and too many connections."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from gl002.connector import State
from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    DataError,
    GL002Error,
    RequestFailed,
    RequestTimeout,
    Unsupported,
)
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.model import Batch, Sample
from gl002.security.network import Network
from gl002.security.secrets import Secret
from gl002.sink import Sink
from gl002.testing.stalls import Stalls
from gl002.transport.sql.connections import Connection, Connections, Login
from integrations.postgresql_site import (
    OURS,
    SECOND,
    START,
    Make,
    context,
    empty,
    hurried,
    make,
    ready,
    role,
    series,
    server,
    sink_of,
)
from peers.postgresql import PostgreSQL

fixtures = server, empty, context, make


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


# ---- two writers, and trouble with the server -------------------------------------------------


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
    role(server, "narrow_door", "CONNECTION LIMIT 1 LOGIN")
    first = make(user="narrow_door", password="role-canary-1")
    await first.connect()
    with pytest.raises(ConnectFailed) as caught:
        await make(user="narrow_door", password="role-canary-1").connect()
    assert caught.value.retryable
    with pytest.raises(Busy, match="max_connections"):
        await asyncio.gather(*(first.query("SELECT pg_sleep(0.2)") for _ in range(3)))
    assert first.state is State.UP, "the connection it has is not given up for another"


# ---- the number of connections ----------------------------------------------------------------


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
