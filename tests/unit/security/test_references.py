"""References: what they stand for, and that a mistake names itself and shows no value."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import ConfigError
from gl002.security.references import has_reference, resolve

ENVIRON = {"HOST": "plc", "EMPTY": "", "TRICKY": "${HOST} $$ {x}: [y]"}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${HOST}", "plc"),
        ("${env:HOST}", "plc"),
        ("opc.tcp://${HOST}:4840", "opc.tcp://plc:4840"),
        ("${HOST}${HOST}", "plcplc"),
        ("${NONE:-localhost}", "localhost"),
        ("${env:NONE:-localhost}", "localhost"),
        ("${NONE:-http://a:1/b}", "http://a:1/b"),
        ("${NONE:-}", ""),
        ("${EMPTY:-x}", "x"),
        ("${HOST:-other}", "plc"),
        ("$$", "$"),
        ("$${HOST}", "${HOST}"),
        ("$HOST", "$HOST"),
        ("a$b", "a$b"),
        ("", ""),
        ("${TRICKY}", "${HOST} $$ {x}: [y]"),
    ],
)
def test_a_reference_becomes_its_value(text: str, value: str) -> None:
    assert resolve(text, ENVIRON, Path()) == value


def test_a_file_gives_its_text_without_the_last_line_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pässword\r\n")
    assert resolve("x${file:password}y", {}, tmp_path) == "xpässwordy"
    assert resolve(f"${{file:{tmp_path}/password}}", {}, Path("/")) == "pässword"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${NONE}", "the environment variable NONE is not set (set it, or give a default"),
        ("${EMPTY}", "the environment variable EMPTY is empty"),
        ("${vaul:x}", "'${vaul:...}' is no kind of reference known here (known: ${NAME}"),
        ("${9}", "'9' is no name of an environment variable"),
        ("${}", "'' is no name of an environment variable"),
        ("${A B}", "'A B' is no name of an environment variable"),
        ("${HOST", "a reference '${' does not end"),
        ("${A:-${HOST}}", "a reference '${' does not end, or has another one inside"),
        ("${file:none}", "none: there is no such file"),
        ("${file:}", "there is no such file"),
        ("${file:a\x00b}", "there is no such file"),
    ],
)
def test_a_mistake_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        resolve(text, ENVIRON, tmp_path)
    assert message in str(caught.value)


def test_a_file_that_is_no_secret_is_refused(tmp_path: Path) -> None:
    (tmp_path / "long").write_text("x" * 70_000)
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00canary")
    os.mkfifo(tmp_path / "pipe")
    for name, reason in [
        ("long", "longer than"), ("binary", "no UTF-8"), ("pipe", "no such file"), (".", "no such"),
    ]:  # fmt: skip
        with pytest.raises(ConfigError, match=reason) as caught:
            resolve(f"${{file:{name}}}", {}, tmp_path)
        assert "canary" not in str(caught.value)


@given(st.text(alphabet="${}:-ABnx$ /", max_size=30))
def test_any_text_becomes_text_or_a_configuration_error(text: str) -> None:
    try:
        value = resolve(text, {"A": "1", "B": "2"}, Path("/nonexistent"))
    except ConfigError:
        assert has_reference(text)
        return
    assert has_reference(text) or value == text


@given(st.text(max_size=30))
def test_a_value_is_never_looked_at_again(value: str) -> None:
    if value:
        assert resolve("<${X}>", {"X": value}, Path()) == f"<{value}>"
