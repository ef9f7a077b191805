"""Readings that change faster than the instrument's owner says they can."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Final

from gl002.boiler.arrays import np
from gl002.boiler.findings import Finding
from gl002.boiler.validation import too_fast

MEMORY: Final = 60.0
"""Seconds of the instrument's own clock for which a change that was too fast is remembered."""

_MOST: Final = 600  # readings kept of one role


class Rates:
    """The readings of the last minute, and which of them changed too fast."""

    def __init__(self) -> None:
        self._seen: dict[str, deque[tuple[float, float]]] = {}

    def add(self, readings: Mapping[str, tuple[float, float]]) -> None:
        """Take what is newest; a reading that was taken before does nothing.

        Args:
            readings: role -> time of the source, s, and value in the engine's unit.
        """
        for role, (time, value) in readings.items():
            seen = self._seen.setdefault(role, deque(maxlen=_MOST))
            if seen and time < seen[-1][0] - MEMORY:
                seen.clear()  # its clock was ahead and has been set right
            elif seen and time <= seen[-1][0]:
                continue
            seen.append((time, value))
            while len(seen) > 2 and seen[1][0] < time - MEMORY:  # noqa: PLR2004 - one before, to compare with
                seen.popleft()

    def findings(self, fastest: Mapping[str, float], sparing: Iterable[str] = ()) -> list[Finding]:
        """What changed too fast within the last minute.

        Args:
            fastest: role -> largest change a second that is plausible, in the engine's unit.
            sparing: roles about which something worse is known.
        """
        spared = frozenset(sparing)
        found = []
        for role, most in fastest.items():
            seen = self._seen.get(role, ())
            if len(seen) > 1 and role not in spared:
                times, values = np.array(seen).T
                finding = too_fast(role, times, values, most)
                found += [] if finding is None else [finding]
        return found
