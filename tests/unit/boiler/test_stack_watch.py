"""A stack thermometer that creeps: the fault of the simulator that its noise does not betray."""

import dataclasses
import functools

import numpy as np
import pytest

from gl002.boiler.fuels import NATURAL_GAS
from gl002.boiler.learning import teach
from gl002.boiler.live import Boiler
from gl002.boiler.record import Record, completed
from gl002.boiler.stack_watch import rises_without_soot
from gl002.boiler.watch import Watched
from unit.boiler.plant_record import STEP, in_roles, in_steps, simulated, spoilt

BOILER = Boiler(
    name="b", basis="wet", roles=frozenset({"fuel_flow", "steam_flow"}), full_steam=13.86,
)  # fmt: skip
WATCHED = Watched(fuel=NATURAL_GAS, basis="wet", saturated=True)
MINUTE = 60 * 10**9


def minutes(shown) -> Record:
    found = Record(start=0, step=STEP, roles=in_roles(shown), doubted={})
    return completed(found.means(60.0), BOILER)


@functools.cache
def learned():
    shown = simulated(2, 5, in_steps)[1]
    readings = Record(start=0, step=STEP, roles=in_roles(shown), doubted={})
    return teach(BOILER, WATCHED, minutes(shown), readings)


def hours_of(record: Record, every: int = 5):
    """The hour before each fifth minute."""
    for end in range(60, record.size + 1, every):
        yield end, record.between((end - 60) * MINUTE, end * MINUTE)


def test_a_thermometer_that_drifts_is_found_within_an_hour_and_nothing_before():
    began = 120
    shown = spoilt(
        simulated(3, 5, in_steps)[1], "drift", ("TT301",), round(began * 60 / STEP), 0.5
    )  # fmt: skip
    found = {
        end: rises_without_soot(BOILER, learned(), hour) for end, hour in hours_of(minutes(shown))
    }
    ends = [end for end, findings in found.items() if findings]
    assert began < ends[0] <= began + 60
    (finding,) = found[began + 60]
    assert finding.role == "stack_temperature"
    assert finding.reason.startswith("stack temperature rises by 89 K an hour more than")
    assert "its thermometer, or a baffle that fell" in finding.reason


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_day_of_soot_its_blowing_and_all_loads_is_no_fault_of_the_thermometer():
    record = minutes(simulated(3, 24, in_steps)[1])
    judged = [rises_without_soot(BOILER, learned(), hour) for _, hour in hours_of(record)]
    assert len(judged) > 250
    assert judged == [[]] * len(judged)


def test_without_a_clean_stack_that_was_learned_nothing_is_judged():
    record = minutes(simulated(2, 5, in_steps)[1])
    nothing = dataclasses.replace(learned(), stack=None)
    assert rises_without_soot(BOILER, nothing, record) == []
    blind = {role: v for role, v in record.roles.items() if role != "oxygen"}
    assert rises_without_soot(BOILER, learned(), dataclasses.replace(record, roles=blind)) == []


def test_a_boiler_that_is_never_at_rest_is_not_judged():
    record = minutes(simulated(2, 5, in_steps)[1])
    roles = {**record.roles, "steam_flow": record.roles["steam_flow"].copy()}
    roles["steam_flow"][::2] *= 1.3
    roles["stack_temperature"] = roles["stack_temperature"] + np.linspace(0, 200, record.size)
    restless = dataclasses.replace(record, roles=roles)
    assert rises_without_soot(BOILER, learned(), restless) == []
