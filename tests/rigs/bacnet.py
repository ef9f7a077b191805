"""The BACnet rig: rusty-bacnet behind a fault link, one value of each kind."""

from __future__ import annotations

from importlib import import_module
from typing import Any, ClassVar

from gl002.model import Value
from gl002.testing.datagram_link import DatagramLink
from gl002.testing.rig import Rig
from peers.rusty_bacnet import RustyBacnet

_BAD_CONFIGS = [
    ({}, "no device"),
    ({"address": "127.0.0.1", "adress": "x"}, "did you mean 'address'"),
    ({"address": "127.0.0.1", "device_id": 4194303}, "device_id"),
    ({"address": "127.0.0.1", "device_id": -1}, "device_id"),
    ({"address": "127.0.0.1", "timeout": 0}, "timeout"),
    ({"address": "127.0.0.1:99999"}, "address"),
    ({"address": "127.0.0.1", "write_priority": 8}, "operators"),
    ({"address": "127.0.0.1", "write_priority": 17}, "9 to 16"),
    ({"address": "127.0.0.1", "network": 5}, "pair"),
    ({"address": "127.0.0.1", "network": 5, "mac": "zz"}, "mac"),
    ({"address": "127.0.0.1", "time_zone": "Mars/Olympus"}, "time zone"),
    ({"address": "127.0.0.1", "local": {"address": "plant"}}, "IPv4"),
    ({"address": "127.0.0.1", "ede": "/nowhere/points.csv"}, "No such file"),
    ({"discover": "10.20.0.0"}, "subnet"),
    ({"discover": "10.20.0.0/31"}, "subnet"),
    ({"devices": [{"device_id": 1}]}, "no address"),
    ({"address": "h", "devices": [{"device_id": 1}, {"device_id": 1}]}, "same device_id"),
    ({"address": "h", "devices": [{"device_id": 1, "name": "a"},
                                  {"device_id": 2, "name": "a"}]}, "two devices"),
    ({"address": "h", "objects": [{"name": "a", "object": "analog-inptu,1"}]}, "object type"),
    ({"address": "h", "objects": [{"name": "a", "object": "AI1", "property": "x"}]}, "property"),
    ({"address": "h", "objects": [{"name": "a", "object": "AI1"},
                                  {"name": "a", "object": "AI2"}]}, "two objects"),
    ({"address": "h", "objects": [{"name": "a", "object": "AI1", "scale": 0}]}, "scale"),
    ({"address": "h", "objects": [{"name": "a", "object": "AI1", "trend_log": "AI2"}]},
     "no trend log"),
    ({"address": "h", "cov": {"lifetime": 1}}, "lifetime"),
]  # fmt: skip


class BacnetRig(Rig):
    """Device 1001 is 'boiler1'."""

    kind: ClassVar[str] = "bacnet"
    writable = "boiler1.analog-value,1"
    unknown = "boiler1.analog-input,999"

    def __init__(self) -> None:
        self.readable: dict[str, Value] = {
            "boiler1.analog-input,1": 50000.0,
            "boiler1.analog-input,2": 350.5,
            "boiler1.binary-input,1": True,
            "boiler1.multi-state-input,1": 12,
            "boiler1.characterstring-value,1": "Kessel 1",
        }
        self.input = {"source": "bacnet", "tags": list(self.readable)}
        self.bad_configs = _BAD_CONFIGS
        self.peer = RustyBacnet()
        self.link = DatagramLink(self.peer.udp)

    def start(self) -> None:
        # what happens once in the life of a gateway shall not count in tests of time-outs
        import_module("gl002.transport.bacnet.stack").load_driver()
        self.peer.start()
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "address": f"127.0.0.1:{self.link.port}",
            "timeout": 1,
            "retry_count": 5,
            "devices": [
                {
                    "device_id": 1001,
                    "name": "boiler1",
                    "polling_interval": 100,
                    "cov": {"refresh": 0.5},
                }
            ],
            **changes,
        }

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        self.peer.set(_object(address), value)

    def seen(self, address: str) -> Value:
        return self.peer.get(_object(address))


def _object(address: str) -> str:
    return address.removeprefix("boiler1.")
