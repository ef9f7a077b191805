import dataclasses
import math
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import HYDROGEN, NATURAL_GAS, gas, wood
from gl002.boiler.live import (
    NOTE,
    OPTIONAL,
    REQUIRED,
    RESULTS,
    ROLE_UNITS,
    Boiler,
    evaluate,
    tags,
)  # fmt: skip
from gl002.model import Quality, Sample, is_bad, severity
from gl002.units import unit

NOW = 1_700_000_000_000_000_000
BOILER = Boiler(name="boiler1", basis="wet")
USUAL = {"oxygen": 2.5, "stack_temperature": 180.0, "air_temperature": 25.0}


def reading(value, quality=0, age=0.0) -> Sample:
    return Sample("plant.tag", value, NOW - int(age * 1e9), int(quality))


def readings(**changed) -> dict[str, Sample]:
    values = {**USUAL, **changed}
    return {
        role: value if isinstance(value, Sample) else reading(value)
        for role, value in values.items()
        if value is not ...
    }


def results(inputs, boiler=BOILER) -> tuple[dict[str, Sample], str]:
    found = {
        sample.tag.removeprefix("boiler1."): sample for sample in evaluate(boiler, inputs, NOW)
    }
    note = found.pop(NOTE.name)
    assert note.quality == Quality.GOOD
    assert {sample.time for sample in found.values()} == {NOW}
    assert len({sample.quality for sample in found.values()}) == 1
    return found, str(note.value)


def test_good_inputs_give_what_the_formulas_give():
    found, note = results(readings())
    exact = indirect(NATURAL_GAS, Conditions(basis="wet", **USUAL))
    assert note == "good"
    assert found["efficiency_hhv"] == Sample(
        "boiler1.efficiency_hhv", exact.efficiency_hhv, NOW, Quality.GOOD
    )
    assert found["excess_air"].value == 100 * exact.flue.excess_air
    assert found["flue_o2_dry"].value == exact.flue.oxygen_dry


def test_the_results_add_up_to_a_hundred_percent():
    found, _ = results(readings(air_temperature=40.0))
    lost = sum(float(s.value) for name, s in found.items() if name.startswith("loss"))
    assert found["efficiency_hhv"].value + lost - found["credit_air"].value == pytest.approx(100)


def test_every_result_is_declared_with_unit_and_description():
    declared = {tag.name: tag for tag in tags("boiler1")}
    given_tags = [sample.tag for sample in evaluate(BOILER, readings(), NOW)]
    assert list(declared) == given_tags
    assert all(tag.description for tag in declared.values())
    assert all(unit(result.unit) for result in RESULTS)
    assert declared["boiler1.efficiency_note"].type == "str"


def test_every_role_has_a_unit_that_exists():
    assert set(ROLE_UNITS) == {*REQUIRED, *OPTIONAL}
    assert all(unit(name) for name in ROLE_UNITS.values())


def test_an_old_input_makes_the_result_uncertain_and_says_how_old():
    found, note = results(readings(stack_temperature=reading(180.0, age=42)))
    assert note == "uncertain: stack temperature stale 42 s"
    assert found["efficiency_hhv"].quality == Quality.UNCERTAIN_LAST_USABLE_VALUE
    assert found["efficiency_hhv"].value == pytest.approx(83.25, abs=0.01)


@pytest.mark.parametrize(
    ("age", "said"), [(31, "31 s"), (300, "5 min"), (10_800, "3 h"), (400_000, "5 d")]
)
def test_an_age_is_told_in_a_unit_people_use(age, said):
    _, note = results(readings(oxygen=reading(2.5, age=age)))
    assert note == f"uncertain: oxygen stale {said}"


def test_an_uncertain_input_passes_its_own_status_on():
    found, note = results(readings(oxygen=reading(2.5, Quality.UNCERTAIN_SENSOR_NOT_ACCURATE)))
    assert found["excess_air"].quality == Quality.UNCERTAIN_SENSOR_NOT_ACCURATE
    assert note == "uncertain: oxygen is uncertain (UncertainSensorNotAccurate)"


