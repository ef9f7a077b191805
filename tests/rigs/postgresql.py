"""The PostgreSQL rig: the server of the distribution behind a fault link."""

from __future__ import annotations

from typing import Any, ClassVar

from peers.postgresql import PostgreSQL
from rigs.narrow_table import NarrowTableRig


class PostgreSQLRig(NarrowTableRig):
    """The table 'samples' holds what is readable, and what the suite writes."""

    kind: ClassVar[str] = "postgresql"
    has_account = True
    input = {"source": "postgresql", "interval": 0.05, "tags": ["boiler1.*"]}  # noqa: RUF012 (declared so in Rig)
    output = {"destination": "postgresql"}  # noqa: RUF012 (declared so in Rig)

    def __init__(self) -> None:
        super().__init__(PostgreSQL())

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="wrong-canary-0815")
