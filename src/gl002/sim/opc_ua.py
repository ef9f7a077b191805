"""Simulated boilers as an OPC UA server: instruments, the guide's names, and counters to count.

    plant = Plant("boiler1")
    async with OPCUASimulator([plant]) as simulator:
        print(simulator.url)             # opc.tcp://127.0.0.1:...
        plant.step(1.0)                  # nodes follow the plant by themselves

The server is asyncua's. Namespace 2 is 'urn:gl002:sim'. Instruments of the first plant are
'ns=2;s=FT101.PV', those of further ones 'ns=2;s=boiler2.FT101.PV'; the names of the guide are
'ns=2;s=Boiler1.SteamFlow' and so on. Setpoints may be written and move the plant. Each instrument
has a switch 'ns=2;s=FT101.Fault' that takes the name of a fault, '' for none. It listens on
127.0.0.1 only, without security: what is simulated is no secret.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple, Self

from gl002.errors import ConfigError, ConnectFailed, DataError, require
from gl002.model import Quality
from gl002.sim.house import House
from gl002.sim.instruments import BREAKABLE
from gl002.sim.plant import Plant, Signal
from gl002.units import to_unece

NAMESPACE: Final = "urn:gl002:sim"

_GUIDE_NAMES: Final = {
    "SteamFlow": "FT101", "Pressure": "PT101", "Temperature": "TT101", "FuelFlow": "FT201",
    "FuelRate": "FT201", "SetPoint": "PIC101.SP",
}  # fmt: skip
_TICK: Final = 0.05  # seconds between two looks at the plants
_MOST_COUNTERS: Final = 10_000


class _Node(NamedTuple):
    """A node that shows a signal of a plant, or of the header."""

    plant: Plant | House
    tag: str
    node_id: Any


class OPCUASimulator:
    """An OPC UA server in front of plants that somebody else lets step.

    Args:
        plants: what to show.
        port: on 127.0.0.1; 0 takes a free one.
        counters: further nodes 'ns=2;s=Counter1' and on, whole numbers that count up together.
        counter_interval: seconds between two counts.
        header: what the plants feed; its meter is the node 'ns=2;s=FT001.PV'.

    Attributes:
        port: where it listens; known after `start`.

    Raises:
        ConfigError: no plant, or too many counters.
    """

    def __init__(
        self,
        plants: Sequence[Plant],
        *,
        port: int = 0,
        counters: int = 0,
        counter_interval: float = 0.1,
        header: House | None = None,
    ) -> None:
        if not plants or not 0 <= counters <= _MOST_COUNTERS:
            raise ConfigError(
                "a simulator needs a plant", hint=f"and up to {_MOST_COUNTERS} counters"
            )
        self.port = port
        self._plants = list(plants)
        self._header = header
        self._counter_count = counters
        self._counter_interval = counter_interval
        self._server: Any = None
        self._task: asyncio.Task[None] | None = None
        self._nodes: list[_Node] = []
        self._efficiencies: list[tuple[Plant, Any]] = []
        self._switches: list[tuple[Plant, str, Any]] = []
        self._counters: list[Any] = []
        self._shown: dict[Any, tuple[object, int]] = {}
        self._times: dict[str, float] = {}
        self._count = 0
        self._own: Any = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"opc.tcp://127.0.0.1:{self.port}"

    # ---- life -------------------------------------------------------------------------------

    async def start(self) -> None:
        """Build the address space and listen.

        Raises:
            ConnectFailed: the port is taken.
            MissingDependency: asyncua is not installed.
        """
        with _kept_free(self.port) as self.port:
            await self._start()

    async def _start(self) -> None:
        require("asyncua", extra="opc_ua")
        from asyncua import Server, ua

        log = logging.getLogger("asyncua")
        if log.level == logging.NOTSET:
            log.setLevel(logging.CRITICAL)
        server = Server()
        await server.init()
        server.set_endpoint(self.url)
        server.set_server_name("gl002 simulated boiler house")
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
        server.allow_remote_admin(False)
        await self._build(server)
        try:
            await server.start()
        except OSError as error:
            raise ConnectFailed(f"127.0.0.1:{self.port}: cannot listen: {error}") from error
        self._server = server
        await self._show_all()
        self._task = asyncio.create_task(self._follow(), name="gl002-sim-opc_ua")

    async def stop(self) -> None:
        """Close every session and stop listening; safe to call twice."""
        task, self._task = self._task, None
        server, self._server = self._server, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        if server is not None:
            await server.stop()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # ---- address space ----------------------------------------------------------------------

    async def _build(self, server: Any) -> None:
        index = await server.register_namespace(NAMESPACE)
        self._nodes, self._efficiencies, self._counters, self._shown = [], [], [], {}
        self._switches = []
        for plant in self._plants:
            await self._add_plant(server, index, plant)
        if self._header is not None:
            await self._add_header(server, index, self._header)
        if self._counter_count:
            folder = await _object(server.nodes.objects, index, "Counters")
            for number in range(1, self._counter_count + 1):
                node = await _variable(folder, index, f"Counter{number}", 0)
                self._counters.append(node.nodeid)

    async def _add_plant(self, server: Any, index: int, plant: Plant) -> None:
        name = plant.name[:1].upper() + plant.name[1:]
        prefix = "" if plant is self._plants[0] else f"{plant.name}."
        boiler = await _object(server.nodes.objects, index, name)
        instruments = await _object(boiler, index, f"{name}.Instruments", "Instruments")
        signals = plant.signals()
        for tag, signal in signals.items():
            suffix = "" if "." in tag else ".PV"
            identifier = f"{prefix}{tag}{suffix}"
            node = await _variable(instruments, index, identifier, 0.0, signal=signal)
            await self._register(server, node, plant, tag, signal)
        for short, tag in _GUIDE_NAMES.items():
            identifier = f"{name}.{short}"
            node = await _variable(boiler, index, identifier, 0.0, name=short, signal=signals[tag])
            await self._register(server, node, plant, tag, signals[tag])
        percent = Signal(0.0, "%", "Efficiency on the higher heating value, as it truly is")
        node = await _variable(
            boiler, index, f"{name}.Efficiency", 0.0, name="Efficiency", signal=percent
        )
        self._efficiencies.append((plant, node.nodeid))
        faults = await _object(boiler, index, f"{name}.Faults", "Faults")
        for tag in BREAKABLE:
            node = await _variable(faults, index, f"{prefix}{tag}.Fault", "")
            self._switches.append((plant, tag, node.nodeid))
            await self._let_write(server, node, self._breaker(plant, tag))

    async def _add_header(self, server: Any, index: int, house: House) -> None:
        header = await _object(server.nodes.objects, index, "Header")
        for tag, signal in house.signals().items():
            node = await _variable(header, index, f"{tag}.PV", 0.0, signal=signal)
            self._nodes.append(_Node(house, tag, node.nodeid))

    async def _register(
        self, server: Any, node: Any, plant: Plant, tag: str, signal: Signal
    ) -> None:
        self._nodes.append(_Node(plant, tag, node.nodeid))
        if signal.writable:
            await self._let_write(server, node, self._setter(plant, tag))

    async def _let_write(self, server: Any, node: Any, setter: Any) -> None:
        from asyncua import ua

        await node.set_writable()
        server.iserver.aspace.set_attribute_value_setter(node.nodeid, ua.AttributeIds.Value, setter)

    def _setter(self, plant: Plant, tag: str) -> Any:
        """What happens when a client writes a setpoint: the plant decides."""

        def written(value: Any) -> None:
            plant.write(tag, float(value))
            self._times.pop(plant.name, None)  # other nodes may show the same setpoint

        return self._deciding(written)

    def _breaker(self, plant: Plant, tag: str) -> Any:
        """What happens when a client writes the name of a fault."""

        def written(value: Any) -> None:
            if value:
                plant.fail(str(value), tag)
            else:
                plant.repair(tag)
            self._times.pop(plant.name, None)

        return self._deciding(written)

    def _deciding(self, written: Callable[[Any], None]) -> Any:
        """Takes what a client writes unless `written` refuses it; our own values always."""
        from asyncua import ua

        def set_value(node: Any, attribute: Any, data: Any) -> None:
            if data is not self._own:
                try:
                    written(data.Value.Value)
                except (ConfigError, DataError):
                    raise ua.UaStatusCodeError(ua.StatusCodes.BadOutOfRange) from None
            node.attributes[attribute].value = data

        return set_value

    # ---- following the plants ---------------------------------------------------------------

    async def _follow(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await asyncio.sleep(min(_TICK, self._counter_interval))
            if any(self._times.get(plant.name) != plant.time for plant in self._plants):
                await self._show_all()
            if self._counters and loop.time() >= due:
                due += self._counter_interval * (1 + (loop.time() - due) // self._counter_interval)
                self._count += 1
                for node_id in self._counters:
                    await self._show(node_id, self._count, int(Quality.GOOD))

    async def _show_all(self) -> None:
        """Write what has changed."""
        self._times = {plant.name: plant.time for plant in self._plants}
        for node_id, value, quality, age in self._current():
            if self._shown.get(node_id) != (value, quality):
                await self._show(node_id, value, quality, age)

    def _current(self) -> Iterator[tuple[Any, float | str, int, float]]:
        for plant, tag, node_id in self._nodes:
            signal = plant.signals()[tag]
            yield node_id, signal.value, signal.quality, signal.age
        for plant, node_id in self._efficiencies:
            yield node_id, plant.truth.efficiency_hhv, int(Quality.GOOD), 0.0
        for plant, tag, node_id in self._switches:
            yield node_id, plant.faults.get(tag, ""), int(Quality.GOOD), 0.0

    async def _show(
        self, node_id: Any, value: float | str, quality: int, age: float = 0.0
    ) -> None:  # fmt: skip
        from asyncua import ua

        kind = _kind(value)
        now = datetime.now(UTC)
        self._own = ua.DataValue(
            ua.Variant(value, kind),
            ua.StatusCode(quality),
            SourceTimestamp=now - timedelta(seconds=age),
            ServerTimestamp=now,
        )
        self._shown[node_id] = (value, quality)
        await self._server.write_attribute_value(node_id, self._own)


async def _object(parent: Any, index: int, identifier: str, name: str = "") -> Any:
    from asyncua import ua

    return await parent.add_object(ua.NodeId(identifier, index), f"{index}:{name or identifier}")


async def _variable(
    parent: Any,
    index: int,
    identifier: str,
    value: float | str,
    *,
    name: str = "",
    signal: Signal | None = None,
) -> Any:
    """A variable with what an instrument tells about itself: unit, range, description."""
    from asyncua import ua

    kind = _kind(value)
    node = await parent.add_variable(
        ua.NodeId(identifier, index), f"{index}:{name or identifier}", value, kind
    )
    if signal is None:
        return node
    await node.write_attribute(
        ua.AttributeIds.Description,
        ua.DataValue(ua.Variant(ua.LocalizedText(signal.description))),
    )
    unit = ua.EUInformation(
        NamespaceUri="http://www.opcfoundation.org/UA/units/un/cefact",
        UnitId=to_unece(signal.unit) or -1,
        DisplayName=ua.LocalizedText(signal.unit),
        Description=ua.LocalizedText(signal.unit),
    )
    await node.add_property(0, "EngineeringUnits", unit)
    if signal.low < signal.high:
        await node.add_property(0, "EURange", ua.Range(signal.low, signal.high))
    return node


def _kind(value: float | str) -> Any:
    from asyncua import ua

    if isinstance(value, str):
        return ua.VariantType.String
    return ua.VariantType.Int64 if isinstance(value, int) else ua.VariantType.Double


@contextmanager
def _kept_free(port: int) -> Iterator[int]:
    """The port to listen on; where none is named, one that nobody else is given meanwhile."""
    if port:
        yield port
        return
    with socket.socket() as held:  # the one that listens may be bound beside it
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])
