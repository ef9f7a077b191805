"""Carbon dioxide of fossil fuels and of biomass: told apart, priced apart."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from gl002.boiler.account import account
from gl002.boiler.analysis import gas, mixture, ultimate
from gl002.boiler.emissions import carbon_dioxide, fossil_carbon_dioxide
from gl002.boiler.fuels import FUELS, NATURAL_GAS, hydrogen_blend
from gl002.boiler.live import Boiler
from gl002.boiler.record import Record
from gl002.boiler.tariff import Tariff
from gl002.cli.reporting.month import Chapter, report
from gl002.cli.reporting.page import Paragraph
from gl002.config.boilers import BoilerSettings
from gl002.config.tariffs import TariffSettings
from gl002.errors import ConfigError, DataError
from gl002.model import to_ns

WOOD, BIOGAS = FUELS["wood_green"], FUELS["biogas"]
BIOMASS = {"wood_pellets", "wood_dry", "wood_green", "biogas"}
BOUND = {"oxygen": {"tag": "o2", "basis": "dry"}, "stack_temperature": "t", "air_temperature": 25}


def test_wood_and_biogas_are_biogenic_and_all_other_fuels_fossil():
    for name, fuel in FUELS.items():
        fossil = 0.0 if name in BIOMASS else carbon_dioxide(fuel)
        assert fossil_carbon_dioxide(fuel) == pytest.approx(fossil, abs=1e-9)


def test_the_carbon_of_fuels_that_burn_together_is_told_apart():
    """70 % of the heat from wood: what is fossil is 30 % of that of the gas, by hand."""
    both = mixture([(WOOD, 70), (NATURAL_GAS, 30)], by="heat")
    assert fossil_carbon_dioxide(both) == pytest.approx(0.3 * carbon_dioxide(NATURAL_GAS))
    assert carbon_dioxide(both) - fossil_carbon_dioxide(both) == pytest.approx(
        0.7 * carbon_dioxide(WOOD)
    )


def test_shares_by_mass_and_volume_are_told_apart_by_their_carbon():
    gases = mixture([(BIOGAS, 50), (NATURAL_GAS, 50)], by="volume")
    assert gases.biogenic == pytest.approx(0.5 * BIOGAS.carbon)
    assert gases.carbon == pytest.approx(0.5 * (BIOGAS.carbon + NATURAL_GAS.carbon))
    coal = FUELS["bituminous"]
    solids = mixture([(WOOD, 20), (coal, 80)], by="mass")
    assert solids.biogenic == pytest.approx(0.2 * WOOD.carbon)
    blend = hydrogen_blend(BIOGAS, 20)
    assert fossil_carbon_dioxide(blend) == pytest.approx(0, abs=1e-9)


def test_an_analysed_fuel_says_how_much_of_its_carbon_is_of_biomass():
    straw = ultimate({"C": 47, "H": 6, "O": 42}, ash=5, basis="dry", moisture=15, biogenic=100)
    assert fossil_carbon_dioxide(straw) == pytest.approx(0, abs=1e-9)
    refuse = ultimate({"C": 30, "H": 4, "O": 21}, moisture=25, ash=20, biogenic=60)
    assert fossil_carbon_dioxide(refuse) == pytest.approx(0.4 * carbon_dioxide(refuse))
    with pytest.raises(DataError, match="120 % of its carbon"):
        gas({"CH4": 100.0}, biogenic=120)


def test_a_mixture_of_the_configuration_keeps_the_carbon_of_its_parts():
    mix = {"mix": [{"fuel": "wood_green", "share": 70}, {"fuel": "natural_gas", "share": 30}]}
    burnt = BoilerSettings.parse({**BOUND, "fuel": mix}).burnt()
    assert fossil_carbon_dioxide(burnt) == pytest.approx(0.3 * carbon_dioxide(NATURAL_GAS))
    with pytest.raises(ConfigError, match="follows from its fuels"):
        BoilerSettings.parse({**BOUND, "fuel": {**mix, "biogenic": 70}})
    green = {"gas": {"CH4": 97.0, "CO2": 3.0}, "biogenic": 100}
    assert fossil_carbon_dioxide(BoilerSettings.parse({**BOUND, "fuel": green}).burnt()) == 0


def test_carbon_is_paid_for_what_is_fossil_unless_the_tariff_says_otherwise():
    usual = TariffSettings.parse({"price": 30, "carbon": 80}).tariff()
    strict = TariffSettings.parse({"price": 30, "carbon": 80, "biogenic": True}).tariff()
    for fuel in FUELS.values():
        assert strict.priced_carbon_dioxide(fuel) == carbon_dioxide(fuel)
        assert usual.priced_carbon_dioxide(fuel) == fossil_carbon_dioxide(fuel)


def hour(fuel_flow: float) -> Record:
    readings = {"oxygen": 6.0, "stack_temperature": 170.0, "air_temperature": 25.0,
                "fuel_flow": fuel_flow}  # fmt: skip
    roles = {role: np.full(60, value) for role, value in readings.items()}
    start = to_ns(datetime(2026, 10, 5, tzinfo=UTC))
    return Record(start=start, step=60.0, roles=roles, doubted={})


@pytest.mark.parametrize("biogenic", [False, True])
def test_an_account_of_co_firing_pays_for_the_fossil_part(biogenic):
    """10 MW for one hour, by hand: 36 GJ of fuel, 30 % of it gas; money is fuel plus carbon."""
    both = mixture([(WOOD, 70), (NATURAL_GAS, 30)], by="heat", name="both")
    boiler = Boiler(name="b", basis="dry", fuel=both, roles=frozenset({"fuel_flow"}))
    tariff = Tariff(price=30.0, carbon=80.0, biogenic=biogenic)
    found = account(boiler, hour(10_000 / both.hhv), tariff)
    of_gas, of_wood = 0.3 * carbon_dioxide(NATURAL_GAS), 0.7 * carbon_dioxide(WOOD)
    assert found.fuel == pytest.approx(10.0)
    assert found.co2 == pytest.approx(36 * (of_gas + of_wood) / 1000)
    assert found.co2_fossil == pytest.approx(36 * of_gas / 1000)
    tonnes = found.co2 if biogenic else found.co2_fossil
    assert found.money == pytest.approx(10 * 30 + 80 * tonnes)


@pytest.mark.parametrize(("fuel", "told"), [("both", True), ("natural_gas", False)])
def test_the_report_tells_biomass_apart_where_there_is_any(fuel, told):
    both = mixture([(WOOD, 70), (NATURAL_GAS, 30)], by="heat", name="both")
    burnt = both if fuel == "both" else NATURAL_GAS
    boiler = Boiler(name="b", basis="dry", fuel=burnt, roles=frozenset({"fuel_flow"}))
    chapter = Chapter(boiler=boiler, record=hour(10_000 / burnt.hhv), tariff=None)
    page = report("October", "here", [chapter], UTC)
    said = [each.text for each in page.blocks if isinstance(each, Paragraph)]
    found = account(boiler, hour(10_000 / burnt.hhv))
    sentence = (
        f"Of {found.co2:.1f} t of carbon dioxide, {found.co2_fossil:.1f} t are fossil and "
        f"{found.co2 - found.co2_fossil:.1f} t from biomass, which is reported apart."
    )
    assert (sentence in said) == told
