"""`gl002 ledger`: what a gateway delivered, for people and for scripts."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gl002.cli import main
from gl002.config.load import load
from gl002.flow.gateway import Gateway
from gl002.model import Sample, now_ns

HOUR = 3_600_000_000_000
CONFIG = """
integrations:
  enabled: [sqlite]
  data_flow: {output: [{destination: sqlite, interval: 0}]}
gateway: {state_dir: state}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A gateway has run here and delivered."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(CONFIG)
    asyncio.run(ran(tmp_path))
    return tmp_path


async def ran(folder: Path) -> None:
    gateway = Gateway(load(folder / "integrations.yaml"))
    running = asyncio.create_task(gateway.run())
    await gateway.started()
    now = now_ns()
    await gateway.store.put(
        [Sample(tag, float(i), now - i * HOUR) for tag in ("a", "b") for i in (0, 1, 3)]
    )
    gateway.stop()
    await running


def shown(capsys, *arguments: str) -> tuple[int, list[dict], str]:
    code = main(["ledger", *arguments, "--json"])
    out, err = capsys.readouterr()
    return code, [json.loads(line) for line in out.splitlines()], err


def test_hours_are_summed_up_and_tags_shown_by_name(folder: Path, capsys) -> None:
    code, rows, err = shown(capsys)
    assert code == 0
    assert [(r["output"], r["tag"], r["expected"], r["delivered"], r["missing"]) for r in rows] == [
        ("sqlite", "2 tags", 2, 2, 0)
    ] * 3
    assert "sqlite: 0 missing, 0 samples on their way" in err
    _, rows, _ = shown(capsys, "a")
    assert [(r["tag"], r["expected"]) for r in rows] == [("a", 1)] * 3
    assert len(shown(capsys, "--output", "sqlite")[1]) == 3
    assert shown(capsys, "--missing")[1] == []


def test_an_output_or_a_range_that_is_none_is_no_good_news(folder: Path, capsys) -> None:
    code, rows, err = shown(capsys, "--output", "sqlit")
    assert (code, rows) == (78, [])
    assert "there is no output 'sqlit'" in err
    assert "did you mean 'sqlite'?" in err
    code, _, err = shown(capsys, "--from", "now", "--to", "1h")
    assert code == 78
    assert "is empty" in err


def test_hours_in_which_nothing_came_are_said(folder: Path, capsys) -> None:
    assert main(["ledger", "a"]) == 0
    assert "a: nothing in 1 hours between its first and its last" in capsys.readouterr().err


@pytest.mark.parametrize("how", ["on its way", "lost"])
def test_what_is_lost_is_1_and_what_is_on_its_way_is_not(folder: Path, capsys, how: str) -> None:
    with closing(sqlite3.connect(folder / "state" / "ledger.sqlite")) as db:
        db.execute("UPDATE entry SET delivered = 0 WHERE hour = (SELECT max(hour) FROM entry)")
        if how == "on its way":
            db.execute("UPDATE output SET delivered_to = delivered_to - 2")
        db.commit()
    code, rows, _ = shown(capsys, "--missing")
    assert (code, [row["missing"] for row in rows]) == (int(how == "lost"), [2])


def test_nothing_is_said_where_nothing_ran(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(CONFIG)
    code, rows, err = shown(capsys)
    assert (code, rows) == (0, [])
    assert "nothing was counted" in err
