"""Live values as server-sent events (WHATWG HTML, section 9.2).

    event: batch      values that passed the stage, a JSON array of readings
    event: status     the state of the gateway, once a second, whatever else there is to say
    event: stale      tags whose last value is older than it should be, when that changes
    event: missed     how many values were lost since the stream began, when it did not keep up

The stage 'latest' is made for screens: once a second the last value of each tag that has one
since the second before, and all of them at first. It never misses anything. The other stages are
those of the flow, with every value that passes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, contextmanager
from typing import Any

from starlette.responses import StreamingResponse
from starlette.types import Send

from gl002.flow.gateway import Gateway
from gl002.flow.hub import Listener
from gl002.model import Batch
from gl002.web.pulse import Pulse
from gl002.web.shapes import as_json, reading

LATEST = "latest"
MOST = 200
"""Streams open at the same time."""

_PACE = 0.1  # seconds between two looks at what has passed a stage
_RECONNECT = b"retry: 2000\n\n"  # milliseconds


class TooManyStreams(Exception):
    """No place for another reader."""


class EventStream(StreamingResponse):
    """An answer that goes on until its reader leaves or serving ends."""

    media_type = "text/event-stream"

    async def stream_response(self, send: Send) -> None:
        """Send the events; what they hold is freed at once when the reader leaves."""
        events: Any = self.body_iterator
        async with aclosing(events):
            await super().stream_response(send)


class Streams:
    """All streams of one gateway.

    Args:
        gateway: whose values they show.
        pulse: its heartbeat.
    """

    def __init__(self, gateway: Gateway, pulse: Pulse) -> None:
        self._gateway = gateway
        self._pulse = pulse
        self.open = 0

    def stages(self) -> list[str]:
        """What can be listened to."""
        outputs = [f"output:{output.name}" for output in self._pulse.status.outputs]
        return [LATEST, "source", "store", *outputs]

    def events(self, stage: str, patterns: Sequence[str]) -> EventStream:
        """The events of a stage, of tags that match one of the patterns.

        Raises:
            TooManyStreams: there are `MOST` already.
        """
        if self.open >= MOST:
            raise TooManyStreams
        live = self._latest(patterns) if stage == LATEST else self._passing(stage, patterns)
        return EventStream(live)

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    async def _latest(self, patterns: Sequence[str]) -> AsyncIterator[bytes]:
        with self._counted():
            yield _RECONNECT
            pulse, state = self._pulse, _Shared(self._pulse)
            seen = 0
            while not pulse.over:
                if patterns:
                    news = self._encoded(pulse.changed_since(seen, patterns))
                else:
                    news = pulse.news(seen)
                seen = pulse.number
                if news:
                    yield _event("batch", news)
                for event in state.news():
                    yield event
                if seen == pulse.number:
                    await pulse.next()

    async def _passing(self, stage: str, patterns: Sequence[str]) -> AsyncIterator[bytes]:
        hub, pulse, state = self._gateway.hub, self._pulse, _Shared(self._pulse)
        with self._counted(), hub.listen(stage, patterns) as listener:
            yield _RECONNECT
            missed = _Missed(listener)
            while not pulse.over:
                if batch := listener.take():
                    yield _event("batch", self._encoded(batch))
                for event in (*missed.news(), *state.news()):
                    yield event
                await asyncio.sleep(_PACE)

    def _encoded(self, batch: Batch) -> bytes:
        table = self._gateway.context.tags
        return as_json([reading(sample, table) for sample in batch]) if batch else b""


class _Shared:
    """What every stream tells beside its values, as far as one reader has not heard it."""

    def __init__(self, pulse: Pulse) -> None:
        self._pulse = pulse
        self._beat = 0
        self._stale: frozenset[str] = frozenset()

    def news(self) -> Iterator[bytes]:
        pulse = self._pulse
        if self._beat == pulse.number:
            return
        self._beat = pulse.number
        if self._stale != pulse.stale:
            self._stale = pulse.stale
            yield _event("stale", as_json(sorted(self._stale)))
        yield _event("status", pulse.status_text())


class _Missed:
    """How many values a reader has lost, where it has not been told."""

    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._told = 0

    def news(self) -> Iterator[bytes]:
        if self._told != self._listener.missed:
            self._told = self._listener.missed
            yield _event("missed", as_json(self._told))


def _event(name: str, data: bytes) -> bytes:
    """One event; JSON holds no line break, so the data is one line."""
    return b"event: " + name.encode() + b"\ndata: " + data + b"\n\n"
