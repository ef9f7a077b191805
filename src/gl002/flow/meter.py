"""Counts and rates of what passes a point, for status and metrics."""

from __future__ import annotations

import time
from collections import deque

_WINDOW = 10.0  # seconds a rate looks back
_STEPS = 20


class Meter:
    """A count that knows its rate over the last ten seconds."""

    __slots__ = ("_marks", "total")

    def __init__(self) -> None:
        self.total = 0
        self._marks: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=_STEPS + 2)

    def add(self, count: int) -> None:
        """Count `count` more."""
        self.total += count
        self._mark(time.monotonic())

    def _mark(self, now: float) -> None:
        if now - self._marks[-1][0] >= _WINDOW / _STEPS:
            self._marks.append((now, self.total))
        while len(self._marks) > 1 and now - self._marks[0][0] > _WINDOW:
            self._marks.popleft()

    @property
    def rate(self) -> float:
        """Per second, over the last ten seconds or since the start."""
        now = time.monotonic()
        self._mark(now)
        since, total = self._marks[0]
        return (self.total - total) / max(now - since, 1.0)
