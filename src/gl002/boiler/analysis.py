"""A fuel from its analysis: a gas from its composition, a solid or liquid from its elements.

A fuel is described per unit of amount, one kmol for gases and one kg for everything else; all of
`gl002.boiler` then counts per that unit. Fuels that burn together are one fuel more: `mixture`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from gl002.boiler.gases import ATOMIC_MASS, CONDENSATION, WATER_MASS
from gl002.errors import DataError

AnalysisBasis: TypeAlias = Literal["as_received", "dry", "ash_free"]
"""What the percentages of a laboratory are of: the fuel as it is burnt, without its moisture, or
without moisture and ash (daf)."""

_PERCENT: Final = 100.0
_COMPLETE: Final = 0.005  # how far the shares of a composition may be from 1
_ELEMENTS: Final = ("C", "H", "O", "N", "S")
_CORRELATION_ERROR: Final = 0.015  # mean absolute error of `heat_of_elements`, relative


@dataclass(frozen=True, slots=True, kw_only=True)
class Fuel:
    """What burns, per unit of amount.

    The uncertainties are relative standard ones, of a fuel that was not analysed. `hhv` counts
    where fuel is weighed or metered. The heat loss method depends on ratios to the heat instead,
    which are far better known: fuels of one kind with more hydrogen also have more heat.

    Attributes:
        name: as in the configuration.
        per: the unit of amount.
        carbon, hydrogen, oxygen, nitrogen, sulphur: kmol of atoms, those of `water` not counted.
        water: kmol of liquid moisture.
        ash: kg of what does not burn.
        biogenic: kmol of the carbon that comes from biomass; the rest is fossil.
        hhv: higher heating value at 25 degC, kJ.
        hhv_uncertainty: of `hhv`.
        hydrogen_uncertainty: of hydrogen per heat.
        water_uncertainty: of moisture per heat.
        air_uncertainty: of theoretical air per heat.
    """

    name: str
    per: Literal["kmol", "kg"]
    carbon: float
    hydrogen: float
    oxygen: float = 0.0
    nitrogen: float = 0.0
    sulphur: float = 0.0
    water: float = 0.0
    ash: float = 0.0
    biogenic: float = 0.0
    hhv: float
    hhv_uncertainty: float = 0.0
    hydrogen_uncertainty: float = 0.0
    water_uncertainty: float = 0.0
    air_uncertainty: float = 0.0

    @property
    def vapour(self) -> float:
        """Water vapour that leaves when it has burnt, kmol."""
        return self.hydrogen / 2 + self.water

    @property
    def lhv(self) -> float:
        """Lower heating value at 25 degC, kJ: without the heat of condensation of its water."""
        return self.hhv - self.vapour * CONDENSATION

    @property
    def mass(self) -> float:
        """Mass of the unit of amount, kg."""
        return (
            self.carbon * ATOMIC_MASS["C"]
            + self.hydrogen * ATOMIC_MASS["H"]
            + self.oxygen * ATOMIC_MASS["O"]
            + self.nitrogen * ATOMIC_MASS["N"]
            + self.sulphur * ATOMIC_MASS["S"]
            + self.water * WATER_MASS
            + self.ash
        )

    @property
    def oxygen_demand(self) -> float:
        """Oxygen that burns it completely, kmol of O2."""
        return self.carbon + self.hydrogen / 4 + self.sulphur - self.oxygen / 2


# Atoms (C, H, O, N, S) and higher heating value in kJ/mol at 25 degC, ISO 6976:2016, table 3;
# C3H6 and H2S from enthalpies of formation (CODATA key values, NIST)
_GASES: Final[Mapping[str, tuple[float, float, float, float, float, float]]] = {
    "CH4": (1, 4, 0, 0, 0, 890.58),
    "C2H6": (2, 6, 0, 0, 0, 1560.69),
    "C3H8": (3, 8, 0, 0, 0, 2219.17),
    "n-C4H10": (4, 10, 0, 0, 0, 2877.40),
    "i-C4H10": (4, 10, 0, 0, 0, 2868.20),
    "n-C5H12": (5, 12, 0, 0, 0, 3535.77),
    "i-C5H12": (5, 12, 0, 0, 0, 3528.83),
    "n-C6H14": (6, 14, 0, 0, 0, 4194.95),
    "C2H4": (2, 4, 0, 0, 0, 1411.18),
    "C3H6": (3, 6, 0, 0, 0, 2058.0),
    "H2": (0, 2, 0, 0, 0, 285.83),
    "CO": (1, 0, 1, 0, 0, 282.98),
    "H2S": (0, 2, 0, 0, 1, 562.0),
    "CO2": (1, 0, 2, 0, 0, 0.0),
    "O2": (0, 0, 2, 0, 0, 0.0),
    "N2": (0, 0, 0, 2, 0, 0.0),
}


def gas(
    composition: Mapping[str, float],
    *,
    name: str = "gas",
    biogenic: float = 0.0,
    hhv: float | None = None,
    hhv_uncertainty: float = 0.0,
    hydrogen_uncertainty: float = 0.0,
    air_uncertainty: float = 0.0,
) -> Fuel:
    """A fuel gas from its composition, per kmol.

    Args:
        composition: gas ('CH4', 'C2H6', 'n-C4H10', 'N2', ...) -> percent by volume; brought to 100.
        name: what to call it.
        biogenic: percent of its carbon that comes from biomass.
        hhv: kJ/kmol at 25 degC where it was measured; from ISO 6976:2016, table 3, where not.
        hhv_uncertainty: relative standard uncertainty of the heating value.
        hydrogen_uncertainty: relative standard uncertainty of hydrogen per heat.
        air_uncertainty: relative standard uncertainty of theoretical air per heat.

    Raises:
        DataError: an unknown gas, a negative share, or shares that are not near 100 percent.
    """
    of_biomass = _share_of_carbon(name, biogenic)
    unknown = sorted(composition.keys() - _GASES.keys())
    if unknown:
        raise DataError(f"{name}: unknown gas {unknown}", hint=f"known are {', '.join(_GASES)}")
    total = _total(name, composition.values())
    carbon, hydrogen, oxygen, nitrogen, sulphur, heat = (
        sum(share * _GASES[each][column] for each, share in composition.items()) / total
        for column in range(6)
    )
    return Fuel(
        name=name, per="kmol", carbon=carbon, hydrogen=hydrogen, oxygen=oxygen, nitrogen=nitrogen,
        sulphur=sulphur, biogenic=carbon * of_biomass,
        hhv=heat * 1000 if hhv is None else hhv, hhv_uncertainty=hhv_uncertainty,
        hydrogen_uncertainty=hydrogen_uncertainty, air_uncertainty=air_uncertainty,
    )  # fmt: skip


def ultimate(
    elements: Mapping[str, float],
    *,
    name: str = "fuel",
    basis: AnalysisBasis = "as_received",
    moisture: float = 0.0,
    ash: float = 0.0,
    biogenic: float = 0.0,
    hhv: float | None = None,
    hhv_uncertainty: float = 0.0,
    hydrogen_uncertainty: float = 0.0,
    water_uncertainty: float = 0.0,
    air_uncertainty: float = 0.0,
) -> Fuel:
    """A solid or liquid fuel from its ultimate analysis, per kg as it is burnt.

    Args:
        elements: 'C', 'H', 'O', 'N', 'S' -> percent by mass on `basis`, hydrogen and oxygen of the
            moisture not counted; those not named are 0.
        name: what to call it.
        basis: what `elements`, `ash` and `hhv` are of. On 'ash_free' `ash` is percent of dry fuel.
        moisture: percent of the fuel as it is burnt.
        ash: percent by mass on `basis`. With chlorine and other inerts.
        biogenic: percent of its carbon that comes from biomass.
        hhv: kJ/kg on `basis` where it was measured; from `heat_of_elements` where not.
        hhv_uncertainty: relative standard uncertainty of the heating value.
        hydrogen_uncertainty: relative standard uncertainty of hydrogen per heat.
        water_uncertainty: relative standard uncertainty of moisture per heat.
        air_uncertainty: relative standard uncertainty of theoretical air per heat.

    Raises:
        DataError: an unknown element, a negative share, shares that do not add up to about 100
            percent on their basis, or a moisture outside 0 to 80.
    """
    of_biomass = _share_of_carbon(name, biogenic)
    unknown = sorted(elements.keys() - set(_ELEMENTS))
    if unknown:
        raise DataError(f"{name}: unknown element {unknown}", hint="known are C, H, O, N, S")
    if not 0 <= moisture <= 80:  # noqa: PLR2004 - wetter than that, nothing burns
        raise DataError(f"{name}: moisture {moisture:g} % is outside 0 to 80")
    inert = {"as_received": (moisture, ash), "dry": (ash,), "ash_free": ()}[basis]
    total = _total(name, [*elements.values(), *inert])
    dry = 1 - moisture / _PERCENT
    to_fuel = {"as_received": 1.0, "dry": dry, "ash_free": dry * (1 - ash / _PERCENT)}[basis]
    ash_share = ash / _PERCENT if basis == "as_received" else ash / _PERCENT * dry
    share = {each: elements.get(each, 0.0) / total * to_fuel for each in _ELEMENTS}
    if hhv is None:
        heat = heat_of_elements(share, ash_share)
        hhv_uncertainty = max(hhv_uncertainty, _CORRELATION_ERROR)
    else:
        heat = hhv * to_fuel
    return Fuel(
        name=name, per="kg", hhv=heat, ash=ash_share, water=moisture / _PERCENT / WATER_MASS,
        carbon=share["C"] / ATOMIC_MASS["C"], hydrogen=share["H"] / ATOMIC_MASS["H"],
        oxygen=share["O"] / ATOMIC_MASS["O"], nitrogen=share["N"] / ATOMIC_MASS["N"],
        sulphur=share["S"] / ATOMIC_MASS["S"],
        biogenic=share["C"] / ATOMIC_MASS["C"] * of_biomass, hhv_uncertainty=hhv_uncertainty,
        hydrogen_uncertainty=hydrogen_uncertainty, water_uncertainty=water_uncertainty,
        air_uncertainty=air_uncertainty,
    )  # fmt: skip


def heat_of_elements(share: Mapping[str, float], ash: float) -> float:
    """Higher heating value estimated from the elements, kJ/kg.

    The correlation of Channiwala and Parikh, Fuel 81 (2002) 1051, over gases, liquids and solids;
    its mean absolute error is 1.5 %.

    Args:
        share: 'C', 'H', 'O', 'N', 'S' -> kg per kg; of dry fuel for the heat of dry fuel.
        ash: kg per kg.
    """
    return 1000 * (
        34.91 * share["C"] + 117.83 * share["H"] + 10.05 * share["S"] - 10.34 * share["O"]
        - 1.51 * share["N"] - 2.11 * ash
    )  # fmt: skip


def mixture(
    parts: Sequence[tuple[Fuel, float]],
    *,
    by: Literal["heat", "mass", "volume"],
    name: str = "mixture",
) -> Fuel:
    """Fuels that burn together in one furnace, as one fuel.

    Args:
        parts: each fuel and its share; in any unit, only the ratios count.
        by: what the shares are of: heat (HHV), mass, or standard volume (gases only).
        name: what to call it.

    Returns:
        Per kmol where all parts are gases, else per kg. The parts' uncertainties are taken as
        independent of each other.

    Raises:
        DataError: no part, a negative share, all shares 0, or a volume share of what is no gas.
    """
    if not parts or not all(share >= 0 and math.isfinite(share) for _, share in parts):
        raise DataError(f"{name}: needs parts with shares of 0 or more")
    if by == "volume" and any(fuel.per != "kmol" for fuel, _ in parts):
        raise DataError(f"{name}: only gases can be shared out by volume")
    gases = all(fuel.per == "kmol" for fuel, _ in parts)
    units = [
        (fuel, share / (1.0 if by == "volume" else fuel.mass if by == "mass" else fuel.hhv))
        for fuel, share in parts
    ]
    whole = sum(n if gases else n * fuel.mass for fuel, n in units)
    if not whole > 0:
        raise DataError(f"{name}: all shares are 0")
    amounts = [(fuel, n / whole) for fuel, n in units]
    return _sum(amounts, name, "kmol" if gases else "kg")


def hydrogen_blend(base: Fuel, percent: float) -> Fuel:
    """A fuel gas with this much hydrogen in it, percent by volume.

    Raises:
        DataError: the base is no gas, or the percentage is outside 0 to 100.
    """
    if not 0 <= percent <= _PERCENT:
        raise DataError(f"hydrogen {percent:g} % is outside 0 to 100")
    hydrogen = gas({"H2": 100.0})
    name = f"{base.name}_h2_{percent:g}"
    return mixture([(base, _PERCENT - percent), (hydrogen, percent)], by="volume", name=name)


def _sum(amounts: Sequence[tuple[Fuel, float]], name: str, per: Literal["kmol", "kg"]) -> Fuel:
    """Fuels in given amounts as one fuel, whose amount is the unit."""

    def add(field: str) -> float:
        return math.fsum(n * getattr(fuel, field) for fuel, n in amounts)

    def doubt(weight: str, field: str) -> float:
        """Relative uncertainty of a sum of quantities that are uncertain independently."""
        parts = [n * getattr(fuel, weight) for fuel, n in amounts]
        doubts = [getattr(fuel, field) for fuel, _ in amounts]
        total = math.fsum(parts)
        return math.hypot(*(p * d for p, d in zip(parts, doubts, strict=True))) / (total or 1.0)

    return Fuel(
        name=name, per=per, carbon=add("carbon"), hydrogen=add("hydrogen"), oxygen=add("oxygen"),
        nitrogen=add("nitrogen"), sulphur=add("sulphur"), water=add("water"), ash=add("ash"),
        biogenic=add("biogenic"),
        hhv=add("hhv"), hhv_uncertainty=doubt("hhv", "hhv_uncertainty"),
        hydrogen_uncertainty=doubt("hydrogen", "hydrogen_uncertainty"),
        water_uncertainty=doubt("water", "water_uncertainty"),
        air_uncertainty=doubt("oxygen_demand", "air_uncertainty"),
    )  # fmt: skip


def _share_of_carbon(name: str, percent: float) -> float:
    """The biogenic share of a fuel's carbon.

    Raises:
        DataError: no percentage.
    """
    if not 0 <= percent <= _PERCENT:
        raise DataError(f"{name}: {percent:g} % of its carbon is outside 0 to 100")
    return percent / _PERCENT


def _total(name: str, shares: Iterable[float]) -> float:
    """The sum of the shares of a composition, near 100.

    Raises:
        DataError: it is not, or a share is negative.
    """
    values = list(shares)
    total = float(sum(values))
    if not abs(total / _PERCENT - 1) <= _COMPLETE or min(values) < 0:
        raise DataError(f"{name}: the shares add up to {total:g} %, or one is negative")
    return total
