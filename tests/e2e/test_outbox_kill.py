"""`kill -9` of the gateway at every place between a value and its document: each made once."""

from __future__ import annotations

import itertools
import os
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from gl002.docket import Docket
from gl002.flow.outbox import ENDS
from gl002.security.audit import read, verify
from peers.mosquitto import Mosquitto, Watcher, wait_for
from peers.order_desk import OrderDesk

TESTS = Path(__file__).parents[1]
MINUTE = 60_000_000_000
KILLS = 40
PLACES = ("received", "stored", "answered", "by the clock")
_PROGRAM = (
    "from peers import order_desk_connector; order_desk_connector.register()\n"
    "import sys; from gl002.cli import main; sys.exit(main(sys.argv[1:]))"
)


def _config(broker: Mosquitto, desk: OrderDesk) -> str:
    return yaml.safe_dump(
        {
            "integrations": {
                "enabled": ["mqtt", "order_desk", "sqlite"],
                "mqtt": {"broker": "127.0.0.1", "port": broker.port, "client_id": "outbox"},
                "order_desk": {"url": f"http://127.0.0.1:{desk.port}", "timeout": 1},
                "data_flow": {
                    "input": [{"source": "mqtt", "topics": ["plant/b1"], "time_key": "time",
                               "time_unit": "ns"}],
                    "output": [{"destination": "sqlite"}],
                },
            },
            "actions": [
                {
                    "destination": "order_desk",
                    "action": "create_reading",
                    "on": {"tag": "efficiency", "every": 60},
                    "approval": False,
                    "fields": {"point": "EFF_1", "value": "{value}", "time": "{time}"},
                    "retry_policy": {"max_attempts": None, "first": 0.1, "most": 0.5},
                }
            ],
            "gateway": {"name": "kill", "state_dir": "state"},
            "web": {"enabled": False},
        }
    )  # fmt: skip


class _Gateway:
    """A process of its own, killed at random moments and in the middle of its requests."""

    def __init__(self, folder: Path, desk: OrderDesk) -> None:
        self.folder = folder
        self.killed: Counter[str] = Counter()
        self.chance = random.Random(5)
        self.armed = False
        self._process: subprocess.Popen[bytes] | None = None
        desk.at = self._at

    def _at(self, place: str, _: str) -> bool | None:
        """The desk is in the middle of making something."""
        if self.armed and self.chance.random() < 0.2:
            self.armed = False
            self.killed[place] += 1
            self._kill()
            return place == "answered" or None
        return None

    def _kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)

    def start(self) -> None:
        path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
        with (self.folder / "gateway.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, "run", "integrations.yaml", "-v"],
                cwd=self.folder, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": path},
            )  # fmt: skip

    def killed_within(self, seconds: float) -> None:
        """Let it be killed at the desk, and where that does not come to pass, by the clock."""
        self.armed = self.chance.random() < 0.7
        try:
            assert self._process is not None
            self._process.wait(self.chance.uniform(0.5, seconds))
        except subprocess.TimeoutExpired:
            self.armed = False
            self.killed["by the clock"] += 1
            self._kill()

    def stop(self) -> int:
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(90)


class _Feeder:
    """Publishes a value of a new minute, again and again."""

    def __init__(self, port: int) -> None:
        self.published = 0
        self._begin = (time.time_ns() - 24 * 3600 * 10**9) // MINUTE
        self._port = port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        self._thread.start()

    def _feed(self) -> None:
        with Watcher(self._port) as publisher:
            while not self._stop.is_set():
                moment = (self._begin + self.published) * MINUTE
                publisher.publish(
                    "plant/b1", f'{{"efficiency": {self.published}.0, "time": {moment}}}'
                )
                self.published += 1
                self._stop.wait(0.3)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(60)

    def moments(self) -> list[str]:
        return [
            datetime.fromtimestamp((self._begin + n) * 60, UTC).isoformat()
            for n in range(self.published)
        ]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_forty_kills_lose_no_document_and_make_none_twice(tmp_path):
    with Mosquitto() as broker, OrderDesk() as desk:
        (tmp_path / "integrations.yaml").write_text(_config(broker, desk))
        gateway = _Gateway(tmp_path, desk)
        began = time.monotonic()
        gateway.start()
        # The gateway has its session: the broker keeps what it misses.
        wait_for(lambda: broker.takes("outbox", "plant/b1"), 60)
        beginning = time.monotonic() - began
        feeder = _Feeder(broker.port)
        for kill in itertools.count(1):
            gateway.killed_within(4.0 + 2 * beginning)
            gateway.start()
            if kill >= KILLS and all(gateway.killed[place] for place in PLACES):
                break
        feeder.stop()
        wait_for(lambda: len(desk.documents) >= feeder.published, timeout=200)
        time.sleep(2)  # so that one that is made twice has the time to be
        assert gateway.stop() == 0, (tmp_path / "gateway.log").read_text()[-3000:]
        documents, moments = list(desk.documents), feeder.moments()

    made = Counter(document["time"] for document in documents)
    assert [m for m in moments if made[m] != 1] == [], "lost or doubled"
    assert len(documents) == len(moments) > KILLS
    entries = Docket(tmp_path / "state" / "outbox.sqlite", ends=ENDS).list(limit=10_000)
    assert {entry.state for entry in entries} == {"done"}
    assert {e.key: e.number for e in entries} == {d["reference"]: d["number"] for d in documents}
    _each_is_on_the_audit_file(tmp_path / "state" / "audit.jsonl", documents)


def _each_is_on_the_audit_file(path: Path, documents) -> None:
    lines: dict[str, set[str]] = {}
    for entry in read(path):
        if entry["action"].startswith("action."):
            lines.setdefault(entry["key"], set()).add(entry["action"])
    for document in documents:
        assert lines[document["reference"]] >= {"action.queued", "action.send", "action.done"}
    torn = [broken for broken in verify(path) if "torn" not in broken.reason]
    assert torn == [], "but for lines that a kill has torn"
