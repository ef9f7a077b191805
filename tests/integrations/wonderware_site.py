"""A historian, and connectors to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.historians import AsyncWonderwareConnector
from gl002.model import Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.wonderware import DISCRETE, STRING, Wonderware

SECOND = 1_000_000
START = 1_735_689_600 * SECOND  # 2025-01-01T00:00:00Z in microseconds
FLOW = "Boiler1.SteamFlow"
UNREST = (5.0, 1.0, 8.0, 2.0, 9.0, 3.0, 7.0, 0.0, 6.0, 4.0)


@pytest.fixture(scope="module")
def peer() -> Iterator[Wonderware]:
    with Wonderware() as server:
        server.create(FLOW, unit="lb/hr", description="steam to the header", acquisition=1)
        server.put(FLOW, (START - 5 * SECOND, -1.0))
        server.put(FLOW, *[(START + n * SECOND, float(n)) for n in range(11)])
        server.create("Boiler1.Unrest")
        server.put("Boiler1.Unrest", *[(START + n * SECOND, v) for n, v in enumerate(UNREST)])
        server.create("Boiler1.State", STRING)
        server.put("Boiler1.State", (START, "run"), (START + 4 * SECOND, "stop"))
        server.create("Boiler1.Burner", DISCRETE)
        server.put("Boiler1.Burner", (START, 1))
        server.create("Manual.Level")
        server.create("Manual.Remark", STRING, longest=16)
        yield server


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def ww(peer: Wonderware, context: Context) -> Any:
    connector = AsyncWonderwareConnector(peer.config, context=context)
    yield connector
    await connector.close()


async def history(ww: AsyncWonderwareConnector, *args: Any, **keys: Any) -> list[Sample]:
    return [s async for batch in ww.history(*args, **keys) for s in batch]


def at(seconds: float) -> int:
    return (START + int(seconds * SECOND)) * 1000


@pytest.fixture(scope="module")
def only() -> Iterator[Wonderware]:
    with Wonderware("only") as server:
        server.create(FLOW)
        server.put(FLOW, (START, 1.0))
        yield server
