"""Whose turn it is on a line: one at a time, writes ahead of reads, nobody left out."""

from __future__ import annotations

import asyncio
from collections import deque

_MOST_URGENT = 4  # urgent ones in a row while another waits: a flood of writes stops no poll


class Turns:
    """A lock with two queues; in each, first come, first served."""

    def __init__(self) -> None:
        self._taken = False
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._usual: deque[asyncio.Future[None]] = deque()
        self._in_a_row = 0

    def at_once(self) -> bool:
        """Take the turn if nobody has it; whether it was taken."""
        free, self._taken = not self._taken, True
        return free

    async def acquire(self, *, urgent: bool = False) -> None:
        """Wait for one's turn; it ends with `release`. A wait may be cancelled."""
        if self.at_once():
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._urgent if urgent else self._usual
        queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.release()  # it came in the same moment: pass it on
            elif turn in queue:
                queue.remove(turn)
            raise

    def release(self) -> None:
        """End one's turn; the next one has it."""
        while (queue := self._next_queue()) is not None:
            turn = queue.popleft()
            if not turn.done():  # else cancelled a moment ago
                self._in_a_row = self._in_a_row + 1 if queue is self._urgent else 0
                turn.set_result(None)
                return
        self._taken, self._in_a_row = False, 0

    def _next_queue(self) -> deque[asyncio.Future[None]] | None:
        if self._usual and (not self._urgent or self._in_a_row >= _MOST_URGENT):
            return self._usual
        return self._urgent or None
