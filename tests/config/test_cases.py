"""Configuration by example: a folder is a case, its name the sentence.

    integrations.yaml   what is loaded
    environment         variables, one NAME=value a line; none where absent
    expected.json       what it means: connections, inputs, outputs, and sections that were given
    error.txt           or the exact message

After a change that is meant, write them anew and read the difference:

    python tests/config/test_cases.py --write
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from gl002.config.load import GatewayConfig, load
from gl002.config.problems import InvalidConfig
from gl002.errors import ConfigError

CASES = Path(__file__).parent / "cases"


def _environment(case: Path) -> dict[str, str]:
    file = case / "environment"
    lines = file.read_text().splitlines() if file.exists() else []
    return dict(line.split("=", 1) for line in lines)


def _meaning(config: GatewayConfig) -> dict[str, Any]:
    """What was configured, without what stands for itself by default."""
    return {
        "connections": {
            c.name: {"kind": c.kind.kind, **_given(c.settings)} for c in config.connections.values()
        },
        "inputs": [{"connection": name, **_given(entry)} for name, entry in config.inputs],
        "outputs": [{"connection": name, **_given(entry)} for name, entry in config.outputs],
        "sections": _given(config.sections),
    }


def _given(settings: Any) -> Any:
    return settings.model_dump(mode="json", exclude_defaults=True)


def _outcome(case: Path) -> tuple[str, str]:
    """Name and content of the file that a case must have."""
    here = Path.cwd()
    os.chdir(case)  # messages name the file as it was given
    try:
        config = load("integrations.yaml", _environment(case))
    except ConfigError as error:
        return "error.txt", f"{error}\n"
    finally:
        os.chdir(here)
    return "expected.json", json.dumps(_meaning(config), indent=2, ensure_ascii=False) + "\n"


def _cases() -> list[Path]:
    return sorted(path for path in CASES.iterdir() if path.is_dir())


@pytest.mark.parametrize("case", _cases(), ids=lambda case: case.name)
def test_a_file_means_or_says_what_its_case_shows(case: Path) -> None:
    name, content = _outcome(case)
    shown = sorted(path.name for path in case.glob("e*.*") if path.suffix in {".json", ".txt"})
    assert shown == [name], content
    assert (case / name).read_text() == content


@pytest.mark.parametrize(
    "case", [c for c in _cases() if (c / "error.txt").exists()], ids=lambda case: case.name
)
def test_every_problem_has_its_place(case: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case)
    with pytest.raises(InvalidConfig) as caught:
        load("integrations.yaml", _environment(case))
    lines = Path("integrations.yaml").read_text().split("\n")
    for problem in caught.value.problems:
        assert problem.mark is not None
        assert str(problem).startswith(f"integrations.yaml:{problem.mark.line}:")
        assert problem.mark.column <= len(lines[problem.mark.line - 1]) + 1
        if problem.at_key:
            written = lines[problem.mark.line - 1][problem.mark.column - 1 :]
            assert written.lstrip("\"'").startswith(str(problem.path[-1]))


def test_no_case_shows_a_secret() -> None:
    secrets = ("hunter2-canary", "secure_password", "12345678", "pass@localhost")
    for file in (*CASES.glob("*/expected.json"), *CASES.glob("*/error.txt")):
        assert [secret for secret in secrets if secret in file.read_text()] == [], file


if __name__ == "__main__" and sys.argv[1:] == ["--write"]:
    for folder in _cases():
        for old in ("expected.json", "error.txt"):
            (folder / old).unlink(missing_ok=True)
        file_name, text = _outcome(folder)
        (folder / file_name).write_text(text)
