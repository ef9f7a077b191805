"""Simulated boilers as Modbus TCP devices: one unit for each plant, registers as in the guide.

    plant = Plant("boiler1")
    async with ModbusSimulator([plant]) as simulator:
        print(simulator.as_yaml())       # the block 'modbus:' that reads all of it
        plant.step(1.0)                  # registers follow the plant by themselves
        simulator.fail("silence", unit=1)

Each instrument has a register that breaks it (`FAULT_REGISTERS`): 0 for none, else the number of a
fault, counted from 1 in the order of `gl002.sim.faults.FAULTS`.

The server is pymodbus'. A value the plant marks bad, or that its register cannot hold, reads as
NaN or as the register's lowest number: like many real devices.
"""

from __future__ import annotations

import asyncio
import math
import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Self

import yaml

from gl002.errors import ConfigError, ConnectFailed, DataError, require
from gl002.model import is_bad
from gl002.sim.faults import FAULTS
from gl002.sim.instruments import BREAKABLE
from gl002.sim.plant import TIME_STEP, Plant
from gl002.wire.modbus import DataType, Format

Fault = Literal["exception", "silence", "slow"]

_FIRST_REFERENCE: Final = 40001
_FIRST_FAULT: Final = 40  # protocol address
_FIRST_COUNTER: Final = 100  # protocol address
_MOST_COUNTERS: Final = 1000
_UNIT_BYTE: Final = 6  # of a Modbus TCP frame
_READS: Final = (3, 4)


class Point(NamedTuple):
    """A register of every simulated boiler.

    Attributes:
        tag: of the plant.
        name: in the register map.
        reference: reference number.
        data_type: how it lies there.
        scale: multiplied to the number in the register.
    """

    tag: str
    name: str
    reference: int
    data_type: DataType
    scale: float = 1.0

    @property
    def form(self) -> Format:
        """As the codec takes it."""
        return Format(data_type=self.data_type, scale=self.scale)

    @property
    def place(self) -> slice:
        """Its registers, as protocol addresses."""
        start = self.reference - _FIRST_REFERENCE
        return slice(start, start + self.form.registers)


POINTS: Final = (
    Point("FT101", "steam_flow", 40001, "float32"),
    Point("PT101", "pressure", 40003, "int16", 0.1),
    Point("TT101", "steam_temperature", 40004, "int16", 0.1),
    Point("FT102", "feedwater_flow", 40005, "float32"),
    Point("TT102", "feedwater_temperature", 40007, "int16", 0.1),
    Point("LT101", "drum_level", 40008, "int16", 0.01),
    Point("FT201", "fuel_flow", 40009, "float32"),
    Point("FT202", "air_flow", 40011, "float32"),
    Point("AT301", "oxygen", 40013, "int16", 0.01),
    Point("AT302", "carbon_monoxide", 40014, "int16", 0.1),
    Point("TT301", "stack_temperature", 40015, "int16", 0.1),
    Point("TT302", "air_temperature", 40016, "int16", 0.1),
    Point("UI100", "load", 40017, "int16", 0.01),
    Point("FT103", "blowdown_flow", 40025, "float32"),
    Point("AT101", "boiler_conductivity", 40027, "float32"),
    Point("AT102", "feedwater_conductivity", 40033, "int16", 0.1),
    Point("TT103", "economiser_water", 40029, "int16", 0.1),
    Point("TT303", "economiser_gas", 40030, "int16", 0.1),
    Point("BIC101.SP", "blowdown_setpoint", 40031, "float32"),
    Point("AIC301.SP", "oxygen_setpoint", 40021, "float32"),
    Point("PIC101.SP", "pressure_setpoint", 40023, "float32"),
)
"""The register map; 40101 and up are counters, where there are any."""

FAULT_REGISTERS: Final[Mapping[str, int]] = {
    tag: _FIRST_REFERENCE + _FIRST_FAULT + i for i, tag in enumerate(BREAKABLE)
}
"""Instrument -> reference number of the register that breaks it."""

_BY_START: Final = {point.place.start: point for point in POINTS}
_NAMES: Final = ("", *FAULTS)


