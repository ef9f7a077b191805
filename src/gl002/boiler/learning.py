"""Learning what is usual for a boiler, from a record in which all was well."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from gl002.boiler.account import mean_conditions, moments
from gl002.boiler.analysis import Fuel
from gl002.boiler.arrays import Array, np
from gl002.boiler.bands import band
from gl002.boiler.baseline import STACK_TERMS, Baseline, fit
from gl002.boiler.learned import Learned
from gl002.boiler.live import Boiler
from gl002.boiler.record import Record, resting
from gl002.boiler.savings import Verified, verify
from gl002.boiler.study import excess_over, hourly_means
from gl002.boiler.uncertainty import Estimate, fuel_saving
from gl002.boiler.validation import LIMITS
from gl002.boiler.watch import Usual, Watched, learn
from gl002.errors import DataError

FUEL: Final = "fuel_heat"
"""Response of the baseline of fuel: kW (HHV), a mean over `BLOCK`."""

BLOCK: Final = 600.0
"""Seconds of the means that baselines are learned from."""

_FUEL_TERMS: Final = ("steam_flow", "steam_flow^2", "air_temperature")
_FEWER_TERMS: Final = ("steam_flow", "air_temperature")
_HOURS: Final = 6  # below which the scatter of hourly means is not known

T = TypeVar("T")


def teach(boiler: Boiler, watched: Watched, minutes: Record, readings: Record) -> Learned:
    """Everything that can be learned from a record.

    Args:
        boiler: what is known about it.
        watched: the same for the watch over its instruments.
        minutes: means of a minute, after a cleaning, all loads in it.
        readings: the same time at the step of the watch, last values.
    """
    reasons: list[str] = []

    def tried(what: Callable[[], T]) -> T | None:
        try:
            return what()
        except DataError as error:
            reasons.append(str(error))
            return None

    return Learned(
        boiler=boiler.name, start=minutes.start, end=minutes.end,
        usual=tried(lambda: _usual(watched, readings)),
        stack=tried(lambda: _stack(boiler, minutes)),
        fuel=tried(lambda: _fuel(boiler, minutes)),
        burnt=boiler.fuel,
        reasons=tuple(reasons),
    )  # fmt: skip


def _usual(watched: Watched, readings: Record) -> Usual:
    """Of roles that are known most of the time, over the moments in which all of them are."""
    roles = {
        role: values
        for role, values in readings.roles.items()
        if role in LIMITS and np.isfinite(values).mean() > 0.5  # noqa: PLR2004 - most of the time
    }
    good = readings.known(*roles)
    return learn(
        watched, readings.times[good], {role: values[good] for role, values in roles.items()}
    )


def _stack(boiler: Boiler, minutes: Record) -> Baseline:
    """The clean stack, its deviation that of means over an hour, as they are watched later."""
    terms = [term for term in STACK_TERMS if term.partition("^")[0] in minutes.roles]
    name = f"{boiler.name}.stack_temperature"
    if "load" not in terms:
        raise DataError(f"{name}: the clean stack depends on the load, which is not measured")
    rest = resting(minutes, boiler)
    rows = {role: values[rest] for role, values in minutes.roles.items()}
    baseline = _fitted(name, "stack_temperature", terms, rows)
    found = Learned(boiler=boiler.name, start=minutes.start, end=minutes.end, stack=baseline)
    hourly = hourly_means(excess_over(found, minutes, rest), minutes.step)
    hourly = hourly[np.isfinite(hourly)]
    if hourly.size < _HOURS:
        return baseline
    return replace(baseline, deviation=max(float(np.std(hourly)), 0.1))


def _fitted(name: str, response: str, terms: list[str], rows: dict[str, Array]) -> Baseline:
    """With as many terms as vary independently; load and oxygen often follow each other."""
    left = list(terms)
    while True:
        try:
            return fit(name, response, left, rows)
        except DataError:
            if len(left) == 1:
                raise
            left.pop(-1 if len(left) > 2 else 1)  # noqa: PLR2004 - the load stays to the last


def _fuel(boiler: Boiler, minutes: Record) -> Baseline:
    blocks = fuel_blocks(boiler, minutes)
    name = f"{boiler.name}.fuel"
    try:
        return fit(name, FUEL, _FUEL_TERMS, blocks)
    except DataError:
        return fit(name, FUEL, _FEWER_TERMS, blocks)


def fuel_blocks(boiler: Boiler, minutes: Record) -> dict[str, Array]:
    """What the baseline of fuel is over, in means of ten minutes; the fuel must be metered.

    Raises:
        DataError: it is not, or steam flow or air temperature are not known.
    """
    found = moments(boiler, minutes)
    if not found.metered or not minutes.has("steam_flow", "air_temperature"):
        raise DataError(
            f"{boiler.name}: savings are verified by meters of fuel and steam, and one is missing"
        )
    whole = replace(minutes, roles={**minutes.roles, FUEL: found.fuel})
    blocks = whole.means(BLOCK, found.known)
    return {role: blocks.roles[role] for role in (FUEL, "steam_flow", "air_temperature")}


def verified(boiler: Boiler, minutes: Record, learned: Learned | None) -> Verified:
    """Savings over a record against the baseline of fuel, MWh.

    Raises:
        DataError: no baseline, or no reading under conditions it knows.
    """
    if learned is None or learned.fuel is None:
        raise DataError(
            f"{boiler.name}: there is no baseline of its fuel yet",
            hint="let it be learned from a time before the measure: gl002 learn",
        )
    blocks = fuel_blocks(boiler, minutes)
    meter = boiler.instruments.accuracy("fuel_flow").reading / 100
    before = learned.burnt
    if before is None or before == boiler.fuel:
        return verify(learned.fuel, blocks, meter=meter)
    other = heat_for_the_same(boiler, minutes, before)
    found = verify(learned.fuel, blocks, meter=meter, other_fuel=other)
    if learned.holds(boiler.fuel):
        return found
    said = (
        f"the baseline burnt {before.name}: of {boiler.fuel.name} it would have burnt "
        f"{100 * (other.value - 1):+.1f} % of its heat, at the oxygen and stack temperature of now"
    )
    return replace(found, reasons=(said, *found.reasons))


def heat_for_the_same(boiler: Boiler, minutes: Record, before: Fuel) -> Estimate:
    """Heat that the boiler's fuel takes for the same steam, over that of the fuel before.

    Both at the mean state of the record, so that what its instruments show wrong cancels; what is
    not known of the two fuels does not.

    Raises:
        DataError: nothing is known in the record.
    """
    found = moments(boiler, minutes)
    weight = found.fuel[found.known] / found.fuel[found.known].sum()
    state = mean_conditions(boiler, minutes, found.known, weight)
    now, then = (
        _of_its_own(fuel, band(fuel, state, boiler.instruments)) for fuel in (boiler.fuel, before)
    )
    saved = fuel_saving(now, then, same_readings=True)
    return Estimate(value=1 - saved.value, parts=saved.parts)


def _of_its_own(fuel: Fuel, efficiency: Estimate) -> Estimate:
    """With sources of error that are the fuel's named so."""
    parts = {
        f"{fuel.name}: {name}" if name.startswith(("fuel", "unburnt")) else name: part
        for name, part in efficiency.parts.items()
    }
    return Estimate(value=efficiency.value, parts=parts)
