"""The air around a boiler: gauge pressures at altitude, and what hangs on them."""

from __future__ import annotations

import pytest

from gl002.boiler.atmosphere import at_altitude
from gl002.boiler.steam import saturation_temperature
from gl002.boiler.validation import saturation
from gl002.config.boilers import BoilerSettings
from gl002.errors import ConfigError, DataError
from gl002.flow.bindings import Bindings
from gl002.model import Sample, Tag, TagTable

BOUND = {
    "oxygen": {"tag": "o2", "basis": "dry"}, "stack_temperature": "stack", "air_temperature": 25,
    "pressure": "p",
}  # fmt: skip


def bindings(unit: str = "bar(g)", **changes: object) -> Bindings:
    table = TagTable()
    table.declare(Tag(name="p", unit=unit))
    return Bindings("b1", BoilerSettings.parse({**BOUND, **changes}), table)


def pressure(shown: float, unit: str = "bar(g)", **changes: object) -> float:
    """MPa, absolute."""
    found = bindings(unit, **changes).converted("pressure", Sample("p", shown, 0)).value
    assert isinstance(found, float)
    return found


@pytest.mark.parametrize(
    ("metres", "hectopascals"),
    [  # ISO 2533:1975, over geometric altitude: 5 m apart at 5,000
        (-500, 1074.78), (0, 1013.25), (500, 954.61), (1000, 898.76), (1500, 845.59),
        (2000, 795.01), (3000, 701.21), (5000, 540.48),
    ],
)  # fmt: skip
def test_the_standard_atmosphere_is_that_of_its_table(metres, hectopascals):
    assert at_altitude(metres) / 100 == pytest.approx(hectopascals, abs=0.3)


@pytest.mark.parametrize("metres", [-501.0, 5_001.0, float("nan")])
def test_an_altitude_at_which_no_boiler_stands_is_refused(metres):
    with pytest.raises(DataError, match="altitude"):
        at_altitude(metres)


def test_a_gauge_pressure_is_counted_from_the_air_of_the_site():
    assert pressure(10) == pytest.approx(1.101325)
    assert pressure(10, altitude=1500) == pytest.approx(1.084559, abs=2e-5)
    assert pressure(10, altitude={"value": 4921.26, "unit": "ft"}) == pytest.approx(1.084559, 1e-5)
    assert pressure(10, atmosphere=84.5) == pytest.approx(1.0845)
    assert pressure(10, atmosphere={"value": 845, "unit": "mbar"}) == pytest.approx(1.0845)
    assert pressure(10, atmosphere={"value": 845, "unit": "mbar(a)"}) == pytest.approx(1.0845)
    assert pressure(145.0377, "psig", atmosphere=84.5) == pytest.approx(1.0845, 1e-5)


def test_an_absolute_pressure_does_not_depend_on_the_site():
    assert pressure(11, "bar(a)", altitude=1500) == pytest.approx(1.1)


def test_a_fixed_pressure_follows_the_site_too():
    fixed = bindings(pressure={"value": 10, "unit": "bar(g)"}, altitude=1500).fixed("pressure")
    assert fixed == pytest.approx(1.084559, abs=2e-5)


def test_a_low_pressure_boiler_in_the_mountains_boils_at_its_own_temperature():
    """0.5 bar(g) at 1,500 m is 1.3456 bar: water boils at 108.2 degC there, not at 111.6."""
    assert saturation_temperature(pressure(0.5, altitude=1500)) == pytest.approx(108.2, abs=0.1)
    assert saturation_temperature(pressure(0.5)) == pytest.approx(111.6, abs=0.1)


def test_gauge_taken_for_absolute_is_known_by_the_air_of_the_site():
    low = 0.05 + 0.0845  # MPa, absolute, of a boiler at 1,500 m
    found = saturation(0.05, saturation_temperature(low), atmosphere=84_500)
    assert found is not None
    assert found.reason.endswith("it would fit if the pressure were gauge")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"altitude": 1500, "atmosphere": 84.5}, "either 'altitude' or 'atmosphere'"),
        ({"altitude": 9000}, "altitude 9000 m is outside -500 to 5000"),
        ({"atmosphere": 845}, "atmosphere 845 kPa is 845 kPa, outside 50 to 110"),
        ({"atmosphere": {"value": 0.0, "unit": "bar(g)"}}, "does not convert"),
        ({"altitude": {"value": 1, "unit": "bar"}}, "does not convert"),
        ({"atmosphere": "barometer"}, "take a value, not a tag"),
    ],
)
def test_what_is_no_air_is_refused_when_the_file_is_read(given, said):
    with pytest.raises(ConfigError, match=said):
        BoilerSettings.parse({**BOUND, **given})
