"""The driver's way out: a connection that is checked, encrypted and cut by us.

Oracle's driver opens its socket itself, follows a listener's redirect wherever it leads, and when a
call is given up talks on until the server answers. So it is given a port of this machine that
takes one connection, and behind that port is the socket that the network has dialled. Closing the
door ends whatever the driver is waiting for.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import suppress

from gl002.errors import ConnectFailed, RequestFailed
from gl002.security.network import Endpoint, Network
from gl002.security.tls import explained
from gl002.wire.tns import Packets

_HERE = "127.0.0.1"
_PIECE = 64 * 1024  # bytes
LARGEST_ANSWER = 64 * 1024 * 1024
"""Bytes that a listener may send for one request; the driver keeps all of an answer in memory."""


class Door:
    """One connection to one listener.

    Args:
        endpoint: the listener.
        network: dials.
        tls: for TCPS.
        server_name: to expect in the certificate; the endpoint's host where None.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        network: Network,
        tls: ssl.SSLContext | None,
        server_name: str | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._name = server_name or endpoint.host
        self._network = network
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self._pumps: set[asyncio.Task[None]] = set()
        self._answered = 0  # bytes, since the driver said something
        self.why: ConnectFailed | None = None
        """Why the door was shut from within."""

    async def open(self, timeout: float) -> int:  # noqa: ASYNC109 (given to the dialler)
        """Dial the listener; the port of this machine that leads there.

        Raises:
            ConnectFailed: unreachable, or its certificate is not trusted; NotAllowed.
        """
        await self._reach(await self._network.dial(self._endpoint, timeout=timeout))
        self._server = await asyncio.start_server(self._enter, _HERE, 0, backlog=1)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _reach(self, sock: socket.socket) -> None:
        """Speak over a socket, with TLS where it is configured."""
        try:
            self._far, self._to_far = await asyncio.open_connection(
                sock=sock,
                ssl=self._tls,
                server_hostname=self._name if self._tls is not None else None,
            )
        except OSError as error:
            sock.close()
            raise explained(error, self._endpoint) from error
        except BaseException:
            sock.close()
            raise
        self._writers.append(self._to_far)

    async def _begin_tls_anew(self) -> None:
        """On the same socket: the listener has handed it over to a process of its own.

        As Oracle's driver does it: without a goodbye to the first session.
        """
        below = self._to_far.get_extra_info("socket")
        sock = socket.socket(fileno=os.dup(below.fileno()))
        sock.setblocking(False)
        self._to_far.transport.abort()
        await self._reach(sock)

    async def shut(self) -> None:
        """Cut both connections; safe twice."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
        self._cut()
        pumps = list(self._pumps)
        for pump in pumps:
            pump.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
        self._writers.clear()

    def _enter(self, near: asyncio.StreamReader, to_near: asyncio.StreamWriter) -> None:
        """The driver is here; nobody else comes in."""
        server, self._server = self._server, None
        if server is None:
            to_near.transport.abort()
            return
        server.close()
        self._writers.append(to_near)
        for pump in (self._carry(near), self._carry_back(to_near)):
            task = asyncio.ensure_future(pump)
            self._pumps.add(task)
            task.add_done_callback(self._pumps.discard)

    async def _carry(self, near: asyncio.StreamReader) -> None:
        """What the driver says, as it is; when one side ends, neither stays."""
        with suppress(OSError):
            while piece := await near.read(_PIECE):
                self._answered = 0
                self._to_far.write(piece)
                await self._to_far.drain()
        self._cut()

    async def _carry_back(self, to_near: asyncio.StreamWriter) -> None:
        """What the listener says, packet by packet, as far as it makes sense."""
        packets = Packets()
        try:
            while self.why is None and (piece := await self._far.read(_PIECE)):
                for packet in packets.feed(piece):
                    if packets.redirected:
                        self.why = self._elsewhere()
                        break
                    if packets.handed_over and self._tls is not None:
                        await self._begin_tls_anew()
                    self._answered += len(packet)
                    if self._answered > LARGEST_ANSWER:
                        self.why = self._too_much()
                        break
                    to_near.write(packet)
                await to_near.drain()
        except ConnectFailed as error:
            self.why = error
        except OSError:
            pass  # it has gone, as at the end
        except RequestFailed as error:
            self.why = ConnectFailed(f"{self._endpoint}: {error.args[0]}")
        self._cut()

    def _elsewhere(self) -> ConnectFailed:
        return ConnectFailed(
            f"{self._endpoint}: the listener sends us to another address",
            hint="configure a listener that serves the database itself, such as that of a node",
        )

    def _too_much(self) -> ConnectFailed:
        most = LARGEST_ANSWER // (1024 * 1024)
        return ConnectFailed(f"{self._endpoint}: an answer of more than {most} MiB")

    def _cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
