"""One connection of a client: so many at once, and so long for a request to come in whole.

Who opens connections and sends nothing, or sends a request piece by piece, could otherwise hold
all of them. A request has ten seconds to arrive, its body the same again. Where all places are
taken, whoever has kept the server waiting longest makes room: a request that is whole is never cut
off for another, so the dashboards and the supervisor that are there stay.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import Any, Final

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

__all__ = ["MOST", "Connection"]

MOST: Final = 300
"""Connections open at the same time."""

_PATIENCE: Final = 10  # beats for the head of a request, and as many for its body
_BEAT: Final = 1.0  # seconds; counted, so that a machine that stood still is one beat and not ten
_turns = itertools.count()  # who has waited longest; clocks are too coarse for many in one moment


class Connection(H11Protocol):
    """A connection of uvicorn that does not wait for ever.

    Attributes:
        turn: grows from connection to connection with the moment since when it waits.
        is_cut: it has been ended, and only the event loop does not know yet.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._beats = 0
        self.turn = 0
        self._next_beat: asyncio.TimerHandle | None = None
        self.is_cut = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn; and where there are too many, one that has sent no whole request ends.

        The type is narrower than asyncio's, as uvicorn's is.
        """
        super().connection_made(transport)
        self._begin_to_wait()
        if len(self.connections) > MOST:
            self._make_room()

    def _make_room(self) -> None:
        """End one connection, where there is one too many; at worst this one."""
        held = [c for c in self.connections if isinstance(c, Connection) and not c.is_cut]
        if len(held) > MOST:
            min((c for c in held if c.waits), key=lambda c: c.turn).cut()

    def cut(self) -> None:
        """End it now, whatever is still to be sent."""
        self.is_cut = True
        self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """As uvicorn."""
        super().connection_lost(exc)
        self._end_to_wait()

    def data_received(self, data: bytes) -> None:
        """As uvicorn; the head being whole begins the time for the body."""
        before = self._in_head
        super().data_received(data)
        if not self.waits:
            self._end_to_wait()
        elif self._in_head != before:
            self._begin_to_wait()

    def on_response_complete(self) -> None:
        """As uvicorn; the time for the next request begins."""
        super().on_response_complete()
        if self.waits:  # else the next one was there already
            self._begin_to_wait()

    @property
    def waits(self) -> bool:
        """Whether the client's next move is missing: no request of it is whole and unanswered."""
        return self._in_head or self.cycle.more_body

    @property
    def _in_head(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle  # None at first, whatever uvicorn's type
        return cycle is None or cycle.response_complete

    def _begin_to_wait(self) -> None:
        self._end_to_wait()
        self._beats, self.turn = 0, next(_turns)
        self._next_beat = self.loop.call_later(_BEAT, self._beat)

    def _end_to_wait(self) -> None:
        if self._next_beat is not None:
            self._next_beat.cancel()
            self._next_beat = None

    def _beat(self) -> None:
        sending = self.transport.get_write_buffer_size() > 0  # the last answer, on a slow line
        self._beats = 0 if sending else self._beats + 1
        if self._beats >= _PATIENCE:
            self.cut()
        else:
            self._next_beat = self.loop.call_later(_BEAT, self._beat)
