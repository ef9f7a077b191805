from gl002.boiler.naming import Thing, propose
from gl002.sim.house import House
from gl002.sim.instruments import INSTRUMENTS

EXPECTED = {
    "oxygen": "AT301", "stack_temperature": "TT301", "air_temperature": "TT302",
    "carbon_monoxide": "AT302", "load": "UI100", "fuel_flow": "FT201", "air_flow": "FT202",
    "steam_flow": "FT101", "pressure": "PT101", "steam_temperature": "TT101",
    "feedwater_flow": "FT102", "feedwater_temperature": "TT102", "blowdown_flow": "FT103",
    "economizer_water_temperature": "TT103", "economizer_gas_temperature": "TT303",
    "boiler_solids": "AT101", "feedwater_solids": "AT102",
}  # fmt: skip


def plant(name: str) -> list[Thing]:
    return [
        Thing(f"{name}.{tag}", f"{name}/Instruments/{tag} {each.description}", each.unit)
        for tag, each in INSTRUMENTS.items()
    ]


def test_every_instrument_of_the_simulated_boiler_is_recognised():
    (found,) = propose(plant("Boiler1"))
    assert found.boiler == "boiler1"
    assert {role: thing.name for role, thing in found.roles.items()} == {
        role: f"Boiler1.{tag}" for role, tag in EXPECTED.items()
    }
    assert found.open == {}
    assert found.basis == "wet"


def test_two_boilers_are_kept_apart():
    found = propose(plant("Boiler1") + plant("Boiler_2"))
    assert [each.boiler for each in found] == ["boiler1", "boiler2"]
    assert all(each.roles.keys() == EXPECTED.keys() for each in found)


def test_the_meter_of_a_header_is_no_boilers_steam():
    shown = House.of(2).signals()
    header = [
        Thing(tag, f"Header/{tag} {each.description}", each.unit) for tag, each in shown.items()
    ]
    found = propose(plant("Boiler1") + header)
    assert found[0].roles["steam_flow"].name == "Boiler1.FT101"


def test_names_without_units_are_enough_where_they_are_clear():
    (found,) = propose([Thing("a", "FlueGasOxygen"), Thing("b", "StackTemperature")])
    assert found.roles["oxygen"].name == "a"
    assert found.roles["stack_temperature"].name == "b"
    assert found.basis is None


def test_a_unit_that_does_not_fit_rules_a_thing_out():
    assert propose([Thing("a", "steam flow", "degC")])[0].roles.keys() == {"steam_temperature"}


def test_what_two_things_fit_equally_well_is_left_open():
    (found,) = propose([Thing("a", "O2 left", "%"), Thing("b", "O2 right", "%")])
    assert found.roles == {}
    assert [thing.name for thing in found.open["oxygen"]] == ["a", "b"]


def test_a_setpoint_is_no_reading():
    assert propose([Thing("a", "Oxygen setpoint", "%")]) == []


def test_an_extractive_analyser_is_dry():
    (found,) = propose([Thing("a", "O2 extractive analyser", "%")])
    assert found.basis == "dry"