def test_no_oxygen_at_all_is_an_uncertain_result():
    _, note = results(readings(oxygen=0.0))
    assert note == "uncertain: oxygen is zero: the analyser is dead, or the burner short of air"


BY_STEAM = dataclasses.replace(
    BOILER, full_steam=14.0, roles=frozenset({*REQUIRED, "steam_flow"}), surface_loss=1.0
)


def test_without_a_tag_for_it_the_load_is_the_steam_over_full_steam():
    found, note = results(readings(steam_flow=3.5), BY_STEAM)
    assert note == "good"
    assert found["loss_surface"].value == pytest.approx(4.0)
    told = dataclasses.replace(BY_STEAM, roles=BY_STEAM.roles | {"load"})
    found, _ = results(readings(steam_flow=3.5, load=0.5), told)
    assert found["loss_surface"].value == pytest.approx(2.0)


@pytest.mark.parametrize("steam", [..., reading(None, Quality.BAD_SENSOR_FAILURE), reading("?")])
def test_a_load_that_the_steam_does_not_tell_is_an_uncertain_result(steam):
    found, note = results(readings(steam_flow=steam), BY_STEAM)
    assert note == "uncertain: load not known, as the steam flow is not: casing as at full load"
    assert found["loss_surface"].value == pytest.approx(1.0)


def test_a_boiler_that_makes_no_steam_has_no_efficiency():
    found, note = results(readings(steam_flow=0.0), BY_STEAM)
    assert note.startswith("bad: load 0 fraction is outside")
    assert found["efficiency_hhv"].value is None


BAD = {
    "oxygen not received yet": {"oxygen": ...},
    "stack temperature not received yet": {"stack_temperature": ...},
    "oxygen is bad (BadSensorFailure)": {"oxygen": reading(2.5, Quality.BAD_SENSOR_FAILURE)},
    "oxygen has no value": {"oxygen": None},
    "oxygen is not a number": {"oxygen": math.nan},
    "oxygen is not a number: 'n/a'": {"oxygen": "n/a"},
    "oxygen is not a number: True": {"oxygen": True},
    "stack temperature is not a number": {"stack_temperature": math.inf},
    "oxygen 20.9 % is that of air": {"oxygen": 20.9},
    "oxygen 20.95 % is that of air": {"oxygen": 20.95},
    "oxygen -3 % is outside 0 to 20.9": {"oxygen": -3.0},
    "stack temperature 900 degC is outside": {"stack_temperature": 900.0},
    "stack temperature 24 degC is below the air": {"stack_temperature": 24.0},
    "carbon monoxide -21 ppm is outside": {"carbon_monoxide": -21.0},
    "humidity 0.5 kg/kg is outside": {"humidity": 0.5},
    "load 0 fraction is outside": {"load": 0.0},
    "the losses are larger than the heat": {"oxygen": 20.5, "stack_temperature": 600.0},
}


@pytest.mark.parametrize("reason", BAD)
def test_what_cannot_be_computed_is_bad_has_no_value_and_says_why(reason):
    found, note = results(readings(**BAD[reason]))
    assert note.startswith("bad: ")
    assert reason in note
    assert all(is_bad(sample.quality) and sample.value is None for sample in found.values())


def test_a_dead_analyser_that_shows_zeros_gives_no_number():
    found, note = results(readings(oxygen=0.0, stack_temperature=0.0, carbon_monoxide=0.0))
    assert found["efficiency_hhv"].value is None
    assert "below the air temperature" in note


def test_an_optional_role_that_is_configured_must_have_been_received():
    with_monoxide = dataclasses.replace(BOILER, roles=frozenset({*REQUIRED, "carbon_monoxide"}))
    _, note = results(readings(), with_monoxide)
    assert note == "bad: carbon monoxide not received yet"


