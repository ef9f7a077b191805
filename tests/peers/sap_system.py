"""An SAP system: ours, from what SAP publishes of its interfaces (`peers/sap/`).

SAP's own can not be installed here. That ours is described and answers as it should is seen by
clients of other makes: zeep reads its WSDL and calls its functions, pyodata its metadata and
entities (`peers/vendors/sap_clients.py`).
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.process import Process
from peers.sap.__main__ import CLIENT, PASSWORD, SERVICE, TOKEN, USER

__all__ = ["CLIENT", "PASSWORD", "SERVICE", "TOKEN", "USER", "SAPSystem"]

_TESTS = Path(__file__).parents[1]


class SAPSystem(Process):
    """The server as a process.

    Args:
        odata: whether its OData services are active.
        wsdl: whether it describes functions.
        stateful: whether its service of SOAMANAGER keeps sessions.
        locked: functions that the user may not call.
        losing: functions behind which a session ends.
        strict: whether a session that has ended is refused; else there is a new one.
    """

    def __init__(
        self, *, odata: bool = True, wsdl: bool = True, stateful: bool = True,
        locked: Sequence[str] = (), losing: Sequence[str] = (), strict: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self._options = {
            "odata": odata, "wsdl": wsdl, "stateful": stateful, "locked": list(locked),
            "losing": list(losing), "strict": strict,
        }  # fmt: skip

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "peers.sap", str(self.folder), str(self.port),
                json.dumps(self._options)]  # fmt: skip

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(_TESTS)}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in."""
        return {"ashost": self.url, "client": CLIENT, "user": USER, "passwd": PASSWORD}

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What is in its tables, not through its interfaces."""
        base = sqlite3.connect(self.folder / "sap.db", timeout=30)
        try:
            found = base.execute(sql, values).fetchall()
            base.commit()
        finally:
            base.close()
        return found

    def requests(self, path: str) -> int:
        """How many requests there were to a path."""
        return sum(line.endswith(f" {path}") for line in self.output.splitlines())
