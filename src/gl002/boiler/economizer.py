"""Economizers and air heaters: how much heat they move, how clean they are, whether readings agree.

Temperatures degC, flows kg/s, heat kW. Heat of the gas comes from its composition, heat of the
water from IAPWS-IF97; no mean heat capacities.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from gl002.boiler import steam
from gl002.boiler.combustion import FlueGas
from gl002.boiler.exchanger import disagreeing, effectiveness, exchange
from gl002.boiler.gases import heat
from gl002.errors import DataError

_CORROSION_MARGIN: Final = 5.0  # K of metal above the acid dew point


@dataclass(frozen=True, slots=True, kw_only=True)
class Economizer:
    """What an economizer does at one moment.

    Attributes:
        gas_heat, water_heat: heat given by the gas and taken by the water, kW.
        gas_capacity, water_capacity: mean heat capacity flows, kW/K.
        effectiveness: share of the greatest possible heat.
        transfer_units: of a counterflow exchanger with this effectiveness.
        ua: heat transfer, kW/K.
        disagreement: how much more the gas gives than the water takes, share of their mean.
        reasons: what does not fit together, in plain sentences; empty when all does.
    """

    gas_heat: float
    water_heat: float
    gas_capacity: float
    water_capacity: float
    effectiveness: float
    transfer_units: float
    ua: float
    disagreement: float
    reasons: tuple[str, ...]


def evaluate(
    gas: FlueGas,
    fuel_flow: float,
    *,
    gas_in: float,
    gas_out: float,
    water_flow: float,
    pressure: float,
    water_in: float,
    water_out: float,
) -> Economizer:
    """Heat balance of an economizer from both sides, and its heat transfer.

    Args:
        gas: flue gas per unit of fuel.
        fuel_flow: units of fuel per second.
        gas_in: before it.
        gas_out: behind it.
        water_flow: feedwater through it.
        pressure: of the feedwater, absolute, MPa.
        water_in: before it.
        water_out: behind it; below boiling.

    Raises:
        DataError: temperatures that no exchanger has, water that boils, a flow that is not above 0.
    """
    if not (fuel_flow > 0 and water_flow > 0):
        raise DataError("no flow of fuel or water: an economizer at rest has no effectiveness")
    if not (gas_in > gas_out > water_in and gas_in > water_out > water_in):
        raise DataError(
            f"gas {gas_in:.4g} to {gas_out:.4g} degC and water {water_in:.4g} to "
            f"{water_out:.4g} degC cannot exchange heat",
            hint="two of the four readings may be exchanged, or one instrument is at fault",
        )
    given = fuel_flow * gas_heat(gas, gas_in, gas_out)
    cold, hot = steam.water(pressure, water_in), steam.water(pressure, water_out)
    taken = water_flow * (hot.enthalpy - cold.enthalpy)
    found = exchange(given, taken, (gas_in, gas_out), (water_in, water_out))
    return Economizer(
        gas_heat=given, water_heat=taken, gas_capacity=found.gas_capacity,
        water_capacity=found.cold_capacity, effectiveness=found.effectiveness,
        transfer_units=found.transfer_units, ua=found.ua, disagreement=found.disagreement,
        reasons=_disagreement(found.disagreement) or _impossible(found.effectiveness),
    )  # fmt: skip


def gas_heat(gas: FlueGas, hot: float, cold: float) -> float:
    """Heat that wet flue gas gives between two temperatures above its dew points, kJ per unit."""
    return (
        gas.co2 * heat("CO2", hot, cold)
        + gas.co * heat("CO", hot, cold)
        + gas.so2 * heat("SO2", hot, cold)
        + gas.o2 * heat("O2", hot, cold)
        + gas.n2 * heat("N2", hot, cold)
        + gas.ar * heat("Ar", hot, cold)
        + gas.h2o * heat("H2O", hot, cold)
    )


def outlet(
    gas_in: float, water_in: float, *, gas_capacity: float, water_capacity: float, ua: float
) -> tuple[float, float]:
    """Gas and water behind a counterflow exchanger of this heat transfer.

    Args:
        gas_in: degC before it.
        water_in: degC before it.
        gas_capacity: heat capacity flow, kW/K.
        water_capacity: heat capacity flow, kW/K.
        ua: heat transfer, kW/K.

    Raises:
        DataError: as `effectiveness`.
    """
    least, most = sorted((gas_capacity, water_capacity))
    moved = effectiveness(ua / least, least / most) * least * (gas_in - water_in)
    return gas_in - moved / gas_capacity, water_in + moved / water_capacity


def fouling_factor(ua: float, clean_ua: float, area: float) -> float:
    """Thermal resistance of the deposit, m2 K/kW; below 0 where it is cleaner than the baseline.

    Both heat transfers at the same gas flow, or brought to it: UA grows with its power of 0.6.

    Raises:
        DataError: a heat transfer or area that is not above 0.
    """
    if not (ua > 0 and clean_ua > 0 and area > 0):
        raise DataError("heat transfer and area must be above 0")
    return area / ua - area / clean_ua


def at_gas_flow(ua: float, flow: float, wanted: float) -> float:
    """Heat transfer at another gas flow (exponent 0.6 of tube banks in cross flow)."""
    return ua * math.pow(wanted / flow, 0.6)


def cold_end(water_in: float, dew_point: float) -> str | None:
    """Whether the coldest metal corrodes, in a sentence.

    Behind an economizer it is the feedwater that decides, not the gas: the metal has nearly the
    temperature of the water.

    Args:
        water_in: feedwater at the inlet, degC.
        dew_point: the highest of the gas, degC.
    """
    if water_in >= dew_point + _CORROSION_MARGIN:
        return None
    return (
        f"feedwater of {water_in:.0f} degC keeps the metal below the dew point of "
        f"{dew_point:.0f} degC: acid or water condenses on it however hot the gas is"
    )


def _impossible(share: float) -> tuple[str, ...]:
    if share <= 1:
        return ()
    said = f"{100 * share:.0f} % of what a perfect economizer would move: a reading is wrong"
    return (said,)


def _disagreement(share: float) -> tuple[str, ...]:
    said = disagreeing(share, "water")
    if not said:
        return ()
    return (f"{said}a flow or a temperature is wrong, or gas passes by the economizer",)
