"""A TCP proxy that misbehaves on command: what stands between a connector and its other side.

    with Link(server_port) as link:
        connector = ModbusConnector({"host": "127.0.0.1", "port": link.port})
        link.cut()  # every connection is reset, new ones are refused
        link.restore()

It runs on a thread of its own, so plain and async tests use it alike. Each command holds when it
returns; commands add up until `restore` takes them all back. 'Requests' go to the target,
'replies' come from it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

_CHUNK = 64 * 1024
_IN_FLIGHT = 64  # chunks under way in one direction
_PIECE_TIME = 0.05  # seconds between two pieces of a slowed stream
_PATIENCE = 30.0  # seconds a command may take
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER: on, 0 s: close sends RST instead of FIN


@dataclass(frozen=True, slots=True)
class _Conditions:
    """How the link behaves now."""

    delay: float = 0.0
    rate: float = 0.0  # bytes a second each way; 0 for no limit
    sliced: bool = False
    garbled: float = 0.0  # share of reply bytes that is changed
    drop_replies: bool = False
    drop_requests: bool = False


_FAIR = _Conditions()


class Link:
    """A proxy on 127.0.0.1 in front of `target_port`; switchable while it runs.

    Args:
        target_port: the port on 127.0.0.1 to forward to; it may come and go.
        seed: of the random choices `garble` makes, so that a failure can be repeated.

    Attributes:
        port: where to connect; chosen by `start` and kept until `stop`, also while cut.
        target_port: may be changed; holds for connections opened afterwards.
        request_bytes: passed on to the target since `start`.
        reply_bytes: passed on from the target since `start`.
        lost_request_bytes, lost_reply_bytes: taken in and dropped since `start`.
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.port = 0
        self._count_anew()
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 (repeatable faults, no secret)
        self._conditions = _FAIR
        self._reply_budget: int | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._reserved: socket.socket | None = None
        self._listener: socket.socket | None = None
        self._cutting: asyncio.Task[None] | None = None
        self._flowing = asyncio.Event()
        self._pairs: dict[_Pair, asyncio.Task[None]] = {}

    def _count_anew(self) -> None:
        self._connections = self.request_bytes = self.reply_bytes = 0
        self.lost_request_bytes = self.lost_reply_bytes = 0

    # ---- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen on a free port; harmless where it listens already."""
        if self._loop is not None:
            return
        self._count_anew()
        self._reserved = _bound(0)
        self.port = int(self._reserved.getsockname()[1])
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"fault-link-{self.port}", daemon=True
        )
        self._thread.start()
        self.restore()

    def stop(self) -> None:
        """Reset every connection and free the port; safe to call twice."""
        if self._loop is None or self._thread is None or self._reserved is None:
            return
        self._do(self._refuse)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()
        self._reserved.close()
        self._loop = self._thread = self._reserved = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """Connections since `start`, each from the moment its client is connected."""
        self._look()
        return self._connections

    @property
    def open(self) -> int:
        """Connections open now."""
        self._look()
        return len(self._pairs)

    # ---- commands ---------------------------------------------------------------------------

    def cut(self) -> None:
        """Reset every connection and refuse new ones."""
        self._do(self._refuse)

    def cut_after(self, reply_bytes: int) -> None:
        """Cut once this many more bytes of replies have passed: in the midst of a frame."""
        self._reply_budget = reply_bytes

    def restore(self) -> None:
        """Behave well again and accept connections.

        Connections that lost bytes to `drop_replies` or `drop_requests` are reset: TCP never
        delivers a stream with a hole in it.
        """
        self._do(self._recover)

    def delay(self, seconds: float) -> None:
        """Let every byte arrive this much later, in both directions."""
        self._change(delay=seconds)

    def slow(self, bytes_per_second: float) -> None:
        """Limit the rate of each connection, in both directions."""
        self._change(rate=bytes_per_second)

    def slice(self) -> None:
        """Send every byte in a segment of its own."""
        self._change(sliced=True)

    def garble(self, share: float = 0.1) -> None:
        """Change this share of the reply bytes, at least one in each chunk.

        Which ones is drawn anew from the seed, whatever was garbled before.
        """
        self._random.seed(self._seed)
        self._change(garbled=share)

    def drop_replies(self) -> None:
        """Requests arrive, their replies vanish; connections stay open."""
        self._change(drop_replies=True)

    def drop_requests(self) -> None:
        """What the client sends vanishes, replies arrive; connections stay open."""
        self._change(drop_requests=True)

    def blackhole(self) -> None:
        """Forward nothing, either way; connections stay open and new ones are accepted.

        What was sent meanwhile arrives after `restore`, as over a cable that was plugged out.
        """
        self._do(self._hold)

    # ---- on the link's own thread -----------------------------------------------------------

    def _look(self) -> None:
        if self._loop is not None:
            self._do(self._accept_all)

    def _do(self, command: Callable[[], Awaitable[None]]) -> None:
        """Run on the link's thread and wait until it is done."""
        assert self._loop is not None, "the link is not started"

        async def run() -> None:
            await command()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(_PATIENCE)

    def _change(self, **changes: Any) -> None:
        self._conditions = replace(self._conditions, **changes)

    async def _hold(self) -> None:
        self._flowing.clear()

    async def _refuse(self) -> None:
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self._reset(list(self._pairs))

    async def _recover(self) -> None:
        self._conditions, self._reply_budget = _FAIR, None
        await self._reset([pair for pair in self._pairs if pair.holed])
        self._flowing.set()
        if self._listener is None:
            self._listener = _bound(self.port)
            self._listener.listen(128)
            asyncio.get_running_loop().add_reader(self._listener, self._accept)

    async def _reset(self, pairs: list[_Pair]) -> None:
        tasks = [self._pairs[pair] for pair in pairs]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept_all(self) -> None:
        """Take in those who are connected already, as they see it, and wait for us."""
        while self._accept():
            pass

    def _accept(self) -> bool:
        """Take in one; whether there was one."""
        if self._listener is None:
            return False
        try:
            client, _ = self._listener.accept()
        except ConnectionError:
            return True  # gone again before we came to it
        except OSError:
            return False  # nobody
        self._connections += 1
        pair = _Pair(self, client)
        self._pairs[pair] = asyncio.ensure_future(pair.run())
        self._pairs[pair].add_done_callback(partial(self._ended, pair))
        return True

    def _ended(self, pair: _Pair, _: asyncio.Task[None]) -> None:
        pair.close()
        del self._pairs[pair]

    def _count(self, size: int, *, reply: bool) -> bool:
        """Take note of a piece that is about to be sent; whether the budget ends with it.

        Not afterwards: whoever has received it may give a budget at once, for what comes then.
        """
        if not reply:
            self.request_bytes += size
            return False
        self.reply_bytes += size
        if self._reply_budget is None:
            return False
        self._reply_budget -= size
        return self._reply_budget <= 0

    def _count_lost(self, size: int, *, reply: bool) -> None:
        if reply:
            self.lost_reply_bytes += size
        else:
            self.lost_request_bytes += size

    def _cut_here(self) -> None:
        self._reply_budget = None
        self._cutting = asyncio.ensure_future(self._refuse())
        raise ConnectionAbortedError("cut_after")  # ends this pair before its next piece

    def _pieces(self, data: bytes, *, reply: bool) -> Iterator[bytes]:
        """Cut a chunk as the conditions ask; they are looked at again before each piece."""
        while data:
            now = self._conditions
            size = 1 if now.sliced else len(data)
            if now.rate:
                size = min(size, max(1, int(now.rate * _PIECE_TIME)))
            if reply and self._reply_budget is not None:
                size = min(size, max(1, self._reply_budget))
            yield data[:size]
            data = data[size:]

    def _garbled(self, data: bytes) -> bytes:
        changed = bytearray(data)
        count = max(1, int(len(data) * self._conditions.garbled))
        for place in self._random.sample(range(len(data)), min(count, len(data))):
            changed[place] ^= self._random.randrange(1, 256)
        return bytes(changed)


