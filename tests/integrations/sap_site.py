"""A SAP system, an old one, and connectors to them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.enterprise import AsyncSAPConnector
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.sap_system import PASSWORD, SERVICE, SAPSystem

ONCE = RetryPolicy(max_attempts=1)
NOON = datetime(2026, 11, 26, 12, 0, 0, tzinfo=UTC)

Make = Callable[..., AsyncSAPConnector]


@pytest.fixture(scope="module")
def system() -> Iterator[SAPSystem]:
    with SAPSystem(locked=["STFC_CONNECTION"]) as running:
        yield running


@pytest.fixture(scope="module")
def old_system() -> Iterator[SAPSystem]:
    """Without OData, without descriptions, without sessions: only /sap/bc/soap/rfc."""
    with SAPSystem(odata=False, wsdl=False, stateful=False) as running:
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def make(
    system: SAPSystem, context: Context, no_leaks: None, caplog: pytest.LogCaptureFixture
) -> AsyncIterator[Make]:
    """Connectors that try once; whatever they do, no log shows a password."""
    caplog.set_level(logging.DEBUG)
    made: list[AsyncSAPConnector] = []

    def connector(peer: SAPSystem | None = None, **changes: Any) -> AsyncSAPConnector:
        config = {**(peer or system).config, "time_zone": "UTC", **changes}
        made.append(AsyncSAPConnector(config, context=context))
        made[-1]._retry = ONCE
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    context.audit.close()
    assert PASSWORD not in caplog.text.replace("passwd", "")
    assert "canary" not in caplog.text


def stateful(**changes: Any) -> dict[str, Any]:
    """Settings of a service of SOAMANAGER that keeps sessions."""
    return {"soap": {"path": SERVICE}, **changes}


def reading(**changes: Any) -> dict[str, Any]:
    return {"point": "12", "value": 85.4, "unit": "PCT", "timestamp": NOON, **changes}


XML = {"Content-Type": "text/xml"}
