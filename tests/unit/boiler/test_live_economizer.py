"""The economizer of the simulated plant as tags, clean and fouled, sound and with a wrong meter."""

from __future__ import annotations

import functools

import pytest

from gl002.boiler.gases import NORMAL_VOLUME
from gl002.boiler.live import Boiler
from gl002.boiler.live_economizer import (
    NEEDED,
    NOTE,
    RESULTS,
    economizer_tags,
    evaluate_economizer,
    has_economizer,
)
from gl002.model import Quality, Sample
from gl002.sim.instruments import INSTRUMENTS
from gl002.sim.plant import Plant
from gl002.units import conversion

NOW = 1_700_000_000_000_000_000
BOILER = Boiler(name="b", basis="wet", roles=frozenset(NEEDED))
ROLES = {
    "oxygen": ("AT301", "%"), "stack_temperature": ("TT301", "degC"),
    "air_temperature": ("TT302", "degC"), "economizer_gas_temperature": ("TT303", "degC"),
    "economizer_water_temperature": ("TT103", "degC"), "feedwater_temperature": ("TT102", "degC"),
    "feedwater_flow": ("FT102", "kg/s"), "fuel_flow": ("FT201", "Nm3/s"),
    "pressure": ("PT101", "MPa(a)"),
}  # fmt: skip


@functools.cache
def shown() -> dict[str, Sample]:
    plant = Plant(seed=4, load=lambda _: 0.7)
    plant.step(3600)
    signals = plant.signals()
    values = {
        role: conversion(INSTRUMENTS[tag].unit, unit)(float(signals[tag].value))
        for role, (tag, unit) in ROLES.items()
    }
    values["fuel_flow"] /= NORMAL_VOLUME
    return {role: Sample(role, value, NOW) for role, value in values.items()}


def changed(role: str, value: float | None, quality: int = Quality.GOOD) -> dict[str, Sample]:
    return {**shown(), role: Sample(role, value, NOW, quality)}


def results(inputs: dict[str, Sample]) -> dict[str, Sample]:
    found = evaluate_economizer(BOILER, inputs, NOW)
    assert [sample.tag for sample in found] == [tag.name for tag in economizer_tags("b")]
    return {sample.tag.removeprefix("b."): sample for sample in found}


def test_a_sound_economizer_has_an_effectiveness_and_both_sides_agree() -> None:
    found = results(shown())
    assert found["economizer_note"].value == "good"
    assert 20 < found["economizer_effectiveness"].value < 95
    water, rise = shown()["feedwater_flow"].value, 4.2 * (
        shown()["economizer_water_temperature"].value - shown()["feedwater_temperature"].value
    )  # fmt: skip
    assert found["economizer_heat"].value == pytest.approx(water * rise, rel=0.05)


def test_a_hotter_stack_means_less_heat_transfer() -> None:
    """Dirt: the gas keeps 15 K more, and the water gets as much less."""
    water = shown()["economizer_water_temperature"].value - 8
    fouled = results(
        {
            **changed("stack_temperature", shown()["stack_temperature"].value + 15),
            "economizer_water_temperature": Sample("w", water, NOW),
        }
    )
    assert fouled["economizer_note"].value == "good"
    assert fouled["economizer_ua"].value < 0.95 * results(shown())["economizer_ua"].value


def test_two_sides_that_disagree_make_it_uncertain_with_a_sentence() -> None:
    found = results(changed("feedwater_flow", 1.4 * shown()["feedwater_flow"].value))
    assert {found[r.name].quality for r in RESULTS} == {Quality.UNCERTAIN_SENSOR_NOT_ACCURATE}
    assert str(found["economizer_note"].value).startswith("uncertain: ")


def test_temperatures_no_exchanger_has_give_no_number() -> None:
    found = results(changed("economizer_gas_temperature", 90.0))
    assert {found[r.name].value for r in RESULTS} == {None}
    assert "cannot exchange heat" in str(found[NOTE.name].value)


def test_a_bad_input_gives_no_number_and_is_named() -> None:
    found = results(changed("economizer_water_temperature", None, Quality.BAD_NO_COMMUNICATION))
    assert found["economizer_effectiveness"].value is None
    assert "economizer water temperature is bad" in str(found[NOTE.name].value)


def test_a_boiler_without_those_instruments_has_no_such_tags() -> None:
    assert has_economizer(BOILER)
    assert not has_economizer(Boiler(name="b", basis="wet"))
