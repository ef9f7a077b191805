"""A PI Web API, connectors to it and points in its archive."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.historians import AsyncPIConnector
from gl002.model import now_ns
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink
from peers.pi_web_api import PASSWORD, SERVER, PiWebApi
from peers.web_server import Reply, Seen, WebServer

ONCE = RetryPolicy(max_attempts=1)
SECOND = 1_000_000_000
DAY = datetime(2025, 1, 1, tzinfo=UTC)
LIMIT = 1000
STEAM = "BA:BOILER1.STEAM_FLOW"
ATTRIBUTE = "Boilers\\Boiler1|Steam Flow"

Make = Callable[..., AsyncPIConnector]


@pytest.fixture(scope="module")
def server() -> Iterator[PiWebApi]:
    with PiWebApi(most=LIMIT) as running:
        running.create(STEAM, unit="lb/hr", descriptor="Steam flow to header")
        running.set(STEAM, 50000.0)
        running.create("TEXT", "String")
        running.set("TEXT", "läuft ✓")
        running.create("MODE", "Digital", digital_set="Modes")
        running.set("MODE", "Auto")
        running.create("COUNT", "Int32")
        running.create("SETPOINT")
        running.set("SETPOINT", 480.0)
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def make(
    server: PiWebApi, context: Context, no_leaks: None, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Make]:
    """Connectors that try once; whatever they do, no log at any level shows a password."""
    caplog.set_level(logging.DEBUG)
    made: list[AsyncPIConnector] = []

    def connector(settings: dict[str, Any] | None = None, **changes: Any) -> AsyncPIConnector:
        given = {**server.config, "page_size": LIMIT, **changes} if settings is None else settings
        made.append(AsyncPIConnector(given, context=context))
        made[-1]._retry = ONCE
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    context.audit.close()
    assert PASSWORD not in caplog.text
    assert "canary" not in caplog.text


def new_point(
    server: PiWebApi, values: Sequence[tuple[int, Any]] = (), kind: str = "Float64"
) -> str:
    """A point of its own for a test."""
    name = f"TEST.{now_ns()}"
    server.create(name, kind)
    server.put(name, *values)
    return name


def sink_of(connector: AsyncPIConnector, **spec: Any) -> Sink:
    return connector.sink(connector.Output.parse({"destination": "pi_system", **spec}))


def current_point(server: PiWebApi, value: Any) -> str:
    """A point with a value of now."""
    name = new_point(server)
    server.set(name, value)
    return name


SERVERS = json.dumps({"Items": [{"Name": SERVER, "IsConnected": True}]}).encode()


@contextlib.contextmanager
def liar(answer: Callable[[Seen], Reply]) -> Iterator[dict[str, Any]]:
    """A server that greets well, and then answers as told; settings that reach it."""

    def reply(seen: Seen) -> Reply:
        return Reply(body=SERVERS) if seen.path.endswith("dataservers") else answer(seen)

    with WebServer(reply) as server:
        yield {"server": f"{server.url}/piwebapi"}
