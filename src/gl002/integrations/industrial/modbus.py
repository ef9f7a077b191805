"""Modbus over TCP, TLS and serial lines: coils, discrete inputs, holding and input registers.

    from gl002.integrations.industrial import ModbusConnector

    modbus = ModbusConnector({"host": "192.168.1.50", "port": 502, "slave_id": 1})
    values = modbus.read_holding_registers(address=1000, count=10, data_type="float32")
    modbus.write_register(address=3000, value=1234)
    data = modbus.read_mapped_values({"steam_flow": {"address": 1000, "type": "float32"}})

`count` counts values, not registers. Which number means which register:
`gl002.wire.modbus_address`. Which bytes make which value: `gl002.wire.modbus`.
"""

from __future__ import annotations

import time
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from functools import cached_property
from typing import Any, ClassVar, TypeVar

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings
from gl002.connector import (
    Capability,
    Connector,
    Found,
    Health,
    Instance,
    State,
    check_several,
)
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, RequestFailed, RequestTimeout, TagNotFound
from gl002.model import Quality, Sample, Value
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.transport.modbus import budget, requests, session, shapes
from gl002.transport.modbus.calls import ModbusCalls
from gl002.transport.modbus.devices import DeviceSettings
from gl002.transport.modbus.line import Exchange, Line
from gl002.transport.modbus.poll import ModbusSource, Polled
from gl002.transport.modbus.reader import Ask, Reader, bad, read_all
from gl002.transport.modbus.registers import Owned, Registers, by_device, found, renamed, tag_of
from gl002.transport.modbus.settings import ModbusConfig, ModbusInput
from gl002.wire import modbus_pdu as pdu
from gl002.wire.modbus_address import Table
from gl002.wire.modbus_plan import Learned, Register

R = TypeVar("R")


