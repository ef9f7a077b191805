"""bacpypes3's layers, joined to our socket below and to our requests above.

From the bottom: the door (ours), the codec of BACnet/IP, the station in it (a plain one, or one
that is registered with a BBMD), the network layer, the transactions. bacpypes3 would go on with an
application that decodes every service into objects; our end is put there instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from gl002.security.datagrams import Datagrams, Place
from gl002.transport.bacnet.station import LONGEST, Station

_SEGMENTS = 64  # of one answer that we accept
_CONFIRMED, _UNCONFIRMED, _COMPLEX_ACK = 0, 1, 3  # types of messages (20.1)
_SEGMENTED = 0x08
_UNRECOGNIZED_SERVICE = 9
_LOOK_AGAIN = 0.02  # seconds between two looks whether the BBMD has answered

Answered = Callable[[Any], None]
Heard = Callable[[Station, int, bytes], bool]


class Layers:
    """A station's layers; needs a running loop.

    Args:
        datagrams: the socket.
        foreign: whether broadcasts go through a BBMD.
        answered: told each answer to a request, as bacpypes3's message.
        heard: told what others send by themselves; whether that is understood.
    """

    def __init__(
        self, datagrams: Datagrams, *, foreign: bool, answered: Answered, heard: Heard
    ) -> None:
        from bacpypes3.appservice import ApplicationServiceAccessPoint
        from bacpypes3.basetypes import Segmentation
        from bacpypes3.comm import Server, bind
        from bacpypes3.ipv4.bvll import BVLLCodec
        from bacpypes3.ipv4.service import BIPForeign, BIPNormal
        from bacpypes3.netservice import NetworkServiceAccessPoint, NetworkServiceElement
        from bacpypes3.settings import settings

        settings.route_aware = True  # a station behind a router is addressed through that router
        self._datagrams = datagrams
        self._answer, self._hear = answered, heard
        self._door = Server()
        self._door.indication = self._out
        self._link = BIPForeign() if foreign else BIPNormal()
        self._transactions = ApplicationServiceAccessPoint(None, self)
        self._transactions.segmentationSupported = Segmentation.segmentedReceive
        self._transactions.maxSegmentsAccepted = _SEGMENTS
        self._transactions.maxApduLengthAccepted = LONGEST
        self._up = self._transactions.confirmation
        self._transactions.confirmation = self._message
        self._transactions.sap_response = self._response
        network = NetworkServiceAccessPoint()
        bind(NetworkServiceElement(), network)
        bind(self._transactions, network)
        bind(self._link, BVLLCodec(), self._door)
        network.bind(self._link)

    async def get_device_info(self, _: Any) -> None:
        """What bacpypes3 may know of a device: nothing; our requests are short enough for it."""
        return

    # ---- addresses --------------------------------------------------------------------------

    def address(self, station: Station) -> Any:
        """A station as bacpypes3 writes it."""
        from bacpypes3.pdu import RemoteStation

        place = _address(station.place)
        if station.network is None:
            return place
        return RemoteStation(station.network, station.mac, route=place)

    def station(self, address: Any) -> Station:
        """A sender as we write it."""
        if address.addrNet is None:
            return Station(_place(address))
        return Station(_place(address.addrRoute), address.addrNet, bytes(address.addrAddr))

    # ---- down -------------------------------------------------------------------------------

    async def ask(
        self, station: Station, service: int, data: bytes, invoke: int, *, tries: int, wait: float
    ) -> None:
        """Send a confirmed request, and again while no answer comes."""
        from bacpypes3.apdu import ConfirmedRequestPDU

        transactions = self._transactions
        transactions.numberOfApduRetries = tries - 1
        transactions.apduTimeout = transactions.segmentTimeout = int(wait * 1000)
        address = self.address(station)
        await transactions.sap_indication(
            ConfirmedRequestPDU(service, invoke, data, destination=address)
        )

    async def tell(self, service: int, data: bytes, to: Station | None) -> None:
        """Send a message that wants no answer: to everybody, or to whoever is behind one."""
        from bacpypes3.apdu import UnconfirmedRequestPDU
        from bacpypes3.pdu import GlobalBroadcast

        # a BBMD hands it on to its subnets, a router to the networks behind it
        address = GlobalBroadcast(route=None if to is None else self.address(to))
        await self._transactions.request(UnconfirmedRequestPDU(service, data, destination=address))

    async def _out(self, pdu: Any) -> None:
        """What leaves the lowest layer."""
        address = pdu.pduDestination
        if address.addrType == address.localBroadcastAddr:
            self._datagrams.broadcast(bytes(pdu.pduData))
        else:
            self._datagrams.send(bytes(pdu.pduData), _place(address))

    # ---- up ---------------------------------------------------------------------------------

    async def take(self, data: bytes, place: Place) -> None:
        """A datagram from an admitted sender; raises anything if it is wrong."""
        from bacpypes3.pdu import PDU

        await self._door.response(PDU(data, source=_address(place), destination=None))

    async def _message(self, pdu: Any) -> None:
        """A message from the network layer: others' requests are ours, answers bacpypes3's."""
        data = bytes(pdu.pduData)
        kind = data[0] >> 4
        if kind == _UNCONFIRMED:
            self._hear(self.station(pdu.pduSource), data[1], data[2:])
        elif kind == _CONFIRMED:
            await self._acknowledge(pdu.pduSource, data)
        elif kind != _COMPLEX_ACK or not data[0] & _SEGMENTED or data[2] < _SEGMENTS:
            await self._up(pdu)  # else a device sends more segments than we said we accept

    async def _acknowledge(self, source: Any, data: bytes) -> None:
        """Answer a request of another station: we only take notifications."""
        from bacpypes3.apdu import RejectPDU, SimpleAckPDU

        invoke, service = data[2], data[3]
        whole = not data[0] & _SEGMENTED
        if whole and self._hear(self.station(source), service, data[4:]):
            answer = SimpleAckPDU(service, invoke, destination=source)
        else:
            answer = RejectPDU(invoke, _UNRECOGNIZED_SERVICE, destination=source)
        await self._transactions.request(answer)

    async def _response(self, apdu: Any) -> None:
        """The end of a transaction of ours."""
        self._answer(apdu)

    # ---- BBMD -------------------------------------------------------------------------------

    async def register(self, place: Place, seconds: int) -> int:
        """Register as a foreign device; the result code, 0 for success."""
        self._link.register(_address(place), seconds)
        while self._link.bbmdRegistrationStatus < 0:  # noqa: ASYNC110 (it offers no event)
            await asyncio.sleep(_LOOK_AGAIN)
        return int(self._link.bbmdRegistrationStatus)

    # ---- life -------------------------------------------------------------------------------

    def forget(self, station: Station, invoke: int) -> None:
        """Give up a request that is still under way."""
        from bacpypes3.appservice import ABORTED

        address = self.address(station)
        for transaction in list(self._transactions.clientTransactions):
            if transaction.invokeID == invoke and transaction.pdu_address == address:
                transaction.set_state(ABORTED)

    async def close(self) -> None:
        """Stop every timer, and leave the BBMD's table."""
        from bacpypes3.appservice import ABORTED

        for transaction in list(self._transactions.clientTransactions):
            transaction.set_state(ABORTED)
        if hasattr(self._link, "unregister"):
            place, self._link.bbmdRegistrationStatus = self._link.bbmdAddress, -2
            self._link._stop_tracking_registration()  # noqa: SLF001 (its unregister leaves a task)
            if place is not None:
                await self._link._stop_registration(place)  # noqa: SLF001


@lru_cache(maxsize=1024)
def _address(place: Place) -> Any:
    """A place as bacpypes3 writes it; made once, because that takes a third of a millisecond."""
    from bacpypes3.pdu import IPv4Address

    return IPv4Address(place)


def _place(address: Any) -> Place:
    host, port = address.addrTuple
    return str(host), int(port)
