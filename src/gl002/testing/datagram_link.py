"""The fault link for protocols on UDP: the commands of `Link`, as far as datagrams know them.

    with DatagramLink(device_port) as link:
        connector = BACnetConnector({"address": f"127.0.0.1:{link.port}"})
        link.cut()  # nothing passes any more
        link.restore()

A connection is a client's socket. What is lost stays lost: UDP repeats nothing.
"""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeAlias

Place: TypeAlias = tuple[str, int]

_PATIENCE = 30.0  # seconds a command may take
_MOST_CLIENTS = 1000
_LOOK_AGAIN = 0.1  # seconds between two looks whether clients are gone


class DatagramLink:
    """A relay on 127.0.0.1 in front of `target_port`; switchable while it runs.

    Args:
        target_port: the UDP port on 127.0.0.1 to forward to; it may come and go.
        seed: of the random choices `garble` makes, so that a failure can be repeated.

    Attributes:
        port: where to send; chosen by `start` and kept until `stop`, also while cut.
        requests: datagrams passed on to the target since `start`.
        request_bytes: what was in them.
        replies: datagrams passed on from it since `start`.
    """

    def __init__(self, target_port: int, *, seed: int = 0) -> None:
        self.target_port = target_port
        self.port = 0
        self.requests = self.replies = self.request_bytes = 0
        self._connections = 0
        self._seed = seed
        self._random = random.Random(seed)  # noqa: S311 (repeatable faults, no secret)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._front: asyncio.DatagramTransport | None = None
        self._in_turn = asyncio.Lock()
        self._looking: asyncio.TimerHandle | None = None
        self._clients: dict[Place, asyncio.Task[asyncio.DatagramTransport]] = {}
        self._be_fair()

    def _be_fair(self) -> None:
        self._delay = self._garbled = 0.0
        self._closed = self._drop_replies = False
        self._reply_budget: int | None = None

    # ---- life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Listen on a free port; harmless where it listens already."""
        if self._loop is not None:
            return
        self._connections = self.requests = self.replies = self.request_bytes = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="fault-datagram-link", daemon=True
        )
        self._thread.start()
        self._do(self._listen)

    def stop(self) -> None:
        """Free the port; safe to call twice."""
        if self._loop is None or self._thread is None:
            return
        self._do(self._close)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_PATIENCE)
        self._loop.close()
        self._loop = self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def connections(self) -> int:
        """Client sockets seen since `start`."""
        self._do(self._forget_closed)
        return self._connections

    @property
    def open(self) -> int:
        """Client sockets that are still open."""
        self._do(self._forget_closed)
        return len(self._clients)

    # ---- commands ---------------------------------------------------------------------------

    def cut(self) -> None:
        """Lose everything, both ways."""
        self._closed = True

    def blackhole(self) -> None:
        """The same: datagrams do not say that they were lost."""
        self.cut()

    def cut_after(self, reply_bytes: int) -> None:
        """Cut once this many more bytes of replies have passed."""
        self._reply_budget = reply_bytes

    def restore(self) -> None:
        """Behave well again."""
        self._be_fair()

    def delay(self, seconds: float) -> None:
        """Let every datagram arrive this much later, in both directions."""
        self._delay = seconds

    def slice(self) -> None:
        """Nothing: a datagram arrives whole or not at all."""

    def garble(self, share: float = 0.1) -> None:
        """Change this share of the bytes of replies, at least one in each.

        Which ones is drawn anew from the seed, whatever was garbled before.
        """
        self._random.seed(self._seed)
        self._garbled = share

    def drop_replies(self) -> None:
        """Requests arrive, their replies vanish."""
        self._drop_replies = True

    # ---- on the link's own thread -----------------------------------------------------------

    def _do(self, command: Callable[[], Any]) -> None:
        """Run on the link's thread and wait until it is done."""
        if self._loop is None:
            return

        async def run() -> None:
            result = command()
            if asyncio.iscoroutine(result):
                await result

        asyncio.run_coroutine_threadsafe(run(), self._loop).result(_PATIENCE)

    async def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        self._in_turn = asyncio.Lock()  # one of this loop: the link may have had another before
        self._front, _ = await loop.create_datagram_endpoint(
            lambda: _End(self._from_client), local_addr=("127.0.0.1", self.port)
        )
        self.port = int(self._front.get_extra_info("sockname")[1])
        self._look_after_clients()

    def _look_after_clients(self) -> None:
        self._forget_closed()
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(_LOOK_AGAIN, self._look_after_clients)

    async def _close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        if self._front is not None:
            self._front.close()
        for client in list(self._clients):
            (await self._clients.pop(client)).close()
        await asyncio.sleep(0)

    def _forget_closed(self) -> None:
        """Take clients off the list whose sockets are gone (Linux, proc(5): /proc/net/udp)."""
        lines = Path("/proc/net/udp").read_text().splitlines()[1:]
        ports = {int(line.split()[1].rpartition(":")[2], 16) for line in lines}
        for client, socket in list(self._clients.items()):
            if client[1] not in ports and socket.done():
                self._clients.pop(client).result().close()

    def _from_client(self, data: bytes, client: Place) -> None:
        if self._closed or len(self._clients) >= _MOST_CLIENTS:
            return
        task = asyncio.ensure_future(self._forward(data, client))
        task.add_done_callback(lambda done: done.exception())

    async def _forward(self, data: bytes, client: Place) -> None:
        async with self._in_turn:  # what comes while the socket is made waits for what came first
            if client not in self._clients:
                self._connections += 1
                self._clients[client] = asyncio.ensure_future(self._socket_of(client))
            transport = await self._clients[client]
        self.requests += 1
        self.request_bytes += len(data)
        asyncio.get_running_loop().call_later(self._delay, _send, transport, data, None)

    async def _socket_of(self, client: Place) -> asyncio.DatagramTransport:
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: _End(lambda reply, _: self._from_target(reply, client)),
            remote_addr=("127.0.0.1", self.target_port),
        )
        return transport

    def _from_target(self, data: bytes, client: Place) -> None:
        if self._closed or self._drop_replies:
            return
        if self._reply_budget is not None:
            self._reply_budget -= len(data)
            if self._reply_budget <= 0:
                self.cut()
                return
        self.replies += 1
        assert self._front is not None
        loop = asyncio.get_running_loop()
        loop.call_later(self._delay, _send, self._front, self._spoiled(data), client)

    def _spoiled(self, data: bytes) -> bytes:
        if not self._garbled or not data:
            return data
        changed = bytearray(data)
        count = max(1, int(len(data) * self._garbled))
        for place in self._random.sample(range(len(data)), min(count, len(data))):
            changed[place] ^= self._random.randrange(1, 256)
        return bytes(changed)


def _send(transport: asyncio.DatagramTransport, data: bytes, place: Place | None) -> None:
    if not transport.is_closing():
        transport.sendto(data, place)


class _End(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, Place], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: Place) -> None:
        self._receive(data, addr)
