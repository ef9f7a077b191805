"""Fuels that need no analysis: typical ones of each kind, with how far from typical they may be.

An analysis from the supplier or a laboratory is always better: `gas`, `ultimate`, `mixture` and
`hydrogen_blend` of `gl002.boiler.analysis`, offered here as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gl002.boiler.analysis import Fuel, gas, hydrogen_blend, mixture, ultimate
from gl002.boiler.gases import NORMAL_VOLUME
from gl002.errors import DataError

__all__ = [
    "BIOGAS", "BITUMINOUS", "FUELS", "FUEL_OIL_2", "FUEL_OIL_6", "HYDROGEN", "LIGNITE",
    "NATURAL_GAS", "PROPANE", "SUBBITUMINOUS", "Fuel", "gas", "hydrogen_blend", "mixture",
    "normal_heat", "ultimate", "wood",
]  # fmt: skip

NATURAL_GAS: Final = gas(
    {"CH4": 87.0, "C2H6": 8.5, "N2": 3.6, "H2": 0.4, "CO2": 0.4, "O2": 0.1},
    name="natural_gas",
    hhv_uncertainty=0.03,
    hydrogen_uncertainty=0.012,
    air_uncertainty=0.003,
)
"""Natural gas where the supplier's analysis is not configured.

The composition is the "typical US" gas of ORNL's MEASUR, 40.5 MJ/Nm3 (HHV). Gas in public networks
lies within about 5 % of it (assumed rectangular: 3 % standard uncertainty). Efficiency by heat
loss depends on the ratio of hydrogen to heat, not on the heating value itself, and is far less
uncertain than that: pure methane has 2 % more hydrogen per heat, which is 0.2 points (assumed
rectangular: 1.2 %), and 0.1 % more air.
"""

PROPANE: Final = gas(
    {"C3H8": 100.0},
    name="propane",
    hhv_uncertainty=0.01,
    hydrogen_uncertainty=0.006,
    air_uncertainty=0.003,
)
"""Propane; commercial grades hold up to a tenth of propylene, ethane and butane."""

HYDROGEN: Final = gas({"H2": 100.0}, name="hydrogen", hhv_uncertainty=0.003)
"""Hydrogen."""

BIOGAS: Final = gas(
    {"CH4": 60.0, "CO2": 39.0, "N2": 0.8, "H2S": 0.2},
    name="biogas",
    biogenic=100.0,
    hhv_uncertainty=0.06,
    hydrogen_uncertainty=0.003,
    air_uncertainty=0.01,
)
"""Biogas, dry. Methane 50 to 70 % (assumed rectangular); its carbon dioxide is part of the flue
gas, so the methane's share counts a little in the losses too."""

FUEL_OIL_2: Final = ultimate(
    {"C": 87.2, "H": 12.6, "S": 0.1, "N": 0.05, "O": 0.05},
    name="fuel_oil_2",
    hhv=45_500.0,
    hhv_uncertainty=0.01,
    hydrogen_uncertainty=0.02,
    air_uncertainty=0.007,
)
"""Distillate oil, No. 2, heating oil EL, diesel. Elements and heat as in the CO2 factor of
40 CFR 98 (73.96 kg/MMBtu), which they meet within 0.3 %; hydrogen ranges over 11.8 to 13.5 %."""

FUEL_OIL_6: Final = ultimate(
    {"C": 86.5, "H": 10.8, "S": 1.9, "N": 0.3, "O": 0.4},
    name="fuel_oil_6",
    ash=0.1,
    hhv=42_900.0,
    hhv_uncertainty=0.015,
    hydrogen_uncertainty=0.04,
    air_uncertainty=0.01,
)
"""Residual oil, No. 6, bunker C; hydrogen 9.5 to 12 %, sulphur 0.3 to 3.5 %: analyse it."""


