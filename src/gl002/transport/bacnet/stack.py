"""One BACnet/IP station on our socket: requests, answers, and what others send by themselves.

bacpypes3 does BACnet/IP (annex J), the network layer, repetition and segments. What the services
carry is `gl002.wire.bacnet_services`: strict, without a driver, and faster (`docs/decisions/0009`).
Whatever a datagram does to the layers in between, it costs at most itself: their errors end here.
"""

from __future__ import annotations

import asyncio
import logging
import random
from typing import Any, Self, TypeAlias

from gl002.errors import ConnectFailed, require
from gl002.security.datagrams import Datagrams, Place
from gl002.security.network import Endpoint, Network, Subnet
from gl002.transport.bacnet.layers import Heard, Layers
from gl002.transport.bacnet.station import Refusal, Station
from gl002.wire.bacnet import Malformed
from gl002.wire.bacnet_services import WHO_IS, error

log = logging.getLogger("gl002.bacnet")

_MOST_UNDER_WAY = 1000  # datagrams being taken apart
_ANNEX_J = b"\x81"
_NO_RESPONSE = 65  # abort reason with which bacpypes3 ends what got no answer
_INVOKE_IDS = 256

Key: TypeAlias = tuple[Station, int]


def load_driver() -> None:
    """Import bacpypes3, which takes a second.

    Raises:
        MissingDependency: it is not installed.
    """
    require("bacpypes3", extra="bacnet")
    import bacpypes3.ipv4.service
    import bacpypes3.netservice  # noqa: F401 (loaded ahead of its use)


class Stack:
    """A station of its own; made by `open`.

    Args:
        heard: told unconfirmed messages and confirmed notifications. Must not raise.
    """

    def __init__(self, heard: Heard) -> None:
        self.heard = heard
        self._datagrams: Datagrams | None = None
        self._layers: Layers | None = None
        self._waiting: dict[Key, asyncio.Future[Any]] = {}
        self._invoke = random.randrange(_INVOKE_IDS)  # noqa: S311 (no secret)
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(
        cls,
        network: Network,
        local: Endpoint,
        heard: Heard,
        *,
        subnet: Subnet | None,
        foreign: bool,
    ) -> Self:
        """Bind the socket and put the layers on it.

        Raises:
            ConnectFailed: the socket cannot be bound.
        """
        stack = cls(heard)
        stack._datagrams = await Datagrams.open(network, local, stack._received, subnet=subnet)
        try:
            stack._layers = Layers(
                stack._datagrams, foreign=foreign, answered=stack._answered, heard=heard
            )
        except BaseException:
            stack._datagrams.close()
            raise
        return stack

    async def admit(self, endpoint: Endpoint, *, timeout: float) -> Place:  # noqa: ASYNC109
        """An endpoint of the configuration as an address that may be talked to.

        Raises:
            NotAllowed, ConnectFailed: as `Datagrams.admit`.
        """
        address = await self._open_socket.admit(endpoint, timeout=timeout)
        return address.ip, address.port

    def reaches(self, place: Place) -> bool:
        """Whether an address that a peer gave may be talked to."""
        return self._open_socket.reaches(place)

    @property
    def _open_socket(self) -> Datagrams:
        if self._datagrams is None:
            raise ConnectionResetError("closed meanwhile")
        return self._datagrams

    @property
    def _open_layers(self) -> Layers:
        if self._layers is None:
            raise ConnectionResetError("closed meanwhile")
        return self._layers

    # ---- requests ---------------------------------------------------------------------------

    async def request(
        self, station: Station, service: int, data: bytes, *, tries: int, wait: float
    ) -> bytes:
        """A confirmed request; the data of its answer, b'' of a plain acknowledgement.

        Args:
            station: whom to ask.
            service: its number.
            data: its parameters.
            tries: how often it is sent while no answer comes; 1 for what must not happen twice.
            wait: seconds for the answer to each.

        Raises:
            Refusal: the device refused.
            TimeoutError: no answer.
            Malformed: an answer that is none.
        """
        layers = self._open_layers
        key = self._free_key(station)
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[key] = answer
        try:
            await layers.ask(station, service, data, key[1], tries=tries, wait=wait)
            async with asyncio.timeout((tries + 1) * wait):  # whatever bacpypes3's timers do
                apdu = await answer
        finally:
            del self._waiting[key]
            layers.forget(*key)
        return _data_of(apdu, service)

    def _free_key(self, station: Station) -> Key:
        for _ in range(_INVOKE_IDS):
            self._invoke = (self._invoke + 1) % _INVOKE_IDS
            if (station, self._invoke) not in self._waiting:
                return station, self._invoke
        raise ConnectFailed(f"{station}: {_INVOKE_IDS} requests are under way already")

    async def who_is(self, data: bytes, *, to: Station | None = None) -> None:
        """Ask who is there: one station, or everybody in the subnet or behind the BBMD."""
        await self._open_layers.tell(WHO_IS, data, to)

    async def register(self, place: Place, seconds: int, *, wait: float) -> None:
        """Register with a BBMD as a foreign device, and keep it so (annex J.5).

        Raises:
            ConnectFailed: it refuses, or does not answer within `wait` seconds.
        """
        where = f"BBMD {place[0]}:{place[1]}"
        try:
            async with asyncio.timeout(wait):
                code = await self._open_layers.register(place, seconds)
        except TimeoutError:
            raise ConnectFailed(
                f"{where}: no answer to the registration within {wait:g} s",
                hint="is it a BBMD, and does it accept foreign devices?",
            ) from None
        if code:
            raise ConnectFailed(
                f"{where}: refuses the registration (result {code:#06x})",
                hint="its table of foreign devices may be full or switched off",
            )

    async def close(self) -> None:
        """End everything under way and free the socket."""
        layers, self._layers = self._layers, None
        datagrams, self._datagrams = self._datagrams, None
        if layers is not None:
            await layers.close()
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(ConnectionResetError("closed meanwhile"))
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if datagrams is not None:
            datagrams.close()
            await asyncio.sleep(0)  # the socket closes in the loop's next round

    # ---- what comes in ----------------------------------------------------------------------

    def _received(self, data: bytes, place: Place) -> None:
        if not data.startswith(_ANNEX_J) or len(self._tasks) >= _MOST_UNDER_WAY:
            return
        task = asyncio.ensure_future(self._take(data, place))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _take(self, data: bytes, place: Place) -> None:
        try:
            if self._layers is not None:
                await self._layers.take(data, place)
        except Exception as trouble:  # noqa: BLE001 (the driver raises anything at wrong bytes)
            log.debug("datagram of %s:%d not understood: %r", *place, trouble)

    def _answered(self, apdu: Any) -> None:
        station = self._open_layers.station(apdu.pduSource)
        waiting = self._waiting.get((station, apdu.apduInvokeID))
        if waiting is not None and not waiting.done():
            waiting.set_result(apdu)


def _data_of(apdu: Any, service: int) -> bytes:
    """The data of an answer, whatever kind it is."""
    kind = type(apdu).__name__
    if kind == "AbortPDU":
        reason = int(apdu.apduAbortRejectReason)
        if reason == _NO_RESPONSE:
            raise TimeoutError
        raise Refusal("abort", reason)
    if kind == "RejectPDU":
        raise Refusal("reject", int(apdu.apduAbortRejectReason))
    if apdu.apduService != service:
        raise Malformed(f"service {apdu.apduService} answers a request for service {service}")
    if kind == "ErrorPDU":
        raise Refusal("error", error(bytes(apdu.pduData)).code)
    return bytes(apdu.pduData) if kind == "ComplexAckPDU" else b""
