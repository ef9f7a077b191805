"""Roles of a boiler bound to tags: units, accuracies, fuels, and what comes of them live."""

from __future__ import annotations

import pytest

from gl002.boiler.fuels import FUELS, NATURAL_GAS
from gl002.boiler.roles import ROLES, fuel_flow
from gl002.config.boilers import BoilerSettings
from gl002.config.fuels import FuelName
from gl002.errors import ConfigError, UnitError
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import LiveEfficiency
from gl002.flow.hub import Hub
from gl002.model import Quality, Sample, Tag, TagTable, now_ns, severity

PLANT = {
    "o2": ("%", 3.0), "stack": ("degF", 356.0), "air": ("degC", 25.0), "gas": ("Nm3/h", 3600.0),
    "heat": ("MW (HHV)", 40.5), "steam": ("t/h", 50.0), "pressure": ("bar(g)", 20.0),
    "feed": ("degC", 105.0),
}  # fmt: skip
BOUND = {
    "oxygen": {"tag": "o2", "basis": "dry"}, "stack_temperature": "stack", "air_temperature": "air",
    "fuel_flow": "gas", "steam_flow": "steam", "pressure": "pressure",
    "feedwater_temperature": "feed", "full_steam": {"value": 50, "unit": "t/h"},
    "steady": False,  # one reading is judged, not ten minutes
}  # fmt: skip


def table() -> TagTable:
    found = TagTable()
    for name, (unit, _) in PLANT.items():
        found.declare(Tag(name=name, unit=unit))
    return found


def bound(**changes: object) -> Bindings:
    return Bindings("b1", BoilerSettings.parse({**BOUND, **changes}), table())


async def live(bindings: Bindings, **changes: object) -> dict[str, Sample]:
    """Results with the plant's values, some of them changed."""
    hub, now = Hub(), now_ns()
    values = {**{name: value for name, (_, value) in PLANT.items()}, **changes}
    hub.accepted([Sample(name, value, now) for name, value in values.items()])
    async for batch in LiveEfficiency(bindings, hub).batches():
        return {sample.tag.removeprefix("b1."): sample for sample in batch}
    raise AssertionError


def test_every_role_of_the_engine_can_be_bound_and_has_its_words():
    for role, known in ROLES.items():
        assert role in BoilerSettings.model_fields
        assert known.description


def test_the_fuels_of_the_configuration_are_those_of_the_engine():
    assert set(FuelName.__args__) == set(FUELS)


async def test_the_efficiency_has_its_band():
    found = await live(bound())
    low, value, high = (
        found[name].value
        for name in ("efficiency_hhv_low", "efficiency_hhv", "efficiency_hhv_high")
    )
    assert low < value < high
    assert value - low == pytest.approx(high - value)
    assert 0.3 < high - value < 1.0


async def test_a_better_instrument_makes_the_band_narrower():
    def width(found):
        return found["efficiency_hhv_high"].value - found["efficiency_hhv_low"].value

    usual = width(await live(bound()))
    better = await live(
        bound(
            oxygen={"tag": "o2", "basis": "dry", "accuracy": 0.05},
            stack_temperature={"tag": "stack", "accuracy": {"absolute": 1.8}},
        )
    )
    assert width(better) < 0.9 * usual


def test_an_accuracy_is_in_the_unit_of_the_tag():
    made = bound(stack_temperature={"tag": "stack", "accuracy": {"absolute": 1.8}}).boiler()
    assert made.instruments.accuracy("stack_temperature").absolute == pytest.approx(1.0)  # K


async def test_fuel_and_steam_give_the_direct_efficiency_beside_the_indirect_one():
    found = await live(bound())
    assert found["fuel_heat"].value == pytest.approx(40_500, rel=0.01)  # 1 Nm3/s
    assert found["steam_heat"].value == pytest.approx(50 / 3.6 * (2799 - 442), rel=0.01)
    assert found["efficiency_direct"].value == pytest.approx(80.9, abs=0.5)
    assert found["efficiency_direct_high"].value - found["efficiency_direct"].value > 3
    assert found["co2"].value == pytest.approx(40_500 * 3.6 * 50.3 / 1000, rel=0.01)
    assert found["direct_note"].value == "good"


