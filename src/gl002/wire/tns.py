"""Packets of Oracle's SQL*Net (TNS), looked at before the driver sees them.

The driver believes what it reads: a size of packets, or a number of columns, that no database sends
makes it ask for gigabytes. Source of the layout: python-oracledb, Oracle's own driver (UPL 1.0 or
Apache-2.0), and Oracle's limits: 2 MiB for the session data unit, 1000 columns (4096 in 23ai).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from gl002.errors import RequestFailed

_HEADER = 8  # bytes
_MOST_UNIT = 2 * 1024 * 1024  # bytes of a packet (DEFAULT_SDU_SIZE, largest)
_MOST_COLUMNS = 4096
_ACCEPT, _REDIRECT, _DATA, _RESEND = 2, 5, 6, 11
_KNOWN = {_ACCEPT, 4, _REDIRECT, _DATA, _RESEND, 12, 14}  # refuse, marker, control
_FLAGS, _TLS_ANEW = 5, 0x08  # place in the header, bit
_UNIT_AT = 24  # in the body of an accept: the session data unit, 32 bits
_LARGE_FROM = 315  # version from which packets have sizes of 32 bits
_DESCRIBE = 16  # message that tells the columns of a query


class Packets:
    """Splits what a listener sends into packets.

    Attributes:
        redirected: the listener sends us to another address.
        handed_over: whoever answers from now on begins TLS anew; `feed` has stopped behind that
            packet, and nothing came with it.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._large = False
        self.redirected = False
        self.handed_over = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The packets that are whole now.

        Args:
            piece: as it came.

        Raises:
            RequestFailed: that is no SQL*Net, or not as a database speaks it.
        """
        self._buffer += piece
        while len(self._buffer) >= _HEADER:
            form = ">I" if self._large else ">H"
            (size,) = struct.unpack_from(form, self._buffer)
            kind = self._buffer[4]
            if kind not in _KNOWN or not _HEADER <= size <= _MOST_UNIT:
                raise RequestFailed(f"what came is no SQL*Net packet (type {kind}, {size} bytes)")
            if len(self._buffer) < size:
                return
            packet = self._buffer[:size]
            del self._buffer[:size]
            self._check(kind, bytes(packet[_HEADER:]))
            self.handed_over = kind == _RESEND and bool(packet[_FLAGS] & _TLS_ANEW)
            if self.handed_over:
                packet[_FLAGS] &= ~_TLS_ANEW & 0xFF
                self._buffer.clear()
            yield bytes(packet)

    def _check(self, kind: int, body: bytes) -> None:
        if kind == _ACCEPT:
            self._accepted(body)
        elif kind == _REDIRECT:
            self.redirected = True
        elif kind == _DATA and len(body) > 3 and body[2] == _DESCRIBE:  # noqa: PLR2004 (flags, message)
            columns = _columns(body[3:])
            if columns > _MOST_COLUMNS:
                raise RequestFailed(f"a query of {columns} columns, which no database has")

    def _accepted(self, body: bytes) -> None:
        if len(body) < _UNIT_AT + 4:
            raise RequestFailed("an answer of the listener that is too short")
        (version,) = struct.unpack_from(">H", body)
        (unit,) = struct.unpack_from(">I", body, _UNIT_AT)
        if not _HEADER <= unit <= _MOST_UNIT:
            raise RequestFailed(f"a listener that wants packets of {unit} bytes")
        self._large = version >= _LARGE_FROM


def _columns(message: bytes) -> int:
    """Number of columns that a description begins with; 0 where it is cut off."""
    at = 1 + message[0]  # bytes behind a length
    columns = 0
    for _ in range(2):  # size of a row, columns
        if at >= len(message):
            return 0
        length = message[at] & 0x7F
        columns = int.from_bytes(message[at + 1 : at + 1 + length], "big")
        at += 1 + length
    return columns
