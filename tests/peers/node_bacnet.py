"""A BACnet/IP device of a third make: node-bacnet (JavaScript, MIT), installed by `make peers`."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.node import modules
from peers.process import Process, free_port, program

_PROGRAM = Path(__file__).parent / "bacnet" / "device.js"


class NodeBacnet(Process):
    """Device 2002: an old one, as bacnet/device.js says.

    Attributes:
        udp: its UDP port.
    """

    def __init__(self) -> None:
        super().__init__()
        self._modules = modules("bacnet")
        self.udp = free_port()
        self.port = free_port()  # of the control connection

    def command(self) -> Sequence[str]:
        return [program("node", "nodejs"), str(_PROGRAM)]

    def environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "PORT": str(self.udp),
            "CONTROL": str(self.port),
            "MODULES": str(self._modules),
        }

    def tell(self, *words: Any) -> Any:
        """Give a command and return its answer."""
        with socket.create_connection(("127.0.0.1", self.port), 30) as link:
            link.sendall(json.dumps(words).encode() + b"\n")
            with link.makefile() as answers:
                return json.loads(answers.readline())["ok"]
