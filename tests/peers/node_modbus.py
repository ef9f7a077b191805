"""A Modbus TCP server on modbus-serial, an implementation in JavaScript."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from peers import node
from peers.libmodbus import LibModbus
from peers.process import program

_SCRIPT = Path(__file__).parent / "modbus_serial" / "server.js"


class NodeModbus(LibModbus):
    """The same units and tables as libmodbus' server, steered by set, get and clear."""

    def command(self) -> Sequence[str]:
        return [program("node", "nodejs"), str(_SCRIPT), str(self.port), str(self.control)]

    def environment(self) -> Mapping[str, str]:
        modules = node.modules("modbus_serial") / "node_modules"
        return {**os.environ, "NODE_PATH": str(modules)}

    def ready(self) -> bool:
        with contextlib.suppress(OSError):
            return super().ready() and self.tell("get", 1, "holding", 0, 1) == ["0"]
        return False

    def _compile(self) -> None:
        pass
