import dataclasses
import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler.bands import (
    ACCURACIES,
    ASSUMED,
    METHOD,
    Instruments,
    direct_band,
    indirect_band,
)
from gl002.boiler.closed_form import closed_form
from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import BITUMINOUS, FUEL_OIL_2, FUELS, NATURAL_GAS, wood
from gl002.boiler.losses import Residue
from gl002.boiler.methods.direct import WaterSide
from gl002.boiler.uncertainty import (
    Accuracy,
    Estimate,
    Input,
    Part,
    combine,
    difference,
    fuel_saving,
    propagate,
)
from gl002.errors import DataError

USUAL = Conditions(oxygen=3.0, basis="dry", stack_temperature=200.0, air_temperature=25.0)
RESIDUES = (Residue(share=0.3, carbon=12.0, temperature=800.0), Residue(share=0.7, carbon=4.0))

conditions = st.builds(
    Conditions,
    oxygen=st.floats(0.3, 12.0),
    basis=st.sampled_from(["wet", "dry"]),
    stack_temperature=st.floats(90.0, 400.0),
    air_temperature=st.floats(-20.0, 80.0),
    carbon_monoxide=st.floats(0.0, 3_000.0),
    humidity=st.floats(0.0, 0.04),
    load=st.floats(0.2, 1.1),
    surface_loss=st.floats(0.1, 2.0),
    residues=st.sampled_from([(), RESIDUES]),
)


@given(conditions, st.sampled_from(sorted(FUELS)))
def test_the_closed_form_gives_the_balance_loss_by_loss(now, name):
    fuel = FUELS[name]
    exact = indirect(fuel, now)
    found = closed_form(fuel, now.basis, 25.0, now.residues).at(now)
    for loss, value in exact.losses.items():
        assert getattr(found, loss) == pytest.approx(value, rel=1e-9, abs=1e-9)
    assert found.air_credit == pytest.approx(exact.credit_air, rel=1e-9, abs=1e-9)
    assert found.efficiency == pytest.approx(exact.efficiency_hhv, abs=1e-8)
    assert found.excess_air == pytest.approx(exact.flue.excess_air, rel=1e-9, abs=1e-12)


def test_the_closed_form_takes_arrays():
    balance = closed_form(NATURAL_GAS, "wet")
    oxygen, stack = np.linspace(1, 8, 50), np.linspace(120, 300, 50)
    many = balance(oxygen, stack, 25.0)
    for i in (0, 20, 49):
        assert many.efficiency[i] == pytest.approx(balance(oxygen[i], stack[i], 25.0).efficiency)


EXAMPLE = Instruments(
    given={
        "oxygen": Accuracy(absolute=0.25, meaning="standard"),
        "stack_temperature": Accuracy(absolute=3.0, meaning="standard"),
        "air_temperature": Accuracy(absolute=1.5, meaning="standard"),
        "humidity": Accuracy(absolute=0.002, meaning="standard"),
    },
    fixed=frozenset({"carbon_monoxide", "surface_loss", "load"}),
)


def test_contributions_are_those_known_for_natural_gas():
    """Computed before by a linear propagation and by 200,000 draws: 0.159 points in all."""
    found = indirect_band(NATURAL_GAS, dataclasses.replace(USUAL, stack_temperature=180.0), EXAMPLE)
    sizes = found.contributions
    assert sizes["oxygen"] == pytest.approx(0.073, abs=0.001)
    assert sizes["stack_temperature"] == pytest.approx(0.129, abs=0.004)
    assert sizes["air_temperature"] == pytest.approx(0.055, abs=0.002)
    assert sizes["humidity"] == pytest.approx(0.021, abs=0.005)
    instruments = ("oxygen", "stack_temperature", "air_temperature", "humidity")
    assert math.hypot(*(sizes[name] for name in instruments)) == pytest.approx(0.159, abs=0.003)
    assert list(sizes.values()) == sorted(sizes.values(), reverse=True)


@pytest.mark.parametrize("oxygen", [0.4, 3.0, 10.0])
@pytest.mark.parametrize("fuel", [NATURAL_GAS, FUEL_OIL_2, wood(50)], ids=lambda fuel: fuel.name)
def test_the_linear_band_is_that_of_monte_carlo(fuel, oxygen):
    now = dataclasses.replace(USUAL, oxygen=oxygen, carbon_monoxide=60.0)
    found = indirect_band(fuel, now)
    chance = np.random.default_rng(11)

    def draw(name: str) -> np.ndarray:
        value = getattr(now, name)
        drawn = chance.normal(value, ACCURACIES[name].systematic(value), 200_000)
        return drawn if "temperature" in name else np.maximum(drawn, 0.0)

    terms = closed_form(fuel, "dry")(
        draw("oxygen"), draw("stack_temperature"), draw("air_temperature"),
        carbon_monoxide=draw("carbon_monoxide"), humidity=draw("humidity"), load=draw("load"),
        surface_loss=draw("surface_loss"),
    )  # fmt: skip
    others = ("fuel hydrogen", "fuel air", "fuel moisture", "method")
    rest = math.hypot(*(found.contributions.get(name, 0.0) for name in others))
    assert found.standard == pytest.approx(math.hypot(np.std(terms.efficiency), rest), rel=0.03)