async def test_carbon_dioxide_is_told_apart_by_what_it_comes_from():
    assert (found := await live(bound()))["co2_fossil"].value == found["co2"].value
    mix = {"mix": [{"fuel": "wood_green", "share": 70}, {"fuel": "natural_gas", "share": 30}]}
    found = await live(bound(fuel=mix, fuel_flow="heat"))  # 40.5 MW
    assert found["co2_fossil"].value == pytest.approx(0.3 * 40_500 * 3.6 * 50.3 / 1000, rel=0.01)
    assert found["co2"].value > 3 * found["co2_fossil"].value


async def test_a_steam_meter_that_fails_leaves_the_losses_alone():
    found = await live(bound(), steam=None)
    assert found["efficiency_hhv"].value is not None
    assert found["efficiency_direct"].value is None
    assert found["direct_note"].value == "bad: steam flow has no value"


async def test_steam_that_would_be_water_is_flagged_and_has_no_number():
    found = await live(
        bound(
            saturated=False,
            steam_temperature={"value": 200},
            pressure={"value": 4, "unit": "MPa(a)"},
        )
    )
    assert found["efficiency_direct"].value is None
    assert "that is water, not steam" in str(found["direct_note"].value)


@pytest.mark.parametrize(
    ("temperature", "said"),
    [
        (400, "steam of 400 degC is 185 K above the boiling point at 2.101 MPa, and counted as"),
        (150, "steam of 150 degC is 65 K below the boiling point at 2.101 MPa: pressure and"),
    ],
)
async def test_steam_that_is_declared_saturated_and_is_not_makes_its_heat_uncertain(
    temperature, said
):
    """Counted as superheated, 400 degC is 19 % more heat: 3,247 less 442 kJ/kg, not 2,799."""
    found = await live(bound(steam_temperature={"value": temperature}))
    assert str(found["direct_note"].value).startswith(f"uncertain: {said}")
    assert severity(found["efficiency_direct"].quality) == "uncertain"
    assert found["efficiency_note"].value == "good"
    right = await live(bound(steam_temperature={"value": 400}, saturated=False))
    assert right["direct_note"].value == "good"
    assert right["steam_heat"].value == pytest.approx(50 / 3.6 * (3247 - 442), rel=2e-3)
    near = await live(bound(steam_temperature={"value": 217}))
    assert near["direct_note"].value == "good"


@pytest.mark.parametrize(
    "drifted",
    [
        {"blowdown_flow": {"value": -0.1, "unit": "t/h"}},
        {"blowdown": {"value": -0.3, "unit": "%", "basis": "steam"}},
    ],
)
async def test_a_blowdown_meter_whose_zero_has_drifted_below_it_shows_a_valve_that_is_shut(drifted):
    shut, found = await live(bound()), await live(bound(**drifted))
    assert found["direct_note"].value == "good"
    assert found["efficiency_direct"].value == pytest.approx(shut["efficiency_direct"].value)
    far = await live(bound(blowdown_flow={"value": -5, "unit": "t/h"}))
    assert str(far["direct_note"].value).startswith("bad: blowdown -1.389 at a steam flow of")


async def test_solids_of_boiler_and_feedwater_are_compared_in_one_unit():
    def solids(boiler: tuple[float, str], feedwater: tuple[float, str]) -> Bindings:
        both = {"boiler_solids": boiler, "feedwater_solids": feedwater}
        return bound(**{role: {"value": v, "unit": unit} for role, (v, unit) in both.items()})

    same = await live(solids((3000, "uS/cm"), (150, "uS/cm")))
    mixed = await live(solids((3000, "uS/cm"), (0.150, "mS/cm")))
    assert mixed["efficiency_direct"].value == pytest.approx(same["efficiency_direct"].value)
    assert list(solids((3000, "uS/cm"), (0.150, "mS/cm")).misfits()) == []
    (said,) = solids((3000, "uS/cm"), (80, "mg/L")).misfits()
    assert "feedwater_solids: 'mg/L'" in str(said)
    assert "does not convert to 'uS/cm'" in str(said)


async def test_blowdown_comes_from_the_solids_where_there_is_no_meter():
    plain = await live(bound())
    blown = await live(bound(boiler_solids={"value": 3000}, feedwater_solids={"value": 150}))
    more = blown["efficiency_direct"].value - plain["efficiency_direct"].value
    assert more == pytest.approx(plain["efficiency_direct"].value / 19 * 474 / 2357, rel=0.05)


def test_a_boiler_without_meters_declares_no_direct_efficiency():
    few = {role: BOUND[role] for role in ("oxygen", "stack_temperature", "air_temperature")}
    made = LiveEfficiency(Bindings("b1", BoilerSettings.parse(few), table()), Hub())
    assert not any("direct" in tag.name for tag in made.tags())


