"""A BACnet/IP device of another make: rusty-bacnet (Rust, MIT), as a child process."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gl002.model import Value
from peers.process import Process, free_port

_PROGRAM = Path(__file__).parent / "bacnet" / "device.py"
_KINDS = {
    "analog-input": "real", "analog-value": "real", "analog-output": "real",
    "binary-input": "enumerated", "binary-value": "enumerated",
    "multi-state-input": "unsigned", "multi-state-value": "unsigned",
    "characterstring-value": "text", "integer-value": "signed",
    "positive-integer-value": "unsigned", "large-analog-value": "double",
}  # fmt: skip


class RustyBacnet(Process):
    """Device 1001; what it has stands in bacnet/device.py.

    Attributes:
        udp: its UDP port.
        options: of the program, read at each start.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.udp = options.pop("port", None) or free_port()
        self.options = options
        self.port = free_port()  # of the control connection

    def command(self) -> Sequence[str]:
        options = {**self.options, "port": self.udp, "control": self.port}
        return [sys.executable, str(_PROGRAM), json.dumps(options)]

    def tell(self, *words: Any) -> Any:
        """Give a command and return its answer."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as link:
            link.sendall(json.dumps(words).encode() + b"\n")
            with link.makefile() as answers:
                said = json.loads(answers.readline())
        assert "ok" in said, f"{words}: {said}"
        return said["ok"]

    def set(self, target: str, value: Value, name: str = "PRESENT_VALUE") -> None:
        """Change a value, not over BACnet."""
        kind = _KINDS[target.split(",", maxsplit=1)[0]]
        self.tell("put", target, kind, int(value) if kind == "enumerated" else value, name)

    def put(self, target: str, kind: str, value: Value, name: str) -> None:
        """Change any property."""
        self.tell("put", target, kind, value, name)

    def get(self, target: str, *rest: Any) -> Value:
        """What the device holds."""
        value = self.tell("get", target, *rest)
        return bool(value) if target.startswith("binary") and not rest else value
