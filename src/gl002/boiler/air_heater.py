"""Air heaters: how much heat they move from the gas to the air, and whether readings agree.

Temperatures degC, heat kW. Air that leaks from the cold side into the gas, as in a heater that
rotates, cools the gas without heating the air: it is taken out before anything is judged.
"""

from __future__ import annotations

from dataclasses import dataclass

from gl002.boiler import gases
from gl002.boiler.combustion import FlueGas
from gl002.boiler.economizer import gas_heat
from gl002.boiler.exchanger import disagreeing, exchange
from gl002.errors import DataError


@dataclass(frozen=True, slots=True, kw_only=True)
class AirHeater:
    """What an air heater does at one moment.

    Attributes:
        gas_heat, air_heat: heat given by the gas and taken by the air, kW.
        gas_out: of the gas behind it as it would be without the leak.
        gas_side: drop of that temperature, share of the greatest possible.
        effectiveness: heat, share of the greatest possible.
        ua: heat transfer of a counterflow exchanger with this effectiveness, kW/K.
        disagreement: how much more the gas gives than the air takes, share of their mean.
        reasons: what does not fit together, in plain sentences; empty when all does.
    """

    gas_heat: float
    air_heat: float
    gas_out: float
    gas_side: float
    effectiveness: float
    ua: float
    disagreement: float
    reasons: tuple[str, ...]


def evaluate(
    gas: FlueGas,
    fuel_flow: float,
    *,
    gas_in: float,
    gas_out: float,
    air_in: float,
    air_out: float,
    leak: float = 0.0,
) -> AirHeater:
    """Heat balance of an air heater from both sides, and its heat transfer.

    Args:
        gas: flue gas before it, per unit of fuel; all air of that fuel passes the heater.
        fuel_flow: units of fuel per second.
        gas_in: before it.
        gas_out: behind it, as it is measured.
        air_in: before it.
        air_out: behind it.
        leak: air that leaks into the gas, kmol per kmol of dry gas before: `air_leakage.leakage`.

    Raises:
        DataError: temperatures that no exchanger has, a leak below 0, no flow of fuel.
    """
    if not (fuel_flow > 0 and leak >= 0):
        raise DataError(f"fuel flow {fuel_flow:.4g}, leak {leak:.4g}: an air heater at rest")
    undiluted = _without_leak(gas, gas_out, air_in, leak)
    if not (gas_in > undiluted > air_in and gas_in > air_out > air_in):
        raise DataError(
            f"gas {gas_in:.4g} to {undiluted:.4g} degC and air {air_in:.4g} to {air_out:.4g} degC "
            "cannot exchange heat",
            hint="two of the four readings may be exchanged, or one instrument is at fault",
        )
    given = fuel_flow * gas_heat(gas, gas_in, undiluted)
    water = gas.air_water * gases.heat("H2O", air_out, air_in)
    taken = fuel_flow * (gas.air * gases.air_heat(air_out, air_in) + water)
    found = exchange(given, taken, (gas_in, undiluted), (air_in, air_out))
    return AirHeater(
        gas_heat=given, air_heat=taken, gas_out=undiluted,
        gas_side=(gas_in - undiluted) / (gas_in - air_in),
        effectiveness=found.effectiveness, ua=found.ua, disagreement=found.disagreement,
        reasons=_disagreement(found.disagreement, leak),
    )  # fmt: skip


def _without_leak(gas: FlueGas, gas_out: float, air_in: float, leak: float) -> float:
    """The temperature that the gas had before it heated the air that leaks in."""
    missing = leak * gas.dry * gases.air_heat(gas_out, air_in)
    undiluted = gas_out
    for _ in range(3):  # the heat capacity changes by a thousandth in 10 K
        rise = undiluted - gas_out or 1.0
        capacity = gas_heat(gas, gas_out + rise, gas_out) / rise
        undiluted = gas_out + missing / capacity
    return undiluted


def _disagreement(share: float, leak: float) -> tuple[str, ...]:
    reason = disagreeing(share, "air")
    if not reason:
        return ()
    if share > 0 and not leak:
        return (f"{reason}air leaks into the gas, or a temperature is wrong",)
    return (f"{reason}a temperature is wrong, or not all air passes the heater",)
