"""What the steps make of a sample: nothing wrong is deleted, everything wrong is said."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.config.sections import TagSettings
from gl002.flow.steps import Steps
from gl002.model import Quality, Sample, Tag, TagTable, is_bad, now_ns, severity

NOW = now_ns()


def steps(source_unit: str = "", **tag: object) -> Steps:
    table = TagTable()
    table.declare(Tag(name="t", unit=source_unit))
    return Steps({"t": TagSettings.parse(tag)}, table)


def one(steps_: Steps, value: object, quality: int = 0, time: int = NOW) -> Sample:
    (sample,) = steps_.apply([Sample("t", value, time, quality)])
    return sample


def test_a_sample_of_a_tag_nobody_declared_passes_as_it_is():
    sample = Sample("other", 1.5, NOW)
    assert steps(unit="kg/s").apply([sample]) == [sample]


def test_scale_and_offset_come_before_the_unit():
    # 4095 counts are 250 degF; 212 degF are 100 degC
    made = steps(scale=250 / 4095, source_unit="degF", unit="degC")
    assert one(made, 212 * 4095 / 250).value == pytest.approx(100)


def test_the_unit_the_source_declares_is_used_and_a_later_change_of_it_is_noticed():
    table = TagTable()
    made = Steps({"t": TagSettings(unit="kg/s")}, table)
    table.declare(Tag(name="t", unit="lb/hr"))
    assert one(made, 50_000).value == pytest.approx(6.29989, rel=1e-5)
    table.declare(Tag(name="t", unit="t/h"))
    assert one(made, 36).value == pytest.approx(10)


def test_a_unit_of_another_dimension_makes_values_bad_and_says_why_once(caplog):
    made = steps(source_unit="degC", unit="kg/s")
    assert one(made, 20.0).quality == Quality.BAD_CONFIGURATION_ERROR
    assert one(made, 21.0).value is None
    assert len(caplog.records) == 1
    assert "degC" in caplog.text
    assert "kg/s" in caplog.text


@pytest.mark.parametrize(
    ("declared", "value", "good"),
    [
        ("float", 1.5, True),
        ("float", 2, True),
        ("float", True, False),
        ("float", "2", False),
        ("int", 2, True),
        ("int", 2.5, False),
        ("bool", True, True),
        ("bool", 1, False),
        ("str", "on", True),
        ("str", 1, False),
    ],
)
def test_a_value_of_another_type_is_bad_and_never_guessed(declared, value, good):
    sample = one(steps(type=declared), value)
    assert sample.quality == (Quality.GOOD if good else Quality.BAD_TYPE_MISMATCH)
    assert sample.value == (value if good else None)


def test_a_value_out_of_range_is_kept_and_uncertain():
    made = steps(range={"low": 0, "high": 100})
    assert one(made, 101.0) == Sample("t", 101.0, NOW, Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)
    assert one(made, -0.1).quality == Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED
    assert one(made, 100).quality == Quality.GOOD


def test_the_worse_quality_wins():
    made = steps(range={"high": 10})
    assert one(made, 11, quality=Quality.BAD_SENSOR_FAILURE).quality == Quality.BAD_SENSOR_FAILURE
    uncertain = Quality.UNCERTAIN_LAST_USABLE_VALUE
    assert one(made, 5, quality=uncertain).quality == uncertain


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_bad_even_for_tags_nobody_declared(value):
    (sample,) = steps().apply([Sample("other", value, NOW)])
    assert sample.value is None
    assert is_bad(sample.quality)


def test_an_integer_that_no_database_holds_is_bad():
    (sample,) = steps().apply([Sample("other", 2**63, NOW)])
    assert (sample.value, severity(sample.quality)) == (None, "bad")


def test_a_clock_far_ahead_makes_samples_uncertain_and_is_not_rewritten():
    ahead = now_ns() + 3600 * 10**9
    (sample,) = steps().apply([Sample("other", 1, ahead)])
    assert (sample.time, severity(sample.quality)) == (ahead, "uncertain")


def test_the_deadband_passes_what_has_moved_what_changed_quality_and_a_heartbeat():
    made = steps(deadband={"absolute": 1.0, "heartbeat": 60})
    at = [NOW + s * 10**9 for s in range(200)]
    batch = [
        Sample("t", 10.0, at[0]),
        Sample("t", 10.9, at[1]),  # too little
        Sample("t", 11.1, at[2]),
        Sample("t", 11.1, at[3], Quality.UNCERTAIN),
        Sample("t", 11.1, at[4], Quality.UNCERTAIN),  # as before
        Sample("t", 11.2, at[70], Quality.UNCERTAIN),  # heartbeat
        Sample("t", None, at[71], Quality.BAD),
    ]
    assert [s.time for s in made.apply(batch)] == [at[0], at[2], at[3], at[70], at[71]]


def test_a_percent_deadband_is_of_the_last_value_passed_on():
    made = steps(deadband={"percent": 10})
    values = [100.0, 109.0, 111.0, 120.0, 123.0]
    passed = made.apply([Sample("t", v, NOW + i) for i, v in enumerate(values)])
    assert [s.value for s in passed] == [100.0, 111.0, 123.0]


@given(st.lists(st.floats(-1e9, 1e9), max_size=30), st.floats(0, 1e6))
def test_after_a_deadband_no_value_dropped_is_further_off_than_it_allows(values, band):
    made = steps(deadband={"absolute": band, "heartbeat": "1 day"})
    passed = made.apply([Sample("t", v, NOW + i) for i, v in enumerate(values)])
    by_time = {s.time: s.value for s in passed}
    last = None
    for i, value in enumerate(values):
        last = by_time.get(NOW + i, last)
        assert last is not None
        assert abs(value - last) <= band
