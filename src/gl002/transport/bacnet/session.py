"""What is open between `connect` and `close`: the socket, the registration, who is where.

A BACnet connection has no handshake: it is open when a device has answered. Devices without an
address are found by Who-Is; that of one which an I-Am reports is used if the allowlist permits.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, Self

from gl002.errors import ConnectFailed
from gl002.security.network import Network
from gl002.session import before_sending
from gl002.transport.bacnet.device import Device
from gl002.transport.bacnet.failures import GARBLED
from gl002.transport.bacnet.settings import BacnetConfig
from gl002.transport.bacnet.stack import Stack
from gl002.transport.bacnet.station import Refusal, Station
from gl002.wire.bacnet import Malformed
from gl002.wire.bacnet_services import (
    CONFIRMED_COV,
    I_AM,
    UNCONFIRMED_COV,
    WRITE,
    IAm,
    Notification,
    i_am,
    notification,
    who_is,
)

log = logging.getLogger("gl002.bacnet")

_SEARCH = 3.0  # seconds to wait for devices that answer a search
_MOST_HEARD = 10_000  # devices remembered of one search

Listener = Callable[[Station, Notification], None]


class Heard(NamedTuple):
    """A device that said who it is, and where it said so."""

    station: Station
    who: IAm


class Session:
    """An open socket and what was learned through it; made by `open`."""

    def __init__(self, config: BacnetConfig, name: str) -> None:
        self.stack: Stack
        self._config = config
        self._name = name
        self._listeners: dict[int, Listener] = {}
        self._searches: set[asyncio.Queue[Heard]] = set()

    @classmethod
    async def open(
        cls,
        config: BacnetConfig,
        network: Network,
        *,
        name: str,
        timeout: float,  # noqa: ASYNC109 (admit takes it)
    ) -> Self:
        """Bind, and register with the BBMD where there is one.

        Raises:
            ConnectFailed: the port is taken, or the BBMD does not want us.
        """
        session = cls(config, name)
        local = config.local.endpoint
        session.stack = await Stack.open(
            network, local, session._heard, subnet=config.subnet, foreign=config.bbmd is not None
        )
        try:
            if config.bbmd is not None:
                place = await session.stack.admit(config.bbmd.endpoint, timeout=timeout)
                await session.stack.register(place, config.bbmd.ttl, wait=timeout)
        except BaseException:
            await session.close()
            raise
        return session

    async def close(self) -> None:
        """Free the socket; subscriptions end with their lifetime at the latest."""
        await self.stack.close()

    async def say(
        self, device: Device, service: int, data: bytes, *, within: float
    ) -> bytes | Refusal:
        """One request; it is repeated while no answer comes, unless it writes.

        Args:
            device: whom to ask.
            service: its number.
            data: its parameters.
            within: seconds for all repetitions.

        Raises:
            TimeoutError: no answer.
            ConnectFailed, NotAllowed: as `locate`.
        """
        tries = self._config.retry_count + 1
        answered = False
        try:
            if device.station is None:
                with before_sending():
                    device.station = await self.locate(device, wait=within)
            once = 1 if service == WRITE else tries
            answer: bytes | Refusal = await self.stack.request(
                device.station, service, data, tries=once, wait=within / tries
            )
            answered = True
        except Refusal as refusal:
            answered, answer = True, refusal
        except Malformed:
            answered, answer = True, Refusal(GARBLED, 0)
        finally:
            device.silent = not answered
        return answer

    async def first_answer(self, devices: Sequence[Device], *, within: float) -> None:
        """Wait until one of the devices has said what it is.

        Raises:
            GL002Error, TimeoutError: none does; why the first does not.
        """
        knocks = [asyncio.ensure_future(self._knock(device, within)) for device in devices]
        waiting, errors = set(knocks), []
        try:
            while waiting:
                done, waiting = await asyncio.wait(waiting, return_when="FIRST_COMPLETED")
                for knock in done:
                    if (error := knock.exception()) is None:
                        return
                    errors.append(error)
        finally:
            for knock in knocks:
                knock.cancel()
            await asyncio.gather(*knocks, return_exceptions=True)
        raise errors[0]

    async def _knock(self, device: Device, within: float) -> None:
        async def exchange(stranger: Device, service: int, data: bytes, _: str) -> bytes | Refusal:
            return await self.say(stranger, service, data, within=within)

        stranger = Device(device.settings, exchange)
        await stranger.learn()
        device.take_after(stranger)

    # ---- who is where -----------------------------------------------------------------------

    async def locate(self, device: Device, *, wait: float) -> Station:
        """Where a device is.

        Raises:
            ConnectFailed: its address does not resolve, or nobody with its number answers.
            NotAllowed: it may not be talked to.
        """
        endpoint = self._config.endpoint_of(device.settings)
        if endpoint is not None:
            place = await self.stack.admit(endpoint, timeout=wait)
            settings = device.settings
            return Station(place, settings.network, settings.mac_octets)
        number = device.settings.device_id
        found = await self.search(number, number, wait=min(wait / 2, _SEARCH), most=1)
        if not found:
            raise ConnectFailed(
                f"{self._name}: no device {number} answers Who-Is",
                hint="same subnet? a BBMD in between? or give its address",
            )
        return found[0].station

    async def search(
        self, low: int | None = None, high: int | None = None, *, wait: float, most: int = 0
    ) -> list[Heard]:
        """Devices that answer Who-Is within `wait` seconds, each once; 0 for any number of them.

        Raises:
            NotAllowed: there is nobody whom we may ask.
        """
        queue: asyncio.Queue[Heard] = asyncio.Queue(_MOST_HEARD)
        found: dict[int, Heard] = {}
        self._searches.add(queue)
        try:
            await self._ask_everybody(who_is(low, high))
            async with asyncio.timeout(wait):
                while not most or len(found) < most:
                    heard = await queue.get()
                    if low is None or high is None or low <= heard.who.device <= high:
                        found.setdefault(heard.who.device, heard)
        except TimeoutError:
            pass
        finally:
            self._searches.discard(queue)
        return list(found.values())

    async def _ask_everybody(self, data: bytes) -> None:
        if self._config.can_search:
            await self.stack.who_is(data)
        if self._config.address:
            place = await self.stack.admit(self._config.endpoint, timeout=_SEARCH)
            await self.stack.who_is(data, to=Station(place))

    # ---- what others send -------------------------------------------------------------------

    def listen(self, process: int, listener: Listener) -> None:
        """Hand the reports of a subscription to `listener`."""
        self._listeners[process] = listener

    def unlisten(self, process: int) -> None:
        """Stop that."""
        self._listeners.pop(process, None)

    def _heard(self, station: Station, service: int, data: bytes) -> bool:
        try:
            if service == I_AM:
                self._introduced(Heard(station, i_am(data)))
                return True
            if service in {UNCONFIRMED_COV, CONFIRMED_COV}:
                report = notification(data)
                listener = self._listeners.get(report.process)
                if listener is not None:
                    listener(station, report)
                return listener is not None
        except Malformed as error:
            log.debug("%s: %s: %s", self._name, station, error)
        return False

    def _introduced(self, heard: Heard) -> None:
        if not self.stack.reaches(heard.station.place):
            log.debug("%s: device %d at %s is not on the allowlist", self._name, heard.who.device,
                      heard.station)  # fmt: skip
            return
        for queue in self._searches:
            with suppress(asyncio.QueueFull):
                queue.put_nowait(heard)
