"""The Modbus rig: libmodbus behind a fault link, one value of each kind."""

from __future__ import annotations

import struct
from typing import Any, ClassVar

from gl002.model import Value
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.libmodbus import LibModbus
from peers.node_modbus import NodeModbus

_UNIT = 1
# name -> table, protocol address, struct format, registers as configured
_PLACES: dict[str, tuple[str, int, str, dict[str, Any]]] = {
    "steam_flow": ("holding", 0, ">f", {"address": 40001, "format": "float32"}),
    "pressure": ("holding", 2, ">h", {"address": 40003, "format": "int16"}),
    "count": (
        "holding", 10, "<i", {"address": 40011, "format": "int32", "byte_order": "DCBA"},
    ),
    "temperature": ("input", 5, ">f", {"address": 30006, "format": "float32"}),
    "name": ("holding", 20, ">8s", {"address": 40021, "format": "string", "length": 4}),
    "running": ("coil", 3, "?", {"address": "00004", "type": "coil"}),
    "tripped": ("discrete", 7, "?", {"address": 10008}),
    "setpoint": ("holding", 100, ">f", {"address": 40101, "format": "float32"}),
}  # fmt: skip
_VALUES: dict[str, Value] = {
    "steam_flow": 50000.5, "pressure": -12, "count": 70001, "temperature": 182.25,
    "name": "B-001", "running": True, "tripped": False,
}  # fmt: skip

_BAD_CONFIGS = [
    ({}, "connection"),
    ({"host": "127.0.0.1", "port": "/dev/ttyUSB0"}, "TCP port"),
    ({"type": "rtu", "port": 502}, "device file"),
    ({"type": "rtu", "port": "socket://127.0.0.1:502"}, "device file"),
    ({"host": "127.0.0.1", "slave_id": 300}, "255"),
    ({"host": "127.0.0.1", "timeout": 0}, "timeout"),
    ({"host": "127.0.0.1", "hosst": "x"}, "did you mean 'host'"),
    ({"host": "h", "slave_id": 1, "devices": [{"slave_id": 2}]}, "same thing"),
    ({"host": "h", "devices": [{"name": "a"}, {"name": "a", "slave_id": 2}]}, "two devices"),
    ({"host": "h", "registers": [{"name": "a", "address": 70000}]}, "no register number"),
    (
        {"host": "h", "registers": [{"name": "a", "address": 30001, "type": "holding"}]},
        "address_base",
    ),
    ({"host": "h", "registers": [{"name": "a", "address": 1, "format": "float31"}]}, "float32"),
    ({"host": "h", "registers": [{"name": "a", "address": 1, "format": "string"}]}, "length"),
    (
        {"host": "h", "registers": [{"name": "a", "address": 1}, {"name": "a", "address": 2}]},
        "two registers",
    ),
    ({"host": "h", "registers": [{"name": "a", "address": 1, "scale": 0}]}, "scale"),
    ({"type": "rtu", "port": "/dev/ttyS0", "slave_id": 0}, "1 to 247"),
    ({"type": "ascii", "port": 502}, "device file"),
    ({"type": "rtu", "port": "/dev/ttyS0", "bytesize": 7}, "type ascii"),
    ({"type": "tls"}, "host is missing"),
    ({"type": "tcp", "host": "h", "tls": {"ca": "ca.pem"}}, "type: tls"),
    ({"type": "ascii_over_tcp", "host": "h", "slave_id": 248}, "1 to 247"),
    ({"host": "h", "pause": 60}, "pause"),
]  # fmt: skip


class ModbusRig(Rig):
    """Device 'boiler1' is unit 1; 'boiler1.absent' is configured, and the device refuses it."""

    kind: ClassVar[str] = "modbus"
    handshake: ClassVar[bool] = False
    made_by: ClassVar[type[LibModbus]] = LibModbus
    writable = "boiler1.setpoint"
    unknown = "boiler1.absent"

    def __init__(self) -> None:
        self.readable = {f"boiler1.{name}": value for name, value in _VALUES.items()}
        self.input = {"source": "modbus"}
        self.bad_configs = _BAD_CONFIGS
        self.peer = self.made_by()
        self.link = Link(self.peer.port)

    def start(self) -> None:
        self.peer.start()
        self._fill()
        self.link.start()

    def _fill(self) -> None:
        for address, value in self.readable.items():
            self.set(address, value)

    def stop(self) -> None:
        self.link.stop()
        self.peer.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        registers = [{"name": name, **keys} for name, (_, _, _, keys) in _PLACES.items()]
        registers.append({"name": "absent", "address": 46001, "format": "float32"})
        return {
            "connection": {"host": "127.0.0.1", "port": self.link.port},
            "timeout": 10,
            "devices": [
                {
                    "slave_id": _UNIT,
                    "name": "boiler1",
                    "polling_interval": 20,
                    "registers": registers,
                }
            ],
            **changes,
        }

    def restart(self) -> None:
        self.peer.restart()
        self._fill()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        table, place, code, _ = _PLACES[address.removeprefix("boiler1.")]
        if code == "?":
            self.peer.set(_UNIT, table, place, int(bool(value)))
        else:
            raw = struct.pack(code, value.encode() if isinstance(value, str) else value)
            self.peer.set_bytes(_UNIT, table, place, raw)

    def seen(self, address: str) -> Value:
        table, place, code, _ = _PLACES[address.removeprefix("boiler1.")]
        if code == "?":
            return bool(self.peer.get(_UNIT, table, place)[0])
        words = self.peer.get(_UNIT, table, place, struct.calcsize(code) // 2)
        (value,) = struct.unpack(code, b"".join(word.to_bytes(2, "big") for word in words))
        return value.rstrip(b"\0").decode() if isinstance(value, bytes) else value


class SecondModbusRig(ModbusRig):
    """The same before another implementation, modbus-serial in JavaScript."""

    made_by = NodeModbus
