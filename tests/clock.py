"""Time of an event loop that is not the machine's: for tests of what happens when.

`run` gives a loop whose time passes when nothing else is to be done; `Clock` sets the running loop
ahead.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

R = TypeVar("R")


class _Loop(asyncio.SelectorEventLoop):
    """Where it would wait it is that much later at once. A machine that stands still changes
    nothing.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.now


class _Selector(selectors.DefaultSelector):  # type: ignore[misc,valid-type]  # of the platform
    def __init__(self, loop: _Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is not None and timeout > 0:
            self._loop.now += timeout
            timeout = 0
        return super().select(timeout)


def run(work: Callable[[SimpleNamespace], Coroutine[Any, Any, R]]) -> R:
    """Run a coroutine on a loop of this kind; it is given what stands for the module `time`."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        loop = runner.get_loop()
        return runner.run(work(SimpleNamespace(monotonic=loop.time)))


class Clock:
    """The time of the running loop: as always, and further by what `passes` has added.

    So a limit may be as long as no machine stands still, and running into it takes no time.

    Args:
        monkeypatch: of the test, whose loop it is.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = 0.0
        time = self._loop.time
        monkeypatch.setattr(self._loop, "time", lambda: time() + self._ahead)

    def passes(self, seconds: float) -> None:
        """Let so many seconds pass at once; from any thread."""
        self._loop.call_soon_threadsafe(self._add, seconds)

    def _add(self, seconds: float) -> None:
        self._ahead += seconds
