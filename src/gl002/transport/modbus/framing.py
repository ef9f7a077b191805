"""Where a reply begins and ends on the wire: MBAP header, RTU with CRC, ASCII with LRC.

Each framing cuts one frame off the front of what has come in; pymodbus checks its number or its
checksum and takes it off. RTU has no length and no end mark: what is awaited says how long the
frame must be (MODBUS over Serial Line V1.02, section 2.5.1; MODBUS/TCP V1.0b, section 3.1.3).
Nothing is skipped to find a frame further on: a frame begins where the one before ended.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol, TypeAlias

from gl002.wire.modbus_pdu import LONGEST, Garbage, size_of_reply

Framing: TypeAlias = Literal["tcp", "rtu", "ascii"]
Awaited: TypeAlias = Mapping[int, Sequence[bytes]]
"""Unit -> the requests that it may answer."""

_HEADER = 6  # bytes of the MBAP header up to and with its length field
_SHORTEST_BODY = 3  # unit, function, one byte
_RTU_EXTRA = 3  # unit and CRC around the reply
_RTU_HEAD = 2  # unit and function: enough to know the length
_ASCII_BEGIN, _ASCII_END = b":", b"\r\n"
_DIGITS = re.compile(rb"([0-9A-Fa-f]{2})+")
_LONGEST_ASCII = 2 * (LONGEST + 2) + 3  # characters; unit, reply and LRC as hex digits
_CHECKSUM = "the checksum is wrong, or there is noise around the reply"


class Frame(NamedTuple):
    """A frame that was cut off the front.

    Attributes:
        size: bytes it takes.
        unit: who answers.
        number: which request it answers; 0 where the framing has none.
        reply: without the frame.
    """

    size: int
    unit: int
    number: int
    reply: bytes


class Frames(Protocol):
    """One way to tell frames apart."""

    numbered: bool
    """Whether a reply says which request it answers."""

    def encode(self, unit: int, number: int, request: bytes) -> bytes:
        """A request with its frame."""

    def cut(self, buffer: bytes, awaited: Awaited) -> Frame | None:
        """The frame at the front; None while it is not complete.

        Args:
            buffer: what has come in.
            awaited: unit -> the requests that it may answer.

        Raises:
            Garbage: no frame begins there.
        """


def frames(framing: Framing) -> Frames:
    """The framing of that name; imports pymodbus."""
    if framing == "tcp":
        return _Numbered()
    return _Checked() if framing == "rtu" else _Spelled()


class _Numbered:
    """MBAP header, also under TLS: MODBUS/TCP Security V2.1 leaves it as it is."""

    numbered = True

    def __init__(self) -> None:
        from pymodbus.framer import FramerSocket

        self._framer = _made(FramerSocket)

    def encode(self, unit: int, number: int, request: bytes) -> bytes:
        return bytes(self._framer.encode(request, unit, number))

    def cut(self, buffer: bytes, awaited: Awaited) -> Frame | None:
        if len(buffer) < _HEADER:
            return None
        length = int.from_bytes(buffer[4:6], "big")
        if buffer[2:4] != b"\0\0" or not _SHORTEST_BODY <= length <= LONGEST + 1:
            raise Garbage(f"{buffer[:_HEADER].hex(' ')} begins no Modbus/TCP reply")
        size = _HEADER + length
        if len(buffer) < size:
            return None
        used, unit, number, reply = self._framer.decode(buffer[:size])
        if used != size or not reply:
            raise Garbage(f"{buffer[:size].hex(' ')} is no Modbus/TCP reply")
        return Frame(size, unit, number, bytes(reply))


class _Checked:
    """RTU: bytes as they are, and a CRC."""

    numbered = False

    def __init__(self) -> None:
        from pymodbus.framer import FramerRTU

        self._framer = _made(FramerRTU)

    def encode(self, unit: int, number: int, request: bytes) -> bytes:
        return bytes(self._framer.encode(request, unit, number))

    def cut(self, buffer: bytes, awaited: Awaited) -> Frame | None:
        if not buffer:
            return None
        requests = _awaited(buffer[0], awaited)
        if len(buffer) < _RTU_HEAD:
            return None
        told = size_of_reply(requests, buffer[1:])
        if told is None or len(buffer) < told + _RTU_EXTRA:
            return None
        size = told + _RTU_EXTRA
        used, unit, _, reply = self._framer.decode(buffer[:size])
        if used != size or len(reply) != size - _RTU_EXTRA:
            raise Garbage(_CHECKSUM)
        return Frame(size, unit, 0, bytes(reply))


class _Spelled:
    """ASCII: hex digits between a colon and the end of the line, and an LRC."""

    numbered = False

    def __init__(self) -> None:
        from pymodbus.framer import FramerAscii

        self._framer = _made(FramerAscii)

    def encode(self, unit: int, number: int, request: bytes) -> bytes:
        return bytes(self._framer.encode(request, unit, number))

    def cut(self, buffer: bytes, awaited: Awaited) -> Frame | None:
        if not buffer:
            return None
        if buffer[:1] != _ASCII_BEGIN:
            raise Garbage("no colon where a reply should begin")
        end = buffer.find(_ASCII_END)
        if end < 0 and len(buffer) <= _LONGEST_ASCII:
            return None
        size = end + len(_ASCII_END)
        if end < 0 or not _DIGITS.fullmatch(buffer, 1, end):  # pymodbus takes ' C' for a checksum
            raise Garbage("what should be hex digits is something else")
        used, unit, _, reply = self._framer.decode(buffer[:size])
        if used != size or not reply:
            raise Garbage(_CHECKSUM)
        _awaited(unit, awaited)
        return Frame(size, unit, 0, bytes(reply))


def _made(framer: Any) -> Any:
    from pymodbus.pdu import DecodePDU

    return framer(DecodePDU(False))


def _awaited(unit: int, awaited: Awaited) -> Sequence[bytes]:
    """The requests that a unit may answer."""
    try:
        return awaited[unit]
    except KeyError:
        asked = ", ".join(map(str, awaited))
        raise Garbage(f"unit {unit} answers a request to unit {asked}") from None
