"""A Modbus unit that answers in the order it is asked, each time as late as a test tells it to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

from peers.liar import Liar
from peers.modbus_frames import body_of, rtu

_REFUSED = 0x80
_WRITE, _WRITE_MANY = 6, 16
_ILLEGAL_ADDRESS = 2


class SlowUnit(Liar):
    """Unit 1 behind a serial device server, which knows no connections: a late reply goes to
    whoever is there. A register that was not written holds its own address.

    Args:
        wait: seconds it takes for each request, one after the other.
        refused: registers it does not have.

    Attributes:
        registers: what was written.
        done: register and value of each write, in order.
        turned_down: register and value of each write it refused.
        answered: replies it has sent.
    """

    def __init__(self, wait: Callable[[bytes], float], refused: range = range(0)) -> None:
        super().__init__(self._queued)
        self._wait = wait
        self._refused = refused
        self.registers: dict[int, int] = {}
        self.done: list[tuple[int, int]] = []
        self.turned_down: list[tuple[int, int]] = []
        self.answered = 0
        self._requests: asyncio.Queue[bytes] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self._working = asyncio.create_task(self._work())
        return self

    async def __aexit__(self, *error: object) -> None:
        self._working.cancel()
        await asyncio.wait([self._working])
        await super().__aexit__(*error)

    def _queued(self, request: bytes) -> tuple[()]:
        self._requests.put_nowait(request)
        return ()

    async def _work(self) -> None:
        while True:
            unit, function, *rest = (request := await self._requests.get())[:-2]
            await asyncio.sleep(self._wait(request))
            address, number = rest[0] << 8 | rest[1], rest[2] << 8 | rest[3]
            self.say(rtu(unit, self._reply(function, address, number, rest[5:])))
            self.answered += 1

    def _reply(self, function: int, address: int, number: int, raw: Sequence[int]) -> bytes:
        place = range(address, address + (1 if function == _WRITE else number))
        if set(place) & set(self._refused):
            if function == _WRITE:
                self.turned_down.append((address, number))
            return bytes([function | _REFUSED, _ILLEGAL_ADDRESS])
        if function == _WRITE:
            self.registers[address] = number
            self.done.append((address, number))
            return bytes([function]) + address.to_bytes(2, "big") + number.to_bytes(2, "big")
        if function == _WRITE_MANY:
            for i in range(number):
                self.registers[address + i] = value = raw[2 * i] << 8 | raw[2 * i + 1]
                self.done.append((address + i, value))
            return bytes([function]) + address.to_bytes(2, "big") + number.to_bytes(2, "big")
        return body_of([self.registers.get(a, a) for a in place], function)
