"""TLS before an Oracle listener, and the hand-over of TCPS.

A listener answers CONNECT with RESEND and gives the socket to a process of its own, which begins
TLS anew; then the client connects again. Source: Oracle's own driver, which does the client's part.
"""

from __future__ import annotations

import select
import socket
import ssl
import struct
import threading
from contextlib import suppress
from typing import Self

_RESEND, _TLS_ANEW = 11, 0x08
_PATIENCE = 60.0  # seconds


class Tcps:
    """A listener on loopback, for one connection after the other.

    Args:
        context: of the server side.
        target_port: of the listener in clear.
        hands_over: begins TLS anew.

    Attributes:
        handshakes: how many were done.
    """

    def __init__(self, context: ssl.SSLContext, target_port: int, *, hands_over: bool) -> None:
        self._context, self._target, self._hands_over = context, target_port, hands_over
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.handshakes = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._one, args=(client,), daemon=True).start()

    def _one(self, client: socket.socket) -> None:
        with suppress(OSError):
            client.settimeout(_PATIENCE)
            secure = self._wrap(client)
            if self._hands_over:
                assert secure.recv(8192)[4] == 1, "CONNECT is expected"
                secure.sendall(struct.pack(">HHBBH", 8, 0, _RESEND, _TLS_ANEW, 0))
                secure = self._wrap(socket.socket(fileno=secure.detach()))
            with secure, socket.create_connection(("127.0.0.1", self._target)) as behind:
                _relay(secure, behind)

    def _wrap(self, sock: socket.socket) -> ssl.SSLSocket:
        secure = self._context.wrap_socket(sock, server_side=True)
        self.handshakes += 1
        return secure


def _relay(secure: ssl.SSLSocket, behind: socket.socket) -> None:
    """Both ways until one side ends, on one thread: TLS is not for two at a time."""
    ways = {secure: behind, behind: secure}
    while True:
        ready = [secure] if secure.pending() else select.select(list(ways), [], [], _PATIENCE)[0]
        if not ready:
            return
        for source in ready:
            piece = source.recv(65536)
            if not piece:
                return
            ways[source].sendall(piece)
