"""Which of the things met while browsing are which roles of a boiler, by their names and units.

Only a proposal: a person who knows the plant reads it. What fits two roles equally well, or a role
that two things fit equally well, is left open rather than guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from gl002.errors import UnitError
from gl002.units import unit


class Thing(NamedTuple):
    """Something met while browsing.

    Attributes:
        name: what to call it.
        words: its path, name and description.
        unit: '' where unknown.
    """

    name: str
    words: str
    unit: str = ""


class _Rule(NamedTuple):
    """How a role is recognised.

    Attributes:
        dimensions: of its units; a thing without a unit may be of any.
        says: at least one of these must be in its words; more of them fit better.
        never: none of these may be.
    """

    dimensions: tuple[str, ...]
    says: tuple[str, ...]
    never: tuple[str, ...] = ()


_SETPOINT: Final = (r"\bset ?point\b", r"\bsp\b", r"\bvalve\b", r"\bdemand\b")
_SHARE: Final = ("share",)
_TEMPERATURE: Final = ("temperature",)
_FLOW: Final = ("mass flow",)
_BEHIND: Final = (r"\bbehind\b", r"\bafter\b", r"\boutlet\b", r"\bleaving\b")
_BEFORE: Final = (r"\bbefore\b", r"\binlet\b", r"\bentering\b")
_ECONOMIZER: Final = r"\becono\w*"

_RULES: Final[Mapping[str, _Rule]] = {
    "oxygen": _Rule(_SHARE, (r"\bo2\b", r"\boxygen\b"), _SETPOINT),
    "stack_temperature": _Rule(
        _TEMPERATURE, (r"\bstack\b", r"\bflue\b", r"\bexhaust\b", r"\bchimney\b"), _BEFORE
    ),
    "air_temperature": _Rule(
        _TEMPERATURE, (r"\bcombustion air\b", r"\bambient\b", r"\bair temp\w*"), (r"\bflue\b",)
    ),
    "carbon_monoxide": _Rule(_SHARE, (r"\bco\b", r"\bcarbon monoxide\b"), _SETPOINT),
    "carbon_dioxide": _Rule(_SHARE, (r"\bco2\b", r"\bcarbon dioxide\b"), _SETPOINT),
    "load": _Rule(_SHARE, (r"\bload\b", r"\bfiring rate\b"), _SETPOINT),
    "fuel_flow": _Rule(
        ("standard volume flow", "mass flow", "power (HHV)", "power (LHV)"),
        (r"\bfuel\b", r"\bgas flow\b", r"\boil flow\b"), (*_SETPOINT, r"\bflue\b"),
    ),
    "air_flow": _Rule(_FLOW, (r"\bair\b",), (*_SETPOINT, r"\bsteam\b")),
    "steam_flow": _Rule(
        _FLOW, (r"\bsteam\b",), (*_SETPOINT, r"\bblow ?down\b", r"\bconsumers?\b")
    ),
    "pressure": _Rule(
        ("gauge pressure", "absolute pressure"),
        (r"\bdrum\b", r"\bsteam\b", r"\bboiler pressure\b"), (*_SETPOINT, r"\bfeed ?water\b"),
    ),
    "steam_temperature": _Rule(_TEMPERATURE, (r"\bsteam\b",), (r"\bfeed ?water\b",)),
    "feedwater_flow": _Rule(_FLOW, (r"\bfeed ?water\b",), _SETPOINT),
    "feedwater_temperature": _Rule(_TEMPERATURE, (r"\bfeed ?water\b",), _BEHIND),
    "economizer_water_temperature": _Rule(
        _TEMPERATURE, (rf"\bfeed ?water\b.*(behind|after|outlet).*{_ECONOMIZER}",), _BEFORE
    ),
    "economizer_gas_temperature": _Rule(
        _TEMPERATURE, (rf"\bgas\b.*(before|inlet).*{_ECONOMIZER}",), _BEHIND
    ),
    "blowdown_flow": _Rule(_FLOW, (r"\bblow ?down\b",), _SETPOINT),
    "boiler_solids": _Rule(
        ("conductivity", "mass concentration"), (r"\bboiler water\b", r"\bdrum\b"), ()
    ),
    "feedwater_solids": _Rule(
        ("conductivity", "mass concentration"), (r"\bfeed ?water\b",), ()
    ),
}  # fmt: skip

_QUANTITIES: Final = {
    "temperature": r"\btemp", "mass flow": r"\bflow", "standard volume flow": r"\bflow",
    "gauge pressure": r"\bpress", "conductivity": r"\b(conductivity|solids|tds)\b",
}  # fmt: skip
"""What a thing without a unit must say of itself."""

_BOILER: Final = re.compile(r"\bboiler[ _-]?(\d+)\b", re.IGNORECASE)
_SPLIT: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[_./;=:-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """Roles of one boiler.

    Attributes:
        boiler: its name.
        roles: role -> the thing that fits best.
        open: role -> things that fit equally well.
        basis: 'wet' or 'dry' where the words of the oxygen say so.
    """

    boiler: str
    roles: Mapping[str, Thing]
    open: Mapping[str, tuple[Thing, ...]]
    basis: str | None


def propose(things: Iterable[Thing]) -> list[Proposal]:
    """Role bindings of each boiler; of one where names and paths tell none apart."""
    boilers: dict[str, list[Thing]] = {}
    for thing in things:
        number = _BOILER.search(_spaced(thing.words))
        boilers.setdefault(f"boiler{number[1]}" if number else "boiler1", []).append(thing)
    found = [_of_one(name, here) for name, here in sorted(boilers.items())]
    return [each for each in found if each.roles or each.open]


def _of_one(boiler: str, things: list[Thing]) -> Proposal:
    roles: dict[str, Thing] = {}
    unsure: dict[str, tuple[Thing, ...]] = {}
    for role, rule in _RULES.items():
        scores = {thing: _score(rule, thing) for thing in things}
        best = max(scores.values(), default=0)
        fitting = [thing for thing, score in scores.items() if score == best > 0]
        if len(fitting) == 1:
            roles[role] = fitting[0]
        elif fitting:
            unsure[role] = tuple(fitting)
    oxygen = roles.get("oxygen")
    return Proposal(
        boiler=boiler, roles=roles, open=unsure, basis=None if oxygen is None else _basis(oxygen)
    )


def _score(rule: _Rule, thing: Thing) -> int:
    """How well a thing fits; 0 for not at all."""
    words = _spaced(thing.words).lower()
    if any(re.search(each, words) for each in rule.never):
        return 0
    said = sum(bool(re.search(each, words)) for each in rule.says)
    if not said:
        return 0
    if not thing.unit:
        quantity = _QUANTITIES.get(rule.dimensions[0], "")
        return said if re.search(quantity, words) else 0
    try:
        return said + 10 if unit(thing.unit).dimension in rule.dimensions else 0
    except UnitError:
        return 0


def _basis(oxygen: Thing) -> str | None:
    words = _spaced(oxygen.words).lower()
    if re.search(r"\bdry\b|\bextractive\b", words):
        return "dry"
    return "wet" if re.search(r"\bwet\b|\bin ?situ\b|\bzirconia\b", words) else None


def _spaced(text: str) -> str:
    """'Boiler1.SteamFlow' as 'Boiler1 Steam Flow'."""
    return " ".join(part for part in _SPLIT.split(text) if part)
