"""BACnet devices of two makes, rusty-bacnet (Rust) and node-bacnet (JavaScript), and connectors."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import GL002Error
from gl002.integrations.industrial import BACnetConnector
from gl002.model import Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract import requests
from peers.node_bacnet import NodeBacnet
from peers.rusty_bacnet import RustyBacnet

PATIENCE = 30.0  # seconds for what comes; how fast the machine is decides no test
eventually = partial(requests.eventually, within=PATIENCE)


@pytest.fixture(scope="module")
def rusty() -> Iterator[RustyBacnet]:
    with RustyBacnet() as peer:
        yield peer


@pytest.fixture(scope="module")
def old() -> Iterator[NodeBacnet]:
    with NodeBacnet() as peer:
        yield peer


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Callable[..., BACnetConnector]]:
    """Makes connectors and closes them."""
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    made: list[BACnetConnector] = []

    def make(peer: Any = None, *, context: Context = context, **settings: Any) -> BACnetConnector:
        if peer is not None:
            settings.setdefault("address", f"127.0.0.1:{peer.udp}")
        made.append(BACnetConnector({"timeout": PATIENCE / 3, **settings}, context=context))
        return made[-1]

    yield make
    for connector in made:
        await connector.close()
    context.audit.close()


@contextlib.asynccontextmanager
async def followed(connector: BACnetConnector, *tags: str) -> AsyncIterator[list[Sample]]:
    """Samples as they come, and again after errors, as the flow does it."""
    samples: list[Sample] = []
    spec = connector.Input.parse({"source": "bacnet", "tags": list(tags) or None})
    source = connector.source(spec)

    async def run() -> None:
        while True:
            with contextlib.suppress(GL002Error):
                async with source.open() as batches:
                    async for batch in batches:
                        samples.extend(batch)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


HOURS = 3600.0
