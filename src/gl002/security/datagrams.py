"""The door to the network for protocols on UDP: a socket that knows whom it talks to.

TCP connections are dialled one by one; a UDP socket would send anywhere and take anything from
anybody. This one sends to addresses that `Network` admits and drops, unread, what others send. A
broadcast goes to a subnet that the configuration names, and nowhere else.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import Callable
from typing import Self, TypeAlias

from gl002.errors import ConnectFailed, NotAllowed
from gl002.security.network import Address, Endpoint, Network, Subnet

Place: TypeAlias = tuple[str, int]
"""IPv4 address and port."""
Receive: TypeAlias = Callable[[bytes, Place], None]
"""Told each datagram of an admitted sender; must neither block nor raise."""


class Datagrams(asyncio.DatagramProtocol):
    """One UDP socket; made by `open`.

    Attributes:
        ignored: datagrams dropped because of their sender.
    """

    def __init__(self, network: Network, receive: Receive, subnet: Subnet | None) -> None:
        self.ignored = 0
        self._network = network
        self._receive = receive
        self._subnet = subnet
        self._peers: set[Place] = set()
        self._transports: list[asyncio.DatagramTransport] = []

    @classmethod
    async def open(
        cls,
        network: Network,
        local: Endpoint,
        receive: Receive,
        *,
        subnet: Subnet | None = None,
    ) -> Self:
        """Bind the socket.

        Args:
            network: decides who may be talked to.
            local: address and port of this machine; '0.0.0.0' and 0 leave them to the system.
            receive: gets what admitted senders send.
            subnet: where broadcasts may go; answers that are broadcast there are heard, too.

        Raises:
            ConnectFailed: the address is not ours or the port is taken.
        """
        door = cls(network, receive, subnet)
        try:
            await door._bind(local, broadcast=subnet is not None)
            if subnet is not None:
                # broadcasts to the subnet only: unicast stays with whoever else has the port
                await door._bind(Endpoint(str(subnet.hosts.broadcast_address), subnet.port))
        except OSError as error:
            door.close()
            where = f"{local} of this machine"
            raise ConnectFailed(
                f"{where}: {os.strerror(error.errno) if error.errno else error}",
                hint=_hint(error),
            ) from None
        except BaseException:
            door.close()
            raise
        return door

    async def _bind(self, local: Endpoint, *, broadcast: bool = False) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            if broadcast:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            elif self._transports:  # the ear for broadcasts, which others may have as well
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((local.host, local.port))
            loop = asyncio.get_running_loop()
            transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=sock)
        except BaseException:
            sock.close()
            raise
        self._transports.append(transport)

    @property
    def port(self) -> int:
        """Our port."""
        return int(self._transports[0].get_extra_info("sockname")[1])

    # ---- whom it talks to -------------------------------------------------------------------

    async def admit(self, endpoint: Endpoint, *, timeout: float) -> Address:  # noqa: ASYNC109
        """Check an endpoint of the configuration; from then on it is a peer.

        Raises:
            NotAllowed, ConnectFailed: as `Network.admit`; it has no IPv4 address.
        """
        addresses = await self._network.admit(endpoint, timeout=timeout)
        for address in addresses:
            if address.family == socket.AF_INET:
                self._peers.add((address.ip, address.port))
                return address
        raise ConnectFailed(f"{endpoint} has no IPv4 address")

    def reaches(self, place: Place) -> bool:
        """Whether we may send to an address, and hear it."""
        return place in self._peers or self._network.permits(*place)

    def send(self, data: bytes, place: Place) -> None:
        """Send one datagram.

        Raises:
            NotAllowed: it may not be reached; nothing was sent.
        """
        if not self.reaches(place):
            raise NotAllowed(
                f"{place[0]}:{place[1]} is not on the allowlist",
                hint="the configuration names no such endpoint; add it there if it is meant",
            )
        self._out(data, place)

    def broadcast(self, data: bytes) -> None:
        """Send one datagram to everybody in the subnet.

        Raises:
            NotAllowed: the configuration names no subnet; nothing was sent.
        """
        subnet = self._subnet
        place = (str(subnet.hosts.broadcast_address), subnet.port) if subnet is not None else None
        if place is None or not self._network.permits(*place):
            raise NotAllowed(
                "a broadcast is not on the allowlist",
                hint="name the subnet to search, in CIDR notation such as 10.20.0.0/24",
            )
        self._out(data, place)

    def _out(self, data: bytes, place: Place) -> None:
        if self._transports and not self._transports[0].is_closing():
            self._transports[0].sendto(data, place)

    def close(self) -> None:
        """Free the socket; safe to call twice."""
        for transport in self._transports:
            transport.close()

    # ---- asyncio ----------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: Place) -> None:
        """Hand on what an admitted sender sent; drop anything else."""
        place = (addr[0], addr[1])
        if self.reaches(place):
            self._receive(data, place)
        else:
            self.ignored += 1

    def error_received(self, exc: Exception) -> None:
        """A datagram could not be delivered, which UDP never promised: its answer is missed."""


def _hint(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "another program on this machine has the port; choose a free one, or 0 for any"
    if error.errno == errno.EADDRNOTAVAIL:
        return "no network interface of this machine has that address"
    return ""
