"""A BACnet router with one device behind it, made of bacpypes3, as a child process."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from peers.process import Process, free_port

_PROGRAM = Path(__file__).parent / "bacnet" / "router.py"


class BacnetRouter(Process):
    """Device 5005 is at MAC 5 of network 2001, behind UDP port `udp`."""

    def __init__(self) -> None:
        super().__init__()
        self.udp = free_port()

    def command(self) -> Sequence[str]:
        return [sys.executable, str(_PROGRAM), str(self.udp)]

    def ready(self) -> bool:
        return self.output.startswith("ready")
