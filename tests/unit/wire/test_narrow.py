"""The narrow layout: what goes into a row comes out of it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import DataError
from gl002.model import Quality, Sample, Value, is_bad
from gl002.wire.narrow import (
    EARLIEST,
    EXACT_IN_DOUBLE,
    EXACT_IN_INTEGER,
    LATEST,
    LONGEST_TAG,
    LONGEST_TEXT,
    checked_tag,
    columns,
    kind_of,
    restored,
    wider,
)

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
WHOLE = st.integers(-(10**300), 10**300)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES: st.SearchStrategy[Value] = st.one_of(st.none(), st.booleans(), WHOLE, FINITE, TEXT)
KINDS = st.sampled_from([None, "bool", "int", "float", "str"])


def _row(value: Value, exact: int = EXACT_IN_DOUBLE, quality: int = 0, time: int = 0):
    return columns(Sample("t", value, time, quality), exact=exact)


@given(VALUES)
def test_a_value_comes_back_with_its_type_from_a_column_of_doubles(value: Value) -> None:
    number, text, quality = _row(value)
    as_stored = None if number is None else float(number)
    back = restored(kind_of(value), as_stored, text)
    assert back == value
    assert type(back) is type(value)
    assert quality == 0


@given(VALUES)
def test_a_value_comes_back_with_its_type_from_a_column_of_64_bit_integers(value: Value) -> None:
    number, text, _ = _row(value, EXACT_IN_INTEGER)
    assert not isinstance(number, int) or abs(number) <= EXACT_IN_INTEGER
    back = restored(kind_of(value), number, text)
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 2**64 - 1])
def test_a_whole_number_too_large_for_the_column_keeps_all_its_digits(value: int) -> None:
    number, text, _ = _row(value)
    assert number == float(value), "for those who only look at numbers"
    assert text == str(value)
    assert restored("int", number, text) == value


@pytest.mark.parametrize(
    ("value", "quality"),
    [
        (math.nan, Quality.BAD_SENSOR_FAILURE),
        (math.inf, Quality.BAD_OUT_OF_RANGE),
        (-math.inf, Quality.BAD_OUT_OF_RANGE),
    ],
)
def test_what_is_no_number_becomes_a_bad_row_without_a_value(value: float, quality: int) -> None:
    assert _row(value) == (None, None, quality)
    uncertain = _row(value, quality=Quality.UNCERTAIN)
    assert is_bad(uncertain[2])
    known = _row(value, quality=Quality.BAD_TIMEOUT)
    assert known[2] == Quality.BAD_TIMEOUT, "what the source said about it stays"


@pytest.mark.parametrize(
    ("sample", "reason"),
    [
        (Sample("t", "a\0b", 0), "NUL"),
        (Sample("t", "\ud800", 0), "surrogate"),
        (Sample("t", "x" * (LONGEST_TEXT + 1), 0), "characters"),
        (Sample("t", 10**400, 0), "bits"),
        (Sample("t", 1.0, EARLIEST - 1), "1678"),
        (Sample("t", 1.0, LATEST + 1), "2261"),
        (Sample("t", 1.0, 0, -1), "status code"),
        (Sample("t", 1.0, 0, 2**32), "status code"),
    ],
)
def test_what_no_row_can_say_is_refused_with_the_reason(sample: Sample, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        columns(sample, exact=EXACT_IN_DOUBLE)


@pytest.mark.parametrize(
    ("tag", "reason"),
    [("a\0", "NUL"), ("\udfff", "surrogate"), ("t" * (LONGEST_TAG + 1), "characters")],
)
def test_a_tag_that_can_be_no_key_is_refused_with_the_reason(tag: str, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        checked_tag(tag)


@given(TEXT.filter(lambda text: len(text) <= LONGEST_TAG))
def test_any_other_text_can_be_a_tag(tag: str) -> None:
    assert checked_tag(tag) is tag


@given(KINDS, KINDS, KINDS)
def test_the_type_of_a_tag_does_not_depend_on_the_order_its_values_came_in(a, b, c) -> None:
    assert wider(wider(a, b), c) == wider(a, wider(b, c))
    assert wider(a, b) == wider(b, a)
    assert wider(a, a) == a


@given(st.lists(st.one_of(st.booleans(), st.integers(-(2**53), 2**53), FINITE, TEXT)))
def test_a_tag_whose_values_change_type_loses_none_of_them(values: list[Value]) -> None:
    kind = None
    for value in values:
        kind = wider(kind, kind_of(value))
    for value in values:
        number, text, _ = _row(value)
        assert restored(kind, None if number is None else float(number), text) == value
