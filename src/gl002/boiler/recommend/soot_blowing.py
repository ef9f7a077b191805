"""Soot blowing and cleaning: when a stack runs hotter than clean, and when cleaning pays.

The clean stack is a baseline over load, feedwater and oxygen; what is above it for good, by a
cumulative sum, is deposit. The rule of thumb to clean at 42 K (75 degF) is far too late: that is
1.8 points.

What is saved in an hour is that of the hour after cleaning. A year, against a boiler that stays as
dirty as it is, is less: soot grows back and is cleaned away again at the economic interval, so half
of what grows in between is lost, and each cleaning costs.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gl002.boiler import monitor
from gl002.boiler.arrays import Array, np
from gl002.boiler.baseline import Baseline
from gl002.boiler.recommend.kinds import Advice, Constraint, Declined, Upkeep
from gl002.boiler.recommend.operation import (
    Economy,
    Evidence,
    OperatingPoint,
    recommend,
    share_saved,
)  # fmt: skip
from gl002.boiler.uncertainty import Estimate, Part, combine

FASTEST_SOOT: Final = 5.0
"""Kelvin of stack temperature an hour; what rises faster is an instrument or a fallen baffle."""

_ROLES: Final = frozenset({"stack_temperature", "load", "oxygen"})
_RECENT: Final = 6  # readings whose mean is the excess of now


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Stack temperatures since the last cleaning.

    Attributes:
        hours: since the last cleaning, regular, an hour apart as a rule.
        excess: kelvin above the clean baseline, not finite where the baseline does not hold.
    """

    hours: Array
    excess: Array


def economic_interval(cost: float, growth: float, money_per_hour: float) -> float:
    """Hours between two cleanings at which cleaning and lost fuel cost least together.

    The loss grows linearly: t = sqrt(2 C / (k m)).

    Args:
        cost: of a cleaning, its steam and wear included.
        growth: of the loss, share of the fuel per hour.
        money_per_hour: what all fuel costs.
    """
    if not (growth > 0 and money_per_hour > 0):
        return math.inf
    return math.sqrt(2 * cost / (growth * money_per_hour))


def soot_blowing(
    point: OperatingPoint,
    economy: Economy,
    evidence: Evidence,
    *,
    baseline: Baseline,
    stack: Stack,
    cost: float,
) -> Advice:
    """Whether to clean now.

    Args:
        point: the boiler now.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        baseline: of the clean stack temperature.
        stack: temperatures since the last cleaning.
        cost: of a cleaning, in the money of the tariff.
    """
    known = np.isfinite(stack.excess)
    if known.sum() < _RECENT:
        return _no(point, "the stack is not known well enough since the last cleaning")
    change = monitor.rising(stack.excess / baseline.deviation)
    if change is None:
        return _no(point, "the stack is as warm as a clean one")
    if monitor.too_sudden(
        stack.hours[change.began :], stack.excess[change.began :], fastest=FASTEST_SOOT
    ):
        return _no(
            point, "the stack rises faster than soot can: its thermometer, or a baffle that fell"
        )
    excess = float(np.mean(stack.excess[known][-_RECENT:]))
    clean = point.conditions.stack_temperature - excess
    spread = baseline.deviation / math.sqrt(_RECENT)
    growth, due = _due(point, economy, stack, cost)
    if not math.isfinite(due):
        why = "the stack does not get hotter" if growth.value <= 0 else "the fuel has no price"
        return _no(point, f"when to clean cannot be told: {why}")
    upkeep = Upkeep(
        # the dearer the loss, the sooner it is cleaned: it grows with the root of its growth
        lost=combine(growth.value * due / 2, [(due / 4, growth)]),
        cost=economy.hours / due * cost,
    )
    ran = float(stack.hours[-1])
    said = f"{ran:.0f} h since the last cleaning, every {due:.0f} h is cheapest"
    return recommend(
        point, "soot_blowing", {"stack_temperature": clean}, economy, evidence,
        title=f"Clean the heating surfaces: the stack is {excess:.0f} K above clean",
        now={"stack temperature, degC": point.conditions.stack_temperature},
        target={"stack temperature, degC": clean},
        constraints=(Constraint("economic interval", said, kept=ran >= due),),
        spread={"stack_temperature": spread}, roles=_ROLES, upkeep=upkeep,
        reasons=(
            f"the loss grows by {100 * 24 * growth.value:.3f} % of the fuel a day",
            _grows_back(upkeep, due, economy.hours),
        ),
    )  # fmt: skip


def _grows_back(upkeep: Upkeep, due: float, hours: float) -> str:
    """What a year's saving was lessened by."""
    return (
        f"soot grows back: cleaned every {due:.0f} h, {100 * upkeep.lost.value:.2f} % of the fuel "
        f"is lost, and {hours / due:.0f} cleanings cost {upkeep.cost:,.0f} a year; both are taken "
        "off the saving of a year"
    )


def _due(
    point: OperatingPoint, economy: Economy, stack: Stack, cost: float
) -> tuple[Estimate, float]:  # fmt: skip
    """Growth of the loss (share of the fuel per hour) and the economic interval (hours)."""
    slope, standard = monitor.trend(stack.hours, stack.excess)
    kelvin = share_saved(
        point, {"stack_temperature": point.conditions.stack_temperature - 1}
    ).value  # fmt: skip
    growth = max(slope, 0.0) * kelvin
    money = economy.mean_heat / 1000 * economy.price
    parts = {"growth of soot": Part(0.0, standard * kelvin)}
    return Estimate(value=growth, parts=parts), economic_interval(cost, growth, money)


def _no(point: OperatingPoint, reason: str) -> Declined:
    return Declined(boiler=point.boiler, kind="soot_blowing", reason=reason)
