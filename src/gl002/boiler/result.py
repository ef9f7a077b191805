"""What every efficiency says about itself, whichever method it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from gl002.boiler.analysis import Fuel
from gl002.boiler.combustion import OxygenBasis
from gl002.errors import DataError

HeatBasis: TypeAlias = Literal["HHV", "LHV"]
"""The heating value that percentages are of."""

BlowdownBasis: TypeAlias = Literal["feedwater", "steam"]
"""What a blowdown in percent is a share of: 6 % of feedwater is 6.4 % of steam."""

_CARBON_TO_WEIGH_BY: Final = 0.1  # kmol per kmol of O2; below, the CO2 of the air counts too
_NONE: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Efficiency:
    """An efficiency by a named method, with all that is needed to read it.

    Two of them can be compared only if method, reference and basis agree: methods count the same
    heat differently, by up to two points.

    Attributes:
        method: 'ptc4_style', 'direct', or one of the others in `gl002.boiler.methods`.
        basis: heating value that `efficiency`, `losses` and `credits` are percent of.
        efficiency: percent of `basis`.
        efficiency_hhv: the same heat, percent of the higher heating value.
        efficiency_lhv: the same heat, percent of the lower heating value.
        losses: name -> percent of `basis`.
        credits: name -> percent of `basis`.
        details: intermediate values a checker asks for; each name ends in its unit.
        fuel: name of the fuel.
        oxygen_basis: of the oxygen measured; None where the method takes none.
        reference: degC at which heat counts as zero; None where the method has none.
        blowdown_basis: of the blowdown, where it was given in percent.
        inputs: all that went in, defaults included.
        reasons: what a reader must know to trust it, in plain sentences; empty when nothing.
    """

    method: str
    basis: HeatBasis
    efficiency: float
    efficiency_hhv: float
    efficiency_lhv: float
    losses: Mapping[str, float] = field(default_factory=lambda: _NONE)
    credits: Mapping[str, float] = field(default_factory=lambda: _NONE)
    details: Mapping[str, float] = field(default_factory=lambda: _NONE)
    fuel: str
    oxygen_basis: OxygenBasis | None = None
    reference: float | None = None
    blowdown_basis: BlowdownBasis | None = None
    inputs: Mapping[str, float | str]
    reasons: tuple[str, ...] = ()


def need_positive(efficiency: float, said: str) -> None:
    """Refuse an efficiency that no boiler can have.

    Raises:
        DataError: it is not above 0; `said` tells from what.
    """
    if not efficiency > 0:
        raise DataError(f"the losses are larger than the heat of the fuel ({said})")


def need_carbon(fuel: Fuel, method: str) -> None:
    """Refuse a fuel whose flue gas a method cannot weigh, because it does so by carbon dioxide.

    Raises:
        DataError: hydrogen, or a gas of hardly anything else.
    """
    if fuel.carbon < _CARBON_TO_WEIGH_BY * fuel.oxygen_demand:
        raise DataError(
            f"{method} weighs flue gas by its carbon dioxide, and {fuel.name} gives hardly any",
            hint="ptc4_style and en12952 count every gas",
        )
