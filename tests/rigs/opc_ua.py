"""The OPC UA rig: node-opcua behind a fault link, one value of each kind, secured."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

from gl002.model import Value
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.certificates import make
from peers.node_opcua import NodeOpcua

_BAD_CONFIGS = [
    ({}, "server"),
    ({"url": "http://127.0.0.1:4840"}, "opc.tcp://"),
    ({"url": "opc.tcp://"}, "opc.tcp://"),
    ({"url": "opc.tcp://admin:secret@127.0.0.1"}, "not in the URL"),
    ({"url": "opc.tcp://h", "server_url": "opc.tcp://h"}, "same thing"),
    ({"url": "opc.tcp://h", "security": "signandencrypt"}, "SignAndEncrypt"),
    (
        {"url": "opc.tcp://h", "security": {"mode": "None", "policy": "Basic256Sha256"}},
        "contradict",
    ),
    ({"url": "opc.tcp://h", "security_policy": "Basic128Rsa15"}, "withdrawn"),
    ({"url": "opc.tcp://h", "certificate_path": "c.pem"}, "pair"),
    ({"url": "opc.tcp://h", "password": "x"}, "username"),
    ({"url": "opc.tcp://h", "timeout": 0}, "timeout"),
    ({"url": "opc.tcp://h", "usrname": "x"}, "did you mean 'username'"),
    ({"url": "opc.tcp://h", "data_mapping": {"flow": {"node_id": "FT101"}}}, "no node id"),
    ({"url": "opc.tcp://h", "data_mapping": {"flow": {"node_id": "i=1", "scaling": 0}}}, "scaling"),
    ({"url": "opc.tcp://h", "subscription": {"lifetime_count": 20}}, "keepalive_count"),
]


class OpcUaRig(Rig):
    """Signed and encrypted, as a user with a password; the server's certificate is trusted."""

    kind: ClassVar[str] = "opc_ua"
    has_account = True
    writable = "ns=2;s=Boiler1.Grade"
    unknown = "ns=2;s=Boiler1.Absent"
    browse_from = "ns=2;s=Boiler1"

    def __init__(self, peer: NodeOpcua | None = None) -> None:
        self.readable: dict[str, Value] = {
            "ns=2;s=Boiler1.SteamFlow": 50000.0,
            "ns=2;s=Boiler1.Limit": 700,
            "ns=2;s=Boiler1.Running": True,
            "ns=2;s=Boiler1.Name": "Kessel 1",
        }
        self.input = {"source": "opc_ua", "tags": list(self.readable)}
        self.bad_configs = _BAD_CONFIGS
        self.peer = peer or NodeOpcua(ANONYMOUS=0)
        self.link = Link(self.peer.port)
        self._folder = Path(tempfile.mkdtemp(prefix="gl002-rig-"))
        self._trusted = self._folder / "trusted"

    def start(self) -> None:
        self._ours = make("urn:gl002-test:rig", name="rig").save(self._folder, "client")
        self._trusted.mkdir()
        self.peer.start()
        (self._trusted / "peer.der").write_bytes(self.peer.certificate.der)
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "server": {"url": f"opc.tcp://127.0.0.1:{self.link.port}"},
            "username": "admin",
            "password": "secure_password",
            "security": {
                "mode": "SignAndEncrypt",
                "policy": "Basic256Sha256",
                "certificate": str(self._ours[0]),
                "private_key": str(self._ours[1]),
                "trust_store": str(self._trusted),
            },
            "subscription": {"publishing_interval": 50, "keepalive_count": 20},
            **changes,
        }

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        self.peer.set(_name(address), value)

    def seen(self, address: str) -> Value:
        value = self.peer.value(_name(address))
        floating = self.peer.type(_name(address)) in {"Float", "Double"}
        return float(value) if floating else value

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="guessed_password")


def _name(address: str) -> str:
    return address.partition(";s=")[2]
