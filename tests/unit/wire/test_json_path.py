"""Paths into JSON: what they lead to is what another implementation of RFC 9535 finds."""

from __future__ import annotations

import json
import string
from typing import Any

import jsonpath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import ConfigError
from gl002.wire.json_path import Path

NAMES = st.sampled_from(["a", "b", "flue", "o2", "steam flow", "it's", 'a"b', "a\\b", "ä", "0", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=5),
    max_leaves=25,
)


def _quoted(name: str) -> str:
    return f"[{json.dumps(name)}]"


STEPS = st.one_of(
    NAMES.map(_quoted),
    NAMES.map(lambda n: "['" + n.replace("\\", "\\\\").replace("'", "\\'") + "']"),
    st.sampled_from([".a", ".b", ".flue", ".o2", ".ä", ".*", "[*]", "[0]", "[1]", "[-1]", "[-2]"]),
)


@given(JSON, st.lists(STEPS, max_size=4).map("".join))
def test_a_path_leads_where_another_implementation_goes(content: Any, steps: str) -> None:
    path = f"${steps}"
    assert [value for _, value in Path(path).find(content)] == jsonpath.findall(path, content)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("$", [((), {"a": {"x": 1, "y": 2}, "l": [{"v": 5}, {"w": 6}, {"v": 7}]})]),
        ("$.a.x", [((), 1)]),
        ("$.a.*", [(("x",), 1), (("y",), 2)]),
        ("$.l[*].v", [(("0",), 5), (("2",), 7)]),
        ("$.*.*", [(("a", "x"), 1), (("a", "y"), 2), (("l", "0"), {"v": 5}),
                   (("l", "1"), {"w": 6}), (("l", "2"), {"v": 7})]),
        ("$.l[-1]['v']", [((), 7)]),
        ("$.l.v", []),
        ("$.a[0]", []),
        ("$.l[3]", []),
        ("$['a']['\\u0078']", [((), 1)]),
    ],
)  # fmt: skip
def test_a_path_says_what_its_wildcards_stand_for(path, found) -> None:
    content = {"a": {"x": 1, "y": 2}, "l": [{"v": 5}, {"w": 6}, {"v": 7}]}
    assert list(Path(path).find(content)) == found


@pytest.mark.parametrize(
    "text",
    [
        "", "a", "a.b", "$a", "$.", "$..a", "$[", "$[]", "$['a]", "$[01]", "$[-0]", "$[0:2]",
        "$[?@.a]", "$[0,1]", "$.a b", "$.1", "$['\\x']", "$ .a", "$['a']b", "$" + "[0]" * 33,
        "$[99999999999]",
    ],
)  # fmt: skip
def test_what_searches_or_is_no_path_is_refused_with_examples(text) -> None:
    with pytest.raises(ConfigError, match=r"\$\.flue\.o2"):
        Path(text)


@given(st.text(string.printable, max_size=30))
def test_any_text_is_a_path_that_the_other_reads_alike_or_a_mistake_of_the_file(text: str) -> None:
    try:
        path = Path(f"${text}")
    except ConfigError:
        return
    content = {"a": [1, {"b": 2}]}
    assert [v for _, v in path.find(content)] == jsonpath.findall(f"${text}", content)
