"""YAML as data: what the scalars mean, where things stand, and that no file can do harm."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.config import yaml
from gl002.config.problems import InvalidConfig, Mark
from gl002.config.yaml import Document
from gl002.errors import ConfigError

CASES = Path(__file__).parents[2] / "config" / "cases"


def _data(text: str) -> Any:
    return Document(text, "f").data


def _problems(text: str) -> list[str]:
    with pytest.raises(InvalidConfig) as caught:
        Document(text, "f")
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("on", "on"), ("off", "off"), ("y", "y"), ("NO", "NO"),
        ("true", True), ("False", False), ("TRUE", True), ("tRUE", "tRUE"),
        ("null", None), ("~", None), ("", None), ("Null", None), ("nil", "nil"),
        ("0", 0), ("-7", -7), ("+7", 7), ("010", 10), ("0o10", 8), ("0x1F", 31), ("0o8", "0o8"),
        ("1_000", "1_000"), ("12:30", "12:30"), ("1:30:00", "1:30:00"),
        ("1.5", 1.5), (".5", 0.5), ("5.", 5.0), ("1e3", 1000.0), ("-1.5E-3", -0.0015), ("1e", "1e"),
        (".inf", ".inf"), (".nan", ".nan"), ("-.inf", "-.inf"), ("0x", "0x"), (".", "."),
        ("2001-12-14", "2001-12-14"), ("=", "="), ("1.2.3", "1.2.3"),
        ("192.168.1.50", "192.168.1.50"),
        ('"10"', "10"), ("'true'", "true"), ('"null"', "null"), ('""', ""), ('"a\\tb"', "a\tb"),
        ("!!str 10", "10"), ("!!int '10'", 10), ("!!float 1", 1.0), ("! 10", "10"),
        ("|\n  10\n", "10\n"), (">\n  a\n  b\n", "a b\n"),
        ("[1, a, [2]]", [1, "a", [2]]), ("{a: 1, 'b': {c: 2}}", {"a": 1, "b": {"c": 2}}),
        ("!!seq [1]", [1]), ("!!map {a: 1}", {"a": 1}),
    ],
)  # fmt: skip
def test_a_scalar_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    seen = _data(f"key: {text}")["key"]
    assert seen == value
    assert type(seen) is type(value)


@pytest.mark.parametrize("key", ["10", "true", "null", "~", "1.5", "'a b'", "off", "2001-01-01"])
def test_a_key_is_always_text(key: str) -> None:
    assert list(_data(f"{key}: 1")) == [key.strip("'")]


@pytest.mark.parametrize("text", ["", "# only a comment", "---", "\n\n", "---\n...\n", "\ufeff"])
def test_a_file_without_content_is_nothing(text: str) -> None:
    document = Document(text, "f")
    assert document.data is None
    assert () in document.marks


def test_everything_has_its_place() -> None:
    document = Document("\ufeffa: 1\nb:\n  - x\n  - {c: [y, z]}\n", "f")
    assert {path: (m.line, m.column) for path, m in document.marks.items()} == {
        (): (1, 1), ("a",): (1, 4), ("b",): (3, 3), ("b", 0): (3, 5), ("b", 1): (4, 5),
        ("b", 1, "c"): (4, 9), ("b", 1, "c", 0): (4, 10), ("b", 1, "c", 1): (4, 13),
    }  # fmt: skip
    assert {path: (m.line, m.column) for path, m in document.key_marks.items()} == {
        ("a",): (1, 1), ("b",): (2, 1), ("b", 1, "c"): (4, 6),
    }  # fmt: skip


def test_an_alias_stands_for_its_anchor_and_is_placed_where_it_stands() -> None:
    document = Document("a: &x {p: 1}\nb: *x\nc: [*x, *x]\n", "f")
    assert document.data == {"a": {"p": 1}, "b": {"p": 1}, "c": [{"p": 1}, {"p": 1}]}
    assert document.marks["b",] == Mark("f", 2, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "f:2:1: a: stands twice; first in line 1"),
        ("a:\n  b: {c: 1, c: 2}", "f:2:13: a.b.c: stands twice; first in line 2"),
        ("b:\n  <<: *x", "f:2:3: b: merge keys are not supported: write the block out"),
        ("? [a, b]\n: 1", "f:1:3: keys must be plain text"),
        ("a: !!python/name:os", "f:1:4: a: the tag !!python/name:os is not supported"),
        ("a: !secret x", "f:1:4: a: the tag !secret is not supported"),
        ("a: !!binary eA==", "f:1:4: a: the tag !!binary is not supported"),
        ("a: !!set {x}", "f:1:4: a: the tag !!set is not supported"),
        ("a: !!timestamp 2001-01-01", "f:1:4: a: the tag !!timestamp is not supported"),
        ("a: !!int ten", "f:1:4: a: is no whole number, or one too long"),
        ("a: !!bool maybe", "f:1:4: a: is no true or false, or one too long"),
        ("a: " + "9" * 5000, "f:1:4: a: is no whole number, or one too long"),
        ("a: *x", "f:1:4: a: the alias *x is unknown"),
        ("a: &a [*a]", "f:1:8: a[0]: the alias *a stands inside what it refers to"),
        ("a: 1\n---\nb: 2", "f:2:1: there is a second document; one file is one"),
        ("a:\n\tb: 1", "f:2:1: no valid YAML: found character that cannot start any token"),
        ("a: [1, 2", "f:1:9: no valid YAML: did not find expected ',' or ']'"),
        ("a: 1\n b: 2", "f:2:3: no valid YAML: mapping values are not allowed in this context"),
        ("a: \x00", "f:1:4: no valid YAML: the character U+0000 is not allowed"),
        ("a: b\nc: \x07", "f:2:4: no valid YAML: the character U+0007 is not allowed"),
        ("{a: " * 30, "f:1:81: a.a.a: nested deeper than 20 levels"),
        ("a: &a " + "[" * 15 + "]" * 15 + "\nb: " + "[" * 15 + "*a" + "]" * 15,
         "f:2:19: b[0][0]: nested deeper than 20 levels"),
    ],
)  # fmt: skip
def test_a_mistake_is_named_with_its_place(text: str, message: str) -> None:
    assert _problems(text)[0] == message


def test_all_mistakes_of_a_file_are_listed() -> None:
    assert _problems("a: !x 1\nb: *y\na: 2\nc: !!int z\n") == [
        "f:1:4: a: the tag !x is not supported",
        "f:2:4: b: the alias *y is unknown",
        "f:3:1: a: stands twice; first in line 1",
        "f:4:4: c: is no whole number, or one too long",
    ]


def test_but_not_thousands() -> None:
    assert len(_problems("a:\n" * 10_000)) <= 60


def test_what_is_wrong_does_not_hide_what_follows() -> None:
    with pytest.raises(InvalidConfig) as caught:
        Document("? [a]\n: {b: 1}\nc: *x\n", "f")
    assert [problem.path for problem in caught.value.problems] == [(), ("c",)]


# ---- hostile files ----------------------------------------------------------------------------

_BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"b{i}: &b{i} [{','.join(['*' + ('a' if i == 0 else f'b{i - 1}')] * 10)}]\n" for i in range(10)
)
HOSTILE = {
    "bomb": _BOMB,
    "quadratic": "a: &a [" + "x," * 50_000 + "]\nb: [" + "*a," * 100_000 + "]",
    "brackets": "[" * 1_000_000,
    "braces": "{a: " * 250_000,
    "dashes": "- " * 500_000,
    "questions": "? " * 500_000,
    "indents": "".join(" " * i + "a:\n" for i in range(1400)),
    "duplicates": "a:\n" * 300_000,
    "keys": "".join(f"k{i}:\n" for i in range(100_000)),
    "values": "[" + "1," * 500_000 + "]",
    "long scalar": "a: " + "x" * 1_000_000,
    "long number": "a: " + "9" * 1_000_000,
    "long anchor": "a: &" + "x" * 1_000_000,
    "long tag": "a: !" + "x" * 1_000_000,
    "escapes": 'a: "' + "\\u0041" * 150_000 + '"',
    "comments": "#\n" * 500_000,
    "blank lines": "\n" * 1_000_000,
    "spaces": " " * 1_000_000 + "a: 1",
    "documents": "---\n" * 250_000,
    "anchors": "".join(f"a{i}: &a{i} 1\n" for i in range(60_000)),
    "quotes": '"' * 1_000_000,
    "percents": "%" * 1_000_000,
    "directives": "%YAML 1.2\n" * 100_000,
    "fifty megabytes": "a: 1\n" * 10_000_000,
    "tabs": "\t" * 1_000_000,
    "carriage returns": "a:\r" * 300_000,
    "folded": "a: >\n" + "  x\n" * 250_000,
}

_TIMED = """
import resource, sys, time
sys.path.insert(0, sys.argv[1])
import test_yaml
from gl002.config.yaml import Document
from gl002.errors import ConfigError
text = test_yaml.HOSTILE[sys.argv[2]]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
try:
    Document(text, "f")
    outcome = "data"
