"""An OPC UA server of another make: node-opcua (JavaScript, MIT), installed by `make peers`."""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from peers.certificates import Made, make
from peers.node import modules
from peers.process import Process, free_port, program

_SERVER = Path(__file__).parent / "opcua" / "server.js"
URI = "urn:gl002-test:node-opcua"


class Controlled:
    """Values seen and set by other means than OPC UA: a small HTTP server in the peer."""

    port: int
    _control: int

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def value(self, name: str) -> Any:
        """What the server holds, by HTTP: 'Boiler1.SetPoint'."""
        return self._ask(name)["value"]

    def type(self, name: str) -> str:
        """Data type of what it holds."""
        return str(self._ask(name)["type"])

    def set(self, name: str, value: Any, *, status: str = "Good", time: int | None = None) -> None:
        """Change a value, by HTTP; `time` in ms since 1970 as source timestamp."""
        self._ask(name, {"value": value, "status": status, "time": time})

    def _ask(self, name: str, body: Any = None) -> Any:
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._control}/{quote(name)}",
            data=None if body is None else json.dumps(body).encode(),
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)


class NodeOpcua(Controlled, Process):
    """The server; what it is told to be stands at the top of server.js.

    Attributes:
        certificate: what it shows; for localhost and 127.0.0.1.
        options: environment variables, read at each start.
    """

    def __init__(self, certificate: Made | None = None, **options: Any) -> None:
        super().__init__()
        self._modules = modules("opcua")
        self.options = {"ANONYMOUS": 1, "AUTO": 1, **options}
        self._control = free_port()
        for name in ("server", "users"):  # it would make keys of its own, which takes seconds
            own = self.folder / "pki" / name / "own" / "private"
            own.mkdir(parents=True)
            (own / "private_key.pem").write_bytes(make().key_as())
        self.shows(certificate or make(URI, name="node-opcua peer"))

    def shows(self, certificate: Made) -> None:
        """Show this certificate from the next start on."""
        self.certificate = certificate
        self._paths = certificate.save(self.folder / "own", "peer")

    def command(self) -> Sequence[str]:
        return [program("node", "nodejs"), str(_SERVER)]

    def environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "PORT": str(self.port),
            "CONTROL": str(self._control),
            "PKI": str(self.folder / "pki"),
            "CERT": str(self._paths[0]),
            "KEY": str(self._paths[1]),
            "MODULES": str(self._modules),
            **{key: str(value) for key, value in self.options.items()},
        }

    def ready(self) -> bool:
        return "\nready " in self.output or self.output.startswith("ready ")

    def start(self) -> None:
        (self.folder / "output.txt").unlink(missing_ok=True)
        super().start()

    def set_many(self, name: str, values: Sequence[tuple[Any, int]]) -> None:
        """Change a value many times, in that order: value and source timestamp in ms since 1970."""
        self._ask(name, [{"value": value, "time": time} for value, time in values])

    def raise_event(self, text: str) -> None:
        """A plain event of a source called Burner."""
        self._ask("Boiler1.Limit", {"event": text})

    def expire_sessions(self) -> None:
        """End every session, as a server does that has not heard of a client for long."""
        self._ask("expire", {})

    def trust_all_it_met(self) -> None:
        """What the person at the server does: move rejected client certificates to trusted."""
        self._ask("trust", {})
