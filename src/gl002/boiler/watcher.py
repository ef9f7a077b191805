"""The last half hour of a boiler's readings, kept for `gl002.boiler.watch` to look at."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from gl002.boiler import validation
from gl002.boiler.arrays import Array, np
from gl002.boiler.findings import Finding
from gl002.boiler.watch import WINDOW, Usual, Watched, inspect

_NOTHING_USUAL: Final = Usual(noise={}, span={}, rate={}, comparisons={})
_FULL: Final = 0.95  # share of the window that must be known before it is judged as a whole
_NO_CLOCKS: Final[Mapping[str, float]] = MappingProxyType({})
_OTHERS: Final = 2  # clocks to compare one with


class Watcher:
    """Takes readings at regular times and says what is wrong with them.

    Before half an hour is known, and without anything learned, it finds what needs no history:
    values out of range, a dead analyser, oxygen and carbon dioxide that do not fit.

    Args:
        boiler: what is known about it.
        usual: what is usual for its readings; None where nothing was learned.
        step: seconds between two readings.
    """

    def __init__(self, boiler: Watched, usual: Usual | None = None, *, step: float = 5.0) -> None:
        self._boiler = boiler
        self._step = step
        self._rows: deque[tuple[float, Mapping[str, float]]] = deque(maxlen=round(WINDOW / step))
        self.usual = usual

    def add(self, time: float, values: Mapping[str, float]) -> None:
        """Take a reading of every role that has a sound value at this moment.

        Args:
            time: seconds, rising; one that does not rise is left out.
            values: role -> value in the engine's unit.
        """
        if not self._rows or time > self._rows[-1][0]:
            self._rows.append((time, dict(values)))

    def findings(self, clocks: Mapping[str, float] = _NO_CLOCKS) -> list[Finding]:
        """What is wrong now.

        Args:
            clocks: role -> time of its newest reading, seconds, of roles read at regular times.
        """
        if not self._rows:
            return []
        found = self._by_window() or self._by_values()
        blamed = {finding.role for finding in found}
        return found + [f for f in _skewed(clocks) if f.role not in blamed]

    def _by_window(self) -> list[Finding]:
        """What half an hour shows; nothing before it is known."""
        oldest, newest = self._rows[0][0], self._rows[-1][0]
        if newest - oldest < _FULL * (WINDOW - self._step):
            return []
        times, window = self._window()
        return inspect(self._boiler, self.usual or _NOTHING_USUAL, times, window)

    def _by_values(self) -> list[Finding]:
        """What the newest readings show by themselves."""
        newest = self._rows[-1][1]
        dead = validation.dead_analyser(newest)
        blamed = {finding.role for finding in dead}
        others = (
            validation.out_of_range(role, value)
            for role, value in newest.items()
            if role in validation.LIMITS and role not in blamed
        )
        return [*dead, *(finding for finding in others if finding is not None)]

    def _window(self) -> tuple[Array, dict[str, Array]]:
        """Roles that were sound all the time; the others are known to be doubtful anyway."""
        times = np.array([time for time, _ in self._rows])
        always = set(self._rows[-1][1])
        for _, row in self._rows:
            always &= row.keys()
        judged = [role for role in self._rows[-1][1] if role in always & validation.LIMITS.keys()]
        return times, {role: np.array([row[role] for _, row in self._rows]) for role in judged}


def _skewed(clocks: Mapping[str, float]) -> list[Finding]:
    """Readings that belong to another time."""
    found = []
    for role, time in clocks.items():
        others = np.array([t for other, t in clocks.items() if other != role])
        if others.size >= _OTHERS:
            finding = validation.skewed(role, time, others)
            found += [finding] if finding else []
    return found
