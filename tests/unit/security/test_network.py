"""The one door: what passes it and what does not, and that nothing was sent where it does not."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from gl002.errors import ConfigError, ConnectFailed, NotAllowed
from gl002.security.network import Endpoint, Network
from gl002.testing.stalls import Stalls

Resolver = Callable[[dict[str, list[str]]], None]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Resolver:
    """A name service with chosen answers; IP literals answer for themselves, as in real life."""

    def install(table: dict[str, list[str]]) -> None:
        async def getaddrinfo(_: Any, host: str, port: int, **__: Any) -> list[Any]:
            try:
                found = [str(ipaddress.ip_address(host))]
            except ValueError:
                if host not in table:
                    raise socket.gaierror(-2, "Name or service not known") from None
                found = table[host]
            kind = socket.SOCK_STREAM
            return [
                (socket.AF_INET6, kind, 6, "", (ip, port, 0, 0)) if ":" in ip
                else (socket.AF_INET, kind, 6, "", (ip, port))
                for ip in found
            ]  # fmt: skip

        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", getaddrinfo)

    return install


@pytest.fixture
async def listener() -> AsyncIterator[int]:
    """A port somebody listens on."""
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()


def _network(*named: str, allow: list[str] | None = None) -> Network:
    network = Network(allow)
    for text in named:
        network.name(Endpoint.of(text, 502))
    return network


async def _admits(network: Network, text: str) -> bool:
    try:
        return bool(await network.admit(Endpoint.of(text, 502), timeout=30))
    except NotAllowed:
        return False


# ---- who may be reached -----------------------------------------------------------------------


def test_a_disguise_in_the_configuration_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="no plain address"):
        _network("0x7f.1:502")


async def test_only_what_the_configuration_names_is_reached(names: Resolver) -> None:
    names({"plc": ["10.0.0.5"], "other": ["10.0.0.6"]})
    network = _network("plc:502")
    assert await _admits(network, "plc:502")
    assert await _admits(network, "PLC.:502")
    assert not await _admits(network, "plc:503")
    assert not await _admits(network, "other:502")
    assert not await _admits(network, "10.0.0.6:502")
    assert list(network.named()) == [Endpoint("plc", 502)]


async def test_an_address_learned_from_a_peer_passes_only_if_it_is_named(names: Resolver) -> None:
    names({"plc": ["10.0.0.5"], "plc.internal": ["10.0.0.5"], "evil": ["10.0.0.99"]})
    network = _network("10.0.0.5:4840", "plc:4840")
    assert await _admits(network, "opc.tcp://10.0.0.5:4840"), "the literal that is named"
    assert await _admits(network, "opc.tcp://plc.internal:4840"), "another name of a named address"
    assert not await _admits(network, "opc.tcp://evil:4840")
    assert not await _admits(network, "http://169.254.169.254:80")
    assert not await _admits(network, "opc.tcp://10.0.0.5:4841")


async def test_the_checked_address_is_the_one_that_is_used(names: Resolver) -> None:
    """DNS rebinding: the name is looked up once, and its answer is what is dialled."""
    names({"plc": ["10.0.0.5", "10.0.0.6"]})
    network = _network("plc:502", allow=["10.0.0.0/24"])
    addresses = await network.admit(Endpoint("plc", 502), timeout=30)
    names({"plc": ["192.168.0.1"]})
    assert [a.ip for a in addresses] == ["10.0.0.5", "10.0.0.6"]
    assert {a.host for a in addresses} == {"plc"}
    assert not await _admits(network, "plc:502")


async def test_of_several_addresses_only_the_allowed_ones_are_used(names: Resolver) -> None:
    names({"plc": ["10.0.0.5", "192.168.0.1", "::ffff:10.0.0.7", "fd00::1"]})
    network = _network("plc:502", allow=["10.0.0.0/24"])
    addresses = await network.admit(Endpoint("plc", 502), timeout=30)
    assert [(a.ip, a.family) for a in addresses] == [
        ("10.0.0.5", socket.AF_INET), ("10.0.0.7", socket.AF_INET),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "ip",
    ["169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "0.0.0.0", "::", "::ffff:169.254.0.1"],
)
async def test_a_name_that_points_to_where_no_plant_is_is_refused(names: Resolver, ip: str) -> None:
    names({"plc": [ip]})
    with pytest.raises(NotAllowed, match="where no plant is"):
        await _network("plc:502").admit(Endpoint("plc", 502), timeout=30)


async def test_a_link_local_address_that_is_named_itself_is_reached(names: Resolver) -> None:
    names({})
    assert await _admits(_network("169.254.10.20:502"), "169.254.10.20:502")


@pytest.mark.parametrize(
    ("rule", "reached", "not_reached"),
    [
        ("plc", ["plc:502", "plc:503"], ["10.0.0.6:502"]),
        ("plc:502", ["plc:502"], ["plc:503"]),
        ("PLC.:502", ["plc:502"], ["plc:503"]),
        ("opc.tcp://plc:502", ["plc:502"], ["plc:503"]),
        ("http://plc:502/", ["plc:502"], ["plc:503"]),
        ("10.0.0.0/29", ["plc:502", "10.0.0.6:502"], ["10.0.0.50:502", "[fd00::5]:502"]),
        ("10.0.0.5", ["plc:502", "plc:503"], ["10.0.0.6:502"]),
        ("10.0.0.5-6:502", ["plc:502", "10.0.0.6:502"], ["plc:503", "10.0.0.50:502"]),
        ("10.0.0.50-59", ["10.0.0.50:502"], ["plc:502"]),
        ("[fd00::5]:502", ["[fd00::5]:502"], ["plc:502"]),
        ("fd00::/8", ["[fd00::5]:502"], ["plc:502"]),
        ("::ffff:10.0.0.6", [], ["10.0.0.6:502"]),
    ],
)
async def test_a_rule_narrows_what_is_named(
    names: Resolver, rule: str, reached: list[str], not_reached: list[str]
) -> None:
    names({"plc": ["10.0.0.5"]})
    named = ["plc:502", "plc:503", "10.0.0.6:502", "10.0.0.50:502", "[fd00::5]:502"]
    network = _network(*named, allow=[rule])
    assert [text for text in reached if not await _admits(network, text)] == []
    assert [text for text in not_reached if await _admits(network, text)] == []


async def test_a_rule_never_widens(names: Resolver) -> None:
    names({})
    assert not await _admits(_network("10.0.0.5:502", allow=["0.0.0.0/0"]), "10.0.0.6:502")


async def test_an_empty_list_allows_nothing_and_no_list_narrows_nothing(names: Resolver) -> None:
    names({})
    assert not await _admits(_network("10.0.0.5:502", allow=[]), "10.0.0.5:502")
    assert await _admits(_network("10.0.0.5:502", allow=None), "10.0.0.5:502")


@pytest.mark.parametrize(
    "rule",
    [
        "", "plc:0", "plc:99999", "plc:x", "10.0.0.0/99", "10.0.0.300", "0x7f.1", "2130706433",
        "10.0.0.59-50", "10.0.0.50-300", "10.0.0.256-300", "http://", "a b", "*", "*.local",
        "host/path", "[::1]:x", "[::1",
    ],
)  # fmt: skip
def test_a_rule_that_cannot_be_read_is_a_configuration_error(rule: str) -> None:
    with pytest.raises(ConfigError, match=r"network\.allow"):
        Network([rule])


# ---- hints and time-outs ----------------------------------------------------------------------


async def test_the_refusal_says_what_to_do(names: Resolver) -> None:
    names({"plc": ["10.0.0.5"], "other": ["10.0.0.9"]})
    with pytest.raises(NotAllowed, match=r"other:502.*the configuration names no such endpoint"):
        await _network("plc:502").admit(Endpoint("other", 502), timeout=30)
    with pytest.raises(NotAllowed, match=r"plc:502.*add 'plc:502' to network\.allow"):
        await _network("plc:502", allow=["192.168.0.0/16"]).admit(Endpoint("plc", 502), timeout=30)


async def test_a_name_that_does_not_resolve_comes_again(names: Resolver) -> None:
    names({})
    with pytest.raises(ConnectFailed, match=r"plc.*does not resolve.*check the spelling") as caught:
        await _network("plc:502").admit(Endpoint("plc", 502), timeout=30)
    assert caught.value.retryable


async def test_a_name_service_that_hangs_costs_the_time_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def hang(*_: Any, **__: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", hang)
    with pytest.raises(ConnectFailed, match=r"no answer in 0\.05 s"):
        await _network("plc:502").admit(Endpoint("plc", 502), timeout=0.05)


# ---- dialling ---------------------------------------------------------------------------------


async def test_a_dialled_socket_is_connected_and_watched(listener: int) -> None:
    network = _network(f"127.0.0.1:{listener}")
    sock = await network.dial(Endpoint("127.0.0.1", listener), timeout=30)
    try:
        assert sock.getpeername() == ("127.0.0.1", listener)
        assert not sock.getblocking()
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        sock.close()


async def test_nothing_is_sent_to_an_address_that_is_not_allowed(listener: int) -> None:
    with pytest.raises(NotAllowed):
        await Network().dial(Endpoint("127.0.0.1", listener), timeout=30)


async def test_where_nothing_listens_the_error_says_so_and_frees_the_socket() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        with pytest.raises(ConnectionError, match=rf"127\.0\.0\.1:{port}.*nothing listens"):
            await _network(f"127.0.0.1:{port}").dial(Endpoint("127.0.0.1", port), timeout=30)


async def test_the_next_address_is_tried_when_one_does_not_answer(
    names: Resolver, listener: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    names({"plc": ["192.0.2.1", "127.0.0.1"]})

    async def lost(self: Any, sock: socket.socket, address: tuple[str, int]) -> None:
        nonlocal passed
        if address[0] == "192.0.2.1":
            passed += 31  # half of the time and a bit, without the waiting
            await asyncio.sleep(60)
        await real(sock, address)

    loop, passed = asyncio.get_running_loop(), 0.0
    real, clock = loop.sock_connect, loop.time
    monkeypatch.setattr(type(loop), "sock_connect", lost)
    monkeypatch.setattr(loop, "time", lambda: clock() + passed)
    start = loop.time()
    sock = await _network(f"plc:{listener}").dial(Endpoint("plc", listener), timeout=60)
    sock.close()
    assert 30 < loop.time() - start < 60


async def test_a_dial_that_gets_no_answer_ends_in_time(
    names: Resolver, monkeypatch: pytest.MonkeyPatch
) -> None:
    names({"plc": ["192.0.2.1", "192.0.2.2"]})

    async def lost(*_: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr(type(asyncio.get_running_loop()), "sock_connect", lost)
    start = time.monotonic()
    with (
        Stalls() as stalls,
        pytest.raises(ConnectFailed, match=r"no answer within 0\.1 s.*is the host on"),
    ):
        await _network("plc:502").dial(Endpoint("plc", 502), timeout=0.1)
    assert time.monotonic() - start - stalls.total < 0.5


async def test_a_socket_that_meets_itself_is_no_connection() -> None:
    """Linux connects a socket to itself when it dials its own port: nobody is there."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]

    def bound_to_the_target(*args: Any) -> socket.socket:
        sock = real(*args)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    real, patch = socket.socket, pytest.MonkeyPatch()
    patch.setattr("gl002.security.network.socket.socket", bound_to_the_target)
    try:
        with pytest.raises(ConnectFailed, match="nothing listens"):
            await _network(f"127.0.0.1:{port}").dial(Endpoint("127.0.0.1", port), timeout=30)
    finally:
        patch.undo()
