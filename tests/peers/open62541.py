"""An OPC UA server of a third make: open62541 (C), by its Python package o6.

That package is not free software; without a licence key it may be used, commercially too, for ten
minutes at a time ("Script Mode"). It runs as a process of its own and is no dependency.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from peers import vendors
from peers.node_opcua import Controlled
from peers.process import Process, free_port

_SERVER = Path(__file__).parent / "vendors" / "open62541.py"


class Open62541(Controlled, Process):
    """The server, without security."""

    def __init__(self) -> None:
        super().__init__()
        self._python = vendors.python()
        self._control = free_port()

    def command(self) -> Sequence[str]:
        return [str(self._python), str(_SERVER)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PORT": str(self.port), "CONTROL": str(self._control)}
