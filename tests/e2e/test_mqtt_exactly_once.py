"""`kill -9` of a gateway with an input of QoS 2: each message is stored once, though all alike."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
import yaml

from gl002.flow.log import Log
from gl002.model import Sample
from peers.mosquitto import Mosquitto, Watcher, wait_for

CYCLES, BURST = 12, 60


def configured(folder: Path, port: int) -> None:
    config = {
        "integrations": {
            "enabled": ["mqtt", "sqlite"],
            "mqtt": {"broker": "127.0.0.1", "port": port, "client_id": "once"},
            "sqlite": {"path": "history.sqlite"},
            "data_flow": {
                "input": [{"source": "mqtt", "topics": ["pulse/+"], "format": "raw", "qos": 2}],
                "output": [{"destination": "sqlite", "interval": 0.1}],
            },
        },
        "gateway": {"state_dir": "state", "drain": 1},
        "web": {"enabled": False},
    }
    (folder / "integrations.yaml").write_text(yaml.safe_dump(config))


def started(folder: Path) -> subprocess.Popen[bytes]:
    with (folder / "gateway.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "gl002", "run", "integrations.yaml"],
            cwd=folder, stdout=log, stderr=log, env={**os.environ}, start_new_session=True,
        )  # fmt: skip


def accepted(store: Path) -> list[object]:
    """The values on disk in the store of a gateway that does not run."""
    log = Log(store, segment_bytes=1 << 24)
    log.open()
    try:
        records = log.read(0, 1 << 30)
    finally:
        log.close()
    decode = msgspec.msgpack.Decoder(list[Sample]).decode
    return [s.value for r in records for s in decode(r.data) if s.value is not None]


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_gateway_killed_at_any_moment_stores_each_pulse_once(tmp_path) -> None:
    chance = random.Random(11)
    with Mosquitto(options=["max_inflight_messages 0"]) as broker:
        configured(tmp_path, broker.port)
        gateway = started(tmp_path)
        try:
            began = time.monotonic()
            wait_for(lambda: broker.takes("once", "pulse/+"), 60)
            beginning, bursts = time.monotonic() - began, 0
            with Watcher(broker.port) as sender:
                # As often as is meant, and until a kill has met a message on its way.
                while bursts < CYCLES or "(d1, q2" not in broker.output:
                    bursts += 1
                    for _ in range(BURST):
                        sender.publish("pulse/1", "1", qos=2)
                        time.sleep(chance.uniform(0, 0.01))
                    gateway.kill()
                    gateway.wait(60)
                    gateway = started(tmp_path)
                    time.sleep(chance.uniform(0.5, 1.5 + beginning))
                known = broker.output.count("Received PUBCOMP from once")
                sender.publish("pulse/1", "2", qos=2)
                wait_for(lambda: broker.output.count("Received PUBCOMP from once") > known, 60)
                wait_for(lambda: nothing_is_open(broker, bursts * BURST + 1), 60)
        finally:
            gateway.kill()
            gateway.wait(60)
    assert accepted(tmp_path / "state" / "store") == [1] * (bursts * BURST) + [2]


def nothing_is_open(broker: Mosquitto, messages: int) -> bool:
    """Whether each message that the broker has sent was released and answered."""
    ended = {line.split("Mid: ")[1].split(",")[0].rstrip(")") for line in lines(broker, "PUBCOMP")}
    return len(ended) >= messages


def lines(broker: Mosquitto, packet: str) -> list[str]:
    return [x for x in broker.output.splitlines() if f"Received {packet} from once" in x]
