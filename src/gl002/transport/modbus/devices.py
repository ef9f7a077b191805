"""Configuration of the devices on a Modbus line: their registers, limits, what is forbidden."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Self

from pydantic import Field, model_validator

from gl002.config.settings import Settings
from gl002.wire.modbus import ByteOrder, DataType, Format
from gl002.wire.modbus_address import AddressBase, Table, locate
from gl002.wire.modbus_pdu import MOST_BITS, MOST_REGISTERS, MOST_REGISTERS_WRITTEN, TABLE
from gl002.wire.modbus_plan import Limits, Register

_BASES: tuple[AddressBase, ...] = (None, 0, 1)


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
