import pytest

from gl002.boiler.gases import AIR, HUMIDITY_MOLES, air_heat, condensation, heat

# JANAF Thermochemical Tables (Chase, 4th edition, 1998): H(T) - H(298.15 K), kJ/mol
JANAF = {
    "N2": {400: 2.971, 500: 5.911, 600: 8.894},
    "O2": {400: 3.025, 500: 6.084, 600: 9.244},
    "CO2": {400: 4.003, 500: 8.305, 600: 12.907},
    "H2O": {400: 3.452, 500: 6.925, 600: 10.501},
    "CO": {400: 2.976, 500: 5.931, 600: 8.942},
    "SO2": {400: 4.250, 500: 8.758, 600: 13.544},
    "Ar": {400: 2.117, 500: 4.196, 600: 6.274},
}


@pytest.mark.parametrize("gas", JANAF)
def test_the_heat_of_each_gas_is_that_of_the_janaf_tables(gas):
    for kelvin, kilojoule in JANAF[gas].items():
        assert heat(gas, kelvin - 273.15, 25.0) == pytest.approx(kilojoule * 1000, abs=12)


@pytest.mark.parametrize("gas", JANAF)
def test_heat_is_zero_at_the_reference_and_adds_up_between_references(gas):
    assert heat(gas, 25.0, 25.0) == 0
    assert heat(gas, 200.0, 10.0) == pytest.approx(heat(gas, 200.0, 80.0) + heat(gas, 80.0, 10.0))


def test_air_is_whole_and_weighs_what_air_weighs():
    assert AIR.o2 + AIR.n2 + AIR.ar + AIR.co2 == pytest.approx(1)
    assert AIR.mass == pytest.approx(28.96, abs=0.01)
    assert pytest.approx(1.6079, abs=5e-4) == HUMIDITY_MOLES


def test_the_specific_heat_of_air_is_about_one():
    assert air_heat(35.0, 15.0) / AIR.mass / 20 == pytest.approx(1.005, abs=0.003)


def test_the_heat_of_condensation_over_temperature_is_that_of_iso_6976():
    table = {0.0: 45_064, 15.0: 44_431, 20.0: 44_222, 25.0: 44_013}  # ISO 6976:2016, ideal gas
    for celsius, kilojoule in table.items():
        assert condensation(celsius) == pytest.approx(
            kilojoule, abs=35
        )  # 25 of it: real vapour, not ideal
