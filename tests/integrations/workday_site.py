"""A Workday tenant, servers that answer as told, and connectors to them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gl002.integrations.enterprise import WorkdayConnector
from peers.web_server import Reply, Seen, WebServer
from peers.workday_tenant import Workday

ONCE = {"max_attempts": 1}
JOURNAL: dict[str, Any] = {
    "memo": "Soot blowing, boiler 1", "date": "2026-11-26",
    "lines": [
        {"account": "6120", "debit": "480.25", "cost_center": "CC-BOILERS",
         "worktags": {"Spend_Category_ID": "FUEL"}},
        {"account": "2100", "credit": "480.25", "memo": "accrued"},
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def tenant() -> Iterator[Workday]:
    with Workday() as running:
        yield running


def as_client(tenant: Workday, **changes: Any) -> WorkdayConnector:
    return WorkdayConnector({**tenant.as_client, "retry_policy": ONCE, **changes})


_OPEN = '<e:Envelope xmlns:e="http://schemas.xmlsoap.org/soap/envelope/"><e:Body>'
_SHUT = "</e:Body></e:Envelope>"


def against(server: WebServer, **changes: Any) -> WorkdayConnector:
    return WorkdayConnector(
        {
            "url": server.url, "tenant": "acme", "username": "u", "password": "p",
            "company": "C", "journal_source": "J", "retry_policy": ONCE, **changes,
        }
    )  # fmt: skip


def soap(body: str, status: int = 200) -> Reply:
    return Reply(status, (_OPEN + body + _SHUT).encode(), {"Content-Type": "text/xml"})


def timestamp(_: Seen) -> Reply:
    return soap('<t:Server_Timestamp xmlns:t="urn:com.workday/bsvc"/>')
