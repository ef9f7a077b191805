"""Rows of a report out of its bytes, however they are cut."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import RequestFailed
from gl002.wire.report_rows import MIB, ReportRows, TooMuch

_VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def read(*pieces: bytes, most: int = 1000, largest: int = MIB) -> list[dict[str, Any]]:
    rows = ReportRows(most=most, largest=largest)
    for piece in pieces:
        rows.take(piece)
    return rows.end()


@given(
    st.lists(st.dictionaries(st.text(), _VALUES, max_size=4), max_size=6),
    st.lists(st.integers(0, 2000), max_size=8),
    st.sampled_from([None, 1]),
)
def test_rows_come_as_they_are_wherever_the_bytes_are_cut(
    rows: list[dict[str, Any]], cuts: list[int], indent: int | None
) -> None:
    text = json.dumps({"Report_Entry": rows}, indent=indent, ensure_ascii=False)
    data = text.encode("utf-8", "surrogatepass")
    try:
        data.decode()
    except UnicodeDecodeError:
        return  # a lone surrogate is no text
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read(*(data[a:b] for a, b in pairwise(edges))) == rows


def test_byte_by_byte_is_the_same() -> None:
    data = '{"Report_Entry": [{"a": "ü}]{\\"", "b": [1, {"c": null}]}, {}]}'.encode()
    expected = [{"a": 'ü}]{"', "b": [1, {"c": None}]}, {}]
    assert read(*(data[n : n + 1] for n in range(len(data)))) == expected


def test_no_rows_are_an_empty_report() -> None:
    assert read(b"{}") == []
    assert read(b'{"Report_Entry":[]}') == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "ends before its end"), (b"<html>log in</html>", "ends before its end"),
        (b"<html>" + b"x" * 300, "begin with its rows"), (b'{"Report_Entry": 1}', "before its end"),
        (b'{"Report_Entry": [1]}', "no object"), (b'{"Report_Entry": [{}', "before its end"),
        (b'{"Report_Entry": [{"a": 1', "before its end"), (b"\xff", "UTF-8"),
        (b'{"Report_Entry": [{"a": NaN}]}', "NaN"), (b'{"Report_Entry": [{"a": Infinity}]}', "no"),
        (b'{"Report_Entry": [{"a": ' + b"[" * 100_000, "no report"),
        (b'{"Report_Entry": [{"a": ' + b"9" * 5000 + b"}]}", "no report"),
        (b'{"Report_Entry": [{"a": "' + b"x" * (MIB + 1), "a row that has no end"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_an_error(data: bytes, said: str) -> None:
    with pytest.raises(RequestFailed, match=said) as caught:
        read(data, largest=4 * MIB)
    assert not isinstance(caught.value, TooMuch), "less of it would be no better"


def test_a_row_too_many_and_a_byte_too_many_are_told_before_the_rest_has_come() -> None:
    rows = ReportRows(most=2, largest=100)
    rows.take(b'{"Report_Entry": [{}, {}')
    with pytest.raises(TooMuch, match="more than 2 rows"):
        rows.take(b", {}")
    rows = ReportRows(most=2, largest=100)
    with pytest.raises(TooMuch, match="MB"):
        rows.take(b" " * 101)
