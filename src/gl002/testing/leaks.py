"""What a test has left behind: tasks, threads of ours, sockets."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_PATIENCE = 30.0  # seconds that closing may take to be complete, on both ends
_STAYS = ("gl002-portal", "gl002-callbacks")  # one each per process, on purpose


class Leaks:
    """Remembers what is there now; `check` names what came and stayed. Make it inside a loop."""

    def __init__(self) -> None:
        self._tasks = asyncio.all_tasks()
        self._threads = set(threading.enumerate())
        self._sockets = set(_sockets())

    async def check(self) -> None:
        """Fail when something is still there that was not there at the start.

        Raises:
            AssertionError: names it.
        """
        deadline = time.monotonic() + _PATIENCE
        while left := self._left():
            assert time.monotonic() < deadline, f"left behind: {', '.join(left)}"
            await asyncio.sleep(0.01)

    def _left(self) -> list[str]:
        here: set[asyncio.Task[Any] | None] = {asyncio.current_task()}
        tasks = asyncio.all_tasks() - self._tasks - here
        threads = set(threading.enumerate()) - self._threads
        return [
            *(f"task {task.get_name()} ({task.get_coro()})" for task in tasks),
            *(f"thread {thread.name}" for thread in threads if _ours(thread)),
            *self._more_sockets(),
        ]

    def _more_sockets(self) -> list[str]:
        """New sockets, where they are more than those gone: a link that was cut listens anew."""
        now = set(_sockets())
        new, gone = now - self._sockets, self._sockets - now
        return sorted(new) if len(new) > len(gone) else []


def _ours(thread: threading.Thread) -> bool:
    return thread.name.startswith("gl002-") and not thread.name.startswith(_STAYS)


def _sockets() -> Iterator[str]:
    """Every open socket of this process, 'socket:[12345]' (Linux, proc(5))."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # closed since it was listed
            target = str(descriptor.readlink())
            if target.startswith("socket:"):
                yield target
