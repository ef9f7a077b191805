"""What is worked out once a second: what is late, and when the store is full."""

from __future__ import annotations

import itertools

import msgspec
import pytest

from gl002.flow.deliver import OutputStatus
from gl002.flow.status import GatewayStatus
from gl002.flow.store import StoreStats
from gl002.model import Quality, Sample
from gl002.web.pulse import _Filling, _Rhythm, matches

SECOND = 1_000_000_000


def rhythm(least: float | None, *seconds: float, quality: int = 0) -> _Rhythm:
    made = _Rhythm(Sample("t", 1.0, int(seconds[0] * SECOND), quality), 1, least)
    for number, at in enumerate(seconds[1:], start=2):
        made.next(Sample("t", 1.0, int(at * SECOND)), number)
    return made


def due(made: _Rhythm) -> float:
    return made.due / SECOND


def test_a_single_value_is_never_late_because_nothing_is_known_of_the_next():
    assert due(rhythm(0.0, 100)) > 9e9


@pytest.mark.parametrize("period", [2, 10, 60])
def test_a_value_is_late_after_three_times_its_usual_time(period):
    assert due(rhythm(0.0, 0, period, 2 * period, 3 * period)) == pytest.approx(6 * period)


def test_values_faster_than_the_beat_have_three_seconds():
    assert due(rhythm(0.0, 0, 0.1, 0.2, 0.3)) == pytest.approx(3.3)


def test_one_long_pause_is_allowed_for_and_forgotten_slowly():
    paused = rhythm(0.0, 0, 10, 20, 120, 130)
    assert due(paused) == pytest.approx(130 + 3 * 91)
    calm = rhythm(0.0, 0, 10, 20, 120, *range(130, 1130, 10))
    assert due(calm) == pytest.approx(1120 + 30, abs=1)


def test_the_length_of_an_outage_is_not_taken_for_the_usual_time():
    made = rhythm(0.0, 0, 1, 2, 3)
    made.next(Sample("t", None, 4 * SECOND, Quality.BAD_NO_COMMUNICATION), 5)
    made.next(Sample("t", 1.0, 604 * SECOND), 6)
    made.next(Sample("t", 1.0, 605 * SECOND), 7)
    assert due(made) == pytest.approx(608)


def test_a_tag_with_a_deadband_may_be_silent_for_its_heartbeat():
    assert due(rhythm(60.0, 0, 1, 2, 3)) == pytest.approx(183)


def test_what_cares_for_the_age_of_its_inputs_itself_is_never_late():
    assert due(rhythm(None, 0, 1, 2, 3)) > 9e9


def test_time_running_backwards_breaks_nothing():
    assert due(rhythm(0.0, 100, 101, 50, 51)) < 200


@pytest.mark.parametrize(
    ("tag", "patterns", "wanted"),
    [
        ("b1.o2", [], True), ("b1.o2", ["b1.*"], True), ("b1.o2", ["b2.*", "*.o2"], True),
        ("b1.o2", ["b2.*"], False), ("B1.o2", ["b1.*"], False), ("b1.o2", [""], False),
    ],
)  # fmt: skip
def test_patterns_choose_tags(tag, patterns, wanted):
    assert matches(tag, patterns) is wanted


def status(bytes_: int, pending: int, state: str = "up") -> GatewayStatus:
    output = OutputStatus(
        name="o", state=state, delivered=0, rate=0, pending=pending, dead=0, error="", retry_in=0
    )
    store = StoreStats(
        accepted=0, bytes=bytes_, max_bytes=1_000_000, free=10**9, segments=1, dropped=0, lost=0
    )
    return GatewayStatus(
        name="g", version="0", time=0, uptime=0, lag=0, memory=0, faults=0, writes="off",
        inputs=[], outputs=[output], store=store,
    )  # fmt: skip


@pytest.fixture
def each_second():
    """Tells the state of a gateway that is a second older each time."""
    seconds = itertools.count(1.0)

    def tell(filling: _Filling, state: GatewayStatus) -> float | None:
        return filling.full_in(msgspec.structs.replace(state, uptime=next(seconds)))

    return tell


def test_a_store_whose_output_is_down_is_full_when_the_rest_is_used_up_at_this_rate(each_second):
    filling = _Filling()
    told = [each_second(filling, status(1000 * i, 10 * i, "retrying")) for i in range(1, 101)]
    assert told[:19] == [None] * 19
    assert told[-1] == pytest.approx((1_000_000 - 100_000) / 1000)


def test_the_disk_may_be_full_before_the_store(each_second):
    filling = _Filling()
    for i in range(1, 101):
        state = status(1000 * i, 10 * i, "retrying")
        store = StoreStats(
            accepted=0, bytes=state.store.bytes, max_bytes=10**9, free=5000, segments=1,
            dropped=0, lost=0,
        )  # fmt: skip
        told = each_second(filling, msgspec.structs.replace(state, store=store))
    assert told == pytest.approx(5)


def test_an_output_that_delivers_once_a_minute_is_not_falling_behind(each_second):
    filling = _Filling()
    told = [each_second(filling, status(1000 + 500 * i, 100 * (i % 60))) for i in range(400)]
    assert told == [None] * 400


def test_an_output_that_is_up_but_too_slow_is_noticed(each_second):
    filling = _Filling()
    told = [each_second(filling, status(1000 * i, 50 * i)) for i in range(1, 201)]
    assert told[:119] == [None] * 119
    assert told[-1] == pytest.approx(800)


def test_a_store_that_does_not_grow_has_no_end(each_second):
    filling = _Filling()
    assert [each_second(filling, status(5000, 10, "failed")) for _ in range(100)] == [None] * 100
