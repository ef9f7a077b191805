"""BACnet/IP devices: discover, read, stream, write, browse, trend logs.

    from gl002.integrations.industrial import BACnetConnector

    bacnet = BACnetConnector({"address": "192.168.1.60", "device_id": 1001, "name": "boiler1"})
    await bacnet.connect()
    pressure = await bacnet.read_value("boiler1.analog-input,1")
    await bacnet.write_value("boiler1.analog-value,3", 485.0, priority=14)
    await bacnet.relinquish("boiler1.analog-value,3", priority=14)
    devices = await bacnet.discover()

A value is given by its configured name, or by device, object and property:
'boiler1.analog-input,1', 'boiler1.AI1.high-limit'. A device without a name is 'device<number>'.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings
from gl002.config.problems import near
from gl002.connector import Capability, Connector, Found, check_several
from gl002.context import Context
from gl002.errors import (
    ConnectFailed,
    DataError,
    GL002Error,
    RequestTimeout,
    TagNotFound,
)
from gl002.model import Batch, Quality, Sample, Value, now_ns
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.session import before_sending
from gl002.transport.bacnet import settings, stack
from gl002.transport.bacnet.browsing import described, found_device, found_unknown
from gl002.transport.bacnet.device import Device
from gl002.transport.bacnet.failures import explained
from gl002.transport.bacnet.points import (
    Point,
    Points,
    by_device,
    flags_in,
    read_points,
    units_of,
)
from gl002.transport.bacnet.session import Session
from gl002.transport.bacnet.settings import BacnetConfig, BacnetInput, checked_priority
from gl002.transport.bacnet.source import BacnetSource, Sessions
from gl002.transport.bacnet.station import Refusal
from gl002.transport.bacnet.trends import log_of, recorded
from gl002.wire.bacnet import NULL, Datum
from gl002.wire.bacnet_services import PRESENT_VALUE, STATUS_FLAGS, WRITE

_SHARE = 0.95  # of the time-out for the driver's own timers: they shall end first
_SEARCH = 3.0  # seconds for devices to answer a search


class BACnetConnector(Connector[BacnetConfig]):
    """The BACnet/IP devices that are reached through one socket.

    One request at a time to each device, and any number to different ones. A device that does not
    answer leaves the others alone; when none answers, the socket is opened anew.
    """

    kind = "bacnet"
    can = (
        Capability.READ
        | Capability.WRITE
        | Capability.STREAM
        | Capability.HISTORY
        | Capability.BROWSE
    )
    relinquishes = True
    Config = BacnetConfig
    Input = BacnetInput
    environment: ClassVar = {"GL002_BACNET_ADDRESS": "address"}

    def __init__(
        self,
        config: BacnetConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        if (subnet := self.config.subnet) is not None:
            self.context.network.name_subnet(subnet)
        self._session: Session | None = None
        self._devices = [Device(d, self._exchange) for d in self.config.every_device]
        self._points = Points(self._devices)

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'bacnet://host', 'bacnet://host:47808/1001', 'bacnet://10.20.0.0/24' to search."""
        return settings.settings_of(url)

    # ---- life -------------------------------------------------------------------------------

    def endpoints(self) -> Iterable[Endpoint]:
        """The addresses of devices, routers and the BBMD."""
        given = [self.config.endpoint_of(device) for device in self.config.every_device]
        if self.config.address:
            given.append(self.config.endpoint)
        if self.config.bbmd is not None:
            given.append(self.config.bbmd.endpoint)
        return list(dict.fromkeys(endpoint for endpoint in given if endpoint is not None))

    def _load(self) -> None:
        stack.load_driver()

    async def _open(self) -> None:
        session = await Session.open(
            self.config, self.context.network, name=self.name, timeout=self._timeout
        )
        self._session = session
        if self._devices:
            await session.first_answer(self._devices, within=self._timeout * _SHARE)

    async def _shut(self) -> None:
        session, self._session = self._session, None
        for device in self._devices:
            device.start_afresh()
        if session is not None:
            await session.close()

    async def _lost(self, why: GL002Error, session: int | None = None) -> None:
        """One device that does not answer is no lost session, as long as another one does."""
        if isinstance(why, RequestTimeout) and not all(d.silent for d in self._devices):
            return
        await super()._lost(why, session)

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        if not isinstance(error, TimeoutError):
            return None
        where = ", ".join(str(endpoint) for endpoint in self.endpoints()) or self.config.discover
        return RequestTimeout(
            f"{self.name}: {what}: {where}: no answer within {self._timeout:g} s",
            hint="is it on, in this subnet, and does a firewall let UDP through?",
        )

    async def _current(self) -> Session:
        """The open session, opened if need be."""
        await self.connect()
        if self._session is None:
            raise ConnectFailed(f"{self.name}: the session has just ended")
        return self._session

    async def _ping(self) -> str:
        session = await self._current()
        if not self._devices:
            found = await session.search(wait=min(_SEARCH, self._timeout * _SHARE))
            return f"{len(found)} devices answer"
        asked = await asyncio.gather(*(d.greet() for d in self._devices), return_exceptions=True)
        phrases = [answer for answer in asked if isinstance(answer, str)]
        if not phrases:
            raise RequestTimeout(f"{self.name}: no device answers")
        silent = len(asked) - len(phrases)
        return ", ".join(phrases) + (f"; {silent} silent" if silent else "")

    # ---- requests ---------------------------------------------------------------------------

    async def _exchange(
        self, device: Device, service: int, data: bytes, what: str
    ) -> bytes | Refusal:
        """A request in the device's turn, its time limited."""
        async with device.turn:
            request = partial(self._say, device, service, data)
            return await self._call(
                request, what=f"{device.label}: {what}", repeatable=service != WRITE
            )

    async def _say(self, device: Device, service: int, data: bytes) -> bytes | Refusal:
        with before_sending():
            if self._session is None:
                raise ConnectionResetError("closed meanwhile")
        within = self._timeout * _SHARE
        return await self._session.say(device, service, data, within=within)

    # ---- reading ----------------------------------------------------------------------------

    async def read_value(self, name: str) -> Value:
        """The current value of one object or property; None where its quality is bad.

        Raises:
            TagNotFound: no such name, object or property.
            ConnectFailed, RequestTimeout: the device does not answer.
        """
        point = self._point(name)
        flags = point.ask._replace(property=STATUS_FLAGS)
        answer, status = await point.device.read([point.ask, flags])
        if isinstance(answer, Refusal):
            raise explained(answer, f"{self.name}: {name}")
        point.value_of(answer)  # a list or a structure is an error here
        return point.sample(answer, flags_in(status), now_ns()).value

    async def read_values(self, names: Sequence[str]) -> list[Value]:
        """The current values in the order of `names`; None where one is bad or does not exist."""
        return [sample.value for sample in await self.read(names)]

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Current samples in the order of `tags`; one that cannot be read is a bad sample.

        Raises:
            ConnectFailed, RequestTimeout: no device answers.
        """
        check_several(tags)
        points = {tag: p._replace(tag=tag) for tag in tags if (p := self._points.find(tag))}
        for tag in (tag for tag in tags if tag not in points):
            self._say_once(f"there is no object '{tag}'", self._points.near(tag))
        now = now_ns()
        samples = {tag: Sample(tag, None, now, int(Quality.BAD_NODE_ID_UNKNOWN)) for tag in tags}
        groups = by_device(points.values())
        readings = await asyncio.gather(*(self._read(*group) for group in groups))
        for found, _ in readings:
            samples |= {sample.tag: sample for sample in found}
        errors = [error for _, error in readings if error is not None]
        if errors and len(errors) == len(groups):
            raise errors[0]
        return [samples[tag] for tag in tags]

    async def _read(
        self, device: Device, points: Sequence[Point]
    ) -> tuple[list[Sample], GL002Error | None]:
        """A sample of each point, and why they are all bad where the device does not answer."""
        try:
            await self._declare(device, points)
            return await read_points(device, points), None
        except GL002Error as error:
            now, bad = now_ns(), int(Quality.BAD_NO_COMMUNICATION)
            return [Sample(point.tag, None, now, bad) for point in points], error

    async def _declare(self, device: Device, points: Sequence[Point]) -> None:
        """Note in the tag table what is met for the first time."""
        new = [point for point in points if point.tag not in self.context.tags]
        units = await units_of(device, new) if new else {}
        for point in new:
            self.context.tags.declare(point.as_tag(self.name, units.get(point.tag, "")))

    def _point(self, name: str) -> Point:
        if (point := self._points.find(name)) is None:
            hint = self._points.near(name)
            raise TagNotFound(f"{self.name} has no object '{name}'", hint=hint)
        return point

    # ---- writing ----------------------------------------------------------------------------

    async def write_value(self, name: str, value: Value, *, priority: int | None = None) -> None:
        """Write one property in its own data type; audited, and never repeated by itself.

        Args:
            name: configured name (its scaling is undone) or address.
            value: must fit the type exactly; None relinquishes.
            priority: 9 to 16, for what can be commanded; `write_priority` where absent.

        Raises:
            ValueError: priority 1 to 8, which belong to safety and to people; nothing was sent.
            DataError: the value does not fit; nothing was sent, or the device said so.
            TagNotFound: there is no such object.
            RequestTimeout, ConnectFailed: no answer; `maybe_done` says whether it was sent.
            RequestFailed: the device refused, and why.
        """
        level = checked_priority(self.config.write_priority if priority is None else priority)
        request = partial(self._write_now, name, value, level)
        shown = "relinquish" if value is None else value
        await self._write_to_plant(request, address=f"{name} at {level}", value=shown)

    async def relinquish(self, name: str, *, priority: int | None = None) -> None:
        """Take back what was commanded at a priority; the next lower one holds then. Audited."""
        await self.write_value(name, None, priority=priority)

    async def write(self, tag: str, value: Value) -> None:
        """The same as `write_value`, for those who write whatever the connector."""
        await self.write_value(tag, value)

    async def _write_now(self, name: str, value: Value, priority: int) -> None:
        point = self._point(name)
        commanded = point.ask.property == PRESENT_VALUE
        if value is None:
            if not commanded:
                raise DataError(f"{self.name}: {name}: only a present value can be relinquished")
            datum = Datum(NULL, None)
        else:
            with before_sending():
                datum = point.datum(value, await point.device.type_of(point.ask, name))
        await point.device.write(point.ask, datum, priority if commanded else None, name)

    # ---- looking around ---------------------------------------------------------------------

    async def discover(
        self, low: int | None = None, high: int | None = None, *, seconds: float = _SEARCH
    ) -> list[Found]:
        """Devices that answer Who-Is: all, or those with a number from `low` to `high`.

        They are asked by broadcast where `discover` or `bbmd` is configured, and at `address`.
        """
        session = await self._current()
        found = await session.search(low, high, wait=seconds)
        return [found_unknown(heard) for heard in sorted(found, key=lambda h: h.who.device)]

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """The devices, and from the second level on their objects; below a device its objects.

        Without configured devices: those that answer a search.

        Raises:
            TagNotFound: `address` is no device.
        """
        if not self._devices:
            for found in await self.discover():
                yield found
            return
        below = f"{address.rstrip('.')}." if address else ""
        devices = [d for d in self._devices if f"{d.label}.".startswith(below)]
        if not devices and self._points.find(address) is None:
            hint = near(address, (d.label for d in self._devices))
            raise TagNotFound(f"{self.name} has no device '{address}'", hint=hint)
        for device in devices:
            profile = await device.learn()
            if not address:
                yield found_device(device, profile)
            if address or depth > 1:
                async for found in described(device):
                    yield found

    async def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """What the devices' trend logs recorded with start <= time < end, oldest first per tag.

        Raises:
            TagNotFound: no such name, or no trend log records it.
            Unsupported: the device cannot give a part of a log (ReadRange).
        """
        zone = ZoneInfo(self.config.time_zone) if self.config.time_zone else None
        for tag in dict.fromkeys(tags):
            point = self._point(tag)._replace(tag=tag)
            log = await log_of(point.device, point)
            async for batch in recorded(self._exchange, point, log, (start, end), zone):
                yield batch

    # ---- streaming --------------------------------------------------------------------------

    def source(self, spec: InputSettings) -> BacnetSource:
        """One entry of `data_flow.input` as a stream.

        Raises:
            ConfigError: a name that is not configured, or nothing to read.
        """
        assert isinstance(spec, BacnetInput)
        return BacnetSource(
            Sessions(
                name=self.name,
                tags=self.context.tags,
                current=self._current,
                stands=lambda session: session is self._session,
                exchange=self._exchange,
                in_use=self._in_use,
            ),
            self._points.selected(spec, self.name),
        )


class SyncBACnetConnector(Blocking[BACnetConnector]):
    """The blocking face of `BACnetConnector`: same calls, without `await`."""

    def __init__(
        self,
        config: BacnetConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(BACnetConnector(config, name=name, pool=pool, context=context))

    connect = blocking(BACnetConnector.connect)
    close = blocking(BACnetConnector.close)
    check = blocking(BACnetConnector.check)
    set_timeout = plain(BACnetConnector.set_timeout)
    try_at_once = plain(BACnetConnector.try_at_once)
    read = blocking(BACnetConnector.read)
    read_value = blocking(BACnetConnector.read_value)
    read_values = blocking(BACnetConnector.read_values)
    write = blocking(BACnetConnector.write)
    write_value = blocking(BACnetConnector.write_value)
    relinquish = blocking(BACnetConnector.relinquish)
    discover = blocking(BACnetConnector.discover)
    browse = iterating(BACnetConnector.browse)
    history = iterating(BACnetConnector.history)
