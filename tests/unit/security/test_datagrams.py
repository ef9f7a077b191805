"""The UDP door: only to whom the configuration names, only from them, no broadcast by chance."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Callable

import pytest

from gl002.errors import ConnectFailed, NotAllowed
from gl002.security.datagrams import Datagrams, Place
from gl002.security.network import Endpoint, Network, Subnet
from gl002.testing.contract.requests import eventually

ANY = Endpoint("127.0.0.1", 0)


class Peer(asyncio.DatagramProtocol):
    """Somebody else on this machine."""

    def __init__(self) -> None:
        self.heard: list[tuple[bytes, Place]] = []

    def connection_made(self, transport) -> None:
        self.transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: Place) -> None:
        self.heard.append((data, addr))


@pytest.fixture
async def peer() -> AsyncIterator[Callable]:
    made = []

    async def start(host: str = "127.0.0.1", port: int = 0) -> Peer:
        loop = asyncio.get_running_loop()
        transport, protocol = await loop.create_datagram_endpoint(Peer, local_addr=(host, port))
        made.append(transport)
        return protocol

    yield start
    for transport in made:
        transport.close()


@pytest.fixture
async def door() -> AsyncIterator[Callable]:
    made = []

    async def start(network: Network, **options) -> tuple[Datagrams, list]:
        heard: list[tuple[bytes, Place]] = []
        opened = await Datagrams.open(
            network, options.pop("local", ANY), lambda *a: heard.append(a), **options
        )
        made.append(opened)
        return opened, heard

    yield start
    for opened in made:
        opened.close()


async def test_named_endpoints_are_reached_and_heard(peer, door) -> None:
    other, network = await peer(), Network()
    network.name(Endpoint("127.0.0.1", other.port))
    opened, heard = await door(network)
    address = await opened.admit(Endpoint("127.0.0.1", other.port), timeout=30)
    opened.send(b"hello", (address.ip, address.port))
    await eventually(lambda: other.heard, "it arrived")
    other.transport.sendto(b"yes?", other.heard[0][1])
    await eventually(lambda: heard, "so did the answer")
    assert heard == [(b"yes?", ("127.0.0.1", other.port))]


async def test_nothing_is_sent_to_others(peer, door) -> None:
    other = await peer()
    opened, _ = await door(Network())
    with pytest.raises(NotAllowed):
        opened.send(b"hello", ("127.0.0.1", other.port))
    with pytest.raises(NotAllowed):
        await opened.admit(Endpoint("127.0.0.1", other.port), timeout=30)
    await asyncio.sleep(0.05)
    assert other.heard == []


async def test_what_others_send_is_dropped_unread(peer, door) -> None:
    stranger, network = await peer(), Network()
    network.name(Endpoint("127.0.0.1", stranger.port + 1))
    opened, heard = await door(network)
    for _ in range(10):
        stranger.transport.sendto(b"trust me", ("127.0.0.1", opened.port))
    await eventually(lambda: opened.ignored == 10, "all came and none was read")
    assert heard == []


async def test_a_rule_narrows_what_is_named(peer, door) -> None:
    other = await peer()
    network = Network(allow=["10.0.0.0/8"])
    network.name(Endpoint("127.0.0.1", other.port))
    opened, heard = await door(network)
    with pytest.raises(NotAllowed, match="allowlist"):
        await opened.admit(Endpoint("127.0.0.1", other.port), timeout=30)
    other.transport.sendto(b"x", ("127.0.0.1", opened.port))
    await eventually(lambda: opened.ignored, "it came")
    assert heard == []


async def test_a_broadcast_needs_a_subnet_in_the_configuration(door) -> None:
    opened, _ = await door(Network())
    with pytest.raises(NotAllowed, match="broadcast"):
        opened.broadcast(b"who is there?")


async def test_a_broadcast_reaches_the_subnet_and_its_answers_are_heard(peer, door) -> None:
    near = await peer("127.0.0.2")
    subnet = Subnet(ipaddress.IPv4Network("127.0.0.0/8"), near.port)
    loop = asyncio.get_running_loop()
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sock.bind(("127.255.255.255", near.port))
    transport, ear = await loop.create_datagram_endpoint(Peer, sock=sock)
    network = Network()
    network.name_subnet(subnet)
    opened, heard = await door(network, subnet=subnet)
    opened.broadcast(b"who is there?")
    await eventually(lambda: ear.heard, "the subnet heard it")
    near.transport.sendto(b"me", ("127.0.0.1", opened.port))
    await eventually(lambda: heard, "an answer to us alone")
    far = await peer("127.0.0.3")
    far.transport.sendto(b"not from that port", ("127.0.0.1", opened.port))
    await eventually(lambda: opened.ignored, "another port is another endpoint")
    assert heard[0] == (b"me", ("127.0.0.2", near.port))
    transport.close()


async def test_a_port_that_is_taken_is_said(peer, door) -> None:
    other = await peer()
    with pytest.raises(ConnectFailed, match="another program"):
        await door(Network(), local=Endpoint("127.0.0.1", other.port))


async def test_an_address_that_is_not_ours_is_said(door) -> None:
    with pytest.raises(ConnectFailed, match="no network interface"):
        await door(Network(), local=Endpoint("203.0.113.7", 0))


async def test_closing_twice_is_safe_and_nothing_leaves_afterwards(peer, door) -> None:
    other, network = await peer(), Network()
    network.name(Endpoint("127.0.0.1", other.port))
    opened, _ = await door(network)
    opened.close()
    opened.close()
    opened.send(b"late", ("127.0.0.1", other.port))
    await asyncio.sleep(0.05)
    assert other.heard == []
