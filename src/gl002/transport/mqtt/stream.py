"""The byte stream under an MQTT session: TLS without blocking, and few system calls.

paho reads a packet in three or more small pieces and writes each packet by itself. This stands in
for its socket: it reads and writes in blocks, and remembers why the stream broke.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl

from gl002.security.network import Endpoint
from gl002.security.tls import explained

_BLOCK = 16 * 1024  # bytes per read: what one turn of the event loop works through
_MOST_UNSENT = 256 * 1024  # bytes written ahead of the network


async def secured(
    sock: socket.socket, context: ssl.SSLContext, name: str, endpoint: Endpoint
) -> ssl.SSLSocket:
    """The socket after a TLS handshake. The caller limits the time.

    Args:
        sock: connected and non-blocking; closed when the handshake fails.
        context: what to trust, and our own certificate.
        name: to expect in the other side's certificate.
        endpoint: for messages.

    Raises:
        AuthFailed: we do not trust the other side's certificate, or it wants one of ours.
        ConnectFailed: the other side speaks no TLS, or no version that we accept.
    """
    secure = sock
    try:
        secure = context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
        await _shake_hands(secure)
    except OSError as error:
        secure.close()
        failure = explained(error, endpoint)
        failure.hint = failure.hint or "does that port speak TLS?"
        raise failure from error
    except BaseException:
        secure.close()
        raise
    return secure


async def _shake_hands(secure: ssl.SSLSocket) -> None:
    while True:
        try:
            return secure.do_handshake()
        except ssl.SSLWantReadError:
            await ready(secure, writing=False)
        except ssl.SSLWantWriteError:
            await ready(secure, writing=True)


async def ready(sock: socket.socket, *, writing: bool) -> None:
    """Return when the socket can be read, or written."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    add, remove = (
        (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    )
    add(sock.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        remove(sock.fileno())


class Stream:
    """What paho takes for its socket. Non-blocking; errors are kept in `trouble`.

    Args:
        sock: connected and non-blocking, after the TLS handshake if there is one.

    Attributes:
        trouble: the error that broke the stream; None while it holds or was closed properly.
    """

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._fileno = sock.fileno()
        self._read = memoryview(b"")
        self._unsent = bytearray()
        self.trouble: OSError | None = None

    @property
    def pending(self) -> bool:
        """Whether something can be read without asking the network."""
        return bool(self._read) or (isinstance(self._sock, ssl.SSLSocket) and self._tls_pending())

    def _tls_pending(self) -> bool:
        assert isinstance(self._sock, ssl.SSLSocket)
        return self._sock.fileno() >= 0 and self._sock.pending() > 0

    @property
    def unsent(self) -> bool:
        """Whether something waits to be written."""
        return bool(self._unsent)

    def recv(self, size: int) -> bytes:
        """Up to `size` bytes; b'' at the end.

        Raises:
            OSError: nothing there yet (BlockingIOError, SSLWantReadError), or broken.
        """
        if not self._read:
            received = self._received(max(size, _BLOCK))
            if len(received) <= size:
                return received
            self._read = memoryview(received)
        piece, self._read = bytes(self._read[:size]), self._read[size:]
        return piece

    def _received(self, size: int) -> bytes:
        try:
            return self._sock.recv(size)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except OSError as error:
            self.trouble = error
            raise

    def send(self, data: bytes | bytearray) -> int:
        """Take all of `data`; `flush` writes it.

        Raises:
            BlockingIOError: too much is waiting already.
        """
        if len(self._unsent) >= _MOST_UNSENT:
            raise BlockingIOError
        self._unsent += data
        return len(data)

    def flush(self) -> None:
        """Write what the network takes.

        Raises:
            OSError: the stream is broken.
        """
        self._write(self._unsent)

    def _write(self, data: bytearray) -> None:
        """Write what the network takes of `data`, and take it out."""
        while data:
            try:
                sent = self._sock.send(data)
            except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return
            except OSError as error:
                self.trouble = self._last_word() or error
                raise self.trouble from None
            del data[:sent]

    def _last_word(self) -> ssl.SSLError | None:
        """What the other side said before it closed: a TLS alert, such as that on a certificate."""
        try:
            self._sock.recv(1)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, ssl.SSLEOFError):
            return None
        except ssl.SSLError as error:
            return error
        except OSError:
            return None
        return None

    def fileno(self) -> int:
        """The descriptor, also after `close`."""
        return self._fileno

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001 (the socket's own signature)
        """Asked for by paho; this never blocks."""

    def close(self) -> None:
        """Write what can still be written, and close; safe to call twice."""
        if self._sock.fileno() >= 0:
            with contextlib.suppress(OSError):
                self.flush()
            self._sock.close()