def _coal(
    name: str, elements: Mapping[str, float], moisture: float, ash: float, hhv: float
) -> Fuel:
    """A coal as received, as far from others of its rank as they are from each other."""
    return ultimate(
        elements, name=name, moisture=moisture, ash=ash, hhv=hhv, hhv_uncertainty=0.08,
        hydrogen_uncertainty=0.05, water_uncertainty=0.15, air_uncertainty=0.015,
    )  # fmt: skip


BITUMINOUS: Final = _coal(
    "bituminous",
    {"C": 63.75, "H": 4.50, "O": 6.88, "N": 1.25, "S": 2.51},
    moisture=11.12,
    ash=9.99,
    hhv=27_113.0,
)
"""High-volatile bituminous coal, Illinois No. 6, as received (DOE/NETL-401/012111, Detailed Coal
Specifications, 2012); chlorine counted with the ash."""

SUBBITUMINOUS: Final = _coal(
    "subbituminous",
    {"C": 50.07, "H": 3.38, "O": 11.14, "N": 0.71, "S": 0.73},
    moisture=25.77,
    ash=8.20,
    hhv=19_920.0,
)
"""Sub-bituminous coal, Powder River Basin (Montana Rosebud), as received (DOE/NETL-401/012111)."""

LIGNITE: Final = _coal(
    "lignite",
    {"C": 39.55, "H": 2.74, "O": 10.51, "N": 0.63, "S": 0.63},
    moisture=36.08,
    ash=9.86,
    hhv=15_391.0,
)
"""Lignite, North Dakota (Beulah-Zap), as received (DOE/NETL-401/012111)."""


def wood(moisture: float, *, ash: float = 1.0, name: str = "wood") -> Fuel:
    """Wood with this much water.

    Dry and free of ash it hardly depends on the species: C 50.2, H 6.2, O 43.4 %, 20.2 MJ/kg
    (HHV), between the typical coniferous and broad-leaved wood of ISO 17225-1, annex B.

    Args:
        moisture: percent of the wet mass, 0 to 70 (not of the dry mass, as foresters count).
        ash: percent of the dry mass; 0.3 for stem wood, 1 for chips, 4 for bark.
        name: what to call it.

    Raises:
        DataError: a moisture at which wood does not burn.
    """
    if not 0 <= moisture <= 70:  # noqa: PLR2004 - wetter wood does not sustain a fire
        raise DataError(
            f"moisture {moisture:g} % is outside 0 to 70",
            hint="percent of the wet mass: half water is 50, not 100",
        )
    wet = moisture / 100
    return ultimate(
        {"C": 50.2, "H": 6.2, "O": 43.4, "N": 0.2},
        name=name,
        basis="ash_free",
        moisture=moisture,
        ash=ash,
        biogenic=100.0,
        hhv=20_200.0,
        # its moisture known within 6 %, 3 points of 50, and the wood itself
        hhv_uncertainty=0.02 + 0.06 * wet / (1 - wet),
        hydrogen_uncertainty=0.03,
        water_uncertainty=0.06 / (1 - wet),
        air_uncertainty=0.015,
    )


FUELS: Final[Mapping[str, Fuel]] = {
    fuel.name: fuel
    for fuel in (
        NATURAL_GAS, PROPANE, HYDROGEN, BIOGAS, FUEL_OIL_2, FUEL_OIL_6,
        BITUMINOUS, SUBBITUMINOUS, LIGNITE,
        wood(8.0, ash=0.5, name="wood_pellets"), wood(30.0, name="wood_dry"),
        wood(50.0, ash=2.0, name="wood_green"),
    )
}  # fmt: skip
"""Fuels the configuration knows, by name."""


def normal_heat(fuel: Fuel) -> float:
    """Higher heating value of a gas, kJ/Nm3 (0 degC, 101.325 kPa, ideal gas).

    Raises:
        DataError: the fuel is counted by mass.
    """
    if fuel.per != "kmol":
        raise DataError(f"{fuel.name} is counted per kg: it has no standard volume")
    return fuel.hhv / NORMAL_VOLUME
