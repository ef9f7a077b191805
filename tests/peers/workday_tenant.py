"""Workday: a tenant of ours, from the published directory of its web services.

Requests and answers are checked by libxml2 against `peers/workday/workday.xsd`; zeep, a SOAP client
of others, reads its description and calls it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from peers import vendors
from peers.process import Process

TENANT, USER, PASSWORD = "acme", "ISU_GL002", "workday-canary-4711"
CLIENT, SECRET, REFRESH = "client-gl002", "client-canary-4711", "refresh-canary-4711"


class Workday(Process):
    """The tenant as a process; its tables can be looked at from outside."""

    def command(self) -> Sequence[str]:
        script = Path(__file__).with_name("workday") / "__main__.py"
        return [str(vendors.python()), str(script), str(self.folder), str(self.port)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in as a user."""
        return {
            "url": self.url, "tenant": TENANT, "username": USER, "password": PASSWORD,
            "company": "ACME_US", "journal_source": "GL002",
        }  # fmt: skip

    @property
    def as_client(self) -> dict[str, Any]:
        """The same as an API client."""
        kept = {k: v for k, v in self.config.items() if k not in {"username", "password"}}
        return {**kept, "client_id": CLIENT, "client_secret": SECRET, "refresh_token": REFRESH}

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query finds, not through its services."""
        base = sqlite3.connect(self.folder / "workday.db", timeout=30)
        try:
            return base.execute(query, values).fetchall()
        finally:
            base.close()
