"""Configuration of Modbus connections: line, devices, registers; in the guide's three shapes.

modbus: {host: 192.168.1.50, slave_id: 1}                 flat: one device
modbus: {connection: {...}, devices: [{...}, {...}]}      several devices on one line
modbus: {devices: [{name: boiler1, host: ...}, ...]}      a connection for each device
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from gl002.config.blocks import TlsSettings
from gl002.config.flow import InputSettings
from gl002.config.settings import Seconds, Settings
from gl002.errors import ConfigError
from gl002.retry import RetryPolicy
from gl002.security.tls import client_context
from gl002.transport.modbus.devices import DeviceSettings
from gl002.transport.modbus.framing import Framing
from gl002.transport.modbus.session import SerialLine
from gl002.wire.modbus_address import AddressBase, locate

_LARGEST_PORT = 65535
_BASES: tuple[AddressBase, ...] = (None, 0, 1)
_SERIAL_UNITS = range(1, 248)  # MODBUS over Serial Line V1.02, section 2.2
PORT = 502
TLS_PORT = 802  # MODBUS/TCP Security V2.1: mbap/TLS
SERIAL = {"rtu", "ascii"}
_FRAMINGS: dict[str, Framing] = {
    "tcp": "tcp", "tls": "tcp", "rtu": "rtu", "rtu_over_tcp": "rtu", "ascii": "ascii",
    "ascii_over_tcp": "ascii",
}  # fmt: skip


class ConnectionSettings(Settings):
    """The line to the devices."""

    type: Literal["tcp", "tls", "rtu", "rtu_over_tcp", "ascii", "ascii_over_tcp"] = Field(
        "tcp",
        description="tcp: Modbus TCP. tls: the same over TLS (Modbus/TCP Security). rtu, ascii: a "
        "serial port of this machine. rtu_over_tcp, ascii_over_tcp: a serial device server that "
        "passes frames through unchanged.",
    )
    host: str = Field("", description="Name or address, unless the line is a serial port.")
    port: int | str = Field(
        PORT,
        description="TCP port, with tls 802 where absent; the device file of a serial port, "
        "'/dev/ttyUSB0'.",
    )
    timeout: Seconds = Field(3.0, gt=0, description="Seconds one request may take.")
    retry_count: int = Field(
        3, ge=0, description="How often a read that failed is tried again. Writes never are."
    )
    pause: Seconds = Field(
        0.0,
        le=10,
        description="Seconds to leave after a reply before the next request, for devices that are "
        "slow to listen again. A serial line always has 3.5 characters.",
    )
    tls: TlsSettings | None = Field(
        None, description="Certificates of type tls; cert and key for devices that ask for ours."
    )
    baudrate: int = Field(
        9600,
        gt=0,
        description="Bits per second of the serial line. For a serial device server it sets "
        "nothing, but lets 'gl002 check' tell whether the line can carry the intervals.",
    )
    parity: Literal["N", "E", "O"] = Field("N", description="None, even or odd.")
    stopbits: Literal[1, 2] = Field(1, description="Stop bits.")
    bytesize: Literal[7, 8] = Field(8, description="Data bits; RTU always has 8, ASCII often 7.")

    @model_validator(mode="before")
    @classmethod
    def _secure_port(cls, data: object) -> object:
        if isinstance(data, Mapping) and data.get("type") == "tls":
            return {"port": TLS_PORT, **data}
        return data

    @field_validator("port", mode="before")
    @classmethod
    def _number(cls, port: object) -> object:
        """A number from a variable arrives as text."""
        return int(port) if isinstance(port, str) and port.isdecimal() else port

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.serial and (isinstance(self.port, int) or "://" in self.port):
            raise ValueError(f"type {self.type} needs the device file as port, found {self.port!r}")
        if not self.serial and not self.host:
            raise ValueError(f"host is missing; type {self.type} needs it")
        if not self.serial and (isinstance(self.port, str) or not 0 < self.port <= _LARGEST_PORT):
            raise ValueError(
                f"type {self.type} needs a TCP port from 1 to 65535, found {self.port!r}"
            )
        if self.tls is not None and self.type != "tls":
            raise ValueError(f"there is a tls block, but type {self.type} is plain: type: tls")
        if self.framing == "rtu" and self.bytesize != 8:  # noqa: PLR2004 (bits of a byte)
            raise ValueError("RTU sends whole bytes: bytesize 8; 7 is for type ascii")
        return self

    @property
    def serial(self) -> bool:
        """Whether the line is a serial port of this machine."""
        return self.type in SERIAL

    @property
    def framing(self) -> Framing:
        """How frames are told apart."""
        return _FRAMINGS[self.type]

    @property
    def numbered(self) -> bool:
        """Whether a reply says which request it answers."""
        return self.framing == "tcp"

    @property
    def has_known_speed(self) -> bool:
        """Whether the baud rate is that of the line: a serial port, or said of a server."""
        return self.serial or (not self.numbered and "baudrate" in self.model_fields_set)

    @property
    def server_name(self) -> str:
        """Name to expect in the certificate of the other side."""
        return (self.tls.server_name if self.tls else None) or self.host

    @property
    def lacks_certificate(self) -> bool:
        """Whether the line has TLS and we have no certificate to show."""
        return self.type == "tls" and (self.tls is None or self.tls.cert is None)

    def tls_context(self) -> ssl.SSLContext | None:
        """For type tls; None for all others.

        Raises:
            ConfigError: a file is missing or no certificate.
        """
        if self.type != "tls":
            return None
        tls = self.tls or TlsSettings()
        return client_context(ca=tls.ca, cert=tls.cert, key=tls.key, min_version=tls.min_version)

    @property
    def line(self) -> SerialLine:
        """The serial port."""
        return SerialLine(str(self.port), self.baudrate, self.parity, self.stopbits, self.bytesize)


class ModbusConfig(Settings):
    """One connection and the devices on it."""

    shorthand: ClassVar = {
        **{key: f"connection.{key}" for key in ConnectionSettings.model_fields},
        **{key: f"devices.0.{key}" for key in DeviceSettings.model_fields},
    }

    connection: ConnectionSettings = Field(description="The line to the devices.")
    devices: list[DeviceSettings] = Field(
        default=[DeviceSettings()], min_length=1, description="The devices on it."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        labels = [device.label for device in self.devices]
        for label in labels:
            if labels.count(label) > 1:
                raise ValueError(f"two devices are named '{label}'")
        if not self.connection.numbered:
            for device in self.devices:
                if device.slave_id not in _SERIAL_UNITS:
                    raise ValueError(f"slave_id {device.slave_id}: a serial device has 1 to 247")
        return self

    def request_timeout(self) -> float:
        """As configured, seconds."""
        return self.connection.timeout

    def retry(self) -> RetryPolicy:
        """The first try and `retry_count` more."""
        return RetryPolicy(max_attempts=self.connection.retry_count + 1)


class ModbusInput(InputSettings):
    """What to poll; everything that is configured where nothing is named."""

    tags: list[str] | None = Field(
        None, description="Names of configured registers, with or without the device's name."
    )
    registers: list[int | str] | None = Field(
        None,
        description="Bare numbers: unsigned 16-bit holding registers named '<device>.<number>'.",
    )
    device: str | None = Field(
        None, description="Only this device; all devices of the connection where absent."
    )

    @field_validator("registers")
    @classmethod
    def _numbers(cls, registers: list[int | str] | None) -> list[int | str] | None:
        """Refuse here, with line and column, what no device could take."""
        for number in registers or ():
            if not any(_is_number(number, base) for base in _BASES):
                raise ValueError(f"{number!r} is no register number, such as 40001 or 1000")
        return registers


def _is_number(number: int | str, base: AddressBase) -> bool:
    try:
        locate(number, None, base)
    except ConfigError:
        return False
    return True
