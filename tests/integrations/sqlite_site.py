"""Connectors to an embedded history of a test's own, and samples for it."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.databases import AsyncSQLiteConnector
from gl002.model import Batch, Sample
from gl002.security.audit import Audit
from gl002.security.network import Network

START = 1_760_000_000_000_000_000
SECOND = 1_000_000_000
ALWAYS = (-(2**63), 2**63 - 1)


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def make(context: Context) -> AsyncIterator[Callable[..., AsyncSQLiteConnector]]:
    made: list[AsyncSQLiteConnector] = []

    def connector(**config: Any) -> AsyncSQLiteConnector:
        made.append(AsyncSQLiteConnector(config, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    context.audit.close()


def series(count: int, *, tags: int = 2, start: int = START) -> Batch:
    """A sample of each tag a second; the value is a counter."""
    return [
        Sample(f"boiler{i % tags}.flow", i // tags, start + i // tags * SECOND)
        for i in range(count)
    ]


async def recorded(connector: AsyncSQLiteConnector, *tags: str) -> Batch:
    return [s async for batch in connector.history(tags, *ALWAYS) for s in batch]


def query(path: Path, statement: str, *parameters: object) -> list[tuple]:
    with closing(sqlite3.connect(path)) as db:
        return db.execute(statement, parameters).fetchall()
