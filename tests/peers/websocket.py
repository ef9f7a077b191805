"""A WebSocket server of another make, `ws` (JavaScript, MIT), that carries MQTT to a TCP port."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from peers.node import modules
from peers.process import Process, program

_SERVER = Path(__file__).parent / "websocket" / "server.js"


class WebSocketServer(Process):
    """Listens on `port`, plain, or with TLS where a certificate and its key are given.

    It pings every `ping` seconds.
    """

    def __init__(
        self,
        target: int,
        path: str,
        certificate: tuple[Path, Path] | None = None,
        *,
        ping: float = 0.05,
    ) -> None:
        super().__init__()
        self._modules = modules("websocket")
        self._more = {"TARGET": str(target), "WS_PATH": path, "PING": str(int(ping * 1000))}
        if certificate is not None:
            self._more |= {"CERT": str(certificate[0]), "KEY": str(certificate[1])}

    def command(self) -> Sequence[str]:
        return [program("node", "nodejs"), str(_SERVER)]

    def environment(self) -> Mapping[str, str]:
        return {
            **os.environ, **self._more, "PORT": str(self.port), "MODULES": str(self._modules),
        }  # fmt: skip

    @property
    def pongs(self) -> int:
        """Answers to its pings, of connections that have ended."""
        lines = [line for line in self.output.splitlines() if line.startswith("pongs ")]
        return max((int(line.split()[1]) for line in lines), default=0)
