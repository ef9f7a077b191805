"""What was delivered of late, within bounds."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gl002.model import Sample
from gl002.transport.remembered import Remembered

_SAMPLES = st.lists(st.builds(Sample, st.sampled_from("abc"), st.just(1.0), st.integers(0, 50)))


def test_a_tag_and_a_time_are_one_sample_whatever_its_value() -> None:
    known = Remembered(10)
    known.add([Sample("a", 1.0, 5)])
    assert Sample("a", 2.0, 5) in known
    assert Sample("b", 1.0, 5) not in known
    assert Sample("a", 1.0, 6) not in known


def test_what_is_too_old_is_forgotten_and_the_rest_is_not() -> None:
    known = Remembered(10)
    known.add([Sample("a", 1.0, time) for time in range(5)])
    known.forget(3)
    assert [time for time in range(5) if Sample("a", 1.0, time) in known] == [3, 4]
    assert (len(known), known.floor) == (2, 0)
    known.clear()
    assert len(known) == 0


@given(st.lists(_SAMPLES, max_size=8), st.integers(1, 20))
def test_whatever_is_not_below_the_floor_is_known(batches: list[list[Sample]], most: int) -> None:
    known, delivered = Remembered(most), set()
    for batch in batches:
        known.add(batch)
        delivered |= {(sample.tag, sample.time) for sample in batch}
        younger = [key for key in delivered if key[1] > known.floor]
        for tag, time in delivered:
            assert time < known.floor or Sample(tag, 0.0, time) in known
        assert known.floor == 0 or len(younger) <= most, "bounded, but for those of one moment"


def test_those_of_one_moment_stay_together_however_many_they_are() -> None:
    known = Remembered(2)
    known.add([Sample(tag, 1.0, 7) for tag in "abcdef"])
    assert all(Sample(tag, 1.0, 7) in known for tag in "abcdef")
    assert known.floor == 7
