"""NOx and CO of a boiler live: at the oxygen of the permit, per heat of the fuel, with quality."""

from __future__ import annotations

import pytest

from gl002.boiler.fuels import FUELS
from gl002.boiler.live import REQUIRED, Boiler
from gl002.boiler.live_emissions import emission_tags, evaluate_emissions, has_emissions
from gl002.config.boilers import BoilerSettings
from gl002.config.sections import TagSettings
from gl002.errors import ConfigError
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import LiveEfficiency
from gl002.flow.hub import Hub
from gl002.flow.steps import Steps
from gl002.model import Quality, Sample, Tag, TagTable, now_ns, severity
from gl002.units import convert

NOW = 1_700_000_000_000_000_000
SHOWN = {"oxygen": 5.0, "nitrogen_oxides": 60.0, "carbon_monoxide": 40.0}


def boiler(fuel="natural_gas", reference=3.0, basis="dry", also=("carbon_monoxide",)) -> Boiler:
    roles = frozenset({*REQUIRED, "nitrogen_oxides", *also})
    return Boiler(name="b", basis=basis, fuel=FUELS[fuel], roles=roles, reference_oxygen=reference)


def found(of: Boiler | None = None, **changes: object) -> dict[str, Sample]:
    inputs = {
        role: value if isinstance(value, Sample) else Sample(role, value, NOW)
        for role, value in {**SHOWN, **changes}.items()
    }
    results = evaluate_emissions(of or boiler(), inputs, NOW)
    return {sample.tag.removeprefix("b."): sample for sample in results}


def test_a_concentration_is_referred_to_the_oxygen_of_the_permit():
    """By hand: 60 ppm x 46.0055 / 22.414 = 123.2 mg/Nm3, times (20.9 - 3) / (20.9 - 5)."""
    results = found()
    assert results["nox_reference"].value == pytest.approx(123.15 * 17.9 / 15.9, rel=1e-3)
    assert results["co_reference"].value == pytest.approx(40 * 28.0101 / 22.414 * 17.9 / 15.9, 1e-3)
    assert results["emissions_note"].value == "good"
    at_six = found(boiler(reference=6.0))
    assert at_six["nox_reference"].value == pytest.approx(123.15 * 14.9 / 15.9, rel=1e-3)


def test_thirty_ppm_at_three_per_cent_are_the_36_thousandths_of_a_pound_everyone_knows():
    value = found(oxygen=3.0, nitrogen_oxides=30.0, carbon_monoxide=0.0)["nox_per_heat"].value
    assert convert(value, "g/GJ (HHV)", "lb/MMBtu (HHV)") == pytest.approx(0.0364, rel=0.015)


@pytest.mark.parametrize(
    ("fuel", "factor"),  # dscf/MMBtu: EPA Method 19, table 19-2
    [
        ("natural_gas", 8710), ("propane", 8710), ("fuel_oil_2", 9190), ("fuel_oil_6", 9190),
        ("bituminous", 9780), ("subbituminous", 9780), ("lignite", 9860), ("wood_dry", 9240),
    ],
)  # fmt: skip
def test_per_heat_it_is_that_of_the_table_of_the_method(fuel, factor):
    """Pounds per dscf and ppm of NO2: 1.194e-7; equation 19-1. Kinds of fuel vary by 3 %."""
    results = found(boiler(fuel), carbon_monoxide=0.0)
    pounds = 60 * 1.194e-7 * factor * 20.9 / (20.9 - 5.0)
    value = convert(results["nox_per_heat"].value, "g/GJ (HHV)", "lb/MMBtu (HHV)")
    assert value == pytest.approx(pounds, rel=0.03)


def test_wet_oxygen_is_made_dry_first():
    """By hand for methane, 28.1 % excess of air with 0.010: 0.561 of 11.19 kmol dry, 13.39 wet,
    5.01 and 4.19 %; natural gas has a little less water."""
    wet = found(boiler(basis="wet"), oxygen=4.20)["nox_reference"].value
    assert wet == pytest.approx(found()["nox_reference"].value, rel=0.004)


def test_an_analyser_that_fails_says_nothing_about_the_other_nor_does_the_thermometer():
    broken = Sample("nitrogen_oxides", None, NOW, Quality.BAD_SENSOR_FAILURE)
    results = found(nitrogen_oxides=broken)
    assert results["nox_reference"].value is None
    assert severity(results["nox_per_heat"].quality) == "bad"
    assert severity(results["co_reference"].quality) == "good"
    assert str(results["emissions_note"].value).startswith("bad: nitrogen oxides")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"oxygen": 20.9}, "bad: oxygen 20.9 % is that of air"),
        ({"oxygen": 0.0}, "uncertain: oxygen is zero"),
        ({"nitrogen_oxides": -50.0}, "bad: NOx -50 ppm is outside 0 to 10,000"),
        ({"nitrogen_oxides": 2e6}, "bad: NOx 2e+06 ppm is outside"),
    ],
)
def test_what_cannot_be_is_said(changes, said):
    results = found(**changes)
    assert str(results["emissions_note"].value).startswith(said)
    assert (results["nox_reference"].value is None) == said.startswith("bad")


def test_only_what_is_measured_has_tags_and_only_where_a_permit_refers_it():
    names = [tag.name for tag in emission_tags(boiler(also=()))]
    assert names == ["b.nox_reference", "b.nox_per_heat", "b.emissions_note"]
    assert not has_emissions(boiler(reference=None))
    assert not has_emissions(
        Boiler(name="b", basis="dry", roles=frozenset(REQUIRED), reference_oxygen=3.0)
    )


BOUND = {
    "oxygen": {"tag": "o2", "basis": "dry"}, "stack_temperature": 180, "air_temperature": 25,
    "nitrogen_oxides": "nox", "reference_oxygen": 3, "steady": False,
}  # fmt: skip


async def test_they_flow_beside_the_efficiency():
    table, hub, now = TagTable(), Hub(), now_ns()
    table.declare(Tag(name="nox", unit="ppm"))
    source = LiveEfficiency(Bindings("b", BoilerSettings.parse(BOUND), table), hub)
    units = {tag.name: tag.unit for tag in source.tags()}
    assert (units["b.nox_reference"], units["b.nox_per_heat"]) == ("mg/Nm3", "g/GJ (HHV)")
    assert "b.co_reference" not in units
    hub.accepted([Sample("o2", 5.0, now), Sample("nox", 60.0, now)])
    told = {sample.tag: sample for sample in await source._read_results()}
    assert told["b.nox_reference"].value == pytest.approx(138.6, abs=0.2)
    assert told["b.emissions_note"].value == told["b.efficiency_note"].value == "good"


def test_nitrogen_oxides_need_the_oxygen_of_the_permit():
    with pytest.raises(ConfigError, match="needs the 'reference_oxygen' of the permit"):
        BoilerSettings.parse({**BOUND, "reference_oxygen": None})


def test_a_tag_declared_in_pounds_comes_in_pounds():
    table = TagTable()
    for tag in emission_tags(boiler()):
        table.declare(tag)
    declared = {"b.nox_per_heat": TagSettings.parse({"unit": "lb/MMBtu (HHV)"})}
    shown = found()["nox_per_heat"]
    (pounds,) = Steps(declared, table).apply([shown])
    assert pounds.value == pytest.approx(shown.value / 429.92, rel=1e-4)  # g/GJ in a lb/MMBtu
