"""The real TimescaleDB extension, in a PostgreSQL compiled to WebAssembly, behind a TCP port."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psycopg

from peers.node import modules
from peers.process import Process, program

_SERVER = Path(__file__).parent / "timescale" / "server.js"


class Timescale(Process):
    """One database; it takes any user and password. What it cannot do: see its server.js."""

    start_timeout = 60.0
    user, database, password = "postgres", "template1", "canary-of-timescale-4711"

    @property
    def config(self) -> dict[str, Any]:
        """Settings of a connector."""
        return {
            "host": "127.0.0.1", "port": self.port, "database": self.database,
            "user": self.user, "password": self.password,
        }  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def command(self) -> Sequence[str]:
        return [program("node", "nodejs"), str(_SERVER)]

    def environment(self) -> Mapping[str, str]:
        here = {"PORT": str(self.port), "DATA": str(self.folder / "data")}
        return {**os.environ, **here, "MODULES": str(modules("timescale"))}

    def execute(self, statement: str, parameters: Any = None) -> list[tuple]:
        """Rows of a statement, not through our connector."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=30) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []
