"""The heartbeat of the API: once a second, what all its readers share is worked out once.

However many dashboards are open, a second costs one look at the latest values, one status, and
one JSON text of what has changed.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from gl002.flow.gateway import Gateway
from gl002.flow.status import GatewayStatus
from gl002.model import Sample, Tag, is_bad, now_ns
from gl002.web.shapes import StatusAnswer, as_json, reading, status_answer

log = logging.getLogger("gl002.web")

INTERVAL = 1.0
"""Seconds between two beats."""

_LATE = 3  # usual times between two values after which a tag is stale
_SHORTEST_WAIT = 3.0  # seconds; beats are too coarse to judge anything faster
_FORGETTING = 0.1  # share by which the usual time follows a shorter one
_OWN_CARE = frozenset({"calculated", "boiler"})  # sources whose quality already tells old inputs
_WINDOW = 120  # beats over which the store is watched
_ENOUGH = 20  # beats before anything is said about it


class Pulse:
    """Watches one gateway while it is served.

    Args:
        gateway: what to watch.

    Attributes:
        number: of beats so far.
        status: the state at the last beat.
        stale: tags whose last value is older than it should be, at the last beat.
        over: serving ends; streams end too.
    """

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._latest = gateway.hub.latest
        self._tags: dict[str, _Rhythm] = {}
        self._filling = _Filling()
        self._news: dict[int, bytes] = {}
        self._status_text = b""
        self._beaten = asyncio.Event()
        self._full_in: float | None = None
        self._measured = 0
        self.number = 0
        self.stale: frozenset[str] = frozenset()
        self.over = False
        self.status: StatusAnswer
        self.beat()

    async def run(self) -> None:
        """Beat until cancelled; a fault of ours costs a beat, not the dashboard."""
        due = time.monotonic()
        while True:
            due = max(due + INTERVAL, time.monotonic())
            await asyncio.sleep(due - time.monotonic())
            try:
                self.beat()
            except Exception:
                log.exception("a fault in the dashboard")

    def stop(self) -> None:
        """Wake up whoever waits, and let them end."""
        self.over = True
        self._beaten.set()

    async def next(self) -> None:
        """Return at the next beat, or at once when serving ends."""
        await self._beaten.wait()

    def beat(self) -> None:
        """Take stock now."""
        self.number += 1
        self._look()
        self._full_in = self._filling.full_in(self._gateway.status())
        self.status = self.status_now()
        self._news, self._status_text = {}, b""
        if not self.over:
            self._beaten.set()
            self._beaten = asyncio.Event()

    def status_now(self) -> StatusAnswer:
        """The state at this moment."""
        return status_answer(
            self._gateway.status(), measured=self._measured, full_in_s=self._full_in
        )

    def status_text(self) -> bytes:
        """The state at the last beat as JSON; made once however many ask."""
        self._status_text = self._status_text or as_json(self.status)
        return self._status_text

    # ---- values -----------------------------------------------------------------------------

    def _look(self) -> None:
        """Note what is new, and what should have been."""
        known, number, now = self._tags, self.number, now_ns()
        for tag, sample in self._latest.items():
            rhythm = known.get(tag)
            if rhythm is None:
                known[tag] = _Rhythm(sample, number, self._longest_silence(tag))
            elif rhythm.sample is not sample:
                rhythm.next(sample, number)
        holds = self._gateway.hub.by_exception
        self.stale = frozenset(
            tag for tag, rhythm in known.items() if rhythm.due < now and tag not in holds
        )
        measured = (r.sample.time for r in known.values() if r.measured)
        self._measured = max(self._measured, max(measured, default=0))

    def _longest_silence(self, tag: str) -> float | None:
        """Seconds for which a tag may say nothing by agreement; None where for ever."""
        if self._gateway.context.tags.get(tag, _NO_TAG).source in _OWN_CARE:
            return None
        settings = self._gateway.config.sections.tags.get(tag)
        deadband = settings.deadband if settings is not None else None
        return deadband.heartbeat if deadband is not None else 0.0

    def changed_since(self, number: int, patterns: Sequence[str] = ()) -> list[Sample]:
        """The latest values that came after a beat, of tags that match one of the patterns."""
        return [
            rhythm.sample
            for tag, rhythm in self._tags.items()
            if rhythm.number > number and matches(tag, patterns)
        ]

    def news(self, since: int) -> bytes:
        """What came after a beat, as JSON, b'' for nothing; made once however many ask."""
        if since not in self._news:
            table = self._gateway.context.tags
            changed = [reading(sample, table) for sample in self.changed_since(since)]
            self._news[since] = as_json(changed) if changed else b""
        return self._news[since]


def matches(tag: str, patterns: Sequence[str]) -> bool:
    """Whether a tag is wanted: it matches one of the patterns, or there are none."""
    return not patterns or any(fnmatch.fnmatchcase(tag, pattern) for pattern in patterns)


class _Rhythm:
    """The last value of a tag, and when the next one should be there."""

    __slots__ = ("_least", "due", "number", "period", "sample")

    def __init__(self, sample: Sample, number: int, least: float | None) -> None:
        self.sample = sample
        self.number = number
        self.period = 0.0  # usual seconds between two values, 0 while unknown
        self.due = _NEVER
        self._least = least

    @property
    def measured(self) -> bool:
        return self._least is not None and not is_bad(self.sample.quality)

    def next(self, sample: Sample, number: int) -> None:
        before, self.sample, self.number = self.sample, sample, number
        if self._least is None or is_bad(before.quality):
            return  # the length of an outage is nothing usual
        took = (sample.time - before.time) / 1e9
        self.period = max(took, self.period + _FORGETTING * (took - self.period))
        wait = max(_LATE * max(self.period, self._least), _SHORTEST_WAIT)
        self.due = sample.time + int(wait * 1e9)


class _Filling:
    """Whether the store fills up, and when it will be full."""

    def __init__(self) -> None:
        self._marks: deque[_Mark] = deque(maxlen=_WINDOW)

    def full_in(self, status: GatewayStatus) -> float | None:
        """Seconds until it is full; None while every output keeps up, or too little is known."""
        store, outputs = status.store, status.outputs
        pending = max((output.pending for output in outputs), default=0)
        self._marks.append(_Mark(status.uptime, store.bytes, pending))
        down = any(output.pending and output.state != "up" for output in outputs)
        if len(self._marks) < _ENOUGH or not (down or self._falls_behind()):
            return None
        first, last = self._marks[0], self._marks[-1]
        rate = (last.bytes - first.bytes) / max(last.time - first.time, INTERVAL)
        room = max(0, min(store.max_bytes - store.bytes, store.free))
        return room / rate if rate > 0 else None

    def _falls_behind(self) -> bool:
        """An output that delivers in intervals always has something pending: compare the least."""
        if len(self._marks) < _WINDOW:
            return False
        pending = [mark.pending for mark in self._marks]
        half = _WINDOW // 2
        return min(pending[half:]) > min(pending[:half])


class _Mark(NamedTuple):
    time: float
    bytes: int
    pending: int


_NEVER = 2**63
_NO_TAG = Tag(name="")


def tags_of(gateway: Gateway, patterns: Sequence[str] = ()) -> Iterator[Tag]:
    """Every tag a gateway knows, in alphabetical order."""
    table = gateway.context.tags
    for name in sorted(table.keys() | gateway.hub.latest.keys()):
        if matches(name, patterns):
            yield table.get(name) or Tag(name=name)