class _Device:
    """One plant behind one unit number: its registers, and what ails it."""

    def __init__(self, plant: Plant, counters: int) -> None:
        self.plant = plant
        self.counters = counters
        self.size = _FIRST_COUNTER + 2 * counters
        self.fault: Fault | None = None
        self.amount = 0.0
        self._words: list[int] = []
        self._of: float | None = None

    def words(self) -> list[int]:
        """All registers as the plant is now."""
        if self._of != self.plant.time:
            self._words = self._encoded()
            self._of = self.plant.time
        return self._words

    def _encoded(self) -> list[int]:
        words = [0] * self.size
        signals = self.plant.signals()
        for point in POINTS:
            signal = signals[point.tag]
            value = float("nan") if is_bad(signal.quality) else signal.value
            words[point.place] = _register_words(point, value)
        for i, tag in enumerate(BREAKABLE, start=_FIRST_FAULT):
            words[i] = _NAMES.index(self.plant.faults.get(tag, ""))
        steps = round(self.plant.time / TIME_STEP) & 0xFFFF_FFFF
        for i in range(self.counters):
            start = _FIRST_COUNTER + 2 * i
            words[start : start + 2] = divmod(steps, 0x1_0000)
        return words

    def write(self, address: int, words: Sequence[int]) -> None:
        """Write setpoints, each with all of its registers; or switches of faults.

        Raises:
            LookupError: a register that cannot be written, or part of one.
            DataError: the plant refuses the value.
        """
        if _FIRST_FAULT <= address < _FIRST_FAULT + len(BREAKABLE):
            self._break(address - _FIRST_FAULT, words)
            return
        values: dict[str, float] = {}
        rest = list(words)
        while rest:
            point = _BY_START[address]
            size = point.form.registers
            if len(rest) < size or not self.plant.signals()[point.tag].writable:
                raise LookupError(point.name)
            raw = struct.pack(f">{size}H", *rest[:size])
            value = point.form.decode(raw)
            assert isinstance(value, int | float), "setpoints are numbers"
            values[point.tag] = value
            address, rest = address + size, rest[size:]
        for tag, value in values.items():
            self.plant.write(tag, value)
        self._of = None

    def _break(self, first: int, words: Sequence[int]) -> None:
        """Faults on and off, all or none."""
        if first + len(words) > len(BREAKABLE):
            raise LookupError("beyond the last instrument")
        if max(words) >= len(_NAMES):
            raise DataError(f"there is no fault {max(words)}")
        for tag, number in zip(BREAKABLE[first:], words, strict=False):
            if number:
                self.plant.fail(_NAMES[number], tag)
            else:
                self.plant.repair(tag)
        self._of = None

    async def act(self, *asked: Any) -> Any:
        """What pymodbus asks before it answers: an exception code, or None for 'go on'."""
        from pymodbus.constants import ExcCodes

        function, _, address, _, registers, values = asked
        if self.fault == "exception":
            return ExcCodes(int(self.amount))
        if self.fault == "slow":
            await asyncio.sleep(self.amount)
        if values is None:
            if function in _READS:
                registers[: self.size] = self.words()
            return None
        try:
            self.write(address, [int(value) for value in values])
        except LookupError:
            return ExcCodes.ILLEGAL_ADDRESS
        except DataError:
            return ExcCodes.ILLEGAL_VALUE
        return None


def _register_words(point: Point, value: float) -> tuple[int, ...]:
    form = point.form
    if point.data_type != "float32" and form.scale == 1 and math.isfinite(value):
        value = round(value)  # a register without scale holds whole numbers
    try:
        raw = form.encode(value)
    except DataError:
        raw = b"\x7f\xc0\x00\x00" if form.data_type == "float32" else b"\x80\x00"
    return struct.unpack(f">{form.registers}H", raw)


