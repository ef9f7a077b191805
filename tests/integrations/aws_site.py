"""AWS IoT Core of ours: mosquitto, a shadow service and a front; and connectors to it."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.cloud import AWSIoTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.aws_iot import THING, AWSIoT

Make = Callable[..., AWSIoTConnector]


@pytest.fixture(scope="module")
def shared() -> Iterator[AWSIoT]:
    with AWSIoT() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: AWSIoT) -> Iterator[AWSIoT]:
    """The cloud, with no shadow, no job and no session of another test in it."""
    shared.broker.forget(THING)
    shared.shadows.reset()
    shared.jobs.reset()
    yield shared
    assert shared.shadows.errors + shared.jobs.errors == []


@pytest.fixture
async def make(cloud: AWSIoT, tmp_path) -> AsyncIterator[Make]:
    """Makes connectors and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[AWSIoTConnector] = []

    def connector(port: int | None = None, **changes: Any) -> AWSIoTConnector:
        made.append(AWSIoTConnector(cloud.config(port, **changes), context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


def fast(**more: Any) -> dict[str, Any]:
    return {"retry_policy": {"max_attempts": 3, "first": 0.05}, **more}


def server_side(cloud: AWSIoT) -> ssl.SSLContext:
    """TLS of the broker, which wants a certificate of the client."""
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=cloud.broker.ca)
    server.load_cert_chain(cloud.broker.folder / "server.pem", cloud.broker.folder / "server.key")
    server.verify_mode = ssl.CERT_REQUIRED
    return server
