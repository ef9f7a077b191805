"""The economizer as tags: what share of the possible heat it moves, whether its readings agree."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from gl002.boiler.economizer import evaluate
from gl002.boiler.efficiency import indirect
from gl002.boiler.findings import Finding, about
from gl002.boiler.live import Boiler, Result, conditions_of, inspect, samples_of, tags_of
from gl002.boiler.roles import REQUIRED
from gl002.errors import DataError
from gl002.model import Quality, Sample, Tag, is_bad, worst

NEEDED: Final = (
    *REQUIRED, "economizer_gas_temperature", "economizer_water_temperature",
    "feedwater_temperature", "feedwater_flow", "fuel_flow", "pressure",
)  # fmt: skip
"""Roles without which nothing is said about an economizer."""

RESULTS: Final = (
    Result("economizer_effectiveness", "%", "Heat it moves, of what a perfect one would"),
    Result("economizer_ua", "kW/K", "Heat transfer of the economizer; falls as it gets dirty"),
    Result("economizer_heat", "kW", "Heat the feedwater takes in the economizer"),
)
"""The numbers `evaluate_economizer` gives, in this order; `economizer_note` follows them."""

NOTE: Final = Result("economizer_note", "", "Why the economizer's results are good or not")


def has_economizer(boiler: Boiler) -> bool:
    """Whether a boiler has the instruments around an economizer."""
    return boiler.roles.issuperset(NEEDED)


def economizer_tags(boiler: str) -> list[Tag]:
    """The result tags of an economizer, for the tag table."""
    return tags_of(boiler, RESULTS, NOTE)


def evaluate_economizer(
    boiler: Boiler, inputs: Mapping[str, Sample], now: int, findings: Iterable[Finding] = ()
) -> list[Sample]:
    """The results of the economizer at one moment; arguments as of `gl002.boiler.live.evaluate`."""
    found = [
        *inspect(NEEDED, NEEDED, boiler, inputs, now),
        *about(findings, NEEDED),
    ]
    values: Sequence[float] | None = None
    if not is_bad(worst(finding.quality for finding in found)):
        try:
            values, reasons = _values(boiler, inputs)
        except DataError as error:
            bad = Quality.BAD_OUT_OF_RANGE
            found.append(Finding("economizer", "economizer_gas_temperature", bad, str(error)))
        else:
            doubt = Quality.UNCERTAIN_SENSOR_NOT_ACCURATE
            found += [Finding("economizer", "feedwater_flow", doubt, each) for each in reasons]
    return samples_of(boiler.name, RESULTS, NOTE, values, findings=found, now=now)


def _values(boiler: Boiler, inputs: Mapping[str, Sample]) -> tuple[list[float], tuple[str, ...]]:
    values = {
        role: float(sample.value)
        for role, sample in inputs.items()
        if isinstance(sample.value, int | float)
    }
    flue = indirect(boiler.fuel, conditions_of(boiler, inputs)).flue
    found = evaluate(
        flue, values["fuel_flow"],
        gas_in=values["economizer_gas_temperature"], gas_out=values["stack_temperature"],
        water_flow=values["feedwater_flow"], pressure=values["pressure"],
        water_in=values["feedwater_temperature"],
        water_out=values["economizer_water_temperature"],
    )  # fmt: skip
    return [100 * found.effectiveness, found.ua, found.water_heat], found.reasons
