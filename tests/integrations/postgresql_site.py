"""A PostgreSQL, connectors to it and samples for it."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.integrations.databases import postgresql as module
from gl002.model import Batch, Sample
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink
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
def empty(server: PostgreSQL) -> None:
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


def role(server: PostgreSQL, name: str, attributes: str) -> None:
    server.execute(f"DROP ROLE IF EXISTS {name}")
    server.execute(f"CREATE ROLE {name} {attributes} PASSWORD 'role-canary-1'")