# ---- fuel meters ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "unit", ["Nm3/h", "scfh", "kg/h", "MW (HHV)", "MMBtu/hr (HHV)", "kW (LHV)"]
)
def test_a_gas_meter_counts_volume_mass_or_heat(unit):
    assert fuel_flow(unit, NATURAL_GAS).slope > 0


def test_the_same_gas_is_the_same_whatever_its_meter_counts():
    heat = fuel_flow("kW (HHV)", NATURAL_GAS)(NATURAL_GAS.hhv)
    mass = fuel_flow("kg/s", NATURAL_GAS)(NATURAL_GAS.mass)
    assert heat == pytest.approx(1.0)
    assert mass == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("meter", "half"),
    [("gas", 6.0), ("heat", 3.5)],
    ids=["a volume, by a heating value nobody measured", "heat"],
)
async def test_a_meter_that_shows_heat_does_not_need_the_heating_value(meter, half):
    found = await live(bound(fuel_flow=meter))
    low, value, high = (found[f"efficiency_direct{end}"].value for end in ("_low", "", "_high"))
    assert value == pytest.approx(80.8, abs=0.2)
    assert (high - low) / 2 == pytest.approx(half, abs=0.5)
    instruments = bound(fuel_flow=meter).boiler().instruments
    assert bool(instruments.heating_value(NATURAL_GAS)) == (meter == "gas")


def test_oil_has_no_standard_volume():
    with pytest.raises(UnitError, match="fuel_oil_2 cannot be in Nm3/h"):
        fuel_flow("Nm3/h", FUELS["fuel_oil_2"])


def test_units_that_do_not_fit_are_named_with_their_key():
    (misfit,) = bound(pressure="stack").misfits()
    assert str(misfit).startswith("boilers.b1.pressure: ")


# ---- fuels in the configuration ---------------------------------------------------------------


def test_a_fuel_can_be_given_by_its_analysis():
    methane = BoilerSettings.parse({**BOUND, "fuel": {"gas": {"CH4": 100}}}).burnt()
    assert methane.lhv / methane.hhv == pytest.approx(0.900, abs=0.002)
    oil = BoilerSettings.parse({**BOUND, "fuel": {"elements": {"C": 87, "H": 13}, "hhv": 45_600}})
    assert oil.burnt().per == "kg"
    both = {"mix": [{"fuel": "wood_green", "share": 70}, {"fuel": "natural_gas", "share": 30}]}
    assert BoilerSettings.parse({**BOUND, "fuel": both}).burnt().water > 0


@pytest.mark.parametrize(
    ("fuel", "said"),
    [
        ({"gas": {"CH4": 50}}, "add up to 50 %"),
        ({"gas": {"XY": 100}}, "unknown gas"),
        ({}, "give one of"),
        ({"gas": {"CH4": 100}, "elements": {"C": 100}}, "give one of"),
    ],
)
def test_a_fuel_that_is_none_is_refused(fuel, said):
    with pytest.raises(ConfigError, match=said):
        BoilerSettings.parse({**BOUND, "fuel": fuel})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"saturated": False}, "needs 'steam_temperature'"),
        ({"blowdown": {"value": 4, "basis": "steam"}, "blowdown_flow": "x"}, "either 'blowdown'"),
        ({"residues": [{"share": 0.5, "carbon": 5}]}, "make 0.5 instead of 1"),
        ({"oxygen": {"tag": "o2", "basis": "dry", "accuracy": -1}}, "accuracy"),
        ({"stack_temperature": {"tag": "x", "unit": "furlong"}}, "unknown unit"),
    ],
)
def test_what_does_not_fit_together_is_refused(changes, said):
    with pytest.raises(ConfigError, match=said):
        BoilerSettings.parse({**BOUND, **changes})


async def test_findings_of_the_watch_make_the_result_as_bad():
    from gl002.boiler.findings import Finding

    stuck = Finding("stuck", "oxygen", Quality.BAD_SENSOR_FAILURE, "oxygen stands still: stuck")
    hub, now = Hub(), now_ns()
    hub.accepted([Sample(name, value, now) for name, (_, value) in PLANT.items()])
    async for batch in LiveEfficiency(bound(), hub, lambda: [stuck]).batches():
        found = {sample.tag.removeprefix("b1."): sample for sample in batch}
        break
    assert found["efficiency_hhv"].value is None
    assert found["efficiency_note"].value == "bad: oxygen stands still: stuck"
    assert found["efficiency_direct"].value is not None
