"""A corpus of malformed configurations: every one of the good files, broken in many small ways.

Whatever comes out is a configuration or a list of problems with their places; never another error,
never a long wait.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gl002.config.load import load
from gl002.config.problems import InvalidConfig, Problem

CASES = Path(__file__).parents[2] / "config" / "cases"
GOOD = sorted(path.parent.name for path in CASES.glob("*/expected.json"))
SEEDS = range(3)


def _line(chance: random.Random, text: str, change: Callable[[str], str]) -> str:
    lines = text.splitlines(keepends=True)
    place = chance.randrange(len(lines))
    lines[place] = change(lines[place])
    return "".join(lines)


def _swapped(chance: random.Random, text: str) -> str:
    lines = text.splitlines(keepends=True)
    i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
    lines[i], lines[j] = lines[j], lines[i]
    return "".join(lines)


def _at(chance: random.Random, text: str, put: str, *, drop: int = 0) -> str:
    place = chance.randrange(len(text))
    return text[:place] + put + text[place + drop :]


def _valued(line: str, value: str) -> str:
    return f"{line.partition(':')[0]}: {value}\n"


BREAKS: dict[str, Callable[[random.Random, str], str]] = {
    "a tab for the indent": lambda c, t: _line(c, t, lambda line: "\t" + line.lstrip()),
    "one space more": lambda c, t: _line(c, t, lambda line: " " + line),
    "no indent": lambda c, t: _line(c, t, str.lstrip),
    "a line lost": lambda c, t: _line(c, t, lambda _: ""),
    "a line twice": lambda c, t: _line(c, t, lambda line: line * 2),
    "two lines swapped": _swapped,
    "cut off": lambda c, t: t[: c.randrange(len(t))],
    "a character lost": lambda c, t: _at(c, t, "", drop=1),
    "a letter put in": lambda c, t: _at(c, t, "x"),
    "a quote put in": lambda c, t: _at(c, t, '"'),
    "a bracket put in": lambda c, t: _at(c, t, "["),
    "a colon put in": lambda c, t: _at(c, t, ": "),
    "a hash put in": lambda c, t: _at(c, t, " # "),
    "a control character": lambda c, t: _at(c, t, "\x1b"),
    "a reference put in": lambda c, t: _at(c, t, "${NOT_SET}"),
    "half a reference": lambda c, t: _at(c, t, "${"),
    "a key renamed": lambda c, t: _line(c, t, lambda line: line.replace(":", "s:", 1)),
    "a value emptied": lambda c, t: _line(c, t, lambda line: _valued(line, "")),
    "a value made a list": lambda c, t: _line(c, t, lambda line: _valued(line, "[1, {a: b}]")),
    "a value made text": lambda c, t: _line(c, t, lambda line: line.partition(":")[0] + ": text\n"),
    "a value made huge": lambda c, t: _line(
        c, t, lambda line: line.partition(":")[0] + ": 1e999\n"
    ),
    "a value negative": lambda c, t: _line(c, t, lambda line: line.partition(":")[0] + ": -1\n"),
}


def _environment(case: Path) -> dict[str, str]:
    file = case / "environment"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines)


@pytest.mark.parametrize("how", BREAKS)
@pytest.mark.parametrize("name", GOOD)
def test_a_broken_file_is_a_list_of_problems(name: str, how: str, tmp_path: Path) -> None:
    case = CASES / name
    good = (case / "integrations.yaml").read_text()
    for seed in SEEDS:
        file = tmp_path / "integrations.yaml"
        file.write_text(BREAKS[how](random.Random(f"{name}{how}{seed}"), good))
        start = time.thread_time()  # a machine that stands still is no long wait
        problems = _problems(file, _environment(case))
        assert time.thread_time() - start < 3
        for problem in problems:
            assert problem.mark is not None, problem
            assert problem.mark.line <= file.read_text().count("\n") + 1


def _problems(file: Path, environ: dict[str, str]) -> list[Problem]:
    try:
        load(file, environ)
    except InvalidConfig as error:
        return error.problems
    return []


def test_the_corpus_is_large_enough() -> None:
    assert len(BREAKS) * len(GOOD) * len(SEEDS) >= 500
