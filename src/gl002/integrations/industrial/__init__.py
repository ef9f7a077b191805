"""Plant protocols: OPC UA, Modbus, MQTT, BACnet. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.industrial.modbus import AsyncModbusConnector, ModbusConnector
    from gl002.integrations.industrial.mqtt import MQTTConnector, SyncMQTTConnector
    from gl002.integrations.industrial.opc_ua import OPCUAConnector, SyncOPCUAConnector

__all__ = [
    "AsyncModbusConnector",
    "MQTTConnector",
    "ModbusConnector",
    "OPCUAConnector",
    "SyncMQTTConnector",
    "SyncOPCUAConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncModbusConnector": "modbus",
        "MQTTConnector": "mqtt",
        "ModbusConnector": "modbus",
        "OPCUAConnector": "opc_ua",
        "SyncMQTTConnector": "mqtt",
        "SyncOPCUAConnector": "opc_ua",
    },
)
