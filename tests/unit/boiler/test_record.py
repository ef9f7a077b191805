import math

import numpy as np
import pytest

from gl002.boiler.live import Boiler
from gl002.boiler.record import HOLD, Record, Series, completed, record, resting

S = 1_000_000_000
BOILER = Boiler(name="b", basis="wet", full_steam=10.0)


def series(*points, doubted=()) -> Series:
    """Points of (seconds, value or None for a bad one)."""
    time = np.array([round(t * S) for t, _ in points], dtype=np.int64)
    value = np.array([math.nan if v is None else v for _, v in points], dtype=float)
    sound = np.array([v is not None for _, v in points], dtype=bool)
    return Series(time, value, sound, np.array([t in doubted for t, _ in points], dtype=bool))


def made(seconds, fixed=None, **roles) -> Record:
    return record(roles, 0, seconds * S, fixed=fixed)


def shown(found: Record, role: str) -> list:
    return [None if math.isnan(v) else v for v in found.roles[role].tolist()]


def test_an_interval_has_the_mean_of_its_readings():
    found = made(120, x=series((0, 1), (30, 3), (60, 5), (119, 9)))
    assert shown(found, "x") == [2, 7]


def test_a_value_holds_until_another_one_comes():
    assert shown(made(240, x=series((10, 4), (200, 6))), "x") == [4, 4, 4, 6]


def test_a_value_from_before_the_start_holds_too():
    assert shown(made(60, x=series((-100, 4), (50, 6))), "x") == [6]
    assert shown(made(60, x=series((-100, 4))), "x") == [None]  # and nothing was heard in it


def test_a_value_does_not_hold_for_ever():
    minutes = int(HOLD / 60) + 2
    alive = series(*((60 * i, 0.0) for i in range(minutes)))
    found = made(60 * minutes, x=series((0, 4)), alive=alive)
    assert shown(found, "x")[-2:] == [4, None]


def test_a_bad_reading_ends_what_was_held():
    found = made(240, x=series((0, 4), (90, None)), alive=series((0, 0), (180, 0)))
    assert shown(found, "x") == [4, None, None, None]


def test_nothing_is_known_while_no_instrument_says_anything():
    found = made(1800, x=series((0, 4), (1790, 5)), fixed={"y": 1.0})
    assert shown(found, "x")[9] == 4
    assert shown(found, "x")[11:29] == [None] * 18
    assert shown(found, "y")[15] is None
    assert shown(found, "y")[29] == 1.0


def test_hours_in_doubt_are_counted():
    found = made(180, x=series((0, 1), (70, 2), (80, 3), doubted={70, 80}))
    assert found.doubted == {"x": pytest.approx(1 / 60)}


def test_last_values_keep_their_noise():
    found = record(
        {"x": series((0, 1), (4, 2), (5, 3), (9, 7))}, 0, 10 * S, step=5.0, means=False
    )  # fmt: skip
    assert shown(found, "x") == [2, 7]


def test_a_part_of_a_record_begins_where_it_is_asked_to():
    part = made(300, x=series(*((60 * i, i) for i in range(5)))).between(60 * S, 180 * S)
    assert (part.start, part.end, shown(part, "x")) == (60 * S, 180 * S, [1, 2])
    assert part.between(0, 10**18).size == 2


def test_longer_intervals_need_half_of_their_readings():
    found = made(240, x=series((0, 1), (60, 3), (120, 5), (180, None)))
    assert shown(found.means(120.0), "x") == [2, 5]
    only = np.array([True, True, False, False])
    assert shown(found.means(120.0, only), "x") == [2, None]


def test_the_load_follows_from_the_steam():
    found = completed(made(60, steam_flow=series((0, 7))), BOILER)
    assert shown(found, "load") == [0.7]


def test_rest_begins_ten_minutes_after_a_change():
    flow = series(*((60 * i, 5 if i < 20 else 8) for i in range(40)))
    steady = series(*((60 * i, 1.0) for i in range(40)))
    rest = resting(made(2400, steam_flow=flow, pressure=steady, oxygen=steady), BOILER)
    assert rest.tolist() == [False] * 9 + [True] * 11 + [False] * 9 + [True] * 11


def test_a_boiler_that_hardly_burns_is_not_at_rest():
    low = series(*((60 * i, 2.0) for i in range(20)))
    assert not resting(made(1200, steam_flow=low, oxygen=low), BOILER).any()


def test_an_empty_time_is_an_empty_record():
    found = made(0, x=series((0, 1)))
    assert found.size == 0
    assert resting(found, BOILER).size == 0
