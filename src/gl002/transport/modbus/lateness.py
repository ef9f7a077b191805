"""Replies that come late, on lines whose replies do not say which request they answer (RTU, ASCII).

What a device left unanswered is remembered for ten time-outs. While it is, a reply is judged by its
shape: function, number of bytes, and what it echoes. A late one is dropped, and with it whatever
was asked before it: a device answers in the order in which it was asked. So the first reply that
can only be one to the request just made settles all that came before.

Where the next request would look like a lost one, another is made first, which does not: a `probe`.
It reads what the device has given before, in another number or from another table; else part of
what was lost; else, where the configuration does not forbid it, one register more. It only reads.

A refusal says its function only. One that a lost request may have got is not believed: it is
dropped, and the request just made stays unanswered. Of two equal requests either's answer will do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from typing import TypeAlias

from gl002.wire import modbus_pdu as pdu
from gl002.wire.modbus_address import Table

MayRead: TypeAlias = Callable[[int, Table, int, int], bool]
"""Whether registers may be read though nobody wants them: unit, table, first address, how many."""

Unanswered: TypeAlias = MutableMapping[int, list[bytes]]
"""Unit -> the requests it has not answered, in their order."""

_REMEMBERED = 10  # time-outs
_MOST = 64  # unanswered requests of each unit: by then the first is older than ten time-outs
_SHAPES = 8  # requests of different shapes remembered of each unit


def is_answer(late: Unanswered, unit: int, request: bytes, from_unit: int, reply: bytes) -> bool:
    """Whether a reply answers the request just made; else it was late, and is crossed off.

    Args:
        late: what stayed unanswered before.
        unit: who was asked just now.
        request: and what.
        from_unit: who replies.
        reply: without its frame.

    Raises:
        Garbage: from a unit that owes no such reply.
    """
    earlier = late.get(from_unit, [])
    at = next((i for i, one in enumerate(earlier) if pdu.fits(one, reply)), None)
    if from_unit != unit:
        if at is None:
            raise pdu.Garbage(f"unit {from_unit} answers a request to unit {unit}")
    elif at is None:
        if pdu.fits(request, reply):
            earlier.clear()
        return True
    elif pdu.fits(request, reply) and (not pdu.refuses(reply) or request in earlier):
        earlier[: at + 1] = []
        earlier.append(request)  # one reply to two requests that look alike: one may still come
        return True
    del earlier[: at + 1]
    return False


class Late:
    """What the devices of a line left unanswered, and how to tell a late reply from another.

    Args:
        may_read: see `MayRead`.

    Attributes:
        unanswered: of all units; `is_answer` crosses off what was answered late.
    """

    def __init__(self, may_read: MayRead) -> None:
        self.unanswered: dict[int, list[bytes]] = {}
        self._may_read = may_read
        self._since: dict[int, float] = {}
        self._answered: dict[int, dict[bytes, bytes]] = {}  # unit -> shape -> a read it answered

    def add(self, unit: int, request: bytes, now: float) -> None:
        """A request was given up; `now` in seconds of any clock."""
        lost = self.unanswered.setdefault(unit, [])
        lost.append(request)
        del lost[:-_MOST]
        self._since[unit] = now

    def answered(self, unit: int, request: bytes) -> None:
        """A request was answered, so it may be made again as a probe."""
        if not pdu.writes(request):
            known = self._answered.setdefault(unit, {})
            if len(known) < _SHAPES:
                known.setdefault(pdu.shape(request), request)

    def forget_old(self, unit: int, now: float, timeout: float) -> None:
        """Nothing is awaited any more from a unit ten time-outs after it was given up last."""
        if now - self._since.get(unit, now) > _REMEMBERED * timeout:
            self.unanswered.pop(unit, None)
            del self._since[unit]

    def probe(self, unit: int, request: bytes) -> bytes | None:
        """What to ask first, so that no late reply is taken for the one to this request.

        None where the request cannot be mistaken for a lost one, or nothing else can be asked.
        """
        lost = self.unanswered.get(unit, [])
        if not any(_mistakable(one, request) for one in lost):
            return None
        shapes, functions = {pdu.shape(one) for one in lost}, {one[0] for one in lost}
        known = list(self._answered.get(unit, {}).values())
        others = [one for one in [*known, *self._parts(unit, lost)] if pdu.shape(one) not in shapes]
        clear = (one for one in others if one[0] not in functions)  # its refusal is clear as well
        return next(clear, None) or next(iter(others), None)

    def _parts(self, unit: int, lost: list[bytes]) -> Iterator[bytes]:
        """Reads that touch what was lost: fewer registers, what was to be written, one more."""
        for one in lost:
            yield from pdu.fewer(one)
        for one in lost:
            for table, start, count in pdu.more(one):
                if self._may_read(unit, table, start, count):
                    yield pdu.read(table, start, count)


def _mistakable(lost: bytes, request: bytes) -> bool:
    """Whether a late reply could be taken for the one to this request.

    Of a write a refusal, too: that it was refused must be true.
    """
    alike = pdu.shape(lost) == pdu.shape(request)
    return alike or (pdu.writes(request) and lost[0] == request[0])
