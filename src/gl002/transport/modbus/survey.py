"""Looking around on a line: which units answer, which registers they have, what lies in them.

Reads only. Every request is one a master may send; a device that changes something when it is read
should not be surveyed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple, TypeAlias

from gl002.errors import ConnectFailed, RequestFailed, RequestTimeout, Unsupported
from gl002.transport.modbus.calls import ModbusCalls
from gl002.transport.modbus.devices import DeviceSettings
from gl002.transport.modbus.session import DeviceSilent, IllegalAddress, IllegalValue
from gl002.transport.modbus.settings import ConnectionSettings, ModbusConfig
from gl002.wire.modbus_address import Place, Table
from gl002.wire.modbus_pdu import TABLE

_AT_ONCE: dict[Table, int] = {"coil": 256, "discrete": 256, "holding": 64, "input": 64}
Said: TypeAlias = Callable[[str], None]


class Stretch(NamedTuple):
    """Registers or bits in a row that a unit has.

    Attributes:
        unit: the device.
        first: the first of them.
        values: what was in them when they were found.
    """

    unit: int
    first: Place
    values: list[int]

    @property
    def last(self) -> Place:
        """The last of them."""
        return Place(self.first.table, self.first.address + len(self.values) - 1)


class Unit(NamedTuple):
    """A unit that answers: its number, and what it said to the first question."""

    number: int
    said: str


def settings_for(line: ConnectionSettings, units: Iterable[int]) -> ModbusConfig:
    """Settings of a connector that surveys these units: plain addresses, no second tries."""
    once = line.model_copy(update={"retry_count": 0})
    devices = [DeviceSettings(slave_id=unit, address_base=0) for unit in units]
    return ModbusConfig(connection=once, devices=devices)


class Survey:
    """Asks the units of one line.

    Args:
        connector: made with `settings_for`.
        say: told in words how far it is.
        warn: told what a person should know about the result.
    """

    def __init__(
        self, connector: ModbusCalls, say: Said = lambda _: None, warn: Said = lambda _: None
    ) -> None:
        self._say = say
        self._warn = warn
        self._reads: dict[Table, Callable[..., Awaitable[Sequence[object]]]] = {
            "coil": connector.read_coils,
            "discrete": connector.read_discrete_inputs,
            "holding": connector.read_holding_registers,
            "input": connector.read_input_registers,
        }

    async def units(self, numbers: Iterable[int]) -> AsyncIterator[Unit]:
        """Those that answer; a refusal is an answer, too.

        Raises:
            ConnectFailed: the line itself is not there.
        """
        for number in numbers:
            self._say(f"unit {number}")
            try:
                await self._reads["holding"](0, 1, slave_id=number)
            except (RequestTimeout, DeviceSilent):
                continue
            except RequestFailed as error:
                yield Unit(number, _refusal(error))
            else:
                yield Unit(number, "answers")

    async def stretches(self, unit: int, table: Table, span: range) -> list[Stretch]:
        """What a unit has between two addresses, found by halving what it refuses.

        A unit that falls silent on the way is told of; what it said before is kept.
        """
        found: list[Stretch] = []
        step = _AT_ONCE[table]
        for start in range(span.start, min(span.stop, TABLE), step):
            self._say(f"unit {unit}, {table} {start}")
            part = range(start, min(start + step, span.stop, TABLE))
            try:
                found = _joined(found, await self._halved(unit, table, part))
            except Unsupported:
                return []
            except (RequestTimeout, ConnectFailed, DeviceSilent) as error:
                self._warn(f"unit {unit} is not heard from {table} {start} on: {error.args[0]}")
                return found
        return found

    async def _halved(self, unit: int, table: Table, part: range) -> list[Stretch]:
        values = await self._values(unit, table, part)
        if values is not None:
            return [Stretch(unit, Place(table, part.start), values)]
        if len(part) == 1:
            return []
        middle = len(part) // 2
        left = await self._halved(unit, table, part[:middle])
        return _joined(left, await self._halved(unit, table, part[middle:]))

    async def _values(self, unit: int, table: Table, part: range) -> list[int] | None:
        """What lies there; None where the unit says that there is no such register."""
        try:
            values = await self._twice(unit, table, part)
        except (Unsupported, DeviceSilent):
            raise
        except (IllegalAddress, IllegalValue):
            return None
        except RequestFailed as error:
            self._warn(f"unit {unit}, {table} {part.start} to {part[-1]}: {_refusal(error)}")
            return None
        return [int(value) for value in values if isinstance(value, int)]

    async def _twice(self, unit: int, table: Table, part: range) -> Sequence[object]:
        """A unit that has answered before is asked again when a frame was lost."""
        try:
            return await self._reads[table](part.start, len(part), slave_id=unit)
        except (RequestTimeout, ConnectFailed):
            return await self._reads[table](part.start, len(part), slave_id=unit)

    async def readings(self, stretch: Stretch, count: int, every: float) -> list[list[int]]:
        """The same registers, several times, `every` seconds apart."""
        step = _AT_ONCE[stretch.first.table]
        start, end = stretch.first.address, stretch.last.address + 1
        taken = []
        for i in range(count):
            if i:
                await asyncio.sleep(every)
            self._say(f"reading {i + 1} of {count}")
            reading: list[int] = []
            for at in range(start, end, step):
                part = range(at, min(at + step, end))
                reading += await self._values(stretch.unit, stretch.first.table, part) or []
            if len(reading) == len(stretch.values):
                taken.append(reading)
        return taken


def _joined(left: list[Stretch], right: list[Stretch]) -> list[Stretch]:
    """Two lists of stretches in a row; where they touch they are one."""
    if left and right and left[-1].last.address + 1 == right[0].first.address:
        whole = left[-1]._replace(values=left[-1].values + right[0].values)
        return [*left[:-1], whole, *right[1:]]
    return left + right


def _refusal(error: RequestFailed) -> str:
    """The exception it gave, without our own words around it."""
    text = str(error.args[0])
    return text[text.find("exception") :] if "exception" in text else text
