"""How long the machine itself stood still, so that no busy machine decides about a time-out."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

_STEP = 0.01  # seconds
_USUAL = 0.01  # seconds a step may be late on any machine


class Stalls:
    """Measures while a block runs, on a thread of its own: a loop that is blocked is no stall.

    Attributes:
        total: seconds by which the steps of the thread were late, together.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._measure, daemon=True, name="stalls")

    def _measure(self) -> None:
        over = False
        while not over:
            before = time.monotonic()
            over = self._done.wait(_STEP)
            late = time.monotonic() - before - _STEP
            if late > _USUAL:
                self.total += late

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Fail when the block takes longer, not counting what the machine itself stood still.

    Raises:
        AssertionError: says how long it took.
    """
    start = time.monotonic()
    with Stalls() as stalls:
        yield
    took = time.monotonic() - start
    assert took - stalls.total <= seconds, f"{took:.2f} s, {stalls.total:.2f} s of it stalls"
