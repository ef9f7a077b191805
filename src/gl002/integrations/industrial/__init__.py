"""Plant protocols: OPC UA, Modbus, MQTT, BACnet. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.industrial.bacnet import BACnetConnector, SyncBACnetConnector
    from gl002.integrations.industrial.modbus import AsyncModbusConnector, ModbusConnector
    from gl002.integrations.industrial.mqtt import MQTTConnector, SyncMQTTConnector
    from gl002.integrations.industrial.opc_ua import OPCUAConnector, SyncOPCUAConnector

__all__ = [
    "AsyncModbusConnector",
    "BACnetConnector",
    "MQTTConnector",
    "ModbusConnector",
    "OPCUAConnector",
    "SyncBACnetConnector",
    "SyncMQTTConnector",
    "SyncOPCUAConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncModbusConnector": "modbus",
        "BACnetConnector": "bacnet",
        "MQTTConnector": "mqtt",
        "ModbusConnector": "modbus",
        "OPCUAConnector": "opc_ua",
        "SyncBACnetConnector": "bacnet",
        "SyncMQTTConnector": "mqtt",
        "SyncOPCUAConnector": "opc_ua",
    },
)
