"""Time that passes only while nothing is to be done, so that no machine decides about a time-out.

    @in_virtual_time
    async def test_a_request_without_an_answer_ends_in_time(): ...

The loop's clock, `time.monotonic` and `time.time_ns` stand still while anything is under way, and
jump to the next timer once nothing is: waits cost nothing, and a machine that stands still changes
nothing. For peers in the same loop, over real sockets: what the kernel hands on, on loopback, is
there before `send` returns. A process beside the test knows nothing of this time.

`Ahead` is for tests with threads or processes: the loop's clock goes on, and can be set ahead.
"""

from __future__ import annotations

import asyncio
import functools
import selectors
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, ParamSpec
from unittest.mock import patch

import pytest

from gl002.testing.leaks import Leaks

P = ParamSpec("P")

_START = 1_000.0
_GRACE = 0.002  # real seconds without anything before time passes


class _Clock:
    def __init__(self) -> None:
        self.now = _START
        self._epoch = time.time_ns() - round(_START * 1e9)

    def monotonic(self) -> float:
        return self.now

    def time_ns(self) -> int:
        return self._epoch + round(self.now * 1e9)


class _Selector(selectors.DefaultSelector):
    """Waits for sockets; where it would wait for a timer, time passes instead."""

    def __init__(self, clock: _Clock) -> None:
        super().__init__()
        self.elsewhere = 0  # jobs of threads that the loop waits for
        self._clock = clock

    def select(self, timeout: float | None = None) -> Any:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        if self.elsewhere:
            return super().select(None)
        ready = super().select(_GRACE)
        if not ready:
            self._clock.now += timeout
        return ready


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self, clock: _Clock) -> None:
        self._waiter = _Selector(clock)
        super().__init__(self._waiter)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        future = super().run_in_executor(executor, func, *args)
        self._waiter.elsewhere += 1
        future.add_done_callback(self._is_back)
        return future

    def _is_back(self, _: object) -> None:
        self._waiter.elsewhere -= 1

    async def shutdown_default_executor(self, *limit: Any) -> None:
        self._waiter.elsewhere += 1
        try:
            await super().shutdown_default_executor(*limit)
        finally:
            self._waiter.elsewhere -= 1


@contextmanager
def virtual_time() -> Iterator[asyncio.Runner]:
    """A runner whose coroutines live in time of their own."""
    clock = _Clock()
    with (
        patch.object(time, "monotonic", clock.monotonic),
        patch.object(time, "time_ns", clock.time_ns),
        asyncio.Runner(loop_factory=lambda: _Loop(clock)) as runner,
    ):
        yield runner


def in_virtual_time(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test in time of its own, and see that it leaves nothing behind."""

    async def checked(*args: P.args, **kwargs: P.kwargs) -> None:
        leaks = Leaks()
        await test(*args, **kwargs)
        await leaks.check()

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with virtual_time() as runner:
            runner.run(checked(*args, **kwargs))

    return run


class Ahead:
    """The time of the running loop: as always, and further by what `passes` has added.

    So a limit may be as long as no machine stands still, and running into it takes no time.

    Args:
        monkeypatch: of the test, whose loop it is.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._loop = asyncio.get_running_loop()
        self._ahead = 0.0
        true_time = self._loop.time
        monkeypatch.setattr(self._loop, "time", lambda: true_time() + self._ahead)

    def passes(self, seconds: float) -> None:
        """Let so many seconds pass at once; from any thread."""
        self._loop.call_soon_threadsafe(self._add, seconds)

    def _add(self, seconds: float) -> None:
        self._ahead += seconds
