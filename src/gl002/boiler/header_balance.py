"""Balances across the boilers of one header: what they give is what its consumers take.

The meters of the header check the steam meters of the boilers, and the balances of each boiler that
is at rest take part, so that one wrong meter can be told from the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gl002.boiler.arrays import Array, Mask, np
from gl002.boiler.balancing import ENOUGH, blamed, reading, readings_of, rest_of
from gl002.boiler.findings import Finding
from gl002.boiler.live import Boiler
from gl002.boiler.reconcile import (
    Balance,
    Reading,
    Reconciled,
    balance_of_header,
    find_gross_errors,
)
from gl002.boiler.record import Record
from gl002.boiler.uncertainty import Accuracy
from gl002.model import Quality

__all__ = ["Consumer", "HeaderBalance", "HeaderMember", "balance_header"]

_OFF = 0.02  # share of full steam, or kg/s where that is not known, below which a boiler is off


class HeaderMember(NamedTuple):
    """A boiler that feeds the header, and what its instruments showed."""

    boiler: Boiler
    record: Record


class Consumer(NamedTuple):
    """A meter of what the header gives.

    Attributes:
        tag: of the meter, for people.
        flow: kg/s at the intervals of the members' records, not a number where unknown.
        accuracy: of the meter, in kg/s.
    """

    tag: str
    flow: Array
    accuracy: Accuracy


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderBalance:
    """What the meters of a header and its boilers show together.

    Attributes:
        steam: of the header, reconciled, kg/s.
        standard: its standard uncertainty, kg/s.
        by_boiler: boiler -> findings about its instruments.
        by_consumer: findings about meters of the header; their role is the tag.
    """

    steam: float
    standard: float
    by_boiler: Mapping[str, Sequence[Finding]]
    by_consumer: Sequence[Finding]


def balance_header(
    header: str, members: Sequence[HeaderMember], consumers: Sequence[Consumer]
) -> HeaderBalance | None:
    """The balance of a header over an hour; None where too little of it is known.

    Args:
        header: its name.
        members: all boilers that feed it, with records of the same intervals.
        consumers: meters that together measure all steam that leaves it.

    Raises:
        DataError: the balances cannot be satisfied.
    """
    known = np.logical_and.reduce([np.isfinite(each.flow) for each in consumers])
    for member in members:
        known &= member.record.known("steam_flow")
    if known.sum() < ENOUGH:
        return None
    readings, balances = _of_members(members, known)
    incoming = [f"{member.boiler.name}.steam" for member in members]
    outgoing = [f"{header}:{each.tag}" for each in consumers]
    mask = _used(members, known)
    for name, each in zip(outgoing, consumers, strict=True):
        mean = float(np.mean(each.flow[mask]))
        readings[name] = Reading(mean, max(each.accuracy.systematic(mean), 1e-9))
    total = f"{header}:"
    readings[total] = Reading(sum(readings[name].value for name in incoming))
    balances += [balance_of_header(incoming, [total]), balance_of_header([total], outgoing)]
    return _judged(header, find_gross_errors(readings, balances), outgoing)


def _used(members: Sequence[HeaderMember], known: Mask) -> Mask:
    """Intervals in which all boilers that are on are at rest, where those are enough; else all."""
    rests = known.copy()
    for member in members:
        if not _is_off(member, known):
            rest = rest_of(member.boiler, member.record)
            rests &= False if rest is None else rest
    return rests if rests.sum() >= ENOUGH else known


def _of_members(
    members: Sequence[HeaderMember], known: Mask
) -> tuple[dict[str, Reading], list[Balance]]:
    """Each boiler's own meters and balances where it is at rest, else its steam meter alone."""
    mask = _used(members, known)
    readings: dict[str, Reading] = {}
    balances: list[Balance] = []
    for member in members:
        prefix = f"{member.boiler.name}."
        own = None
        rest = None if _is_off(member, known) else rest_of(member.boiler, member.record)
        if rest is not None and not np.any(mask & ~rest):
            own = readings_of(member.boiler, member.record, mask, prefix)
        if own is None:
            flow = float(np.mean(member.record.roles["steam_flow"][mask]))
            readings[f"{prefix}steam"] = reading(member.boiler, "steam_flow", flow)
        else:
            readings.update(own[0])
            balances += own[1]
    return readings, balances


def _is_off(member: HeaderMember, known: Mask) -> bool:
    most = float(np.max(member.record.roles["steam_flow"][known]))
    return most < _OFF * (member.boiler.full_steam or 1.0)


def _judged(header: str, found: Reconciled, outgoing: Sequence[str]) -> HeaderBalance:
    total = f"{header}:"
    by_boiler: dict[str, list[Finding]] = {}
    for boiler, finding in blamed(found, f"the balances of the boilers on {header}"):
        by_boiler.setdefault(boiler, []).append(finding)
    others = " or another of those named" if len(found.suspects) > 1 else ""
    return HeaderBalance(
        steam=found.values[total],
        standard=found.standards[total],
        by_boiler=by_boiler,
        by_consumer=[
            Finding(
                "balance", name.removeprefix(total), Quality.UNCERTAIN_SENSOR_NOT_ACCURATE,
                f"{name.removeprefix(total)} does not fit what the boilers on {header} give: it, "
                f"with the rest right, would be {found.values[name]:.4g} kg/s{others}",
            )
            for name in outgoing
            if name in found.suspects
        ],
    )  # fmt: skip
