"""The words in which advice is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Final, Literal, NamedTuple, TypeAlias

from gl002.boiler.uncertainty import Estimate

Kind: TypeAlias = Literal[
    "instrument", "oxygen_trim", "soot_blowing", "blowdown", "economizer", "air_preheat",
    "pressure", "steam_traps", "load_allocation",
]  # fmt: skip
"""What a recommendation is about; instruments come first, because all others rest on them."""


class Constraint(NamedTuple):
    """A limit that was looked at.

    Attributes:
        name: 'CO limit'.
        said: a sentence with the numbers.
        kept: whether the target keeps it.
    """

    name: str
    said: str
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """A saving over some time.

    Attributes:
        fuel: MWh (HHV).
        money: in the currency of the tariff.
        co2: t.
    """

    fuel: Estimate
    money: Estimate
    co2: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """What a change saves.

    Attributes:
        share: of the fuel, 0.01 for 1 %, just after the change.
        per_hour: at the moment's load, just after the change.
        per_year: over the hours the boiler is at work in a year, at their mean load, against a
            boiler left as it is; without what the upkeep of the change takes back and costs.
    """

    share: Estimate
    per_hour: Amounts
    per_year: Amounts

    @property
    def confidence(self) -> float:
        """How likely it is that anything is saved at all, 0 to 1."""
        if not self.share.standard:
            return float(self.share.value > 0)
        return NormalDist(self.share.value, self.share.standard).cdf(2 * self.share.value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    """What it takes to keep up a change that does not last by itself.

    Attributes:
        lost: share of the fuel that its saving is short of on the mean of a year.
        cost: of a year, in the currency of the tariff.
    """

    lost: Estimate
    cost: float


LASTING: Final = Upkeep(lost=Estimate(value=0.0), cost=0.0)
"""A change that stays as it is for nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """Something worth doing.

    Attributes:
        id: '<boiler>.<kind>', with the role for an instrument; the same advice has the same id.
        boiler: name of the boiler.
        kind: what it is about.
        title: what to do, in a sentence.
        evidence: first and last moment of the readings it rests on, ns since 1970.
        now: quantity, with its unit, -> value now.
        target: the same -> value to reach.
        saving: None for an instrument: what its repair saves is not known before.
        constraints: the limits that were looked at, all kept.
        change: field of the operating point -> value; for combining.
        spread: field -> standard uncertainty with which the target is reached.
        upkeep: what keeping it up takes back and costs; counted in `saving.per_year`.
        expires: ns since 1970, after which it must be found again.
        project: whether it needs money to be spent on equipment.
        reasons: what a reader must know to trust it.
    """

    id: str
    boiler: str
    kind: Kind
    title: str
    evidence: tuple[int, int]
    now: Mapping[str, float]
    target: Mapping[str, float]
    saving: Saving | None
    constraints: tuple[Constraint, ...] = ()
    change: Mapping[str, float] = field(default_factory=dict)
    spread: Mapping[str, float] = field(default_factory=dict)
    upkeep: Upkeep = LASTING
    expires: int
    project: bool = False
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """Why something is not recommended.

    Attributes:
        boiler: name of the boiler.
        kind: what it is about.
        reason: a sentence.
    """

    boiler: str
    kind: Kind
    reason: str


Advice: TypeAlias = Recommendation | Declined
