"""A mosquitto with users and TLS, one of a test's own, and connectors to them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.industrial import MQTTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.mosquitto import PASSWORD, USER, Mosquitto, Watcher

SOON = 30.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    """One with users, rights and TLS, shared by the tests that do not break it."""
    with Mosquitto(users=True, tls=True) as started:
        yield started


@pytest.fixture
def own_broker() -> Iterator[Mosquitto]:
    """One to break."""
    with Mosquitto(persistent=True) as started:
        yield started


@pytest.fixture
async def make(tmp_path) -> AsyncIterator[Callable[..., MQTTConnector]]:
    """Makes connectors to a port and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[MQTTConnector] = []

    def connector(port: int, **settings: Any) -> MQTTConnector:
        settings = {"broker": "127.0.0.1", "port": port, **settings}
        made.append(MQTTConnector(settings, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


@pytest.fixture
def connect(make, broker) -> Callable[..., MQTTConnector]:
    """Makes connectors to the shared broker."""

    def connector(**settings: Any) -> MQTTConnector:
        return make(**{"port": broker.port, "username": USER, "password": PASSWORD, **settings})

    return connector


@pytest.fixture
def watch(broker) -> Iterator[Callable[..., Watcher]]:
    """Makes second clients at the shared broker."""
    with contextlib.ExitStack() as stack:
        yield lambda *topics: stack.enter_context(Watcher(broker.port, *topics, user=True))


async def until(condition: Callable[[], object], what: str, within: float = SOON) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.01)
