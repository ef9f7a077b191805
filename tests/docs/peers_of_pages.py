"""What stands behind the addresses that the documentation prints: one table."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path

from peers.certificates import make
from peers.libmodbus import LibModbus
from peers.mosquitto import Mosquitto
from peers.node_opcua import NodeOpcua
from peers.rusty_bacnet import RustyBacnet
from peers.timescale import Timescale


class Peers:
    """The peers, each started when a page first names its address."""

    def __init__(self) -> None:
        self.state = Path(os.environ["GL002_STATE_DIR"])
        self._folder = Path(tempfile.mkdtemp(prefix="gl002-docs-"))
        self._running = ExitStack()

    def stop(self) -> None:
        self._running.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    @cached_property
    def opc_ua(self) -> NodeOpcua:
        peer = self._running.enter_context(NodeOpcua(ANONYMOUS=0))
        trusted = self.state / "pki" / "trusted"
        trusted.mkdir(parents=True, exist_ok=True)
        (trusted / "peer.der").write_bytes(peer.certificate.der)
        return peer

    @cached_property
    def modbus(self) -> LibModbus:
        return self._running.enter_context(LibModbus())

    @cached_property
    def bacnet(self) -> RustyBacnet:
        return self._running.enter_context(RustyBacnet())

    @cached_property
    def mqtt(self) -> Mosquitto:
        return self._running.enter_context(Mosquitto(tls=True))

    @cached_property
    def timescale(self) -> Timescale:
        return self._running.enter_context(Timescale())

    @cached_property
    def _client_of_opc_ua(self) -> tuple[Path, Path]:
        return make("urn:test:client", name="client").save(self._folder, "client")

    @cached_property
    def _client_of_mqtt(self) -> tuple[Path, Path]:
        return self.mqtt.client_certificate()

    def __call__(self, text: str) -> str:
        """The text of a block with the addresses and credentials of the peers."""
        for printed, meant in self._table.items():
            if re.search(printed, text):
                text = re.sub(printed, lambda _, meant=meant: str(meant(self)), text)
        return text

    # The one table. Left: what the pages print. Right: what is there in its stead.
    _table = {  # noqa: RUF012 (constant)
        r"192\.168\.1\.100:4840": lambda self: f"localhost:{self.opc_ua.port}",
        r"/path/to/cert\.pem": lambda self: self._client_of_opc_ua[0],
        r"/path/to/key\.pem": lambda self: self._client_of_opc_ua[1],
        r"192\.168\.1\.50\b": lambda _: "127.0.0.1",
        r"\b502\b": lambda self: self.modbus.port,
        r"192\.168\.1\.60\b": lambda self: f"127.0.0.1:{self.bacnet.udp}",
        r"mqtt\.broker\.com": lambda _: "localhost",
        r"\b8883\b": lambda self: self.mqtt.mutual_port,
        r"\b1883\b": lambda self: self.mqtt.port,
        r"/certs/ca\.pem": lambda self: self.mqtt.ca,
        r"/certs/client\.pem": lambda self: self._client_of_mqtt[0],
        r"/certs/client\.key": lambda self: self._client_of_mqtt[1],
        r"\b5432\b": lambda self: self.timescale.port,
        r"'database': 'gl002'": lambda self: f"'database': '{self.timescale.database}'",
        r"'user': 'gl002user'": lambda self: f"'user': '{self.timescale.user}'",
    }
