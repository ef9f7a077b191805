"""What stands before a cloud's broker: TLS that looks at the protocol name and the certificate, and
at the CONNECT packet, and hands everything on to mosquitto.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from peers.process import free_port

_BLOCK = 64 * 1024


@dataclass(frozen=True)
class Connect:
    """What a client says of itself (MQTT 3.1.1 and 5.0, section 3.1).

    Attributes:
        client_id, username, password, level: of the packet.
        certificate: the client's, as `ssl.SSLSocket.getpeercert` gives it; None without one.
        alpn: the protocol that was agreed on.
    """

    client_id: str
    username: str
    password: str
    level: int
    certificate: Any
    alpn: str | None


@dataclass(frozen=True)
class Verdict:
    """Attributes: code: of CONNACK, 0 to admit. lives: seconds after which it is cut off."""

    code: int = 0
    lives: float | None = None


class Front:
    """A listener on 127.0.0.1 in a thread of its own.

    Args:
        context: of the server side; None where something else before it has TLS.
        target_port: where admitted clients are connected to.
        admit: looks at each CONNECT.

    Attributes:
        port: where to connect.
        seen: every CONNECT so far.
        holds: clients wait, while what is behind it is not all there.
    """

    def __init__(
        self,
        context: ssl.SSLContext | None,
        target_port: int,
        admit: Callable[[Connect], Verdict] = lambda _: Verdict(),
    ) -> None:
        self.port = free_port()
        self.seen: list[Connect] = []
        self.holds = False
        self._context, self._target, self._admit = context, target_port, admit
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.StreamWriter] = set()

    def start(self) -> None:
        self._thread.start()
        self._do(self._listen())

    def stop(self) -> None:
        if self._thread.is_alive():
            self._do(self._close())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(60)
            self._loop.close()

    def _do(self, coroutine: Any) -> None:
        asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._context
        )

    async def _close(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._clients):
            writer.transport.abort()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients.add(writer)
        try:
            await self._talk(reader, writer)
        except (OSError, EOFError, ValueError):
            pass  # gone, too late, or no MQTT
        finally:
            self._clients.discard(writer)
            writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        packet = await _packet(reader)
        while self.holds:
            await asyncio.sleep(0.01)
        secured = writer.get_extra_info("ssl_object")
        certificate = secured.getpeercert() if secured is not None else None
        alpn = secured.selected_alpn_protocol() if secured is not None else None
        connect = _connect(packet, certificate, alpn)
        self.seen.append(connect)
        verdict = self._admit(connect)
        if verdict.code:
            writer.write(bytes([0x20, 2, 0, verdict.code]))
            await writer.drain()
            writer.close()
            await writer.wait_closed()
            return
        async with asyncio.timeout(verdict.lives):
            await self._hand_on(packet, reader, writer)

    async def _hand_on(
        self, packet: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self._target)
        inner_writer.write(packet)
        ways = [
            asyncio.create_task(self._upwards(reader, inner_writer, writer)),
            asyncio.create_task(_carry(inner_reader, writer)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            inner_writer.close()

    async def _upwards(
        self,
        reader: asyncio.StreamReader,
        inner: asyncio.StreamWriter,
        back: asyncio.StreamWriter,
    ) -> None:
        await _carry(reader, inner)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


class Throttle(Front):
    """Keeps a quota as AWS IoT Core does with MQTT 5: what is beyond it is refused by its code.

    Attributes:
        refuses: messages with QoS 1 that are still to be refused, with PUBACK 0x97.
        hangs_up: end the connection at the next one instead, with DISCONNECT 0x97.
    """

    refuses = 0
    hangs_up = False

    async def _upwards(
        self, reader: asyncio.StreamReader, inner: asyncio.StreamWriter, back: asyncio.StreamWriter
    ) -> None:
        while True:
            packet = await _packet(reader)
            if packet[0] & 0xF6 == _PUBLISH_QOS_1 and self.hangs_up:
                back.write(bytes([0xE0, 1, _QUOTA]))
                return await back.drain()
            if packet[0] & 0xF6 == _PUBLISH_QOS_1 and self.refuses > 0:
                self.refuses -= 1
                back.write(bytes([0x40, 3, *_number(packet), _QUOTA]))
            else:
                inner.write(packet)


_PUBLISH_QOS_1 = 0x32
_QUOTA = 0x97


def _number(publish: bytes) -> bytes:
    """The packet identifier of a PUBLISH (MQTT 5.0, section 3.3.2.2): behind the topic."""
    start = 1
    while publish[start] & 0x80:
        start += 1
    topic = start + 1
    behind = topic + 2 + int.from_bytes(publish[topic : topic + 2], "big")
    return publish[behind : behind + 2]


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(_BLOCK):
            writer.write(data)
            await writer.drain()


async def _packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(1)
    length, shift = 0, 0
    while True:
        byte = await reader.readexactly(1)
        head += byte
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if not byte[0] & 0x80:
            return head + await reader.readexactly(length)


def _connect(packet: bytes, certificate: Any, alpn: str | None) -> Connect:
    rest = memoryview(packet)[1:]
    while rest[0] & 0x80:
        rest = rest[1:]
    rest = rest[1:]

    def text() -> str:
        nonlocal rest
        size = int.from_bytes(rest[:2], "big")
        value, rest = bytes(rest[2 : 2 + size]), rest[2 + size :]
        return value.decode()

    if text() != "MQTT":
        raise ValueError("no CONNECT of MQTT")
    level, flags = rest[0], rest[1]
    rest = rest[4:]
    if level == 5:
        assert rest[0] < 0x80, "longer properties than a test needs"
        rest = rest[1 + rest[0] :]
    client_id = text()
    if flags & 0x04:
        raise ValueError("a will: no test needs one")
    username = text() if flags & 0x80 else ""
    password = text() if flags & 0x40 else ""
    return Connect(client_id, username, password, level, certificate, alpn)
