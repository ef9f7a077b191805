"""A mosquitto, and sources and sinks of it as the flow uses them."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import GL002Error
from gl002.integrations.industrial import MQTTConnector
from gl002.model import Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from peers.mosquitto import Mosquitto, Watcher

SOON = 30.0


@pytest.fixture(scope="module")
def broker() -> Iterator[Mosquitto]:
    with Mosquitto(largest=200_000) as started:
        yield started


@pytest.fixture
def own_broker() -> Iterator[Mosquitto]:
    with Mosquitto(persistent=True) as started:
        yield started


@pytest.fixture
def watch(broker) -> Iterator[Callable[..., Watcher]]:
    with contextlib.ExitStack() as stack:
        yield lambda *topics: stack.enter_context(Watcher(broker.port, *topics))


@pytest.fixture
async def make(tmp_path, broker) -> AsyncIterator[Callable[..., MQTTConnector]]:
    """Makes connectors, to the shared broker unless told otherwise, and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path, name="house")
    made: list[MQTTConnector] = []

    def connector(port: int = broker.port, **settings: Any) -> MQTTConnector:
        made.append(MQTTConnector({"broker": f"127.0.0.1:{port}", **settings}, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


def source_of(connector: MQTTConnector, *topics: str, **settings: Any) -> Source:
    spec = {"source": "mqtt", "topics": list(topics), **settings}
    return connector.source(MQTTConnector.Input.parse(spec))


class Reader:
    """Reads a source as the flow does: the last batch is durable when the next is asked for."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.samples: list[Sample] = []
        self.positions: list[bytes] = []
        self.errors: list[GL002Error] = []

    async def run(self) -> None:
        while True:
            try:
                async with self.source.open() as batches:
                    async for batch in batches:
                        self.samples += batch
                        self.positions.append(self.source.position())
            except GL002Error as error:
                self.errors.append(error)
            await asyncio.sleep(0.05)

    @property
    def values(self) -> list[Any]:
        return [sample.value for sample in self.samples]


@asynccontextmanager
async def reading(source: Source) -> AsyncIterator[Reader]:
    reader = Reader(source)
    task = asyncio.create_task(reader.run())
    try:
        yield reader
    finally:
        task.cancel()
        await asyncio.wait([task])
        await source.close()


async def until(condition: Callable[[], object], what: str, within: float = SOON) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        await asyncio.sleep(0.01)


async def subscribed(process: Mosquitto, connector: MQTTConnector, count: int = 1) -> None:
    """Wait until the broker has confirmed subscriptions of a connector."""

    def done() -> bool:
        session = connector._session
        name = session.options.client_id if session is not None else "?"
        return process.output.count(f"Sending SUBACK to {name}") >= count

    await until(done, "subscribed")
