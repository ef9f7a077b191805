"""Dead letters: kept until a person decides."""

from __future__ import annotations

import pytest

from gl002.errors import BufferFull
from gl002.flow.deadletter import DeadLetters
from gl002.model import Quality, Sample


def refused(*values: object) -> list[tuple[Sample, str]]:
    return [(Sample("t", v, i, Quality.UNCERTAIN), f"no {v}") for i, v in enumerate(values)]


def test_nothing_is_made_before_the_first_letter(tmp_path):
    letters = DeadLetters(tmp_path / "state" / "letters.sqlite")
    assert (letters.count(), letters.list(), letters.retry("x"), letters.drop("x")) == (0, [], 0, 0)
    assert not (tmp_path / "state").exists()


def test_letters_come_back_as_they_were_page_by_page(tmp_path):
    letters = DeadLetters(tmp_path / "letters.sqlite")
    letters.add("a", refused(1, 2.5, "text", True, None))
    letters.add("b", refused(6))
    page = letters.list("a", limit=3)
    rest = letters.list("a", after=page[-1].id)
    assert [x.sample for x in page + rest] == [s for s, _ in refused(1, 2.5, "text", True, None)]
    assert page[1].reason == "no 2.5"
    assert (letters.count(), letters.count("a"), letters.count("b")) == (6, 5, 1)


def test_retry_and_drop_touch_only_what_was_named(tmp_path):
    letters = DeadLetters(tmp_path / "letters.sqlite")
    letters.add("a", refused(1, 2, 3))
    letters.add("b", refused(4))
    assert letters.retry("a", [1, 4]) == 1, "letter 4 belongs to another output"
    assert [x.id for x in letters.list(again=True)] == [1]
    assert letters.drop("b") == 1
    assert letters.drop("a", [2]) == 1
    assert [x.id for x in letters.list()] == [1, 3]


def test_too_many_letters_are_refused_and_none_is_lost(tmp_path):
    letters = DeadLetters(tmp_path / "letters.sqlite", most=3)
    letters.add("a", refused(1, 2))
    with pytest.raises(BufferFull, match="gl002 dlq"):
        letters.add("a", refused(3, 4))
    assert letters.count() == 2


def test_several_processes_may_use_it_at_once(tmp_path):
    one, other = (DeadLetters(tmp_path / "letters.sqlite") for _ in range(2))
    one.add("a", refused(1))
    other.add("a", refused(2))
    assert one.count() == other.count() == 2


def test_a_value_that_no_file_can_hold_is_kept_as_its_text(tmp_path):
    """A database with whole numbers of any length is brought over into one that refuses them."""
    letters = DeadLetters(tmp_path / "dead.sqlite")
    letters.add("influxdb", [(Sample("meter", 2**70, 1), "too large"), (Sample("b", 1.0, 2), "x")])
    assert [letter.sample.value for letter in letters.list()] == [str(2**70), 1.0]
    letters.add("influxdb", [(Sample("half\ud800", "a\udfff", 3), "no text")])
    assert letters.list()[-1].sample == Sample("half\\ud800", "a\\udfff", 3)
