"""From a block of the configuration, or a URL, to the settings of each connection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from gl002.connector import Instance
from gl002.security.network import Endpoint
from gl002.transport.modbus.settings import PORT, SERIAL, TLS_PORT


def instances(kind: str, block: Mapping[str, Any]) -> list[Instance] | None:
    """A connection for each device, where devices name hosts of their own; None where none does.

    Everything beside `devices` holds for all of them.
    """
    devices = block.get("devices")
    if not isinstance(devices, list):
        return None
    if not any(isinstance(device, Mapping) and "host" in device for device in devices):
        return None
    found = []
    for i, device in enumerate(devices):
        settings = _with_shared(block, device) if isinstance(device, Mapping) else device
        name = device.get("name") if isinstance(device, Mapping) else None
        found.append(Instance(f"{kind}.{name or i + 1}", ("devices", i), settings))
    return found


def _with_shared(block: Mapping[str, Any], device: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a device, completed from what stands beside the list of devices."""
    shared = {k: v for k, v in block.items() if k not in {"devices", *device}}
    connection = shared.get("connection")
    if isinstance(connection, Mapping):
        shared["connection"] = {k: v for k, v in connection.items() if k not in device}
    return {**shared, **device}


def settings_of(url: str) -> dict[str, Any]:
    """Settings for a URL of the command line.

    modbus://host:502/1, modbus+tls://host/1, modbus+rtu-over-tcp: the path is the slave_id.
    modbus+rtu:///dev/ttyUSB0?baudrate=19200&slave_id=4, modbus+ascii: the path is the port.
    What follows the question mark are keys of the configuration.

    Raises:
        ConfigError: no address in it; a wrong key is found when the settings are checked.
    """
    parts = urlsplit(url)
    settings: dict[str, Any] = {
        key: int(value) if value.isdecimal() else value for key, value in parse_qsl(parts.query)
    }
    kind = parts.scheme.partition("+")[2].replace("-", "_")  # a scheme has no underscores
    if kind:
        settings["type"] = kind
    if kind in SERIAL:
        return {**settings, "port": parts.path}
    endpoint = Endpoint.of(url, TLS_PORT if kind == "tls" else PORT)
    slave_id = parts.path.strip("/")
    settings |= {"host": endpoint.host, "port": endpoint.port}
    return {**settings, "slave_id": slave_id} if slave_id else settings
