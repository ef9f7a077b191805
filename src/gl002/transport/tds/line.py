"""The line under the driver: a socket that we dialled, encrypted by our own rules.

The driver could encrypt by itself, with another TLS library that checks host names in a way of its
own and knows no client certificates. So it is told that there is no encryption, and the handshake
is done here, inside PRELOGIN messages as TDS 7 has it (MS-TDS 2.2.6.5, 3.2.5.1). TDS 7 ends at
TLS 1.2.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from contextlib import suppress

from gl002.errors import ConnectFailed

_LOGIN, _SSPI, _PRELOGIN = 0x10, 0x11, 0x12
_END = 0x01
_HEADER = struct.Struct(">BBHHBB")  # type, status, length, process, number, window
_OPTION = struct.Struct(">BHH")
_LAST_OPTION = 0xFF
_ENCRYPTION = 0x01
_ON, _NOT_SUPPORTED, _REQUIRED = 1, 2, 3
_PACKET = 4096
_READ = 65536
_LARGEST_HANDSHAKE = 1 << 20


class LineLost(Exception):
    """The line is gone. No `ConnectionError`, which would make the driver try again by itself."""


class Line:
    """What the driver takes for a socket. It waits without a limit: `hang_up` ends every wait.

    Args:
        sock: connected.
        tls: how to encrypt; None for in clear.
        server_name: to expect in the server's certificate.
        most: bytes of one answer.
    """

    def __init__(
        self, sock: socket.socket, *, tls: ssl.SSLContext | None, server_name: str, most: int
    ) -> None:
        sock.setblocking(True)
        self._sock = sock
        self._tls = tls
        self._name = server_name
        self._most = most
        self._left = most
        self._secure: ssl.SSLObject | None = None
        self._inward, self._outward = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ready = bytearray()
        self._greeted = False
        self._login_sent = False
        self._closed = False
        self.why: BaseException | None = None
        """What the driver closed it for."""

    def begin(self) -> None:
        """A new request: its answer may be as long as any."""
        self._left = self._most

    def hang_up(self) -> None:
        """End every wait on it at once; from any thread."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    @property
    def encrypted(self) -> bool:
        """Whether everything goes through TLS."""
        return self._secure is not None

    # ---- what the driver calls --------------------------------------------------------------

    def setsockopt(self, *_: object) -> None:
        """Ours are set. The driver begins with this: a second time is a second attempt of its."""
        if self._closed:
            raise LineLost("the driver closed the line") from self.why

    def settimeout(self, _: float | None) -> None:
        """Time is limited from outside, by `hang_up`."""

    def gettimeout(self) -> float | None:
        """None: see `settimeout`."""
        return None

    def sendall(self, data: bytes | bytearray, _flags: int = 0) -> None:
        """Send everything.

        Raises:
            LineLost: the line broke.
        """
        data = self._as_specified(bytearray(data))
        if self._tls is not None and not self._greeted:
            self._greet(data)
        elif self._secure is not None:
            self._secure.write(data)
            self._send(self._outward.read())
        else:
            self._send(data)

    def _as_specified(self, packet: bytearray) -> bytearray:
        """The driver gives its answers in a Windows log-in the type of the log-in itself."""
        if packet[0] == _LOGIN and self._login_sent:
            packet[0] = _SSPI
        self._login_sent |= packet[0] == _LOGIN and bool(packet[1] & _END)
        return packet

    def recv(self, size: int, _flags: int = 0) -> bytes:
        """At least one byte; none where the server has closed."""
        if self._ready:
            data = bytes(self._ready[:size])
            del self._ready[: len(data)]
            return data
        while self._secure is not None:
            try:
                return self._secure.read(size)
            except ssl.SSLWantReadError:
                received = self._receive(_READ)
                if not received:
                    return b""
                self._inward.write(received)
            except ssl.SSLError as error:
                raise LineLost(f"TLS: {error.reason or error}") from error
        return self._receive(size)

    def recv_into(self, buffer: bytearray | memoryview, size: int = 0, _flags: int = 0) -> int:
        """As `recv`, into a buffer; the number of bytes."""
        data = self.recv(size or len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        """Close; safe to call twice."""
        self.why = self.why or sys.exc_info()[1]
        self._closed = True
        self._sock.close()

    # ---- bytes ------------------------------------------------------------------------------

    def _send(self, data: bytes | bytearray) -> None:
        try:
            self._sock.sendall(data)
        except OSError as error:
            raise LineLost(f"the line broke: {error.strerror or error}") from error

    def _receive(self, size: int) -> bytes:
        try:
            data = self._sock.recv(size)
        except OSError as error:
            raise LineLost(f"the line broke: {error.strerror or error}") from error
        self._left -= len(data)
        if self._left < 0:
            raise LineLost(f"an answer of more than {self._most >> 20} MB")
        return data

    # ---- encryption -------------------------------------------------------------------------

    def _greet(self, prelogin: bytearray) -> None:
        """Ask for encryption in the driver's first message, and shake hands."""
        self._greeted = True
        _set_encryption(prelogin, _ON)
        self._send(prelogin)
        answer = bytearray(self._message())
        if _set_encryption(answer, _NOT_SUPPORTED) not in {_ON, _REQUIRED}:
            raise LineLost("the server does not encrypt")
        self._handshake()
        self._ready += _HEADER.pack(0x04, _END, len(answer) + 8, 0, 1, 0) + answer

    def _handshake(self) -> None:
        assert self._tls is not None
        secure = self._tls.wrap_bio(self._inward, self._outward, server_hostname=self._name)
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                self._send_in_prelogin(self._outward.read())
                self._inward.write(self._message())
            except ssl.SSLError:
                with suppress(LineLost):  # the alert, for the server's log
                    self._send_in_prelogin(self._outward.read())
                raise
        self._send_in_prelogin(self._outward.read())
        self._secure = secure

    def _send_in_prelogin(self, data: bytes) -> None:
        room = _PACKET - _HEADER.size
        for start in range(0, len(data), room):
            part = data[start : start + room]
            status = _END if start + room >= len(data) else 0
            self._send(_HEADER.pack(_PRELOGIN, status, len(part) + 8, 0, 1, 0) + part)

    def _message(self) -> bytes:
        """One message of the server, its packets put together."""
        message = bytearray()
        while True:
            _, status, length, *_ = _HEADER.unpack(self._exactly(_HEADER.size))
            message += self._exactly(max(0, length - _HEADER.size))
            if len(message) > _LARGEST_HANDSHAKE:
                raise LineLost("the server's greeting does not end")
            if status & _END:
                return bytes(message)

    def _exactly(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            received = self._receive(count - len(data))
            if not received:
                raise LineLost("the server closed the line")
            data += received
        return bytes(data)


def _set_encryption(message: bytearray, wish: int) -> int:
    """Change the ENCRYPTION option of a PRELOGIN message; what it was.

    Args:
        message: with its packet header, as the driver sends it, or without, as it is received.
        wish: the new value.
    """
    base = _HEADER.size if message[:1] == bytes([_PRELOGIN]) else 0
    place = base
    while place < len(message) and message[place] != _LAST_OPTION:
        try:
            option, offset, length = _OPTION.unpack_from(message, place)
            if option == _ENCRYPTION and length:
                before: int = message[base + offset]
                message[base + offset] = wish
                return before
        except (struct.error, IndexError):
            break
        place += _OPTION.size
    raise ConnectFailed("it does not speak TDS", hint="is that the port of the SQL Server?")
