"""The fault link for datagrams does what its commands say."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from gl002.testing.datagram_link import DatagramLink
from peers.mosquitto import wait_for


@pytest.fixture
def echo() -> Iterator[int]:
    """A port that sends everything back."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    sock.settimeout(0.05)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            with suppress(TimeoutError):
                sock.sendto(*sock.recvfrom(2000))

    thread = threading.Thread(target=serve)
    thread.start()
    yield sock.getsockname()[1]
    stop.set()
    thread.join()
    sock.close()


@pytest.fixture
def link(echo: int) -> Iterator[DatagramLink]:
    with DatagramLink(echo) as running:
        yield running


@pytest.fixture
def client(link: DatagramLink) -> Iterator[Callable[..., bytes | None]]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))

    def ask(data: bytes, within: float = 30.0) -> bytes | None:
        sock.settimeout(within)
        sock.sendto(data, ("127.0.0.1", link.port))
        try:
            return sock.recv(2000)
        except TimeoutError:
            return None

    yield ask
    sock.close()


def test_datagrams_pass_both_ways_and_are_counted(link, client) -> None:
    assert [client(b"one"), client(b"two")] == [b"one", b"two"]
    assert (link.requests, link.replies, link.connections, link.open) == (2, 2, 1, 1)


def test_what_is_sent_while_it_is_cut_is_lost(link, client) -> None:
    link.cut()
    assert client(b"one", 0.1) is None
    link.restore()
    assert client(b"two") == b"two"


def test_replies_can_be_dropped_while_requests_arrive(link, client) -> None:
    link.drop_replies()
    assert client(b"one", 0.1) is None
    wait_for(lambda: link.requests == 1, 30)
    assert link.replies == 0


def test_a_cut_can_wait_for_a_number_of_bytes(link, client) -> None:
    link.cut_after(5)
    assert client(b"four") == b"four"
    assert client(b"four", 0.1) is None


def test_replies_can_be_garbled_and_late(link, client) -> None:
    link.garble(0.5)
    spoilt = client(b"\0" * 20)
    assert spoilt is not None
    assert len(spoilt) == 20
    assert spoilt != b"\0" * 20
    link.garble(0.5)
    assert client(b"\0" * 20) == spoilt, "the same, whatever was garbled before"
    link.restore()
    link.delay(0.1)
    start = time.monotonic()
    assert client(b"late") == b"late"
    assert time.monotonic() - start > 0.19


def test_a_socket_that_is_closed_is_no_connection_any_more(link) -> None:
    for _ in range(3):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(30)
            sock.sendto(b"x", ("127.0.0.1", link.port))
            assert sock.recv(10) == b"x"
        assert link.open == 0
    assert link.connections == 3


def test_a_client_that_sends_much_at_once_is_one_connection(link) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(30)
        for i in range(20):
            sock.sendto(b"%02d" % i, ("127.0.0.1", link.port))
        assert [int(sock.recv(10)) for _ in range(20)] == list(range(20))
        assert (link.connections, link.open) == (1, 1)


def test_stopping_twice_is_safe(echo: int) -> None:
    link = DatagramLink(echo)
    link.start()
    link.start()
    link.stop()
    link.stop()
