"""All advice for one boiler: instruments first, then by money, and what it saves together."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from gl002.boiler.findings import Finding
from gl002.boiler.recommend.kinds import Advice, Declined, Recommendation, Saving, Upkeep
from gl002.boiler.recommend.operation import Economy, Evidence, OperatingPoint, saving
from gl002.boiler.uncertainty import combine
from gl002.model import severity

_STACK: Final = "stack_temperature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advised:
    """Everything there is to say about one boiler.

    Attributes:
        recommendations: what to do, in the order in which to do it.
        declined: what was looked at and is not recommended, with the reasons.
        combined: saving of all operational recommendations together, computed once for all: single
            savings depend on the state they start from and do not add up. None without any.
        projects: the same for those that need equipment, after the operational ones.
    """

    recommendations: tuple[Recommendation, ...]
    declined: tuple[Declined, ...]
    combined: Saving | None
    projects: Saving | None


def instruments(findings: Iterable[Finding], boiler: str, evidence: Evidence) -> list[Advice]:
    """A recommendation for each reading that cannot be believed; the gravest come first."""
    worst: dict[str, Finding] = {}
    for finding in findings:
        known = worst.get(finding.role)
        if known is None or finding.quality >> 30 > known.quality >> 30:
            worst[finding.role] = finding
    return [
        Recommendation(
            id=f"{boiler}.instrument.{role}", boiler=boiler, kind="instrument",
            title=f"Check the instrument of {role.replace('_', ' ')}: {finding.reason}",
            evidence=(evidence.start, evidence.end), now={}, target={}, saving=None,
            expires=evidence.end + evidence.valid,
            reasons=(f"its quality is {severity(finding.quality)} until then",),
        )
        for role, finding in sorted(worst.items(), key=lambda item: -(item[1].quality >> 30))
    ]  # fmt: skip


def advise(
    point: OperatingPoint, economy: Economy, evidence: Evidence, found: Iterable[Advice]
) -> Advised:
    """Put what the recommenders found in order, and combine it.

    Args:
        point: the boiler now; its `findings` become recommendations themselves.
        economy: what fuel is worth.
        evidence: when the readings were taken.
        found: of the recommenders.
    """
    advice = [*instruments(point.findings, point.boiler, evidence), *found]
    given = [each for each in advice if isinstance(each, Recommendation)]
    ordered = sorted(given, key=_rank)
    operational = [each for each in ordered if each.saving and not each.project]
    projects = [each for each in ordered if each.saving and each.project]
    together = combined(point, economy, operational)
    left = economy if together is None else _burnt_after(economy, together)
    return Advised(
        recommendations=tuple(ordered),
        declined=tuple(each for each in advice if isinstance(each, Declined)),
        combined=together,
        projects=_of_projects(point, left, operational, projects),
    )


def combined(
    point: OperatingPoint, economy: Economy, recommendations: Sequence[Recommendation]
) -> Saving | None:
    """What several recommendations save together, by computing the boiler with all changes.

    Raises:
        DataError: a state no boiler has.
    """
    change = merged(point, recommendations)
    if not change:
        return None
    spread: dict[str, float] = {}
    for each in recommendations:
        for name, standard in each.spread.items():
            spread[name] = math.hypot(spread.get(name, 0.0), standard)
    upkeep = [each.upkeep for each in recommendations]
    lost = [each.lost for each in upkeep]
    return saving(
        point, change, economy, spread=spread,
        upkeep=Upkeep(
            lost=combine(sum(each.value for each in lost), [(1.0, each) for each in lost]),
            cost=sum(each.cost for each in upkeep),
        ),
    )  # fmt: skip


def merged(point: OperatingPoint, recommendations: Sequence[Recommendation]) -> dict[str, float]:
    """All changes as one.

    What several operational changes do to the stack adds up; of several projects the coldest stack
    counts, because they share the same heat. Of anything else the first counts.
    """
    change: dict[str, float] = {}
    for each in recommendations:
        for name, value in each.change.items():
            if name != _STACK or name not in change:
                change.setdefault(name, value)
            elif each.project:
                change[name] = min(change[name], value)
            else:
                change[name] += value - point.conditions.stack_temperature
    return change


def _burnt_after(economy: Economy, saved: Saving) -> Economy:
    """What there is to save of once this is saved already."""
    left = 1 - saved.share.value
    heat, kept = economy.fuel_heat, 1000 * saved.per_year.fuel.value / economy.hours
    return replace(
        economy, fuel_heat=combine(left * heat.value, [(left, heat)]),
        mean_heat=economy.mean_heat - kept,
    )  # fmt: skip


def _of_projects(
    point: OperatingPoint,
    economy: Economy,
    operational: Sequence[Recommendation],
    projects: Sequence[Recommendation],
) -> Saving | None:
    """What projects save once the operation is in order; those it leaves nothing do not count.

    `economy` is that of the fuel that is burnt then.
    """
    after = point.changed(merged(point, operational))
    left = [
        each
        for each in projects
        if each.change.get(_STACK, 0.0) < after.conditions.stack_temperature
    ]
    return combined(after, economy, left)


def _rank(each: Recommendation) -> tuple[int, float]:
    """Instruments, then operation, then projects; within each by money per year."""
    if each.saving is None:
        return (0, 0.0)
    return (2 if each.project else 1, -each.saving.per_year.money.value)
