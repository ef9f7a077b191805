"""The Ignition rig: node-opcua with tags as Ignition exposes them, behind a fault link.

The database of its history is a real PostgreSQL, not behind the link: `test_ignition.py`.
"""

from __future__ import annotations

from typing import Any, ClassVar

from gl002.model import Value
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.ignition_history import IgnitionHistory
from peers.node_opcua import NodeOpcua
from rigs.opc_ua import OpcUaRig

_BAD_CONFIGS = [
    ({}, "OPC UA server"),
    ({"url": "http://127.0.0.1:62541"}, "opc.tcp://"),
    ({"url": "opc.tcp://h", "usrname": "x"}, "did you mean 'username'"),
    ({"url": "opc.tcp://h", "provider": ""}, "provider"),
    ({"url": "opc.tcp://h", "namespace": -1}, "namespace"),
    ({"database": {"host": "h"}}, "user"),
    ({"database": {"host": "h", "database": "d", "user": "u", "table": "x"}}, "Ignition's"),
    ({"url": "opc.tcp://h", "password": "x"}, "username"),
    ({"api": {"url": "http://gateway", "key": "name:secret"}}, "in clear"),
    ({"api": {"url": "https://gateway"}}, "key"),
    ({"api": {"url": "opc.tcp://gateway", "key": "name:secret"}}, "http://"),
]


class IgnitionRig(Rig):
    """Signed and encrypted, as Ignition's own server wants it."""

    kind: ClassVar[str] = "ignition"
    has_account = True
    writable = "Boiler1/SetPoint"
    unknown = "Boiler1/Absent"
    browse_from = "Boiler1"

    def __init__(self) -> None:
        self.readable: dict[str, Value] = {
            "Boiler1/SteamFlow": 50000.0, "Boiler1/Starts": 41, "Boiler1/Running": True,
            "Boiler1/Note": "Kessel 1",
        }  # fmt: skip
        self.input = {"source": "ignition", "tags": list(self.readable)}
        self.bad_configs = _BAD_CONFIGS
        self._past = IgnitionHistory()
        self._inner = OpcUaRig(NodeOpcua(ANONYMOUS=0, IGNITION=1))
        self.peer: NodeOpcua = self._inner.peer
        self.link: Link = self._inner.link

    def start(self) -> None:
        self._past.start()
        self._inner.start()

    def stop(self) -> None:
        self._inner.stop()
        self._past.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return self._inner.config(**{"database": self._past.config, **changes})

    def wrong_credentials(self) -> dict[str, Any]:
        return {**self._inner.wrong_credentials(), "database": self._past.config}

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        self.peer.set(f"[default]{address}", value)

    def seen(self, address: str) -> Value:
        return float(self.peer.value(f"[default]{address}"))
