"""The demo as a newcomer runs it, and the commands that look at a running gateway."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from peers.process import free_port

GL002 = [sys.executable, "-m", "gl002"]


@pytest.fixture
def demo(tmp_path):
    """A running demo: its state folder, as a process."""
    state = tmp_path / "state"
    (tmp_path / "integrations.yaml").write_text(
        f"integrations: {{enabled: [sqlite]}}\ngateway: {{state_dir: {state}}}\n"
    )
    process = subprocess.Popen(
        [*GL002, "demo", "--port", str(free_port()), "--state-dir", str(state)],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    process.folder = tmp_path
    deadline = time.monotonic() + 90
    try:
        while not _values(process, "boiler1.efficiency_hhv"):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline, "no efficiency"
            time.sleep(0.2)
        yield process
    finally:
        process.kill()
        process.communicate(timeout=60)


def _values(process, tag: str) -> list[float]:
    history = process.folder / "state" / "history.sqlite"
    if not history.exists():
        return []
    db = sqlite3.connect(f"file:{history}?mode=ro", uri=True)
    try:
        rows = db.execute(
            "SELECT value FROM history WHERE tag = ? ORDER BY time", (tag,)
        ).fetchall()
    except sqlite3.OperationalError:
        rows = []
    finally:
        db.close()
    return [value for (value,) in rows if value is not None]


def _asked(process, *arguments: str) -> str:
    done = subprocess.run(
        [*GL002, *arguments],
        cwd=process.folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_demo_computes_stores_shows_and_ends_in_good_order(demo):
    status = json.loads(_asked(demo, "top", "--once", "--json"))
    assert {i["name"]: i["state"] for i in status["inputs"]} == dict.fromkeys(
        ["opc_ua", "modbus", "calculated", "boiler.boiler1"], "up"
    )
    assert status["outputs"][0]["name"] == "sqlite"
    assert "boiler.boiler1" in _asked(demo, "top", "--once")
    wanted, shown = {"boiler1.efficiency_hhv", "boiler1.efficiency_lhv"}, []
    deadline = time.monotonic() + 60
    while not {s["tag"] for s in shown} >= wanted:  # a busy machine may show none within seconds
        assert time.monotonic() < deadline, shown
        tapped = _asked(demo, "tap", "boiler1.efficiency_*", "--for", "3", "--json")
        shown += [json.loads(line) for line in tapped.splitlines()]
    assert all(75 < s["value"] < 100 for s in shown if s["tag"].endswith("hv"))
    explained = json.loads(_asked(demo, "explain", "boiler1.efficiency_hhv", "--json"))
    assert explained["now"]["source"] == "boiler"
    assert 75 < explained["now"]["value"] < 100
    demo.send_signal(signal.SIGINT)
    out, err = demo.communicate(timeout=60)
    assert demo.returncode == 0, err
    assert "boiler1.efficiency_hhv" in out
    assert "Traceback" not in err
    assert _asked(demo, "audit", "verify") == ""
    assert len(_values(demo, "boiler1.steam_flow")) > 2


def test_a_second_gateway_on_the_same_state_is_75(demo):
    second = subprocess.run(
        [*GL002, "demo", "--for", "5s", "--port", str(free_port()), "--state-dir",
         str(demo.folder / "state")],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert second.returncode == 75
    assert "another gateway" in second.stderr


def test_what_a_running_gateway_refuses_is_told_in_its_words(demo):
    done = subprocess.run(
        [*GL002, "tap", "--stage", "nonsense"],
        cwd=demo.folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 78
    assert done.stderr.splitlines() == [
        "there is no stage 'nonsense'",
        "  hint: stages: latest, source, store, output:sqlite",
    ]
    elsewhere = demo.folder / "elsewhere"
    elsewhere.mkdir()
    access = json.loads((demo.folder / "state" / "api.json").read_text())
    (elsewhere / "api.json").write_text(json.dumps({**access, "token": "x" * 43}))
    (elsewhere / "api.json").chmod(0o600)
    done = subprocess.run(
        [*GL002, "top", "--once"],
        cwd=elsewhere, capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "GL002_STATE_DIR": str(elsewhere)},
    )  # fmt: skip
    assert done.returncode == 77
    assert "refuses our token" in done.stderr


def test_for_scripts_it_ends_by_itself_and_prints_what_arrived(tmp_path):
    done = subprocess.run(
        [*GL002, "demo", "--for", "15s", "--port", str(free_port()), "--state-dir", str(tmp_path)],
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "boiler1.efficiency_note" in done.stdout
    assert "dashboard: http://127.0.0.1:" in done.stderr


def test_in_a_terminal_it_shows_a_live_table_and_ctrl_c_ends_it(tmp_path):
    ours, theirs = pty.openpty()
    demo = subprocess.Popen(
        [*GL002, "demo", "--port", str(free_port()), "--state-dir", str(tmp_path)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "130", "LINES": "50"},
    )  # fmt: skip
    os.close(theirs)
    shown, deadline = b"", time.monotonic() + 60
    wanted = (b"dashboard: http://127.0.0.1:", b"INPUT", b"STORE", b"boiler1.efficiency_hhv")
    try:
        while not all(word in shown for word in wanted):
            assert time.monotonic() < deadline, shown[-2000:]
            shown += os.read(ours, 65536)
        demo.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the other end is closed
            while data := os.read(ours, 65536):
                shown += data
        assert demo.wait(60) == 0, shown[-2000:]
    finally:
        demo.kill()
        demo.wait(60)
        os.close(ours)
    assert b"last values" in shown
    assert b"Traceback" not in shown
