"""MQTT in a WebSocket (RFC 6455), for networks that let nothing out but HTTPS.

wsproto frames and unframes; connectors that come here require it. Bytes move as they do without.
MQTT travels in binary messages of any size, which need not begin or end where a packet does
(MQTT 5.0, section 6).
"""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from gl002.errors import AuthFailed, ConnectFailed, GL002Error
from gl002.security.network import Endpoint
from gl002.security.tls import explained
from gl002.transport.mqtt.stream import Stream, ready

if TYPE_CHECKING:
    from wsproto import WSConnection

_SUBPROTOCOL = "mqtt"
_BLOCK = 16 * 1024  # bytes per read
_NEED_A_PERSON = {401, 403}


async def upgraded(sock: socket.socket, endpoint: Endpoint, host: str, path: str) -> Stream:
    """The stream inside a WebSocket, after its handshake. The caller limits the time.

    Args:
        sock: connected and non-blocking, after the TLS handshake; closed when this fails.
        endpoint: for messages.
        host: to name in the request.
        path: of the WebSocket, '/mqtt'.

    Raises:
        AuthFailed, ConnectFailed: the other side refuses it, or speaks no WebSocket.
    """
    from wsproto import ConnectionType, WSConnection
    from wsproto.events import Request

    connection = WSConnection(ConnectionType.CLIENT)
    try:
        request = Request(host=host, target=path, subprotocols=[_SUBPROTOCOL])
        await _send(sock, connection.send(request))
        await _accepted(sock, connection, f"{endpoint}{path.partition('?')[0]}")
    except BaseException as error:
        sock.close()
        if isinstance(error, OSError) and not isinstance(error, GL002Error):
            raise explained(error, endpoint) from error
        raise
    return WebSocketStream(sock, connection)


async def _accepted(sock: socket.socket, connection: WSConnection, where: str) -> None:
    """Return when the other side has agreed to speak MQTT."""
    from wsproto.events import AcceptConnection, RejectConnection
    from wsproto.utilities import RemoteProtocolError

    while True:
        received = await _receive(sock)
        try:
            connection.receive_data(received or None)
            events = list(connection.events())
        except RemoteProtocolError as error:
            raise ConnectFailed(f"{where}: no WebSocket answers there: {error}") from None
        for event in events:
            if isinstance(event, AcceptConnection) and event.subprotocol == _SUBPROTOCOL:
                return
            if isinstance(event, AcceptConnection):
                raise ConnectFailed(f"{where}: this WebSocket does not speak MQTT")
            if isinstance(event, RejectConnection):
                kind = AuthFailed if event.status_code in _NEED_A_PERSON else ConnectFailed
                raise kind(f"{where}: refused with HTTP status {event.status_code}")
        if not received:
            raise ConnectFailed(f"{where}: it closed the connection")


async def _send(sock: socket.socket, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[sock.send(left) :]
        except (BlockingIOError, ssl.SSLWantWriteError):
            await ready(sock, writing=True)
        except ssl.SSLWantReadError:
            await ready(sock, writing=False)


async def _receive(sock: socket.socket) -> bytes:
    while True:
        try:
            return sock.recv(_BLOCK)
        except (BlockingIOError, ssl.SSLWantReadError):
            await ready(sock, writing=False)
        except ssl.SSLWantWriteError:
            await ready(sock, writing=True)


class WebSocketStream(Stream):
    """What paho takes for its socket, in a WebSocket.

    Args:
        sock: connected and non-blocking.
        connection: after its handshake.
    """

    def __init__(self, sock: socket.socket, connection: WSConnection) -> None:
        super().__init__(sock)
        self._connection = connection
        self._framed = bytearray()

    @property
    def unsent(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._unsent or self._framed)

    def _received(self, size: int) -> bytes:
        """The content of the messages that have arrived; answers pings on the way."""
        from wsproto.events import BytesMessage, CloseConnection, Ping
        from wsproto.utilities import RemoteProtocolError

        received = super()._received(size)
        content, closed = bytearray(), not received
        try:
            self._connection.receive_data(received or None)
            for event in self._connection.events():
                if isinstance(event, BytesMessage):
                    content += event.data
                elif isinstance(event, Ping):
                    self._framed += self._connection.send(event.response())
                elif isinstance(event, CloseConnection):
                    closed = True
        except RemoteProtocolError as error:
            self.trouble = ConnectionError(f"what arrives is no WebSocket: {error}")
            raise self.trouble from None
        self._write(self._framed)
        if not content and not closed:
            raise BlockingIOError
        return bytes(content)

    def flush(self) -> None:
        """Frame all that waits, and write what the network takes.

        Raises:
            OSError: the stream is broken.
        """
        from wsproto.events import BytesMessage

        if self._unsent:
            self._framed += self._connection.send(BytesMessage(bytes(self._unsent)))
            self._unsent.clear()
        self._write(self._framed)
