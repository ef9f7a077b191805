"""Uncertainty: the accuracy of instruments in, a 95 % band of the result out.

Linear propagation with a numerical Jacobian (GUM, JCGM 100:2008, clause 5.1; ASME PTC 19.1 uses the
same). Errors are kept apart by their source, so that what two results have in common cancels in
their difference: an oxygen probe that reads 0.2 % high does so before and after a change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, NamedTuple, TypeAlias

from gl002.errors import DataError

Meaning: TypeAlias = Literal["limits", "two_sigma", "standard"]
"""What a data sheet's plus-minus is: limits never exceeded (rectangular distribution), what holds
in 95 % of all cases, or one standard deviation."""

COVERAGE: Final = 1.96
"""Standard uncertainties to either side of a 95 % band."""

_DIVISOR: Final[Mapping[Meaning, float]] = {
    "limits": math.sqrt(3), "two_sigma": COVERAGE, "standard": 1.0,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Accuracy:
    """How accurate an instrument is, as its data sheet says it.

    Attributes:
        absolute: in the unit of the instrument. With a span, that is percent of span times span.
        reading: percent of the reading, added to `absolute`.
        meaning: what those two are.
        repeatability: standard deviation from one reading to the next, in the unit of the
            instrument, after whatever averaging is done. All else stays the same between two
            readings.
    """

    absolute: float = 0.0
    reading: float = 0.0
    meaning: Meaning = "limits"
    repeatability: float = 0.0

    def systematic(self, value: float) -> float:
        """Standard uncertainty of what stays the same between two readings of about this value."""
        return (self.absolute + abs(value) * self.reading / 100) / _DIVISOR[self.meaning]

    def of(self, value: float) -> Input:
        """A reading with its uncertainty."""
        return Input(value, self.systematic(value), self.repeatability)


class Input(NamedTuple):
    """A value that is not known exactly, with standard uncertainties in its own unit.

    Attributes:
        value: best estimate.
        systematic: of what stays the same between two readings.
        random: of what differs from one to the next.
    """

    value: float
    systematic: float = 0.0
    random: float = 0.0


class Part(NamedTuple):
    """What one source adds to an error, in the unit of the result, with its sign."""

    systematic: float
    random: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A result and how far off it may be.

    Attributes:
        value: best estimate.
        parts: source -> what one standard uncertainty of it does to the result.
    """

    value: float
    parts: Mapping[str, Part] = field(default_factory=dict)

    @property
    def standard(self) -> float:
        """Standard uncertainty; the sources are independent of each other."""
        return math.hypot(*(each for part in self.parts.values() for each in part))

    @property
    def band(self) -> tuple[float, float]:
        """Lower and upper end of the 95 % band."""
        half = COVERAGE * self.standard
        return self.value - half, self.value + half

    @property
    def contributions(self) -> dict[str, float]:
        """Source -> standard uncertainty it causes, the largest first."""
        sizes = {name: math.hypot(*part) for name, part in self.parts.items()}
        return dict(sorted(sizes.items(), key=lambda item: -item[1]))

    def named(self, prefix: str) -> Estimate:
        """The same with sources that are nobody else's: 'boiler2.oxygen'."""
        parts = {f"{prefix}.{name}": part for name, part in self.parts.items()}
        return Estimate(value=self.value, parts=parts)

    def significant(self) -> bool:
        """Whether the band leaves no doubt about the sign: 0 lies outside."""
        return abs(self.value) > COVERAGE * self.standard


_NOTHING: Final = Part(0.0, 0.0)
_UNLIMITED: Final = (-math.inf, math.inf)


def propagate(
    function: Callable[[Mapping[str, float]], float],
    inputs: Mapping[str, Input],
    *,
    limits: Mapping[str, tuple[float, float]] = MappingProxyType({}),
) -> Estimate:
    """A function of uncertain inputs.

    The Jacobian is taken by central differences over one standard uncertainty to either side, so
    that a curve within that range is averaged and not missed.

    Args:
        function: from input name -> value to the result.
        inputs: the sources of uncertainty; an input without any costs no evaluation.
        limits: name -> lowest and highest value the function takes; the slope is then one-sided.

    Raises:
        DataError: whatever the function raises.
    """
    values = {name: each.value for name, each in inputs.items()}
    parts = {}
    for name, (value, systematic, random) in inputs.items():
        step = math.hypot(systematic, random)
        if not step:
            continue
        low, high = limits.get(name, _UNLIMITED)
        above, below = min(value + step, high), max(value - step, low)
        if above == below:
            continue
        values[name] = above
        upper = function(values)
        values[name] = below
        slope = (upper - function(values)) / (above - below)
        values[name] = value
        parts[name] = Part(slope * systematic, slope * random)
    return Estimate(value=function(values), parts=parts)


def combine(
    value: float, terms: Sequence[tuple[float, Estimate]], *, same_readings: bool = False
) -> Estimate:
    """A result that depends on estimates which share sources of error.

    Args:
        value: best estimate of the result.
        terms: derivative of the result by each estimate, and the estimate. Sources of one name are
            the same instrument: their systematic parts add up with their signs, and so may cancel.
            For two boilers, give the sources of each their own names first (`Estimate.named`).
        same_readings: whether the estimates come from the very same readings (a measured state and
            one computed from it); then random parts add up with their signs as well.
    """
    sources = dict.fromkeys(name for _, estimate in terms for name in estimate.parts)
    parts = {}
    for name in sources:
        shares = [(slope, estimate.parts.get(name, _NOTHING)) for slope, estimate in terms]
        randoms = [slope * part.random for slope, part in shares]
        parts[name] = Part(
            sum(slope * part.systematic for slope, part in shares),
            sum(randoms) if same_readings else math.hypot(*randoms),
        )
    return Estimate(value=value, parts=parts)


def difference(after: Estimate, before: Estimate, *, same_readings: bool = False) -> Estimate:
    """`after` less `before`; what both have in common cancels."""
    return combine(
        after.value - before.value, [(1.0, after), (-1.0, before)], same_readings=same_readings
    )


def fuel_saving(after: Estimate, before: Estimate, *, same_readings: bool = False) -> Estimate:
    """Share of the fuel saved for the same steam when efficiency rises: 1 - before/after.

    Args:
        after: efficiency that is or would be reached.
        before: efficiency before, in the same unit and of the same basis.
        same_readings: as in `combine`.

    Raises:
        DataError: an efficiency that is not above 0.
    """
    if not (after.value > 0 and before.value > 0):
        raise DataError(
            f"no saving between efficiencies of {before.value:.4g} and {after.value:.4g} %"
        )
    ratio = before.value / after.value
    return combine(
        1 - ratio,
        [(ratio / after.value, after), (-1 / after.value, before)],
        same_readings=same_readings,
    )