class _Pair:
    """One connection: the client's socket and ours to the target.

    Attributes:
        holed: some of its bytes were dropped, so the stream can not go on.
        ended: both directions came to their end by themselves.
    """

    def __init__(self, link: Link, client: socket.socket) -> None:
        self.holed = self.ended = False
        self._link = link
        self._client = client
        self._server = socket.socket()

    async def run(self) -> None:
        """Forward until both directions have ended or one end is gone."""
        loop = asyncio.get_running_loop()
        flowing = self._link._flowing  # noqa: SLF001 (two halves of one thing)
        try:
            for sock in (self._client, self._server):
                sock.setblocking(False)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await flowing.wait()
            await loop.sock_connect(self._server, ("127.0.0.1", self._link.target_port))
            async with asyncio.TaskGroup() as both:
                both.create_task(self._carry(self._client, self._server, reply=False))
                both.create_task(self._carry(self._server, self._client, reply=True))
            self.ended = True
        except* OSError:
            await flowing.wait()  # nobody learns of it through a black hole

    def close(self) -> None:
        """Close both ends; with a reset where they did not end by themselves."""
        for sock in (self._client, self._server):
            if not self.ended:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            sock.close()

    async def _carry(self, source: socket.socket, target: socket.socket, *, reply: bool) -> None:
        """One direction, in two halves, so that a delay does not lower the rate."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_IN_FLIGHT)
        async with asyncio.TaskGroup() as halves:
            halves.create_task(self._take(source, under_way, reply=reply))
            halves.create_task(self._hand_on(under_way, target, reply=reply))

    async def _take(
        self, source: socket.socket, under_way: asyncio.Queue[tuple[float, bytes]], *, reply: bool
    ) -> None:
        link, loop = self._link, asyncio.get_running_loop()
        data = b"start"
        while data:
            data = await loop.sock_recv(source, _CHUNK)
            now = link._conditions  # noqa: SLF001
            if data and (now.drop_replies if reply else now.drop_requests):
                self.holed = True
                link._count_lost(len(data), reply=reply)  # noqa: SLF001
                continue
            if data and reply and now.garbled:
                data = link._garbled(data)  # noqa: SLF001
            await under_way.put((loop.time() + now.delay, data))

    async def _hand_on(
        self, under_way: asyncio.Queue[tuple[float, bytes]], target: socket.socket, *, reply: bool
    ) -> None:
        link, loop = self._link, asyncio.get_running_loop()
        while True:
            due, data = await under_way.get()
            await asyncio.sleep(max(0.0, due - loop.time()))
            await link._flowing.wait()  # noqa: SLF001
            if not data:
                break
            for piece in link._pieces(data, reply=reply):  # noqa: SLF001
                await link._flowing.wait()  # noqa: SLF001
                last = link._count(len(piece), reply=reply)  # noqa: SLF001
                await loop.sock_sendall(target, piece)
                if last:
                    link._cut_here()  # noqa: SLF001
                rate = link._conditions.rate  # noqa: SLF001
                await asyncio.sleep(len(piece) / rate if rate else 0)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


def _bound(port: int) -> socket.socket:
    """A socket on 127.0.0.1; several may be bound to one port as long as one at most listens.

    One that never listens keeps the port ours while the link is cut.
    """
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.setblocking(False)
    sock.bind(("127.0.0.1", port))
    return sock
