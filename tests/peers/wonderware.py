"""A Wonderware Historian: ours, from AVEVA's published documentation and Microsoft's of TDS.

AVEVA's own can not be installed here, nor can SQL Server. Its TDS is spoken in the tests by FreeTDS
(tsql and pymssql) too, so that our connector's driver is not its only client. What it refuses and
what its retrieval modes give is in `peers.historian`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import trustme

from peers.historian.__main__ import PASSWORD, USER
from peers.historian.archive import ANALOG, DISCRETE, STRING, Archive, Point
from peers.historian.sql import READER
from peers.process import Process

__all__ = ["ANALOG", "DISCRETE", "PASSWORD", "READER", "STRING", "USER", "Wonderware"]

_TESTS = Path(__file__).parents[1]


class Wonderware(Process):
    """The server as a process.

    Args:
        mode: 'clear', 'tls' or 'only': see `peers.historian.__main__`.
    """

    def __init__(self, mode: str = "clear") -> None:
        super().__init__()
        self._mode = mode
        self.realm: Mapping[str, str] = os.environ
        """Environment of a Kerberos realm whose tickets it takes; set before it starts."""
        if mode != "clear":
            authority = trustme.CA()
            pem = authority.issue_cert("localhost", "127.0.0.1").private_key_and_cert_chain_pem
            pem.write_to_path(self.folder / "server.pem")
            authority.cert_pem.write_to_path(self.ca)

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    def command(self) -> Sequence[str]:
        return [
            sys.executable,
            "-m",
            "peers.historian",
            str(self.folder),
            str(self.port),
            self._mode,
        ]

    def environment(self) -> Mapping[str, str]:
        users = self.folder / "users.txt"
        users.write_text(f"PLANT:{USER}:{PASSWORD}\n")
        paths = [str(_TESTS), self.realm.get("PYTHONPATH", "")]
        path = os.pathsep.join(path for path in paths if path)
        return {**self.realm, "PYTHONPATH": path, "NTLM_USER_FILE": str(users)}

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in."""
        return {"server": f"127.0.0.1:{self.port}", "username": USER, "password": PASSWORD}

    # ---- the archive, not through SQL -------------------------------------------------------

    def open(self) -> Archive:
        return Archive(self.folder / "archive.db")

    def create(self, name: str, kind: int = ANALOG, **keys: Any) -> None:
        base = self.open()
        if base.tag(name) is None:
            base.create(name, kind, **keys)
        base.close()

    def put(self, name: str, *values: tuple[float, Any], quality: int = 192) -> None:
        """Add values (microseconds UTC, value)."""
        base = self.open()
        base.base.execute("BEGIN")
        for when, value in values:
            text = value if isinstance(value, str) else None
            number = None if text is not None or value is None else float(value)
            base.put(name, Point(when, number, text, quality, quality))
        base.base.execute("COMMIT")
        base.close()

    def fail(self, number: int, text: str, severity: int = 16) -> None:
        """What needs the historian behind SQL Server fails so, until `works`."""
        self.works()
        base = self.open()
        base.base.execute("INSERT INTO trouble VALUES (?, ?, ?)", (number, text, severity))
        base.base.commit()
        base.close()

    def works(self) -> None:
        base = self.open()
        base.base.execute("DELETE FROM trouble")
        base.base.commit()
        base.close()

    def set(self, name: str, value: Any) -> None:
        self.put(name, (time.time_ns() // 1000, value))

    def newest(self, name: str) -> Point:
        base = self.open()
        point = base.points(name)[-1]
        base.close()
        return point

    def rows(self) -> list[tuple[str, int, float | None, str | None, int]]:
        """Tag, microseconds, number, text and OPC quality of the latest version of everything."""
        base = self.open()
        rows = [
            (name, p.time, p.number, p.text, p.quality)
            for name in base.names() for p in base.points(name)
        ]  # fmt: skip
        base.close()
        return rows
