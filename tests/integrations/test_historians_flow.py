"""Historians in a gateway: as input, output and past, by the commands that people use."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gl002.cli import main
from gl002.context import Context
from gl002.integrations.databases import SQLiteConnector
from gl002.model import Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.ignition_history import FLOAT, INT, IgnitionHistory
from peers.wonderware import PASSWORD, USER, Wonderware

MS = 1_000_000
DAY = 1_759_968_000_000  # 2025-10-09T00:00Z in ms
BACKFILL = ["backfill", "2025-10-09T00:00Z", "2025-10-10T00:00Z", "--output", "archive"]
RUN = """
integrations:
  enabled: [wonderware]
  wonderware: {{server: "{server}", username: {user}, password: {password}, timeout: 5}}
  data_flow:
    input:
      - {{source: wonderware, tags: [COUNTER], interval: 0.05, lookback: 5}}
    output:
      - {{destination: wonderware, tag_prefix: OUT., create_tags: true, interval: 0.05}}
web: {{enabled: false}}
"""


@pytest.fixture
def historian() -> Iterator[Wonderware]:
    with Wonderware() as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _configured(folder: Path, kind: str, block: str) -> None:
    (folder / "integrations.yaml").write_text(
        f"integrations:\n  enabled: [{kind}, sqlite]\n  {kind}: {block}\n"
        "  sqlite: {path: archive.sqlite}\n"
        "  data_flow: {output: [{destination: sqlite, name: archive}]}\n"
        "gateway: {state_dir: state}\n"
    )


def _archived(folder: Path, tag: str) -> list[Sample]:
    audit = Audit(folder / "test.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=folder / "state")
    face = SQLiteConnector({"path": "archive.sqlite"}, context=context)
    try:
        return [s for batch in face.history([tag], 0, 2**62) for s in batch]
    finally:
        face.close()
        audit.close()


def test_a_day_of_a_historian_is_taken_over(
    folder: Path, historian: Wonderware, capsys: pytest.CaptureFixture[str]
) -> None:
    historian.create("Boiler1.Flow", acquisition=1, unit="lb/hr")
    historian.put("Boiler1.Flow", *[((DAY + n * 10_000) * 1000, float(n)) for n in range(8640)])
    historian.put("Boiler1.Flow", ((DAY - 1000) * 1000, -1.0), ((DAY + 86_400_000) * 1000, -2.0))
    block = f"{{server: '{historian.config['server']}', username: {USER}, password: {PASSWORD}}}"
    _configured(folder, "wonderware", block)
    assert main(["check", "integrations.yaml", "--online"]) == 0
    assert main(["browse", "wonderware", "-c", "integrations.yaml"]) == 0
    assert "Boiler1.Flow" in capsys.readouterr().out
    assert main([*BACKFILL, "--source", "wonderware"]) == 0
    archived = _archived(folder, "Boiler1.Flow")
    assert archived == [
        Sample("Boiler1.Flow", float(n), (DAY + n * 10_000) * MS) for n in range(8640)
    ]


def test_a_day_of_ignition_is_taken_over_whatever_became_of_the_tag(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with IgnitionHistory() as past:
        driver = past.driver()
        group = past.group(driver)
        past.partition("sqlt_data_1_2025_10", driver, DAY - 8 * 86_400_000, DAY + 23 * 86_400_000)
        noon = DAY + 43_200_000
        first = past.tag("boiler1/flow", group, INT, created=DAY, retired=noon)
        second = past.tag("boiler1/flow", group, FLOAT, created=noon)
        past.put("sqlt_data_1_2025_10", first, INT, (DAY, 1), (noon - 1, 2))
        past.put("sqlt_data_1_2025_10", second, FLOAT, (noon, 2.5), (DAY + 86_400_000, 9.0))
        _configured(folder, "ignition", f"{{database: {{url: '{past.url}'}}}}")
        assert main(["check", "integrations.yaml", "--online"]) == 0
        assert main(["browse", "ignition", "-c", "integrations.yaml"]) == 0
        assert "boiler1/flow" in capsys.readouterr().out
        assert main([*BACKFILL, "--source", "ignition"]) == 0
    archived = [(s.time // MS, s.value) for s in _archived(folder, "boiler1/flow")]
    assert archived == [(DAY, 1), (noon - 1, 2), (noon, 2.5)]


def _started(file: Path, state: Path) -> subprocess.Popen[bytes]:
    with (state.parent / "gateway.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gl002", "run", str(file)], stdout=log, stderr=log,
            env={**os.environ, "GL002_STATE_DIR": str(state)}, start_new_session=True,
        )  # fmt: skip


def _arrived(historian: Wonderware) -> list[float | None]:
    return [number for tag, _, number, *_ in historian.rows() if tag == "OUT.COUNTER"]


def _until(historian: Wonderware, value: float, log: Path, *, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while value not in _arrived(historian):
        assert time.monotonic() < deadline, f"no {value}: {log.read_text()[-2000:]}"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)  # five lives of a gateway
def test_a_gateway_killed_again_and_again_loses_and_doubles_nothing(
    tmp_path: Path, historian: Wonderware
) -> None:
    state, file, log = tmp_path / "state", tmp_path / "integrations.yaml", tmp_path / "gateway.log"
    state.mkdir()
    file.write_text(RUN.format(server=historian.config["server"], user=USER, password=PASSWORD))
    historian.create("COUNTER", acquisition=1)
    historian.set("COUNTER", 0.0)
    count = 0
    for life in range(4):
        gateway = _started(file, state)
        try:
            _until(historian, float(count), log)  # it has caught up
            for _ in range(30 + 17 * life):
                count += 1
                historian.set("COUNTER", float(count))
                time.sleep(0.005)
        finally:
            os.killpg(gateway.pid, signal.SIGKILL)
            gateway.wait(10)
        for _ in range(10):  # while nobody looks
            count += 1
            historian.set("COUNTER", float(count))
    gateway = _started(file, state)
    try:
        _until(historian, float(count), log)
    finally:
        gateway.send_signal(signal.SIGTERM)
        gateway.wait(20)
    assert _arrived(historian) == [float(n) for n in range(count + 1)], "all, once, in order"
