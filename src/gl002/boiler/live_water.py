"""Heat on the water side as tags: the direct efficiency beside the indirect one, fuel, steam, CO2.

It has a quality of its own: a steam meter that fails says nothing about the losses in the stack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from gl002.boiler import blowdown, steam
from gl002.boiler.bands import direct_band
from gl002.boiler.emissions import carbon_dioxide, fossil_carbon_dioxide
from gl002.boiler.findings import Finding, about
from gl002.boiler.live import Boiler, Result, inspect, samples_of, tags_of
from gl002.boiler.methods.direct import WaterSide, direct
from gl002.boiler.result import BlowdownBasis
from gl002.boiler.roles import DIRECT
from gl002.errors import DataError
from gl002.model import Quality, Sample, Tag, is_bad, worst

USED: Final = (
    *DIRECT, "steam_temperature", "blowdown", "blowdown_flow", "boiler_solids", "feedwater_solids",
)  # fmt: skip
"""Roles that the water side looks at."""

_DRIFT: Final = 0.01  # of the steam: how far below 0 a blowdown meter shows a valve that is shut
_FROM_BOILING: Final = 10.0  # K; beyond the errors of both instruments

RESULTS: Final = (
    Result("efficiency_direct", "%", "Efficiency by the direct method, of HHV"),
    Result("efficiency_direct_low", "%", "Lower end of the 95 % band of efficiency_direct"),
    Result("efficiency_direct_high", "%", "Upper end of the 95 % band of efficiency_direct"),
    Result("fuel_heat", "kW", "Heat of the fuel burnt, HHV"),
    Result("steam_heat", "kW", "Heat in the steam, beyond its feedwater"),
    Result("co2", "kg/h", "Carbon dioxide from the fuel"),
    Result("co2_fossil", "kg/h", "Carbon dioxide from its fossil carbon, without biomass"),
)
"""The numbers `evaluate_water` gives, in this order; `direct_note` follows them."""

NOTE: Final = Result("direct_note", "", "Why the direct efficiency is good, uncertain or bad")


def has_direct(boiler: Boiler) -> bool:
    """Whether a boiler has the instruments of the direct method."""
    return boiler.roles.issuperset(DIRECT)


def water_tags(boiler: str) -> list[Tag]:
    """The result tags of the water side, for the tag table."""
    return tags_of(boiler, RESULTS, NOTE)


def evaluate_water(
    boiler: Boiler, inputs: Mapping[str, Sample], now: int, findings: Iterable[Finding] = ()
) -> list[Sample]:
    """The results of the water side at one moment; arguments as of `gl002.boiler.live.evaluate`."""
    found = [
        *inspect(USED, DIRECT, boiler, inputs, now),
        *about(findings, boiler.roles.intersection(USED)),
    ]
    values: Sequence[float] | None = None
    if not is_bad(worst(finding.quality for finding in found)):
        try:
            values = _values(boiler, numbers := _numbers(inputs))
            found += _superheated(boiler, numbers)
        except DataError as error:
            found.append(Finding("direct", "steam_flow", Quality.BAD_OUT_OF_RANGE, str(error)))
    return samples_of(boiler.name, RESULTS, NOTE, values, findings=found, now=now)


def water_of(boiler: Boiler, values: Mapping[str, float]) -> WaterSide:
    """The state of the water side that sound readings show.

    Blowdown is taken from where it is known best: a meter, else the solids, else its percentage.

    Raises:
        DataError: boiler water cleaner than its feedwater.
    """
    share, basis = _blowdown(boiler, values)
    return WaterSide(
        steam_flow=values["steam_flow"], pressure=values["pressure"],
        temperature=None if boiler.saturated else values.get("steam_temperature"),
        dryness=boiler.dryness, feedwater_temperature=values["feedwater_temperature"],
        blowdown=share, blowdown_basis=basis,
    )  # fmt: skip


def _blowdown(
    boiler: Boiler, values: Mapping[str, float]
) -> tuple[float, BlowdownBasis | None]:  # fmt: skip
    steam = values["steam_flow"]
    if not steam > 0:
        return 0.0, None
    flow = values.get("blowdown_flow")
    if flow is None and values.keys() >= {"boiler_solids", "feedwater_solids"}:
        flow = blowdown.flow_from_solids(steam, values["boiler_solids"], values["feedwater_solids"])
    if flow is not None and -_DRIFT * steam <= flow < 0:
        flow = 0.0
    if flow is not None:
        return blowdown.percent(steam, flow, basis="feedwater"), "feedwater"
    share = values.get("blowdown", 0.0)
    share = 0.0 if -100 * _DRIFT <= share < 0 else share
    return share, boiler.blowdown_basis if share else None


def _values(boiler: Boiler, values: Mapping[str, float]) -> list[float]:
    water = water_of(boiler, values)
    fuel = values["fuel_flow"]
    found = direct(boiler.fuel, fuel, water)
    heat = found.details["fuel_heat_kW"]
    return [
        found.efficiency, *direct_band(boiler.fuel, fuel, water, boiler.instruments).band, heat,
        found.details["steam_heat_kW"], heat * 3600 * carbon_dioxide(boiler.fuel) / 1e6,
        heat * 3600 * fossil_carbon_dioxide(boiler.fuel) / 1e6,
    ]  # fmt: skip


def _superheated(boiler: Boiler, values: Mapping[str, float]) -> Iterator[Finding]:
    """Steam that is declared saturated and is far from boiling.

    Taken for saturated, steam of 400 degC at 2 MPa has a sixth of its heat left out.

    Raises:
        DataError: no pressure at which water boils.
    """
    temperature = values.get("steam_temperature")
    if not boiler.saturated or temperature is None:
        return
    above = temperature - steam.saturation_temperature(values["pressure"])
    if abs(above) <= _FROM_BOILING:
        return
    where = "above" if above > 0 else "below"
    reason = (
        f"steam of {temperature:.0f} degC is {abs(above):.0f} K {where} "
        f"the boiling point at {values['pressure']:.4g} MPa"
    )
    reason += (
        ", and counted as saturated: superheated steam wants 'saturated: false'"
        if above > 0
        else ": pressure and temperature do not belong together"
    )
    doubt = Quality.UNCERTAIN_SENSOR_NOT_ACCURATE
    yield Finding("saturation", "steam_temperature", doubt, reason)


def _numbers(inputs: Mapping[str, Sample]) -> dict[str, float]:
    return {
        role: float(sample.value)
        for role, sample in inputs.items()
        if isinstance(sample.value, int | float)
    }
