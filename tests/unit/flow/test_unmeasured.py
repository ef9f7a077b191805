"""Bands of boilers that lack instruments: as wide as what is not measured wants them."""

from __future__ import annotations

import random

import pytest

from gl002.boiler.bands import indirect_band
from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import NATURAL_GAS
from gl002.config.boilers import BoilerSettings
from gl002.flow.bindings import Bindings
from gl002.model import TagTable

BOUND = {
    "oxygen": {"tag": "o2", "basis": "wet"}, "stack_temperature": "stack", "air_temperature": "air",
    "load": "load",
}  # fmt: skip


def instruments(**changes: object):
    given = {key: value for key, value in {**BOUND, **changes}.items() if value is not None}
    return Bindings("b1", BoilerSettings.parse(given), TagTable()).boiler().instruments


def held(count: int = 1000, **changes: object) -> float:
    """How often the band holds the true efficiency, over the loads and the air of a year."""
    chance, known, inside = random.Random(1), instruments(**changes), 0
    load_shown = "load" not in changes or "full_steam" in changes
    air_shown = "air_temperature" not in changes
    for _ in range(count):
        true = Conditions(
            oxygen=chance.uniform(2, 6), basis="wet", stack_temperature=chance.uniform(130, 230),
            air_temperature=chance.uniform(10, 40), load=chance.uniform(0.3, 1.0),
        )  # fmt: skip
        air = true.air_temperature + chance.gauss(0, 1.5)
        shown = Conditions(
            oxygen=true.oxygen + chance.gauss(0, 0.25), basis="wet",
            stack_temperature=true.stack_temperature + chance.gauss(0, 3.0),
            air_temperature=air if air_shown else 25.0, load=true.load if load_shown else 1.0,
        )  # fmt: skip
        low, high = indirect_band(NATURAL_GAS, shown, known).band
        inside += low <= indirect(NATURAL_GAS, true).efficiency_hhv <= high
    return inside / count


@pytest.mark.parametrize(
    "changes", [{"load": None}, {"air_temperature": 25}, {"load": None, "air_temperature": 25}]
)
def test_the_band_holds_the_truth_where_load_or_air_are_not_measured(changes):
    assert held(**changes) > 0.92


def test_a_band_is_as_narrow_as_it_was_where_both_are_measured():
    usual = instruments()
    assert usual.accuracy("load").absolute == pytest.approx(0.03)
    assert usual.accuracy("air_temperature").absolute == pytest.approx(1.5)
    steam = {"steam_flow": "steam", "full_steam": {"value": 50, "unit": "t/h"}, "load": None}
    assert instruments(**steam).accuracy("load").absolute == pytest.approx(0.03)


def test_a_fixed_number_that_is_better_known_says_so():
    known = instruments(air_temperature={"value": 25, "accuracy": {"absolute": 1}})
    assert known.accuracy("air_temperature").absolute == pytest.approx(1.0)
    fixed = instruments(load={"value": 0.8, "accuracy": {"absolute": 0.05}})
    assert fixed.accuracy("load").absolute == pytest.approx(0.05)
