"""PI as input and output of a gateway that is killed: every value once, in its order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from peers.pi_web_api import PASSWORD, USER, PiWebApi

CONFIG = """
integrations:
  enabled: [pi_system]
  pi_system:
    server: {url}
    username: {user}
    password: {password}
    timeout: 5
  data_flow:
    input:
      - {{source: pi_system, tags: [COUNTER, QUIET], interval: 0.05}}
    output:
      - {{destination: pi_system, point_prefix: OUT., create_points: true, interval: 0.05}}
web: {{enabled: false}}
"""


def _started(file: Path, state: Path) -> subprocess.Popen[bytes]:
    with (state.parent / "gateway.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gl002", "run", str(file)], stdout=log, stderr=log,
            env={**os.environ, "GL002_STATE_DIR": str(state)}, start_new_session=True,
        )  # fmt: skip


def _arrived(server: PiWebApi, name: str) -> list[float]:
    return [
        json.loads(value)
        for point, _, value, *_ in server.rows()
        if point == name and "IsSystem" not in value
    ]


def _until(server: PiWebApi, name: str, value: float, *, within: float = 60) -> None:
    deadline = time.monotonic() + within
    while value not in _arrived(server, name):
        assert time.monotonic() < deadline, f"{value} is not in {name} after {within:g} s"
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.timeout(600)  # six lives of a gateway
def test_a_gateway_killed_again_and_again_loses_and_doubles_nothing(tmp_path: Path) -> None:
    state, file = tmp_path / "state", tmp_path / "integrations.yaml"
    state.mkdir()
    with PiWebApi() as server:
        for name, value in (("COUNTER", 0.0), ("QUIET", 7.0)):
            server.create(name)
            server.set(name, value)
        file.write_text(CONFIG.format(url=server.url, user=USER, password=PASSWORD))
        count = 0
        for life in range(5):
            gateway = _started(file, state)
            try:
                _until(server, "OUT.COUNTER", float(count))  # it has caught up
                for _ in range(40 + 17 * life):
                    count += 1
                    server.set("COUNTER", float(count))
                    time.sleep(0.005)
            finally:
                os.killpg(gateway.pid, signal.SIGKILL)
                gateway.wait(10)
            for _ in range(10):  # while nobody looks
                count += 1
                server.set("COUNTER", float(count))
        gateway = _started(file, state)
        try:
            _until(server, "OUT.COUNTER", float(count))
        finally:
            gateway.send_signal(signal.SIGTERM)
            gateway.wait(20)
        assert _arrived(server, "OUT.COUNTER") == [float(n) for n in range(count + 1)]
        assert set(_arrived(server, "OUT.QUIET")) == {7.0}
