"""Units of one Modbus line in the loop of the test: whose turn it was and when is known exactly."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import NamedTuple

from peers.liar import Liar
from peers.modbus_frames import body_of, mbap, rtu

_BITS = {1, 2}
_READS = {1, 2, 3, 4}
_REFUSED = 0x80


class Question(NamedTuple):
    """A request as it came, and when."""

    unit: int
    address: int
    count: int
    moment: float


class ModbusUnits(Liar):
    """Every unit answers reads: a register holds its own address, no bit is set.

    Args:
        framing: 'tcp' or 'rtu'.

    Attributes:
        silent: units that do not answer.
        easily_confused: whether the first request after one that stayed unanswered is taken for the
            missing answer, and stays unanswered, too, as with libmodbus.
        refusals: unit and address -> the exception of a request that touches it.
        asked: every request so far.
    """

    def __init__(self, framing: str = "tcp") -> None:
        super().__init__(self._replies)
        self.silent: set[int] = set()
        self.easily_confused = False
        self.refusals: dict[tuple[int, int], int] = {}
        self.asked: list[Question] = []
        self._framing = framing
        self._confused = False

    def units(self) -> list[int]:
        """Which were asked, in order."""
        return [question.unit for question in self.asked]

    def _replies(self, request: bytes) -> Sequence[bytes]:
        unit, *body = request[6:] if self._framing == "tcp" else request[:-2]
        function, address = body[0], int.from_bytes(bytes(body[1:3]), "big")
        count = int.from_bytes(bytes(body[3:5]), "big")
        self.asked.append(Question(unit, address, count, time.monotonic()))
        confused, self._confused = self._confused, self.easily_confused and unit in self.silent
        if confused or unit in self.silent:
            return ()
        assert function in _READS, f"function {function}"
        reply = self._reply(unit, function, range(address, address + count))
        if self._framing == "tcp":
            return [mbap(int.from_bytes(request[:2], "big"), unit, reply)]
        return [rtu(unit, reply)]

    def _reply(self, unit: int, function: int, place: range) -> bytes:
        for (refusing, address), code in self.refusals.items():
            if refusing == unit and address in place:
                return bytes([function | _REFUSED, code])
        if function in _BITS:
            size = (len(place) + 7) // 8
            return bytes([function, size]) + bytes(size)
        return body_of(list(place), function)
