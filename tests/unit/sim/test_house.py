import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import ConfigError, DataError
from gl002.sim.house import House, shared
from gl002.sim.plant import FULL_STEAM


def quiet(count: int, load: float = 0.7) -> House:
    return House.of(count, noise=False, demand=lambda _: load)


def test_what_the_header_delivers_is_what_the_boilers_make():
    house = quiet(3)
    house.step(300)
    assert house.steam == sum(plant.steam for plant in house.plants)
    assert house.signals()["FT001"].value == house.steam
    assert house.steam == pytest.approx(3 * 0.7 * FULL_STEAM, rel=1e-3)


def test_the_boilers_share_as_they_are_told():
    house = quiet(2, 0.6)
    house.share["boiler1"] = 2.0
    house.step(900)
    one, other = (plant.steam for plant in house.plants)
    assert one == pytest.approx(2 * other, rel=0.01)
    assert house.steam == pytest.approx(1.2 * FULL_STEAM, rel=0.01)


def test_the_further_down_the_list_the_dirtier():
    house = quiet(3)
    house.step(600)
    efficiencies = [plant.truth.efficiency_hhv for plant in house.plants]
    assert efficiencies == sorted(efficiencies, reverse=True)
    assert efficiencies[0] - efficiencies[2] > 0.4


@given(
    st.lists(st.floats(0, 10), min_size=1, max_size=6).filter(any), st.floats(0.3, 1.0)
)  # fmt: skip
def test_loads_add_up_and_stay_within_what_a_boiler_can_make(weights, mean):
    if min(weight for weight in weights if weight) < 1e-3:
        return
    able = sum(1.0 if weight else 0.3 for weight in weights)
    wanted = min(mean * len(weights), able)
    loads = shared(weights, wanted)
    assert sum(loads) == pytest.approx(wanted, abs=1e-6)
    assert all(0.3 <= load <= 1.0 for load in loads)


def test_a_house_needs_boilers_and_one_that_takes_part():
    with pytest.raises(ConfigError, match="0 boilers"):
        House.of(0)
    with pytest.raises(DataError, match="no boiler takes part"):
        shared([0.0, 0.0], 1.0)


def test_the_meter_of_the_header_has_noise_of_its_own():
    house = House.of(2, demand=lambda _: 0.7)
    seen = []
    for _ in range(100):
        house.step(0.5)
        seen.append(house.signals()["FT001"].value - house.steam)
    assert 200 < max(seen) < 2_000
