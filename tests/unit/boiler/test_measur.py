"""Beside MEASUR of Oak Ridge National Laboratory, run in Node."""

import pytest

from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import NATURAL_GAS
from gl002.units import convert
from peers.measur import Measur


@pytest.fixture(scope="module")
def measur():
    with Measur() as running:
        yield running


@pytest.mark.parametrize("oxygen", [1.0, 3.0, 6.0, 10.0])
@pytest.mark.parametrize("rise", [200, 400, 600])
def test_the_stack_loss_is_that_of_measur_within_a_third_of_a_point(measur, oxygen, rise):
    """Its heat capacities are simpler, and lose up to 0.26 points more; never less than 0.05."""
    theirs = 100 * measur.stack(oxygen, 60.0 + rise, 60.0)["available"]
    air = convert(60.0, "degF", "degC")
    ours = indirect(
        NATURAL_GAS,
        Conditions(
            oxygen=oxygen, basis="dry", stack_temperature=convert(60.0 + rise, "degF", "degC"),
            air_temperature=air, humidity=0.0, surface_loss=0.0,
        ),
        reference=air,
    ).efficiency_hhv  # fmt: skip
    assert -0.05 < ours - theirs < 0.33
