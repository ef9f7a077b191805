"""Servers for the tests of InfluxDB.

Three counterparts, and what each can show:
    one      InfluxDB 1.6 of Debian, the vendor's own: points, types, partial writes, InfluxQL
    two      ours after the API of InfluxDB 2, with InfluxData's compiler for Flux and `one` as its
             storage; InfluxData's client talks to it in the same tests
    victoria VictoriaMetrics of Debian: another make that takes the writes of InfluxDB 2
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.databases import AsyncInfluxDBConnector
from gl002.model import Batch, Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.influxdb.settings import InfluxDBOutput
from peers.influxdb import InfluxDB
from peers.influxdb2 import InfluxDB2

SECOND = 1_000_000_000
START = 1_735_689_600 * SECOND  # 2025-01-01
numbers = count(1)


@pytest.fixture(scope="module")
def one() -> Iterator[InfluxDB]:
    with InfluxDB() as running:
        yield running


@pytest.fixture(scope="module")
def two() -> Iterator[InfluxDB2]:
    with InfluxDB2() as running:
        yield running


@pytest.fixture(params=["one", "two"])
def either(request: pytest.FixtureRequest) -> InfluxDB | InfluxDB2:
    """A server that keeps and finds points, in InfluxQL and in Flux."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def measurement() -> str:
    """One that no other test uses."""
    return f"m{next(numbers)}"


@pytest.fixture
async def connected(tmp_path: Path) -> AsyncIterator[Callable[..., AsyncInfluxDBConnector]]:
    audit = Audit(tmp_path / "audit.jsonl")
    made: list[AsyncInfluxDBConnector] = []

    def make(server: Any, **settings: Any) -> AsyncInfluxDBConnector:
        context = Context(network=Network(), audit=audit, state_dir=tmp_path)
        config = server if isinstance(server, dict) else server.config
        connector = AsyncInfluxDBConnector({**config, **settings}, context=context)
        made.append(connector)
        return connector

    yield make
    for connector in made:
        await connector.close()
    audit.close()


def point(measurement: str, value: Any, number: int = 0, **tags: str) -> dict[str, Any]:
    return {
        "measurement": measurement, "tags": tags, "fields": {"value": value},
        "timestamp": datetime(2025, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
    }  # fmt: skip


def samples(measurement: str, count: int, *, tags: int = 2) -> Batch:
    return [
        Sample(f"{measurement}.t{i % tags}", float(i), START + i * SECOND) for i in range(count)
    ]


def ours(connector: AsyncInfluxDBConnector, measurement: str) -> Any:
    """A sink that writes a measurement."""
    spec = InfluxDBOutput.parse({"destination": "influxdb", "measurement": measurement})
    return connector.sink(spec)


async def recorded(connector: AsyncInfluxDBConnector, *tags: str) -> Batch:
    return [s async for batch in connector.history(tags, 0, 2**62) for s in batch]
