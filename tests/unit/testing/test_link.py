"""The fault link against plain sockets: each condition does what its sentence says."""

from __future__ import annotations

import asyncio
import socket
import socketserver
import threading
import time
from collections.abc import Iterator

import pytest

from gl002.testing.link import Link
from gl002.testing.stalls import at_most
from peers.mosquitto import wait_for


class _Echo(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            try:
                while data := self.request.recv(65536):
                    self.request.sendall(data)
            except ConnectionError:
                pass

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), self.Handler)


@pytest.fixture
def echo() -> Iterator[int]:
    with _Echo() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


@pytest.fixture
def link(echo: int) -> Iterator[Link]:
    with Link(echo, seed=1) as link:
        yield link


def _dial(link: Link) -> socket.socket:
    return socket.create_connection(("127.0.0.1", link.port), timeout=30)


def _exact(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        assert more, f"ended after {len(data)} of {count} bytes"
        data += more
    return data


def _answer(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    return _exact(sock, len(data))


def test_bytes_pass_both_ways_and_are_counted(link: Link) -> None:
    with _dial(link) as sock:
        data = bytes(range(256)) * 4096
        thread = threading.Thread(target=sock.sendall, args=(data,))
        thread.start()
        assert _exact(sock, len(data)) == data
        thread.join()
        assert (link.connections, link.open) == (1, 1)
        assert (link.request_bytes, link.reply_bytes) == (len(data), len(data))


def test_a_half_close_reaches_the_other_end(link: Link) -> None:
    with _dial(link) as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        assert _exact(sock, 10) == b"last words"
        assert sock.recv(1) == b""
    wait_for(lambda: link.open == 0, 30)


def test_cut_resets_open_connections_and_refuses_new_ones_until_restored(link: Link) -> None:
    with _dial(link) as sock:
        assert _answer(sock, b"x") == b"x"
        link.cut()
        assert link.open == 0
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    with pytest.raises(ConnectionRefusedError):
        _dial(link)
    link.restore()
    with _dial(link) as sock:
        assert _answer(sock, b"again") == b"again"


def test_cutting_right_after_a_connection_was_accepted_leaves_nothing_open(link: Link) -> None:
    for _ in range(50):
        with _dial(link):
            link.cut()
            link.restore()
    assert link.open == 0


def test_cut_after_lets_exactly_that_many_reply_bytes_pass(link: Link) -> None:
    link.cut_after(5)
    with _dial(link) as sock:
        sock.sendall(b"0123456789")
        assert _exact(sock, 5) == b"01234"
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    assert link.reply_bytes == 5
    with pytest.raises(ConnectionRefusedError):
        _dial(link)


def test_what_was_received_before_counts_for_no_later_budget(link: Link) -> None:
    for _ in range(100):
        with _dial(link) as sock:
            sock.sendall(b"01234")
            assert _exact(sock, 5) == b"01234"
            link.cut_after(5)
            sock.sendall(b"56789")
            assert _exact(sock, 5) == b"56789"
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        link.restore()


def _is_reset(link: Link) -> bool:
    """The reset may come before the dialler has noticed that it is connected."""
    try:
        with _dial(link) as sock:
            sock.recv(1)
    except ConnectionResetError:
        return True
    return False


def test_a_target_that_is_away_looks_like_a_reset(echo: int) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        with Link(probe.getsockname()[1]) as link:
            assert _is_reset(link)
            link.target_port = echo
            with _dial(link) as again:
                assert _answer(again, b"here") == b"here"


def test_a_delay_holds_each_way_and_does_not_lower_the_rate(link: Link) -> None:
    with _dial(link) as sock:
        link.delay(0.1)
        start = time.monotonic()
        with at_most(0.2 + 0.05 + 0.5):
            for _ in range(5):
                sock.sendall(b"tick")
                time.sleep(0.01)
            _exact(sock, 20)
        assert time.monotonic() - start >= 0.2


def test_slow_limits_the_rate(link: Link) -> None:
    with _dial(link) as sock:
        link.slow(10_000)
        start = time.monotonic()
        with at_most(2):
            _answer(sock, bytes(5_000))
        assert time.monotonic() - start >= 0.45


def test_slices_arrive_byte_by_byte_and_whole(link: Link) -> None:
    link.slice()
    with _dial(link) as sock:
        assert _answer(sock, bytes(range(200))) == bytes(range(200))


def test_garble_changes_replies_only_and_the_same_seed_changes_the_same(echo: int) -> None:
    def reply() -> bytes:
        with Link(echo, seed=7) as link:
            link.garble(0.2)
            with _dial(link) as sock:
                return _answer(sock, bytes(100))

    first = reply()
    assert sum(byte != 0 for byte in first) == 20
    assert reply() == first


def test_what_is_garbled_does_not_depend_on_what_was_garbled_before(link: Link) -> None:
    replies = []
    for _ in range(2):
        link.garble(0.2)
        with _dial(link) as sock:
            replies.append(_answer(sock, bytes(100)))
        link.restore()
    assert replies[0] == replies[1]


def test_dropped_replies_were_requested_and_the_holed_stream_is_reset(link: Link) -> None:
    with _dial(link) as sock:
        link.drop_replies()
        sock.sendall(b"lost")
        wait_for(lambda: link.lost_reply_bytes == 4, 30)
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert link.request_bytes == 4
        assert link.reply_bytes == 0
        link.restore()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_dropped_requests_never_arrive_and_the_holed_stream_is_reset(link: Link) -> None:
    with _dial(link) as sock:
        link.drop_requests()
        sock.sendall(b"lost")
        wait_for(lambda: link.lost_request_bytes == 4, 30)
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        assert link.request_bytes == 0
        link.restore()
        with pytest.raises(ConnectionResetError):
            sock.recv(1)


def test_a_black_hole_keeps_connections_open_and_lets_everything_arrive_later(link: Link) -> None:
    with _dial(link) as sock:
        assert _answer(sock, b"x") == b"x"
        link.blackhole()
        sock.sendall(b"later")
        sock.settimeout(0.1)
        with pytest.raises(TimeoutError):
            sock.recv(1)
        with _dial(link) as new:
            new.sendall(b"new")
            assert link.request_bytes == 1
            link.restore()
            sock.settimeout(30)
            assert _exact(sock, 5) == b"later"
            assert _exact(new, 3) == b"new"


def test_stop_is_safe_twice_and_start_begins_anew(echo: int) -> None:
    link = Link(echo)
    link.stop()
    for _ in range(2):
        link.start()
        link.start()
        with _dial(link) as sock:
            assert _answer(sock, b"x") == b"x"
            assert link.connections == 1
        link.stop()
        link.stop()
    assert f"fault-link-{link.port}" not in {thread.name for thread in threading.enumerate()}


async def test_commands_do_not_disturb_a_running_loop(link: Link) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", link.port)
    writer.write(b"x")
    assert await reader.readexactly(1) == b"x"
    link.cut()
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