_LEAST = dict.fromkeys(ACCURACIES, 0.0) | {"air_temperature": -50.0, "load": 0.1}


def _another(fuel, chance: random.Random):
    """A fuel as far from the typical one as its uncertainties say."""
    air = 1 + chance.gauss(0, fuel.air_uncertainty)
    return dataclasses.replace(
        fuel,
        hydrogen=fuel.hydrogen * (1 + chance.gauss(0, fuel.hydrogen_uncertainty)),
        water=fuel.water * (1 + chance.gauss(0, fuel.water_uncertainty)),
        # air per heat without hydrogen per heat: carbon makes up for both
        carbon=fuel.carbon * air,
    )


def _losses_of(fuel, typical, now):
    """The balance of a fuel that differs in hydrogen, water and air per heat, each by its own."""
    exact = indirect(typical, now)
    air = (fuel.carbon / typical.carbon) if typical.carbon else 1.0
    return (
        100
        - (exact.loss_dry_gas + exact.loss_air_moisture - exact.credit_air) * air
        - exact.loss_hydrogen * fuel.hydrogen / typical.hydrogen
        - exact.loss_fuel_moisture * (fuel.water / typical.water if typical.water else 1.0)
        - exact.loss_co
        - exact.loss_surface
    )


@pytest.mark.parametrize("fuel", [NATURAL_GAS, FUEL_OIL_2, wood(45)], ids=lambda fuel: fuel.name)
def test_the_band_holds_the_truth_in_95_of_100_cases(fuel):
    """A thousand operating points; every instrument and the fuel are off as much as they may be."""
    chance = random.Random(2024)
    held = 0
    for _ in range(1_000):
        shown = Conditions(
            oxygen=chance.uniform(2.0, 9.0), basis=chance.choice(["wet", "dry"]),
            stack_temperature=chance.uniform(120, 320), air_temperature=chance.uniform(-10, 60),
            carbon_monoxide=chance.uniform(50, 400), humidity=chance.uniform(0.008, 0.02),
            load=chance.uniform(0.3, 1.0), surface_loss=chance.uniform(0.3, 1.5),
        )  # fmt: skip
        errors = {
            name: chance.gauss(0, accuracy.systematic(getattr(shown, name)))
            for name, accuracy in ACCURACIES.items()
        }
        truth = dataclasses.replace(
            shown,
            **{name: max(getattr(shown, name) - e, _LEAST[name]) for name, e in errors.items()},
        )  # fmt: skip
        real = _losses_of(_another(fuel, chance), fuel, truth) + chance.gauss(0, METHOD)
        low, high = indirect_band(fuel, shown).band
        held += low <= real <= high
    assert 930 <= held <= 970


def test_the_direct_method_with_common_meters_is_two_points_uncertain():
    metered = dataclasses.replace(NATURAL_GAS, hhv_uncertainty=0.005)
    water = WaterSide(steam_flow=10.0, pressure=1.5, feedwater_temperature=105.0)
    found = direct_band(metered, 0.0302, water)
    assert found.value == pytest.approx(85.6, abs=0.3)
    assert found.standard == pytest.approx(1.95, abs=0.15)
    assert list(found.contributions)[:2] in (
        ["fuel_flow", "steam_flow"], ["steam_flow", "fuel_flow"],
    )  # fmt: skip


def test_superheat_and_blowdown_count_where_there_are_any():
    water = WaterSide(
        steam_flow=10.0, pressure=4.0, temperature=400.0, feedwater_temperature=105.0,
        blowdown=3.0, blowdown_basis="steam",
    )  # fmt: skip
    found = direct_band(NATURAL_GAS, 0.04, water).contributions
    assert found["temperature"] > 0
    assert found["blowdown"] > 0
    assert "dryness" not in found


def test_a_solid_fuel_without_an_ash_analysis_is_a_point_more_uncertain():
    without = indirect_band(BITUMINOUS, USUAL)
    analysed = indirect_band(BITUMINOUS, dataclasses.replace(USUAL, residues=RESIDUES))
    assert "unburnt carbon" in without.parts
    assert without.standard > analysed.standard + 0.3


