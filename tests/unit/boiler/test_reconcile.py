import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler.reconcile import (
    Reading,
    balance_of_header,
    balances_of_boiler,
    find_gross_errors,
    reconcile,
)
from gl002.errors import DataError
from unit.boiler.published import case, wanted


def test_the_textbook_exchanger_with_bypass_comes_out():
    each = case("recon-1")
    readings = {f"x{i}": Reading(value, 1.0) for i, value in enumerate(each["inputs"]["measured"])}
    balances = [
        lambda x: x["x0"] - x["x1"] - x["x2"],
        lambda x: x["x1"] - x["x3"],
        lambda x: x["x2"] - x["x4"],
        lambda x: x["x3"] + x["x4"] - x["x5"],
    ]
    found = reconcile(readings, balances)
    for key, (value, tolerance) in wanted(each).items():
        assert found.values[key] == pytest.approx(value, abs=tolerance)
    assert found.redundancy == 4
    assert all(found.standards[name] < 1.0 for name in readings)


TRUE = {
    "feedwater": 10.5, "steam": 10.0, "blowdown": 0.5,
    "feedwater_solids": 150.0, "boiler_solids": 3_150.0,
    "steam_rise": 2_300.0, "blowdown_rise": 400.0, "efficiency": 83.0,
    "fuel_heat": (10.0 * 2_300 + 0.5 * 400) / 0.83,
}  # fmt: skip
STANDARD = {
    "feedwater": 0.1, "steam": 0.15, "feedwater_solids": 4.0, "boiler_solids": 60.0,
    "steam_rise": 5.0, "blowdown_rise": 3.0, "efficiency": 0.3, "fuel_heat": 300.0,
}  # fmt: skip
BALANCES = balances_of_boiler()


def readings(seed=None, **errors):
    chance = np.random.default_rng(seed)
    return {
        name: Reading(
            value
            + (chance.normal(0, STANDARD[name]) if seed is not None and name in STANDARD else 0.0)
            + errors.get(name, 0.0),
            STANDARD.get(name),
        )
        for name, value in TRUE.items()
    }


def test_readings_that_agree_are_left_as_they_are():
    found = reconcile(readings(), BALANCES)
    assert found.values == pytest.approx(TRUE)
    assert found.objective == pytest.approx(0, abs=1e-12)
    assert found.consistent
    assert found.redundancy == 2  # three balances, blowdown not measured


def test_what_was_not_measured_is_found_with_its_uncertainty():
    start = {**readings(), "blowdown": Reading(0.1)}
    found = reconcile(start, BALANCES)
    assert found.values["blowdown"] == pytest.approx(0.5)
    assert 0.005 < found.standards["blowdown"] < 0.03


@given(st.integers(0, 10_000))
def test_the_result_satisfies_every_balance_and_is_better_than_the_readings(seed):
    found = reconcile(readings(seed), BALANCES)
    for balance in BALANCES:
        assert balance(found.values) == pytest.approx(0, abs=1e-4)
    for name, standard in STANDARD.items():
        assert found.standards[name] <= standard * (1 + 1e-9)
    assert found.standards["steam"] < 0.8 * STANDARD["steam"]


def test_reconciled_values_scatter_as_their_uncertainties_say():
    apart, alarms = [], 0
    for seed in range(400):
        found = reconcile(readings(seed), BALANCES)
        apart.append((found.values["steam"] - TRUE["steam"]) / found.standards["steam"])
        alarms += not found.consistent
    assert np.std(apart) == pytest.approx(1.0, abs=0.1)
    assert alarms / 400 == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(
    ("name", "error"), [("steam", 1.5), ("fuel_heat", -4_000.0), ("feedwater", -1.2)]
)
def test_a_meter_with_a_gross_error_is_named(name, error):
    hits = agreed = 0
    for seed in range(40):
        found = find_gross_errors(readings(seed, **{name: error}), BALANCES)
        hits += name in found.suspects
        agreed += found.consistent
    assert hits >= 36
    assert agreed >= 34  # one in twenty is off by chance


def test_a_steam_meter_is_told_from_all_others_and_its_value_found():
    found = find_gross_errors(readings(0, steam=1.5), BALANCES)
    assert found.suspects == ("steam",)
    assert found.values["steam"] == pytest.approx(TRUE["steam"], abs=0.2)


def test_no_explanation_turns_a_flow_round():
    found = find_gross_errors(readings(5, steam=1.5), BALANCES)
    assert "boiler_solids" not in found.suspects
    assert min(found.values.values()) > 0


def test_meters_that_cannot_be_told_apart_are_all_named():
    flows = {
        "feedwater": Reading(10.0, 0.1), "steam": Reading(8.0, 0.1), "blowdown": Reading(0.5, 0.1),
    }  # fmt: skip
    found = find_gross_errors(flows, balances_of_boiler(salts=False, energy=False))
    assert set(found.suspects) == set(flows)


def test_sound_readings_have_no_suspects():
    assert find_gross_errors(readings(4), BALANCES).suspects == ()


def test_boilers_on_one_header_check_each_other():
    header = balance_of_header(["one.steam", "two.steam"], ["header"])
    flows = {
        "one.steam": Reading(10.3, 0.2), "two.steam": Reading(5.0, 0.1),
        "header": Reading(15.0, 0.3),
    }  # fmt: skip
    found = reconcile(flows, [header])
    assert found.values["one.steam"] + found.values["two.steam"] == pytest.approx(
        found.values["header"]
    )
    assert 10.0 < found.values["one.steam"] < 10.3
    assert found.consistent


def test_boilers_with_prefixes_and_their_header_are_one_system():
    both = {}
    for prefix in ("one.", "two."):
        both |= {prefix + name: reading for name, reading in readings().items()}
    both["header"] = Reading(20.6, 0.4)
    balances = [
        *balances_of_boiler("one."), *balances_of_boiler("two."),
        balance_of_header(["one.steam", "two.steam"], ["header"]),
    ]  # fmt: skip
    found = reconcile(both, balances)
    assert found.redundancy == 5
    assert found.values["header"] == pytest.approx(20.03, abs=0.01)


def test_what_nothing_determines_stays_at_its_guess_and_says_so():
    found = reconcile(
        {"a": Reading(1.0, 0.1), "b": Reading(5.0), "c": Reading(7.0)},
        [lambda x: x["a"] + x["b"] - x["c"]],
    )
    assert math.isinf(found.standards["b"])
    assert found.redundancy == 0
    assert found.consistent
    assert found.tests["a"] == 0


def test_balances_that_contradict_each_other_are_refused():
    with pytest.raises(DataError, match=r"contradict|cannot be satisfied"):
        reconcile({"a": Reading(1.0, 0.1)}, [lambda x: x["a"] - 1, lambda x: x["a"] - 2])


def test_a_standard_uncertainty_of_nothing_is_refused():
    with pytest.raises(DataError, match="a: standard uncertainty 0 is not above 0"):
        reconcile({"a": Reading(1.0, 0.0)}, [lambda x: x["a"] - 1])
