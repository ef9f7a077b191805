"""Whether a boiler is at rest now: a live efficiency describes it only then.

While the load changes, the stack follows the fuel by minutes and the drum stores heat or gives it
back. The limits are those that the history is judged by (`gl002.boiler.steady`); here readings are
judged as they come, without numpy, and without jumping to and fro at a limit.

Memory is of source time: what an instrument showed in the ten minutes before its own newest
reading. It begins empty, so that after a start nothing is called steady before half of it is known.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from gl002.boiler.findings import WHOLE, Finding, said_of
from gl002.model import Quality, Sample, is_bad

LOADS: Final = ("steam_flow", "load", "fuel_flow")
"""Roles that show the load; the first that has an instrument, and has not fallen silent, counts."""

_PARTS: Final = 20  # means that a window consists of: 30 s each, beyond the noise of instruments
_ENOUGH: Final = _PARTS // 2  # of them, before anything is called steady
_FORGOTTEN: Final = _PARTS // 4  # of them, below which it no longer is
_FEWEST: Final = 3  # of them, before anything is called changing
_RETURN: Final = 0.8  # of a limit, below which what was beyond it is at rest again
_NANOSECONDS: Final = 1_000_000_000


class Limits(NamedTuple):
    """What still counts as steady, all over one window of time.

    Attributes:
        window: seconds.
        load: standard deviation, share of the mean.
        pressure: change a minute, share of the pressure.
        oxygen: standard deviation, percent of the gas.
    """

    window: float = 600.0
    load: float = 0.02
    pressure: float = 0.005
    oxygen: float = 0.5


LIMITS: Final = Limits()
"""Ten minutes of steam within 2 %, pressure within 0.5 % a minute, oxygen within 0.5 %: limits of
practice for a performance point of an industrial boiler. The permitted fluctuations of a test by
ASME PTC 4 are of this kind and size; its text was not used."""


class Steadiness:
    """Takes the readings of one boiler as they come and says whether it is at rest.

    Args:
        metered: roles that have an instrument; a fixed value changes never and shows nothing.
        limits: what still counts as steady.
        max_age: seconds that a reading holds while no newer one comes.
    """

    def __init__(
        self, metered: Iterable[str], limits: Limits = LIMITS, *, max_age: float = 30.0
    ) -> None:
        there = frozenset(metered)
        self._loads = [role for role in LOADS if role in there]
        self._limits = limits
        self._seen = {
            role: _Window(limits.window, max_age)
            for role in (*LOADS, "pressure", "oxygen")
            if role in there
        }
        self._changing: set[str] = set()
        self._known = False

    def add(self, inputs: Mapping[str, Sample]) -> None:
        """Take the latest sample of each role; one that was taken before does nothing.

        Args:
            inputs: role -> sample in the engine's unit. Bad ones, and what is no number, say
                nothing about the load and are left out.
        """
        for role, window in self._seen.items():
            sample = inputs.get(role)
            if sample is None or is_bad(sample.quality) or isinstance(sample.value, bool | str):
                continue
            if sample.value is not None and math.isfinite(sample.value):
                window.add(sample.time, float(sample.value))

    def findings(self) -> list[Finding]:
        """Why results do not describe the boiler: it is not at rest, or nobody knows yet."""
        fresh = self._fresh()
        load = next((role for role in self._loads if role in fresh), "")
        judged = [role for role in (load, "pressure", "oxygen") if role in fresh]
        said = {role: self._said(role, fresh[role]) for role in judged}
        self._changing = {role for role, reason in said.items() if reason}
        least, known = self._least_known(load, fresh)
        self._known = known >= (_FORGOTTEN if self._known else _ENOUGH)
        if self._changing:
            reasons = ", ".join(reason for reason in said.values() if reason)
            reason = f"load is changing ({reasons} in {self._minutes(_PARTS)})"
        elif not self._known:
            reason = (
                f"not known yet whether the load is steady: {said_of(least)} seen for "
                f"{self._minutes(known)} of {self._minutes(_PARTS)}"
            )
        else:
            return []
        return [Finding("steady", WHOLE, Quality.UNCERTAIN_SUB_NORMAL, reason)]

    def _fresh(self) -> dict[str, _Window]:
        """Roles that have not fallen silent: of others the memory is of another time."""
        newest = max((window.newest for window in self._seen.values()), default=0)
        oldest = newest - round(self._limits.window / 2 * _NANOSECONDS)
        return {role: window for role, window in self._seen.items() if window.newest > oldest}

    def _least_known(self, load: str, fresh: Mapping[str, _Window]) -> tuple[str, int]:
        """The role that is needed and known for the shortest time, and of how many parts."""
        needed = [load or self._loads[0]] if self._loads else []
        known = {
            role: fresh[role].known if role in fresh else 0
            for role in [*needed, *(["oxygen"] if "oxygen" in self._seen else [])]
        }
        return min(known.items(), key=lambda each: each[1], default=("oxygen", _PARTS))

    def _said(self, role: str, window: _Window) -> str:
        """How a reading changes, in words; '' where it is within its limit."""
        if window.known < _FEWEST:
            return ""
        factor = _RETURN if role in self._changing else 1.0
        values = window.means()
        mean = math.fsum(values.values()) / len(values)
        if role == "pressure":
            slope = _slope(values) * 60 * _PARTS / self._limits.window  # a minute
            if abs(slope) <= factor * self._limits.pressure * abs(mean):
                return ""
            share = abs(slope / mean) if mean else math.inf
            return f"pressure {'rises' if slope > 0 else 'falls'} by {share:.1%} a minute"
        scatter = math.sqrt(math.fsum((v - mean) ** 2 for v in values.values()) / len(values))
        if role == "oxygen":
            much = scatter > factor * self._limits.oxygen
            return f"oxygen varies by {scatter:.2f} %" if much else ""
        if scatter <= factor * self._limits.load * abs(mean):
            return ""
        share = scatter / abs(mean) if mean else math.inf
        return f"{said_of(role)} varies by {share:.1%}"

    def _minutes(self, parts: int) -> str:
        return f"{parts * self._limits.window / _PARTS / 60:.2g} min"


class _Window:
    """Means of one reading over the parts of a window that ends with its newest one."""

    def __init__(self, window: float, max_age: float) -> None:
        self._width = max(1, round(window * _NANOSECONDS / _PARTS))
        self._max_age = round(max_age * _NANOSECONDS)
        self._parts: dict[int, tuple[float, int]] = {}  # number of the part -> sum, count
        self._last: tuple[int, float] | None = None

    @property
    def newest(self) -> int:
        """Time of the newest reading, ns since 1970; 0 before there is one."""
        return 0 if self._last is None else self._last[0]

    @property
    def known(self) -> int:
        """How many parts of the window are known."""
        return len(self._parts)

    def means(self) -> dict[int, float]:
        """Number of each known part -> its mean."""
        return {part: total / count for part, (total, count) in self._parts.items()}

    def add(self, time: int, value: float) -> None:
        """Take a reading; one that is older than the last, by less than the window, is left out."""
        part = time // self._width
        if self._last is not None:
            before, held = self._last
            if time < before - _PARTS * self._width:
                self._parts.clear()  # its clock was ahead and has been set right: begin anew
            elif time <= before:
                return
            if 0 < time - before <= self._max_age:  # it held until now
                first = max(before // self._width + 1, part - _PARTS + 1)
                self._parts.update(dict.fromkeys(range(first, part), (held, 1)))
        total, count = self._parts.get(part, (0.0, 0))
        self._parts[part] = total + value, count + 1
        self._last = time, value
        for old in [each for each in self._parts if each <= part - _PARTS]:
            del self._parts[old]


def _slope(values: Mapping[int, float]) -> float:
    """Of the straight line through values over their numbers."""
    middle = math.fsum(values) / len(values)
    spread = math.fsum((number - middle) ** 2 for number in values)
    return math.fsum((number - middle) * value for number, value in values.items()) / spread