def test_an_input_no_boiler_can_have_has_no_band():
    with pytest.raises(DataError, match="is that of air"):
        indirect_band(NATURAL_GAS, dataclasses.replace(USUAL, oxygen=20.9))


def test_what_two_results_share_cancels_in_their_difference():
    """One per cent less oxygen is worth a third of a point: known better than the efficiency."""
    before = indirect_band(NATURAL_GAS, USUAL)
    after = indirect_band(NATURAL_GAS, dataclasses.replace(USUAL, oxygen=2.0))
    gain = difference(after, before, same_readings=True)
    assert gain.value == pytest.approx(0.33, abs=0.02)
    assert before.standard > 0.2
    assert gain.standard < 0.02
    assert gain.significant()
    assert not difference(before, before).significant()


def test_two_boilers_share_no_instrument():
    one = indirect_band(NATURAL_GAS, USUAL)
    apart = difference(one.named("boiler1"), one.named("boiler2"))
    assert apart.standard == pytest.approx(math.sqrt(2) * one.standard)


def test_scatter_of_readings_cancels_only_where_they_are_the_same_readings():
    noisy = Instruments(given={"oxygen": Accuracy(repeatability=0.3)})
    before = indirect_band(NATURAL_GAS, USUAL, noisy)
    after = indirect_band(NATURAL_GAS, dataclasses.replace(USUAL, stack_temperature=190), noisy)
    same = difference(after, before, same_readings=True).contributions["oxygen"]
    other = difference(after, before).contributions["oxygen"]
    assert other == pytest.approx(
        math.hypot(before.contributions["oxygen"], after.contributions["oxygen"])
    )
    assert same < 0.1 * other


def test_a_saving_has_the_band_of_both_efficiencies():
    before = Estimate(value=80.0, parts={"a": Part(0.5), "b": Part(0.2)})
    after = Estimate(value=82.0, parts={"a": Part(0.5), "c": Part(0.1)})
    saving = fuel_saving(after, before)
    assert saving.value == pytest.approx(2 / 82)
    slope_after, slope_before = 80 / 82**2, -1 / 82
    assert saving.parts["a"].systematic == pytest.approx(0.5 * (slope_after + slope_before))
    assert saving.contributions["b"] == pytest.approx(0.2 / 82)
    assert saving.contributions["c"] == pytest.approx(0.1 * slope_after)
    with pytest.raises(DataError, match="no saving between"):
        fuel_saving(after, Estimate(value=0.0))


@pytest.mark.parametrize(
    ("meaning", "divisor"), [("limits", math.sqrt(3)), ("two_sigma", 1.96), ("standard", 1.0)]
)
def test_a_data_sheet_is_read_as_it_is_meant(meaning, divisor):
    accuracy = Accuracy(absolute=1.0, reading=2.0, meaning=meaning, repeatability=0.4)
    assert accuracy.of(-50.0) == Input(-50.0, pytest.approx(2.0 / divisor), 0.4)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0, 2), st.floats(0, 2))
def test_a_straight_line_is_propagated_exactly(a, b, u, v):
    found = propagate(
        lambda x: 3 + a * x["x"] + b * x["y"], {"x": Input(1.0, u), "y": Input(2.0, 0.0, v)}
    )
    assert found.value == pytest.approx(3 + a + 2 * b)
    assert found.standard == pytest.approx(math.hypot(a * u, b * v), rel=1e-6, abs=1e-9)
    low, high = found.band
    assert high - low == pytest.approx(2 * 1.96 * found.standard)


def test_limits_are_not_stepped_over():
    seen = []
    found = propagate(
        lambda x: seen.append(x["x"]) or 2 * x["x"],
        {"x": Input(1.0, 0.5)},
        limits={"x": (0.0, 1.0)},
    )
    assert max(seen) == 1.0
    assert found.standard == pytest.approx(1.0)


def test_combine_of_nothing_in_common_is_the_root_of_squares():
    one, other = (
        Estimate(value=1.0, parts={"a": Part(3.0)}),
        Estimate(value=1.0, parts={"b": Part(4.0)}),
    )
    assert combine(2.0, [(1.0, one), (1.0, other)]).standard == pytest.approx(5.0)


def test_roles_known_exactly_add_nothing():
    fixed = Instruments(fixed=frozenset(ACCURACIES))
    assert (
        indirect_band(NATURAL_GAS, USUAL, fixed).standard
        < indirect_band(NATURAL_GAS, USUAL, ASSUMED).standard
    )
    assert "oxygen" not in indirect_band(NATURAL_GAS, USUAL, fixed).parts
