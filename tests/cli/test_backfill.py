"""`gl002 backfill`: from one database into another, killed and begun again."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gl002.cli import main
from gl002.cli.progress import Progress
from gl002.context import Context
from gl002.integrations.databases import SQLiteConnector
from gl002.model import Batch, Sample, Tag
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.node_opcua import NodeOpcua

SECOND = 1_000_000_000
START = 1_759_968_000 * SECOND  # 2025-10-09T00:00Z
CONFIG = """
integrations:
  enabled: [sqlite]
  sqlite: {old: {path: old.sqlite}, new: {path: new.sqlite}}
  data_flow: {output: [{destination: sqlite.new, name: archive, batch_size: 500}]}
gateway: {state_dir: state}
tags: {a: {scale: 10}}
"""
COMMAND = ["backfill", "2025-10-09T00:00Z", "2025-10-10T00:00Z", "--source", "sqlite.old",
           "--output", "archive"]  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A day of three tags in the old history."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(CONFIG)
    with history(tmp_path, "old") as old:
        old.aio.context.tags.declare(Tag(name="a", unit="kg/s", description="Steam"))
        old.store(day())
    return tmp_path


def day() -> Batch:
    return [Sample(tag, float(i), START + i * 10 * SECOND) for tag in "abc" for i in range(8640)]


class history:  # noqa: N801 (used as a function)
    """One of the two, through the blocking face."""

    def __init__(self, folder: Path, name: str) -> None:
        self._audit = Audit(folder / "test.jsonl")
        context = Context(network=Network(), audit=self._audit, state_dir=folder / "state")
        self._face = SQLiteConnector({"path": f"{name}.sqlite"}, context=context)

    def __enter__(self) -> SQLiteConnector:
        return self._face

    def __exit__(self, *_: object) -> None:
        self._face.close()
        self._audit.close()


def arrived(folder: Path, *tags: str) -> Iterator[Sample]:
    with history(folder, "new") as new:
        for batch in new.history(tags, 0, 2**62):
            yield from batch


def test_a_day_is_copied_as_it_is_with_its_units(folder: Path, capsys) -> None:
    assert main(COMMAND) == 0
    _, err = capsys.readouterr()
    assert "25,920 samples of 3 tags delivered to archive" in err
    assert list(arrived(folder, *"abc")) == day()
    with history(folder, "new") as new:
        assert [(t.name, t.unit, t.description) for t in new.browse("a")] == [
            ("a", "kg/s", "Steam")
        ]
    assert not list((folder / "state" / "backfill").iterdir()), "a finished job leaves nothing"


def test_patterns_steps_ranges_and_json(folder: Path, capsys) -> None:
    command = ["backfill", "2025-10-09T00:00Z", "2025-10-09T01:00Z", "--range",
               "2025-10-09T22:00Z/2025-10-09T23:00Z", "--source", "sqlite.old", "--output",
               "sqlite.new", "--tag", "[ab]", "--steps", "--json", "--gap", "5s"]  # fmt: skip
    assert main(command) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["tag"], row["samples"]) for row in rows] == [("a", 720), ("b", 720)]
    assert rows[0]["list"][0] == ["2025-10-09T00:00:00Z", "2025-10-09T00:00:10Z"]
    assert [s.value for s in arrived(folder, "a")][:3] == [0.0, 10.0, 20.0]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--source", "sqlite.odl"], "did you mean 'sqlite.old'"),
        (["--source", "sqlite.new"], "is both source and output"),
        (["--output", "nowhere"], "no connection 'nowhere'"),
        (["--tag", "x*"], "has no such tag: x*"),
        (["--range", "yesterday"], "write FROM/TO"),
        (["--range", "1h/2h"], "is empty"),
        (["--source", "modbus://127.0.0.1/1"], "keeps no history"),
    ],
)
def test_what_makes_no_sense_is_said(folder: Path, capsys, changed: list[str], said: str) -> None:
    assert main([*COMMAND, *changed]) == 78
    err = capsys.readouterr().err
    assert said in err
    assert "goes on where it was" not in err, "the same command would fail the same way"


def test_the_history_of_an_input_goes_the_way_of_its_live_values(folder: Path) -> None:
    text = CONFIG.replace(
        "data_flow: {", "data_flow: {input: [{source: sqlite.old, prefix: x., tags: ['[ab]']}], "
    )
    (folder / "integrations.yaml").write_text(text.replace("tags: {a:", "tags: {x.a:"))
    assert main(COMMAND) == 0
    assert [s.value for s in arrived(folder, "x.a")][:3] == [0.0, 10.0, 20.0], "scaled"
    assert len(list(arrived(folder, "x.b"))) == 8640
    assert list(arrived(folder, "x.c", "a")) == []


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_every_sample_once(folder: Path) -> None:
    command = [sys.executable, "-m", "gl002", *COMMAND, "--step", "10m"]
    cut_short = 0
    while cut_short < 5:
        before = noted(folder)
        run = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
        while run.poll() is None and noted(folder) in {before, b""}:
            time.sleep(0.01)
        time.sleep(0.04 * cut_short)  # each time at another moment
        run.kill()  # it may have come to its end by now: then the next begins anew
        _, err = run.communicate()
        assert run.returncode in {0, -signal.SIGKILL}, err
        assert ("going on after" in err) == bool(before), "it goes on exactly where work is kept"
        cut_short += bool(noted(folder))
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert "going on after" in done.stderr
    assert "25,920 samples of 3 tags" in done.stderr
    assert list(arrived(folder, *"abc")) == day()


def noted(folder: Path) -> bytes:
    """How far the job is, as it is kept; empty where there is none."""
    found = b""
    for path in (folder / "state" / "backfill").glob("*.json"):
        with contextlib.suppress(FileNotFoundError):  # it has just come to its end
            found += path.read_bytes()
    return found


# ---- histories that not every tag has -----------------------------------------------------------


@pytest.fixture(scope="module")
def server() -> Iterator[NodeOpcua]:
    """Counts in two nodes, and records one of them."""
    with NodeOpcua(MANY=2, PERIOD=50, HISTORY="Many.T1") as peer:
        yield peer


def of_opc_ua(folder: Path, server: NodeOpcua, flow: str) -> list[str]:
    """The command, over a file with this flow."""
    mapping = "{t0: 'ns=2;s=Many.T0', t1: 'ns=2;s=Many.T1'}"
    (folder / "integrations.yaml").write_text(
        f"integrations:\n  enabled: [opc_ua, sqlite]\n"
        f"  opc_ua: {{url: '{server.url}', data_mapping: {mapping}}}\n"
        f"  sqlite: {{path: new.sqlite}}\n  data_flow: {flow}\n"
        "gateway: {state_dir: state}\n"
    )
    return ["backfill", "1h", "now", "--output", "sqlite"]


def test_a_tag_without_a_history_is_named_and_keeps_no_other_from_arriving(
    folder: Path, server: NodeOpcua, capsys
) -> None:
    command = of_opc_ua(folder, server, "{input: [{source: opc_ua}]}")
    for _ in range(2):
        assert main([*command, "--source", "opc_ua", "--json"]) == 1
        out, err = capsys.readouterr()
        told = {row["tag"]: row for row in map(json.loads, out.splitlines())}
        assert told["t1"]["samples"] > 0
        assert (told["t0"]["samples"], told["t1"]["error"]) == (0, "")
        assert "keeps no history of this node" in told["t0"]["error"]
        assert "no history of t0: " in err
    values = [s.value for s in arrived(folder, "t1")]
    assert values == [min(values) + i for i in range(len(values))], "each once, in order"
    assert main([*command, "--source", "opc_ua", "--tag", "t1"]) == 0


def test_a_node_that_no_browse_lists_is_taken_by_its_address(
    folder: Path, server: NodeOpcua, capsys
) -> None:
    command = of_opc_ua(folder, server, "{output: [{destination: sqlite}]}")
    for source in ("opc_ua", server.url):
        chosen = [*command, "--source", source, "--tag", "ns=2;s=Many.T1"]
        assert main(chosen) == 0
        assert "samples of 1 tags delivered" in capsys.readouterr().err
    assert len(list(arrived(folder, "ns=2;s=Many.T1"))) > 0
    assert main([*command, "--source", "opc_ua", "--tag", "ns=2;s=Many.T9"]) == 78
    assert "has no such tag: ns=2;s=Many.T9" in capsys.readouterr().err


# ---- what a person gets wrong first -------------------------------------------------------------


def test_a_tag_that_is_not_there_is_named_though_others_are(folder: Path, capsys) -> None:
    chosen = [*COMMAND, "--tag", "a", "--tag", "typo", "--tag", "z*"]
    assert main([*chosen, "--json"]) == 1
    out, err = capsys.readouterr()
    told = {row["tag"]: row for row in map(json.loads, out.splitlines())}
    assert told["a"]["samples"] == 8640
    assert told["typo"]["error"] == told["z*"]["error"] == "there is no such tag"
    assert "no history of typo: there is no such tag" in err


def test_stopped_by_hand_it_says_that_it_goes_on(
    folder: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Progress, "show", stopped)
        assert main(COMMAND) == 130
    assert "the same command goes on where it was" in capsys.readouterr().err
    assert main(COMMAND) == 0


def test_what_goes_on_says_of_which_time_it_is(
    folder: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """'30 days' of a run that broke off last week are those of last week."""

    def stopped(_: object, done: int, __: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    command = [*COMMAND, "--step", "6h"]
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(Progress, "show", stopped)
        assert main(command) == 130
    capsys.readouterr()
    assert main(command) == 0
    said = "going on after 2 of 4 windows from 2025-10-09T00:00:00Z to 2025-10-10T00:00:00Z"
    assert said in capsys.readouterr().err