class ModbusSimulator:
    """Serves plants over Modbus TCP, on 127.0.0.1 only.

    Args:
        plants: unit 1, 2, ...; whoever made them steps them.
        port: TCP port; 0 takes a free one.
        counters: unsigned 32-bit registers from 40101 on that all count the plant's steps, for
            tests that look for lost values.

    Attributes:
        port: where it listens, once started.
    """

    def __init__(self, plants: Sequence[Plant], *, port: int = 0, counters: int = 0) -> None:
        if not plants or not 0 <= counters <= _MOST_COUNTERS:
            raise ConfigError(f"at least one plant, and 0 to {_MOST_COUNTERS} counters")
        self.port = port
        self._devices = {i: _Device(plant, counters) for i, plant in enumerate(plants, start=1)}
        self._server: Any = None

    async def start(self) -> None:
        """Listen; harmless where it listens already.

        Raises:
            MissingDependency: pymodbus is not installed. ConnectFailed: the port is taken.
        """
        if self._server is not None:
            return
        require("pymodbus", extra="modbus")
        from pymodbus.server import ModbusTcpServer

        server = ModbusTcpServer(
            [self._served(unit, device) for unit, device in self._devices.items()],
            address=("127.0.0.1", self.port),
            trace_packet=self._sent,
        )
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise ConnectFailed(f"127.0.0.1:{self.port}: cannot listen: {error}") from error
        self._server = server
        self.port = server.transport.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close every connection and stop listening; safe to call twice."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # ---- faults -----------------------------------------------------------------------------

    def fail(self, fault: Fault, *, unit: int = 1, amount: float = 0.0) -> None:
        """Let a device misbehave until `repair`.

        Args:
            fault: 'exception' answers every request with exception code `amount` (4 by default);
                'silence' answers none; 'slow' answers each `amount` seconds late (1 by default).
            unit: which device.
            amount: see `fault`.

        Raises:
            ConfigError: no such device or fault.
        """
        defaults: dict[str, float] = {"exception": 4, "silence": 0, "slow": 1.0}
        if unit not in self._devices or fault not in defaults:
            raise ConfigError(f"there is no unit {unit}, or no fault '{fault}'")
        device = self._devices[unit]
        device.fault, device.amount = fault, amount or defaults[fault]

    def repair(self) -> None:
        """End all faults."""
        for device in self._devices.values():
            device.fault = None

    # ---- for the configuration --------------------------------------------------------------

    def config(self) -> dict[str, Any]:
        """The block `modbus` of an `integrations.yaml` that reads every register."""
        return {
            "connection": {"type": "tcp", "host": "127.0.0.1", "port": self.port},
            "devices": [
                {"slave_id": unit, "name": device.plant.name, "registers": _map_of(device)}
                for unit, device in self._devices.items()
            ],
        }

    def as_yaml(self) -> str:
        """The same as text."""
        return yaml.safe_dump({"modbus": self.config()}, sort_keys=False)

    # ---- what pymodbus calls ----------------------------------------------------------------

    def _served(self, unit: int, device: _Device) -> Any:
        from pymodbus.simulator import DataType as Kind
        from pymodbus.simulator import SimData, SimDevice

        def bits() -> list[Any]:
            return [SimData(0, values=[False] * 16, datatype=Kind.BITS)]

        def registers() -> list[Any]:
            return [SimData(0, count=device.size, values=0, datatype=Kind.REGISTERS)]

        return SimDevice(unit, (bits(), bits(), registers(), registers()), action=device.act)

    def _sent(self, sending: bool, data: bytes) -> bytes:  # noqa: FBT001 (pymodbus' signature)
        """Swallow the answers of a silent device."""
        device = self._devices.get(data[_UNIT_BYTE]) if len(data) > _UNIT_BYTE else None
        silent = device is not None and device.fault == "silence"
        return b"" if sending and silent else data


def _map_of(device: _Device) -> list[Mapping[str, Any]]:
    signals = device.plant.signals()
    registers: list[Mapping[str, Any]] = [
        {
            "name": point.name,
            "address": point.reference,
            "type": "holding",
            "format": point.data_type,
            **({"byte_order": "ABCD"} if point.form.registers > 1 else {}),
            "scale": point.scale,
            "unit": signals[point.tag].unit,
            "description": f"{point.tag}: {signals[point.tag].description}",
        }
        for point in POINTS
    ]
    first = _FIRST_REFERENCE + _FIRST_COUNTER
    counters = (
        {"name": f"counter{i + 1}", "address": first + 2 * i, "format": "uint32"}
        for i in range(device.counters)
    )
    return [*registers, *counters]
