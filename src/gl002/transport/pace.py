"""How fast another side takes requests: an even pace, so that its limit is never met.

pace = Pace(100)
for part in pace.portions(messages):
await pace.take(len(part))
await send(part)
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

_BREATH = 0.1  # seconds' worth of requests that go together


class Pace:
    """At most `rate` requests a second, in portions of a tenth of a second's worth.

    One for each destination, shared by all who send there.

    Args:
        rate: requests a second.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._free = 0.0  # when the next request may go, on the monotonic clock

    def portions(self, items: Sequence[T]) -> Iterator[Sequence[T]]:
        """The items, as many at a time as may go together."""
        most = max(1, int(self._rate * _BREATH))
        for start in range(0, len(items), most):
            yield items[start : start + most]

    def reserve(self, count: int, now: float) -> float:
        """Book a place for `count` requests; the seconds to wait before they go."""
        start = max(self._free, now)
        self._free = start + count / self._rate
        return start - now

    async def take(self, count: int) -> None:
        """Return when `count` requests may go."""
        await asyncio.sleep(self.reserve(count, time.monotonic()))
