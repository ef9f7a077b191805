"""Five fuels recomputed from their published analyses, independently of the engine.

Atoms are counted here, oxygen is found by bisection, and enthalpies come from the Shomate equations
of the NIST Chemistry WebBook (water: ideal gas heat capacities of the JANAF tables). The method of
EN 12952 is checked by the fuel that makes the useful heat, instead of by its losses.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import pytest

from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import FUELS
from gl002.boiler.methods.direct import WaterSide, direct
from gl002.boiler.methods.en12952 import en12952
from gl002.boiler.methods.siegert import siegert

SHOMATE = {  # A, B, C, D, E, F, H: kJ/kmol with t in 1,000 K
    "O2": (31.32234, -20.23531, 57.86644, -36.50624, -0.007374, -8.903471, 0.0),
    "N2": (28.98641, 1.853978, -9.647459, 16.63537, 0.000117, -8.671914, 0.0),
    "CO2": (24.99735, 55.18696, -33.69137, 7.948387, -0.136638, -403.6075, -393.5224),
    "SO2": (21.43049, 74.35094, -57.75217, 16.35534, 0.086731, -305.7688, -296.8422),
    "Ar": (20.786, 0.0, 0.0, 0.0, 0.0, -6.19735, 0.0),
}
STEAM = ((273.15, 33.47), (298.15, 33.590), (400, 34.262), (500, 35.226), (600, 36.325))
AIR = {"O2": 0.2095, "N2": 0.7808, "Ar": 0.0094, "CO2": 0.0003}
CONDENSATION = 2441.7  # kJ/kg at 25 degC
HUMIDITY = 0.010


def heat(gas: str, celsius: float) -> float:
    """KJ/kmol above 25 degC."""
    kelvin = celsius + 273.15
    if gas == "H2O":
        return sum(_steam(298.15 + (kelvin - 298.15) * (i + 0.5) / 200) for i in range(200)) / (
            200 / (kelvin - 298.15)
        )
    a, b, c, d, e, f, h = SHOMATE[gas]
    t = kelvin / 1000
    return 1000 * (a * t + b * t**2 / 2 + c * t**3 / 3 + d * t**4 / 4 - e / t + f - h)


def _steam(kelvin: float) -> float:
    for (low, one), (high, other) in pairwise(STEAM):
        if low <= kelvin <= high:
            return one + (other - one) * (kelvin - low) / (high - low)
    raise AssertionError(kelvin)


class Atoms(NamedTuple):
    """Kmol of atoms and of water per unit of fuel, and its heat (HHV), kJ."""

    c: float
    h: float
    o: float
    n: float
    s: float
    water: float
    hhv: float


def of_mass(hhv: float, **percent: float) -> Atoms:
    """From percent by mass."""
    masses = {"c": 12.011, "h": 1.00794, "o": 15.9994, "n": 14.0067, "s": 32.065, "water": 18.01528}
    return Atoms(
        **{each: percent.get(each, 0.0) / 100 / mass for each, mass in masses.items()}, hhv=hhv
    )


_WOOD = 0.98 * 0.5  # dry and free of ash, of wood of 50 % water and 2 % ash in its dry mass
BY_HAND = {
    # 87 CH4, 8.5 C2H6, 0.4 H2, 0.4 CO2, 0.1 O2, 3.6 N2; heats of ISO 6976, MJ/kmol at 25 degC
    "natural_gas": Atoms(
        0.87 + 0.17 + 0.004, 4 * 0.87 + 6 * 0.085 + 0.008, 0.008 + 0.002, 0.072, 0.0, 0.0,
        1000 * (0.87 * 890.58 + 0.085 * 1560.69 + 0.004 * 285.83),
    ),
    "propane": Atoms(3, 8, 0, 0, 0, 0, 2_219_170.0),
    "fuel_oil_2": of_mass(45_500.0, c=87.2, h=12.6, o=0.05, n=0.05, s=0.1),
    "bituminous": of_mass(27_113.0, c=63.75, h=4.50, o=6.88, n=1.25, s=2.51, water=11.12),
    "wood_green": of_mass(
        20_200.0 * _WOOD, c=50.2 * _WOOD, h=6.2 * _WOOD, o=43.4 * _WOOD, n=0.2 * _WOOD, water=50.0
    ),
}  # fmt: skip


def flue(fuel: Atoms, oxygen: float, *, wet: bool) -> tuple[dict[str, float], float]:
    """Flue gas and dry air, kmol per unit of fuel."""
    low, high = 1.0, 20.0
    needed = (fuel.c + fuel.h / 4 + fuel.s - fuel.o / 2) / AIR["O2"]
    for _ in range(100):
        ratio = (low + high) / 2
        air = ratio * needed
        gas = {
            "CO2": fuel.c + AIR["CO2"] * air, "SO2": fuel.s, "N2": fuel.n / 2 + AIR["N2"] * air,
            "Ar": AIR["Ar"] * air, "O2": (ratio - 1) * needed * AIR["O2"],
            "H2O": fuel.h / 2 + fuel.water + 1.6078 * HUMIDITY * air,
        }  # fmt: skip
        whole = sum(gas.values()) - (0.0 if wet else gas["H2O"])
        low, high = (ratio, high) if 100 * gas["O2"] / whole < oxygen else (low, ratio)
    return gas, air


def sensible(gas: dict[str, float], celsius: float) -> float:
    return sum(amount * heat(name, celsius) for name, amount in gas.items())


def brought(air: float, celsius: float) -> float:
    """Heat of humid air."""
    each = {name: share * air for name, share in AIR.items()}
    return sensible({**each, "H2O": 1.6078 * HUMIDITY * air}, celsius)


STATES = [(3.0, "dry", 180.0, 30.0), (2.5, "wet", 220.0, 10.0), (8.0, "dry", 140.0, 45.0)]


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("state", STATES)
def test_the_heat_losses_are_those_found_by_hand(name, state):
    oxygen, basis, stack, air_temperature = state
    fuel = BY_HAND[name]
    gas, air = flue(fuel, oxygen, wet=basis == "wet")
    condensed = (fuel.h / 2 + fuel.water) * 18.01528 * CONDENSATION
    lost = sensible(gas, stack) + condensed - brought(air, air_temperature)
    now = Conditions(
        oxygen=oxygen, basis=basis, stack_temperature=stack, air_temperature=air_temperature,
        surface_loss=0.8, load=0.5,
    )  # fmt: skip
    found = indirect(FUELS[name], now)
    assert found.efficiency_hhv == pytest.approx(100 - 100 * lost / fuel.hhv - 1.6, abs=0.02)
    to_lhv = fuel.hhv / (fuel.hhv - condensed)
    assert found.efficiency_lhv == pytest.approx(found.efficiency_hhv * to_lhv, abs=0.01)


@pytest.mark.parametrize("name", BY_HAND)
@pytest.mark.parametrize("load", [1.0, 0.4])
def test_the_european_method_burns_the_fuel_that_the_heat_wants(name, load):
    """Useful heat and casing from so much fuel: M (LHV + air) = Q + M gas + 0.0113 Q_N^0.7."""
    fuel, rated = BY_HAND[name], 20.0  # MW
    gas, air = flue(fuel, 3.5, wet=False)
    lhv = fuel.hhv - (fuel.h / 2 + fuel.water) * 18.01528 * CONDENSATION
    given = lhv + brought(air, 40.0)
    useful, casing = 1000 * rated * load, 11.3 * rated**0.7
    burnt = (useful + casing) / (given - sensible(gas, 160.0))
    now = Conditions(
        oxygen=3.5, basis="dry", stack_temperature=160.0, air_temperature=40.0, load=load
    )
    found = en12952(FUELS[name], now, rated_heat=rated)
    assert found.efficiency == pytest.approx(100 * useful / (burnt * given), abs=0.02)


@pytest.mark.parametrize(
    ("name", "a2", "b"),
    [("natural_gas", 0.66, 0.009), ("propane", 0.63, 0.008), ("fuel_oil_2", 0.68, 0.007)],
)
def test_siegert_is_a_line_of_the_ordinance_and_near_the_losses_found_by_hand(name, a2, b):
    now = Conditions(oxygen=3.0, basis="dry", stack_temperature=160.0, air_temperature=20.0)
    found = siegert(FUELS[name], now)
    assert found.losses["flue_gas"] == pytest.approx(140 * (a2 / 18 + b))
    fuel = BY_HAND[name]
    gas, air = flue(fuel, 3.0, wet=False)
    lhv = fuel.hhv - fuel.h / 2 * 18.01528 * CONDENSATION
    exact = 100 * (sensible(gas, 160.0) - brought(air, 20.0)) / lhv
    assert found.losses["flue_gas"] == pytest.approx(exact, abs=0.4)


def test_the_direct_method_is_steam_over_fuel():
    """IAPWS-IF97: 2 MPa saturated 2,798.4, 2 MPa 400 degC 3,248.2, water 105 degC 441.6 kJ/kg."""
    fuel_flow = 0.8 / 22.414  # kmol/s
    water = {"steam_flow": 10.0, "pressure": 2.0, "feedwater_temperature": 105.0}
    saturated = direct(FUELS["natural_gas"], fuel_flow, WaterSide(**water))
    superheated = direct(FUELS["natural_gas"], fuel_flow, WaterSide(**water, temperature=400.0))
    heat_in = fuel_flow * BY_HAND["natural_gas"].hhv
    assert saturated.efficiency == pytest.approx(1000 * (2798.4 - 441.6) / heat_in, abs=0.02)
    assert superheated.efficiency == pytest.approx(1000 * (3248.2 - 441.6) / heat_in, abs=0.02)
