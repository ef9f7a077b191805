"""An IoT Hub of ours, a front before mosquitto, and connectors to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import GL002Error
from gl002.integrations.cloud import AzureIoTConnector
from gl002.model import Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.azure_iot import connection
from peers.azure_iot import DEVICE, AzureIoT

Make = Callable[..., AzureIoTConnector]


@pytest.fixture(scope="module")
def shared() -> Iterator[AzureIoT]:
    with AzureIoT() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: AzureIoT) -> Iterator[AzureIoT]:
    """The hub, with an empty twin and no session of another test."""
    shared.broker.forget(DEVICE)
    shared.hub.reset()
    shared.gatekeeper.skew = 0.0
    shared.gatekeeper.lives.clear()
    yield shared
    assert shared.hub.errors == []


@pytest.fixture
async def make(cloud: AzureIoT, tmp_path) -> AsyncIterator[Make]:
    """Makes connectors and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[AzureIoTConnector] = []

    def connector(at: AzureIoT = cloud, **changes: Any) -> AzureIoTConnector:
        settings = {k: v for k, v in at.config(**changes).items() if v is not None}
        made.append(AzureIoTConnector(settings, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


class Following:
    """Takes what a source delivers, and keeps it."""

    def __init__(self, azure: AzureIoTConnector, **spec: Any) -> None:
        self.samples: list[Sample] = []
        self.failed: list[GL002Error] = []
        self.source = azure.source(AzureIoTConnector.Input.parse({"source": "azure", **spec}))
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                async with self.source.open() as batches:
                    async for batch in batches:
                        self.samples += batch
            except GL002Error as error:
                self.failed.append(error)
            await asyncio.sleep(0.05)

    def last(self) -> dict[str, Any]:
        return {sample.tag: sample.value for sample in self.samples}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that hold for a minute are renewed at once: none ends where a machine is slow."""
    monkeypatch.setattr(connection, "_RENEW_AFTER", 0.01)