def test_a_bad_optional_input_is_not_quietly_replaced():
    with_load = dataclasses.replace(BOILER, roles=frozenset({*REQUIRED, "load"}))
    found, note = results(readings(load=reading(0.5, Quality.BAD_TIMEOUT)), with_load)
    assert found["loss_surface"].value is None
    assert note == "bad: load is bad (BadTimeout)"


def test_an_input_that_nobody_announced_is_judged_all_the_same():
    found, note = results(readings(humidity=reading(0.01, Quality.BAD_SENSOR_FAILURE)))
    assert found["efficiency_hhv"].value is None
    assert note == "bad: humidity is bad (BadSensorFailure)"


def test_only_the_gravest_reasons_are_told():
    _, note = results(
        readings(oxygen=reading(2.5, age=99), stack_temperature=reading(None, Quality.BAD_TIMEOUT))
    )
    assert note == "bad: stack temperature is bad (BadTimeout)"


def test_two_reasons_of_one_gravity_are_both_told():
    _, note = results(readings(oxygen=reading(2.5, age=99), air_temperature=reading(25, age=120)))
    assert note == "uncertain: oxygen stale 99 s; air temperature stale 2 min"


def test_flue_gas_that_may_condense_is_uncertain():
    found, note = results(readings(stack_temperature=50.0))
    assert severity(found["efficiency_hhv"].quality) == "uncertain"
    assert "condenses" in note


@pytest.mark.parametrize(
    ("fuel", "oxygen", "condensing", "dry"),
    [
        (NATURAL_GAS, 2.5, 59.0, 62.0),
        (NATURAL_GAS, 12.0, 45.0, 59.0),  # air dilutes the water
        (wood(50), 5.0, 63.0, 70.0),
        (HYDROGEN, 2.0, 70.0, 77.0),
        (gas({"CO": 100.0}), 2.0, ..., 26.0),  # no water at all, in dry air
    ],
    ids=["gas", "gas with much air", "wet wood", "hydrogen", "carbon monoxide"],
)
def test_where_flue_gas_condenses_follows_from_its_water(fuel, oxygen, condensing, dry):
    boiler = dataclasses.replace(BOILER, fuel=fuel)
    for stack, said in ((condensing, True), (dry, False)):
        if stack is not ...:
            _, note = results(
                readings(oxygen=oxygen, stack_temperature=stack, humidity=0.0), boiler
            )
            assert ("condenses" in note) == said


def test_load_and_monoxide_are_used_where_they_are_measured():
    found, _ = results(readings(load=0.5, carbon_monoxide=1_000.0))
    assert found["loss_surface"].value == pytest.approx(1.0)
    assert found["loss_co"].value == pytest.approx(0.31, abs=0.02)


values = st.one_of(
    st.none(), st.booleans(), st.text(max_size=5), st.integers(), st.floats(),
)  # fmt: skip
samples = st.builds(
    reading, values, st.sampled_from([int(quality) for quality in Quality]), st.floats(-60, 1e6)
)


@given(st.dictionaries(st.sampled_from([*REQUIRED, *OPTIONAL]), samples), st.booleans())
def test_whatever_comes_in_the_result_is_as_bad_and_a_sound_number_or_none(inputs, rest_sound):
    if rest_sound:
        inputs = {**readings(), **inputs}
    found, note = results(inputs)
    efficiency = found["efficiency_hhv"]
    assert note.startswith(severity(efficiency.quality))
    if is_bad(efficiency.quality):
        assert all(sample.value is None for sample in found.values())
    else:
        assert all(math.isfinite(sample.value) for sample in found.values())
        assert 0 < efficiency.value < 130  # credit of 450 degC air can pass 100
    worst_input = max((sample.quality >> 30 for sample in inputs.values()), default=0)
    assert efficiency.quality >> 30 >= min(worst_input, 2)


def test_a_result_costs_less_than_a_fifth_of_a_millisecond():
    inputs = readings()
    best = math.inf
    for _ in range(5):
        start = time.process_time()
        for _ in range(100):
            evaluate(BOILER, inputs, NOW)
        best = min(best, (time.process_time() - start) / 100)
    assert best < 2e-4
