"""The clock of an event loop, set ahead where a test would else wait for a limit to run out."""

from __future__ import annotations

import asyncio

import pytest


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
