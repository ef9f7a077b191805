"""Configuration of Modbus connections: line, devices, registers; in the guide's three shapes.

modbus: {host: 192.168.1.50, slave_id: 1}                 flat: one device
modbus: {connection: {...}, devices: [{...}, {...}]}      several devices on one line
modbus: {devices: [{name: boiler1, host: ...}, ...]}      a connection for each device
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, field_validator, model_validator

from gl002.config.blocks import TlsSettings
from gl002.config.flow import InputSettings
from gl002.config.settings import Seconds, Settings
from gl002.errors import ConfigError
from gl002.retry import RetryPolicy
from gl002.security.tls import client_context
from gl002.transport.modbus.framing import Framing
from gl002.transport.modbus.session import SerialLine
from gl002.wire.modbus import ByteOrder, DataType, Format
from gl002.wire.modbus_address import AddressBase, Table, locate
from gl002.wire.modbus_pdu import MOST_BITS, MOST_REGISTERS, MOST_REGISTERS_WRITTEN, TABLE
from gl002.wire.modbus_plan import Limits, Register

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


class RegisterSettings(Settings):
    """One value of a device."""

    name: str = Field(min_length=1, description="Its name; the tag is '<device>.<name>'.")
    address: int | str = Field(
        description="Protocol address (1000) or reference number (40001); see address_base."
    )
    type: Table | None = Field(
        None, description="Table it is in; where absent, what a reference number says, or holding."
    )
    format: DataType | None = Field(
        None, description="How it lies in the registers; uint16 where absent, bool for bits."
    )
    byte_order: ByteOrder | None = Field(
        None, description="Order of its bytes on the wire; that of the device where absent."
    )
    length: int = Field(0, ge=0, le=125, description="Registers of a string.")
    bit: int | None = Field(None, ge=0, le=63, description="Take this bit only; 0 is the lowest.")
    bits: int = Field(1, ge=1, le=64, description="How many bits from 'bit' up.")
    scale: float = Field(1.0, description="Multiplied to the number in the register.")
    offset: float = Field(0.0, description="Added after that.")
    unit: str = Field("", description="Unit of the value, as in gl002.units: 'lb/hr', 'psig'.")
    description: str = Field("", description="A plain phrase.")

    def register(self, device: DeviceSettings, prefix: str = "") -> Register:
        """As the reader uses it.

        Raises:
            ConfigError: no such address; or DataError: format and options do not go together.
        """
        place = locate(self.address, self.type, device.address_base)
        register = Register(
            tag=f"{prefix}{self.name}",
            place=place,
            form=self._format(place.table, device.byte_order),
            unit=self.unit,
            description=self.description,
        )
        if sum(register.span) > TABLE:
            raise ValueError(
                f"{self.address} with {register.span[1]} registers passes address 65535"
            )
        return register

    def _format(self, table: Table, byte_order: ByteOrder) -> Format:
        data_type = self.format or ("bool" if table in {"coil", "discrete"} else "uint16")
        form = Format(
            data_type=data_type,
            byte_order=self.byte_order or byte_order,
            length=self.length,
            bit=self.bit,
            bits=self.bits,
            scale=self.scale,
            offset=self.offset,
        )
        if table in {"coil", "discrete"} and data_type != "bool":
            raise ValueError(f"a {table} is a bool, not a {data_type}")
        return form


class ForbiddenSettings(Settings):
    """Registers that must never be touched, not even on the way to others. '40100-40199' does."""

    scalar_form: ClassVar = ("string", "integer")

    first: int | str = Field(description="As other registers are written.")
    last: int | str = Field(description="The last of them; forbidden, too.")
    table: Table | None = Field(None, description="As 'type' of a register; holding where absent.")

    @model_validator(mode="before")
    @classmethod
    def _from_scalar(cls, data: object) -> object:
        if isinstance(data, bool) or not isinstance(data, str | int):
            return data
        first, _, last = str(data).partition("-")
        return {"first": first.strip(), "last": last.strip() or first.strip()}

    def wall(self, base: AddressBase) -> tuple[Table, range]:
        """Its table, and the addresses in it.

        Raises:
            ConfigError: no such register; ValueError: the ends do not belong together.
        """
        first, last = locate(self.first, self.table, base), locate(self.last, self.table, base)
        if first.table != last.table or first.address > last.address:
            raise ValueError(f"{self.first} to {self.last} is no range of registers")
        return first.table, range(first.address, last.address + 1)


class DeviceSettings(Settings):
    """One device, also called slave, server or unit."""

    slave_id: int = Field(1, ge=0, le=255, description="Its number on the line, 'unit id'.")
    name: str = Field("", description="Its name in tags; 'slave<number>' where absent.")
    registers: list[RegisterSettings] = Field(default=[], description="Its values.")
    polling_interval: float = Field(
        1000.0, ge=0, description="Milliseconds between two readings; 0 reads without pause."
    )
    byte_order: ByteOrder = Field("ABCD", description="Byte order of registers that name none.")
    address_base: AddressBase = Field(
        None,
        description="0: every number is a protocol address. 1: every number counts from 1. "
        "Absent: 40001 and the like are reference numbers, all others protocol addresses.",
    )
    max_registers: int = Field(
        MOST_REGISTERS, ge=1, le=MOST_REGISTERS, description="Most registers in one request."
    )
    max_bits: int = Field(MOST_BITS, ge=1, le=MOST_BITS, description="Most coils in one request.")
    max_registers_written: int = Field(
        MOST_REGISTERS_WRITTEN,
        ge=1,
        le=MOST_REGISTERS_WRITTEN,
        description="Most registers in one request that writes.",
    )
    forbidden: list[ForbiddenSettings] = Field(
        default=[],
        description="Registers no request may touch, ['40100-40199']: a device that changes "
        "something when they are read, or fails.",
    )
    gap: int = Field(
        16,
        ge=0,
        le=MOST_BITS,
        description="Most registers in a row that are read although none of them is wanted, to "
        "save a request. 0 for devices that change something when they are read.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names: set[str] = set()
        for register in self.registers:
            if register.name in names:
                raise ValueError(f"two registers are named '{register.name}'")
            names.add(register.name)
            try:
                span = register.register(self).span
            except ValueError as error:
                raise ValueError(f"register '{register.name}': {error}") from None
            if span[1] > self.max_registers:
                raise ValueError(f"register '{register.name}' is longer than max_registers")
            table = register.register(self).place.table
            if any(span[0] < w.stop and w.start < sum(span) for w in self.walls.get(table, ())):
                raise ValueError(f"register '{register.name}' is forbidden")
        return self

    @property
    def walls(self) -> dict[Table, list[range]]:
        """Addresses that are forbidden, by table.

        Raises:
            ConfigError: no such register.
        """
        found: dict[Table, list[range]] = {}
        for each in self.forbidden:
            table, wall = each.wall(self.address_base)
            found.setdefault(table, []).append(wall)
        return found

    @property
    def label(self) -> str:
        """What its tags begin with."""
        return self.name or f"slave{self.slave_id}"

    @property
    def interval(self) -> float:
        """Seconds between two readings."""
        return self.polling_interval / 1000

    @property
    def limits(self) -> Limits:
        """What it accepts in one request."""
        return Limits(registers=self.max_registers, bits=self.max_bits, gap=self.gap)

    def all_registers(self) -> Iterator[Register]:
        """Its registers under their tags."""
        for register in self.registers:
            yield register.register(self, f"{self.label}.")

    def bare(self, number: int | str) -> Register:
        """An unsigned 16-bit register that is configured nowhere, named by its number.

        Raises:
            ConfigError: no such register.
        """
        settings = RegisterSettings(name=str(number), address=number)
        return settings.register(self, f"{self.label}.")


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
