"""Fields with places to fill in: what goes in, as what, and what is refused."""

from __future__ import annotations

import pytest

from gl002.errors import DataError
from gl002.wire.field_template import filled, misfits, places

VALUES = {"value": 84.25, "title": "Blow soot now", "unit": None, "count": 3}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{value}", 84.25),
        ("{count}", 3),
        ("{unit}", None),
        ("{value:.1f}", "84.2"),
        ("{title:.4}", "Blow"),
        ("{count:04d}", "0003"),
        ("{value} %", "84.25 %"),
        ("[{unit}]", "[]"),
        ("{{value}} is {value}", "{value} is 84.25"),
        ("plain", "plain"),
        ("", ""),
    ],
)
def test_a_lone_place_keeps_its_type_and_others_become_text(text, expected):
    assert filled(text, VALUES) == expected


def test_places_are_found_however_deep(capsys):
    fields = {"a": "{value}", "b": ["x", {"c": "see {title}"}], "d": 4, "e": "{{no}}"}
    assert places(fields) == {("a",), ("b", 1, "c")}
    assert filled(fields, VALUES) == {
        "a": 84.25, "b": ["x", {"c": "see Blow soot now"}], "d": 4, "e": "{no}",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("{colour}", "colour"),
        ("{value!r}", ""),
        ("{value.real}", ""),
        ("{0}", ""),
        ("{}", ""),
        ("{value:999999d}", ""),
        ("open {", ""),
        ("} shut", ""),
    ],
)
def test_what_is_no_place_is_named(text, word):
    ((path, said, unknown),) = misfits({"a": text}, VALUES)
    assert (path, unknown) == (("a",), word)
    assert said


def test_what_comes_from_outside_is_text_and_no_place():
    assert filled("{title}!", {"title": "{value} {secret}"}) == "{value} {secret}!"


def test_a_value_that_does_not_fit_its_form_is_refused():
    with pytest.raises(DataError, match="Blow soot"):
        filled("{title:.2f}", VALUES)
