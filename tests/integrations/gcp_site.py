"""A Pub/Sub server of ours, topics in it and connectors to it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.cloud import GCPIoTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.google_pubsub import PubSub

Make = Callable[..., GCPIoTConnector]


@pytest.fixture(scope="module")
def shared() -> Iterator[PubSub]:
    with PubSub() as cloud:
        yield cloud


_names = iter(range(1_000_000))


@pytest.fixture
def cloud(shared: PubSub) -> Iterator[PubSub]:
    yield shared
    shared.control(
        deny=[], busy=0, retry_after="", refuse=None, skew=0, lifetime=3599, patience=10
    )  # fmt: skip


@pytest.fixture
def topic(cloud: PubSub) -> str:
    """A topic of this test's own, with a subscription of the same name."""
    name = f"topic-{next(_names)}"
    cloud.create(name, name)
    return name


@pytest.fixture
async def make(cloud: PubSub, tmp_path) -> AsyncIterator[Make]:
    """Makes connectors and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    made: list[GCPIoTConnector] = []

    def connector(port: int | None = None, *, allow: Any = None, **changes: Any) -> GCPIoTConnector:
        context = Context(network=Network(allow), audit=audit, state_dir=tmp_path)
        patience = {"retry_policy": {"max_attempts": 3, "first": 0.05}}
        settings = cloud.config(port, **patience | changes)
        made.append(
            GCPIoTConnector({k: v for k, v in settings.items() if v is not None}, context=context)
        )
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()