except ConfigError as error:
    outcome = "refused" if len(str(error)) < 20_000 else "an endless message"
took = time.process_time() - start
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(outcome, took, grown // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_costs_little_time_and_memory(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _TIMED, str(Path(__file__).parent), name],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    outcome, took, grown = done.stdout.split()
    assert outcome in {"data", "refused"}
    assert float(took) < 2.0, "seconds of work; below one on a machine that is not shared"
    assert int(grown) < 100, f"{grown} MiB"


# ---- any text ---------------------------------------------------------------------------------

_shards = st.sampled_from(
    ["a", "b: ", "- ", "\n", "  ", "\t", "[", "]", "{", "}", ",", ":", "&x ", "*x", "!!int ", "!t ",
     "|\n", ">", "'", '"', "#", "?", "<<", "---\n", "...", "%", "\\", "~", "1", "0x", "é", "\x85",
     "\u2028", "\ufeff", "@", "`"]
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(st.lists(_shards, max_size=30).map("".join))
def test_any_text_is_data_or_a_configuration_error(text: str) -> None:
    try:
        json.dumps(_data(text))
    except InvalidConfig as error:
        problems = error.problems
    else:
        return
    assert problems
    assert all(problem.mark is not None for problem in problems)


_text = st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=8)
_plain = st.recursive(
    st.none() | st.booleans() | st.integers() | _text
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_text, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(_text, _plain, max_size=5))
def test_what_another_library_writes_is_read_as_it_was(data: dict[str, Any]) -> None:
    text = json.dumps(data, ensure_ascii=False)  # JSON is YAML 1.2
    if "<<" not in text:
        assert _data(text) == data


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.text("abcdef", min_size=1), st.lists(st.text("xyz: -#", min_size=1))))
def test_what_pyyaml_writes_is_read_as_it_was(data: dict[str, list[str]]) -> None:
    assert _data(pyyaml.safe_dump(data)) == (data or {})


def test_the_parser_in_python_understands_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where PyYAML was built without its C parser, words differ but never the data."""
    files = [file.read_text() for file in sorted(CASES.glob("*/integrations.yaml"))]
    by_c = [_outcome(text) for text in files]
    monkeypatch.setattr(yaml, "_LOADER", pyyaml.SafeLoader)
    assert [_outcome(text) for text in files] == by_c


def _outcome(text: str) -> Any:
    try:
        return _data(text)
    except ConfigError:
        return "refused"
