import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.boiler import air_heater, gases
from gl002.boiler.air_leakage import leakage
from gl002.boiler.combustion import FlueGas, flue_gas
from gl002.boiler.economizer import gas_heat, outlet
from gl002.boiler.fuels import BITUMINOUS, NATURAL_GAS, Fuel
from gl002.errors import DataError

FLUE = flue_gas(BITUMINOUS, 0.2, humidity=0.01)
READINGS = {"gas_in": 340.0, "gas_out": 150.0, "air_in": 30.0}


def heated(gas: FlueGas, heat: float, cold: float) -> float:
    """Temperature of the air of a unit of fuel after it took this heat, by halving."""
    low, high = cold, 700.0
    for _ in range(60):
        middle = (low + high) / 2
        water = gas.air_water * gases.heat("H2O", middle, cold)
        if gas.air * gases.air_heat(middle, cold) + water < heat:
            low = middle
        else:
            high = middle
    return low


def consistent(gas: FlueGas = FLUE) -> dict[str, float]:
    """The temperature of the air that the heat of the gas makes."""
    heat = gas_heat(gas, READINGS["gas_in"], READINGS["gas_out"])
    return {**READINGS, "air_out": heated(gas, heat, READINGS["air_in"])}


@pytest.mark.parametrize("fuel", [BITUMINOUS, NATURAL_GAS], ids=lambda fuel: fuel.name)
def test_a_sound_heater_balances_and_its_heat_transfer_predicts_it(fuel: Fuel):
    gas = flue_gas(fuel, 0.2, humidity=0.01)
    given_ = consistent(gas)
    found = air_heater.evaluate(gas, 0.05, **given_)
    assert found.disagreement == pytest.approx(0, abs=1e-9)
    assert found.reasons == ()
    assert found.gas_side == pytest.approx((340 - 150) / (340 - 30))
    assert found.effectiveness > found.gas_side, "the air is the lesser stream"
    hot, cold = outlet(
        340.0, 30.0, gas_capacity=found.gas_heat / 190,
        water_capacity=found.air_heat / (given_["air_out"] - 30), ua=found.ua,
    )  # fmt: skip
    assert hot == pytest.approx(150, abs=1e-6)
    assert cold == pytest.approx(given_["air_out"], abs=1e-6)


def mixed(leak: float) -> float:
    """What a thermometer behind the leak shows, by halving."""
    low, high = 30.0, 150.0
    for _ in range(60):
        middle = (low + high) / 2
        left = gas_heat(FLUE, 150.0, middle) - leak * FLUE.dry * gases.air_heat(middle, 30.0)
        low, high = (middle, high) if left > 0 else (low, middle)
    return low


@given(st.floats(0.0, 0.4))
def test_air_that_leaks_in_cools_the_gas_and_changes_nothing_about_the_heater(leak):
    sound = air_heater.evaluate(FLUE, 0.05, **consistent())
    diluted = {**consistent(), "gas_out": mixed(leak)}
    found = air_heater.evaluate(FLUE, 0.05, **diluted, leak=leak)
    assert found.gas_out == pytest.approx(150.0, abs=0.01)
    assert found.effectiveness == pytest.approx(sound.effectiveness, abs=1e-4)
    assert found.reasons == ()


def test_a_leak_nobody_has_told_of_shows_as_heat_that_the_air_never_got():
    leak = leakage(3.5, 10.0)
    diluted = {**consistent(), "gas_out": mixed(leak)}
    assert "air leaks into the gas" in air_heater.evaluate(FLUE, 0.05, **diluted).reasons[0]
    assert air_heater.evaluate(FLUE, 0.05, **diluted, leak=leak).reasons == ()


def test_air_that_got_more_than_the_gas_gave_is_a_wrong_thermometer():
    hotter = {**consistent(), "air_out": consistent()["air_out"] + 60}
    (reason,) = air_heater.evaluate(FLUE, 0.05, **hotter).reasons
    assert reason.startswith("the air side shows")
    assert "a temperature is wrong" in reason


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"gas_out": 20.0}, "cannot exchange heat"),
        ({"air_out": 345.0}, "cannot exchange heat"),
        ({"fuel_flow": 0.0}, "at rest"),
        ({"leak": -0.1}, "at rest"),
    ],
)
def test_readings_no_air_heater_has_are_refused(changed, said):
    values = {"fuel_flow": 0.05, **consistent(), **changed}
    with pytest.raises(DataError, match=said):
        air_heater.evaluate(FLUE, values.pop("fuel_flow"), **values)