class AsyncModbusConnector(ModbusCalls, Connector[ModbusConfig]):
    """One line to one or more Modbus devices.

    Requests may overlap; on the line they follow each other, writes ahead of the reads that wait.
    After a time-out, and after a reply that does not belong to its request, the connection is
    closed and the next request opens a new one. Reading and writing by number: `ModbusCalls`.
    """

    kind = "modbus"
    can = Capability.READ | Capability.WRITE | Capability.STREAM | Capability.BROWSE
    Config = ModbusConfig
    Input = ModbusInput
    environment: ClassVar = {"GL002_MODBUS_HOST": "host"}
    list_of_instances: ClassVar = "devices"

    def __init__(
        self,
        config: ModbusConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._registers = Registers(self.config.devices)
        self._learned: dict[int, Learned] = {}

    @classmethod
    def instances(cls, block: Mapping[str, Any]) -> list[Instance]:
        """As the base, and a connection 'modbus.<device>' for devices with hosts of their own."""
        return shapes.instances(cls.kind, block) or super().instances(block)

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'modbus://host:502/1', 'modbus+rtu:///dev/ttyUSB0?baudrate=19200': see `shapes`."""
        return shapes.settings_of(url)

    # ---- the line ---------------------------------------------------------------------------

    @cached_property
    def _line(self) -> Line:
        return Line(self.config.connection, self._link_lost, self._may_read)

    def endpoints(self) -> Iterable[Endpoint]:
        """The configured host; none for a serial port."""
        return () if self._line.endpoint is None else (self._line.endpoint,)

    def _is_up(self) -> bool:
        return super()._is_up() and self._line.usable

    def _load(self) -> None:
        session.load_driver(serial=self.config.connection.serial)

    async def _open(self) -> None:
        await self._line.open(self.context.network, self._timeout)

    async def _shut(self) -> None:
        await self._line.shut()

    def _link_lost(self, reason: str) -> None:
        """The other side ended the connection between two requests; the next one reconnects."""
        if self._state is State.UP:
            self._becomes(State.RETRYING, f"{self._line}: {reason}")

    async def _request(self, request: Callable[[], Awaitable[R]], what: str, **limit: bool) -> R:
        """As the base, in one's turn: each request has the whole time-out once it is sent."""
        known = request if isinstance(request, Exchange) else None
        unit = known.unit if known else self.config.devices[0].slave_id
        await self._line.acquire(urgent=known is not None and known.writes)
        try:
            await self.connect()  # the request before may have lost the session
            await self._line.settle(unit, self._timeout)
            if known and (probe := self._line.probe(unit, known.request)):
                await self._settle_by(Exchange(self._line, unit, probe), what)
            return await super()._request(request, what, **limit)
        finally:
            self._line.release()

    async def _settle_by(self, probe: Exchange, what: str) -> None:
        """Find out by another request which replies are late; that it is refused does no harm."""
        try:
            await super()._request(probe, what)
        except (ConnectFailed, RequestTimeout) as error:
            error.maybe_done = False  # what was to be written was not sent
            raise
        except RequestFailed as error:
            self.log.debug("%s", error)
        await self.connect()

    def _may_read(self, unit: int, table: Table, start: int, count: int) -> bool:
        """Whether registers that nobody wants may be read."""
        device = requests.device_of(self.config.devices, unit)
        walls = device.walls.get(table, ())
        return device.gap > 0 and not any(
            start < wall.stop and wall.start < start + count for wall in walls
        )

    async def _lost(self, why: GL002Error, session: int | None = None) -> None:
        """As the base; but a silent device among several is no lost line: it opens anew, unsaid."""
        others = len(self.config.devices) > len(self._line.silent)
        if isinstance(why, RequestTimeout) and others:
            await self._line.shut()
        else:
            await super()._lost(why, session)

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        return self._line.translated(error, f"{self.name}: {what}", self._timeout)

    async def _ask(self, unit: int, request: bytes, what: str) -> bytes:
        """A request that may be repeated; the data of its reply."""
        exchange = Exchange(self._line, unit, request)
        return await self._call(exchange, what=f"unit {unit}: {what}")

    async def _ask_once(self, unit: int, request: bytes, what: str) -> bytes:
        """A request of a poll: the next cycle is its repetition."""
        exchange = Exchange(self._line, unit, request)
        return await self._request(exchange, f"unit {unit}: {what}")

    # ---- calls of the guide -----------------------------------------------------------------

    async def read_mapped_values(
        self, register_map: Mapping[str, Mapping[str, Any]], *, slave_id: int | None = None
    ) -> dict[str, Value]:
        """Read registers described by a map, with as few requests as possible.

        Args:
            register_map: name -> the keys of a register in the configuration, where `type` may
                also be the data type: {'address': 1000, 'type': 'float32', 'scale': 0.1}.
            slave_id: the device; may be left out where the connection has only one.

        Returns:
            Name -> value in the order of the map; None for a register the device refuses.

        Raises:
            ConfigError: the map is wrong.
            ConnectFailed, RequestTimeout: the device did not answer.
        """
        device = self._device(slave_id)
        entries = (requests.mapped(name, entry) for name, entry in register_map.items())
        registers = [entry.register(device) for entry in entries]
        batch, error = await self._reader(device, registers, self._ask).read()
        if error is not None:
            raise error
        values = {sample.tag: sample.value for sample in batch}
        return {name: values[name] for name in register_map}

    # ---- what the flow asks -----------------------------------------------------------------

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Read registers by name: 'Boiler1.steam_flow', 'steam_flow', '40001', 'Boiler1.40001'.

        Samples in the order of `tags`, in the register's unit, of the moment the reply came. A
        name that is not configured and a register the device refuses are bad samples.

        Raises:
            ConnectFailed, RequestTimeout: no device answered.
        """
        check_several(tags)
        known = {tag: owned for tag in tags if (owned := self._registers.find(tag)) is not None}
        for tag in (tag for tag in tags if tag not in known):
            hint = self._registers.near(tag) or "a number such as 40001, or a configured name"
            self._say_once(f"there is no register '{tag}'", hint)
        wanted = [Owned(d, renamed(r, tag)) for tag, (d, r) in known.items()]
        readers = [self._reader(d, registers, self._ask) for d, registers in by_device(wanted)]
        samples = {s.tag: s for s in bad(tags, Quality.BAD_NODE_ID_UNKNOWN)}
        samples |= await read_all(readers)
        for owned in wanted:
            if owned.register.tag not in self.context.tags:
                self.context.tags.declare(tag_of(owned, self.name))
        return [samples[tag] for tag in tags]

    async def write(self, tag: str, value: Value) -> None:
        """Write one value, in the register's unit, to a coil or holding register. Audited.

        A bit field is changed with function code 22, so that its neighbours keep their values.

        Raises:
            TagNotFound: no such name. Unsupported: an input cannot be written.
            DataError, RequestTimeout, RequestFailed: as `write_register`.
        """
        if (owned := self._registers.find(tag)) is None:
            hint = self._registers.near(tag)
            raise TagNotFound(f"{self.name} has no register '{tag}'", hint=hint)
        write = requests.write_to(owned.register, value)
        await self._write(owned.device, write, value, name=f"{tag}, ")

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """The configured registers whose name begins with `address`: Modbus knows no others."""
        for owned in self._registers:
            if owned.register.tag.startswith(address):
                yield found(owned)

    def source(self, spec: InputSettings) -> ModbusSource:
        """Poll every device at its `polling_interval`.

        Raises:
            ConfigError: a name that is not configured, or nothing to read.
        """
        assert isinstance(spec, ModbusInput)
        selected = self._registers.selected(spec, self.name)
        devices = [
            Polled(
                reader,
                device.interval,
                timeout=self._timeout,
                rest=0.0 if self.config.connection.numbered else self._timeout,
                disturbed=lambda: self._line.disturbed,
            )
            for device, reader in self._polled(selected)
        ]
        return ModbusSource(self.name, devices, [tag_of(owned, self.name) for owned in selected])

    def _polled(self, selected: Iterable[Owned]) -> Iterator[tuple[DeviceSettings, Reader]]:
        for device, registers in by_device(selected):
            yield device, self._reader(device, registers, self._ask_once)

    def warnings(self, inputs: Sequence[InputSettings]) -> Sequence[str]:
        """Whether the serial line has the time that the intervals ask for."""
        line = self.config.connection
        if not line.has_known_speed:
            return ()
        asked = [
            share
            for spec in inputs
            if isinstance(spec, ModbusInput)
            for share in budget.shares(
                line, self._polled(self._registers.selected(spec, self.name))
            )
        ]
        return list(budget.warnings(line, asked))

    async def check(self) -> Health:
        """Ask each device for one register; a refusal also is an answer. Fails where none comes.

        Of several devices on a line each is asked once only: the silent ones are in the notes.
        """
        start = time.perf_counter()
        ask = self._ask if len(self.config.devices) == 1 else self._ask_once
        said, silent = [], []
        for device in self.config.devices:
            place = self._registers.first_of(device)
            request = pdu.read(place.table, place.address, 1)
            try:
                await ask(device.slave_id, request, f"check {place}")
                said.append(f"unit {device.slave_id} answers")
            except session.DeviceSilent as error:
                silent.append(str(error))
            except RequestFailed as error:
                said.append(f"unit {device.slave_id} answers ({place}: {error.__cause__ or error})")
            except GL002Error as error:
                silent.append(str(error))
        took = (time.perf_counter() - start) / len(self.config.devices)
        if not said:
            return Health(ok=False, detail=silent[0], latency=took, notes=tuple(silent[1:]))
        return Health(ok=True, detail=", ".join(said), latency=took, notes=tuple(silent))

    # ---- common -----------------------------------------------------------------------------

    def _reader(self, device: DeviceSettings, registers: Sequence[Register], ask: Ask) -> Reader:
        learned = self._learned.setdefault(device.slave_id, Learned(device.walls))
        return Reader(ask, device.slave_id, registers, device.limits, learned)

    def _device(self, slave_id: int | None) -> DeviceSettings:
        return requests.device_of(self.config.devices, slave_id)

    async def _write(
        self, device: DeviceSettings, write: requests.Write, value: object, *, name: str = ""
    ) -> bytes:
        exchange = Exchange(self._line, device.slave_id, write.request)
        address = f"{name}unit {device.slave_id} {write.place}"
        return await self._write_to_plant(exchange, address=address, value=value)


class ModbusConnector(Blocking[AsyncModbusConnector]):
    """The blocking face of `AsyncModbusConnector`: same calls, without `await`."""

    def __init__(
        self,
        config: ModbusConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncModbusConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncModbusConnector.connect)
    close = blocking(AsyncModbusConnector.close)
    check = blocking(AsyncModbusConnector.check)
    set_timeout = plain(AsyncModbusConnector.set_timeout)
    try_at_once = plain(AsyncModbusConnector.try_at_once)
    read = blocking(AsyncModbusConnector.read)
    write = blocking(AsyncModbusConnector.write)
    browse = iterating(AsyncModbusConnector.browse)

    read_holding_registers = blocking(AsyncModbusConnector.read_holding_registers)
    read_input_registers = blocking(AsyncModbusConnector.read_input_registers)
    read_coils = blocking(AsyncModbusConnector.read_coils)
    read_discrete_inputs = blocking(AsyncModbusConnector.read_discrete_inputs)
    read_mapped_values = blocking(AsyncModbusConnector.read_mapped_values)
    write_register = blocking(AsyncModbusConnector.write_register)
    write_registers = blocking(AsyncModbusConnector.write_registers)
    write_coil = blocking(AsyncModbusConnector.write_coil)
    write_coils = blocking(AsyncModbusConnector.write_coils)
    mask_write_register = blocking(AsyncModbusConnector.mask_write_register)
    read_write_registers = blocking(AsyncModbusConnector.read_write_registers)
