"""100,000 generated replies on each framing: no wrong value is believed, and nothing else raised.

The bytes go to the session as the event loop hands them over, so that none costs a time-out; that
every call over a real socket ends in time is shown in tests/integrations/test_modbus_garbage.py,
where the replies and what is true of them come from.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections import Counter
from collections.abc import Callable

import pytest

from gl002.transport.modbus.session import Session
from gl002.wire import modbus_pdu as pdu
from integrations.test_modbus_garbage import (
    COUNT,
    REFUSED,
    UNIT,
    ascii_reply,
    in_pieces,
    rtu_reply,
    tcp_reply,
    true_of_ascii,
    true_of_rtu,
    true_of_tcp,
)

FRAMES = 100_000
REQUEST = pdu.read("holding", 100, COUNT)


class Wire(asyncio.Transport):
    """Hands every request to somebody, and ends when it is told to."""

    def __init__(self, asked: Callable[[bytes], object]) -> None:
        super().__init__()
        self.write = asked  # type: ignore[method-assign]


@pytest.mark.parametrize("framing", ["tcp", "rtu", "ascii"])
async def test_of_100_000_generated_replies_none_gives_a_wrong_value(framing) -> None:
    outcomes: Counter[str] = Counter()
    session = Session(framing, on_lost=lambda _: None)
    sent: list[bytes] = []
    session.connection_made(Wire(sent.append))
    for seed in range(FRAMES):
        chance = random.Random(seed)
        words = [chance.randrange(65536) for _ in range(COUNT)]
        task = asyncio.ensure_future(session.exchange(UNIT, REQUEST, {}))
        await asyncio.sleep(0)
        reply, true = _reply(framing, chance, sent.pop(), words)
        for piece in in_pieces(chance, reply):
            session.data_received(piece)
        outcomes[await _judged(task, true, reply)] += 1
        session._spoilt = False  # the next one has a connection of its own
    assert outcomes.total() == FRAMES
    assert min(outcomes["value"], outcomes["garbage"]) > 0.15 * FRAMES, outcomes
    assert set(outcomes) == {"value", "garbage", "waits", REFUSED}


def _reply(framing: str, chance: random.Random, request: bytes, words: list[int]) -> tuple:
    """A reply, and what is true of it by the letter of the specification."""
    if framing == "tcp":
        number = int.from_bytes(request[:2], "big")
        reply = tcp_reply(chance, number, words)
        return reply, true_of_tcp(number, reply)
    if framing == "rtu":
        reply = rtu_reply(chance, words)
        return reply, true_of_rtu(reply)
    reply = ascii_reply(chance, words)
    return reply, true_of_ascii(reply)


async def _judged(task: asyncio.Task[bytes], true: object, reply: bytes) -> str:
    """What became of a request; it is never another value than the true one."""
    await asyncio.sleep(0)
    if not task.done():
        task.cancel()
        await asyncio.wait([task])
        return "waits"
    try:
        data = pdu.payload(REQUEST, task.result())
    except pdu.Refusal:
        assert true == REFUSED, reply.hex(" ")
        return REFUSED
    except pdu.Garbage:
        return "garbage"
    assert list(struct.unpack(f">{COUNT}H", data)) == true, reply.hex(" ")
    return "value"
