"""A configuration changed under a running gateway: what it does not touch misses nothing."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from gl002.context import Context
from gl002.integrations.databases import SQLiteConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.libmodbus import LibModbus
from peers.node_opcua import NodeOpcua
from peers.process import free_port


class House:
    """A gateway over OPC UA and two Modbus devices into the embedded history."""

    def __init__(self, folder: Path, opc_ua: NodeOpcua, modbus: LibModbus) -> None:
        self.folder = folder
        self.file = folder / "integrations.yaml"
        self.environment = {**os.environ, "GL002_STATE_DIR": str(folder / "state")}
        link = {"connection": {"host": "127.0.0.1", "port": modbus.port}}
        self.config = {
            "integrations": {
                "enabled": ["opc_ua", "modbus", "sqlite"],
                "opc_ua": {
                    "url": opc_ua.url, "security": "None",
                    "subscription": {
                        "publishing_interval": 50, "queue_size": 1000, "sampling_interval": 0,
                        "keepalive_count": 200,
                    },
                    "data_mapping": {"counter": {"node_id": "ns=2;s=Many.T0"}},
                },
                "modbus": {**link, "devices": [
                    {"name": "m", "slave_id": 1, "polling_interval": 50,
                     "registers": [{"name": "a", "address": 0}]},
                ]},
                "sqlite": {"path": str(folder / "history.sqlite")},
                "data_flow": {
                    "input": [{"source": "opc_ua"}, {"source": "modbus"}],
                    "output": [{"destination": "sqlite", "interval": 0.1}],
                },
            },
            "tags": {"m.a": {"scale": 2}},
            "calculated": {"twice": {"expression": "2 * m.a", "interval": 0.1}},
            "web": {"port": free_port()},
        }  # fmt: skip
        self.write()
        self.log = (folder / "log.txt").open("w")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "gl002", "run", str(self.file)], env=self.environment,
            stderr=self.log, start_new_session=True,
        )  # fmt: skip

    def write(self) -> None:
        self.file.write_text(yaml.safe_dump(self.config))

    def reload(self, *options: str) -> subprocess.CompletedProcess[str]:
        self.write()
        return subprocess.run(
            [sys.executable, "-m", "gl002", "reload", str(self.file), *options],
            env=self.environment, check=False, capture_output=True, text=True, timeout=90,
        )  # fmt: skip

    def samples(self, tag: str) -> list[tuple[int, float]]:
        """(time, value) of good samples, oldest first, read as any other program would."""
        if not (self.folder / "history.sqlite").exists():
            return []
        audit = Audit(self.folder / "reader.jsonl")
        context = Context(network=Network(), audit=audit, state_dir=self.folder)
        with SQLiteConnector(
            {"path": str(self.folder / "history.sqlite")}, context=context
        ) as history:
            found = [s for batch in history.history([tag], 0, 2**62) for s in batch]
        audit.close()
        return [(s.time, float(s.value)) for s in found if s.value is not None]

    def until(self, fine: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + 90
        while not fine():
            assert time.monotonic() < deadline, f"{what}: {(self.folder / 'log.txt').read_text()}"
            assert self.process.poll() is None, (self.folder / "log.txt").read_text()
            time.sleep(0.2)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with NodeOpcua(MANY=1, PERIOD=60) as opc_ua, LibModbus() as modbus:
        modbus.set(1, "holding", 0, 7, 11)
        made = House(tmp_path, opc_ua, modbus)
        try:
            made.until(lambda: len(made.samples("twice")) > 0, "the first values")
            yield made
        finally:
            made.process.send_signal(signal.SIGTERM)
            made.process.wait(90)
            made.log.close()


def test_a_changed_register_begins_its_own_input_anew_and_no_other(house: House) -> None:
    devices = house.config["integrations"]["modbus"]["devices"]
    devices[0]["registers"].append({"name": "b", "address": 1})
    done = house.reload("--json")
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout)
    assert (loaded["begun"], loaded["ended"], loaded["kept"]) == (1, 1, 2)
    house.until(lambda: [v for _, v in house.samples("m.b")][-1:] == [11.0], "the new register")
    assert {v for _, v in house.samples("m.a")} == {14.0}
    counted = [v for _, v in house.samples("counter")]
    steps = {b - a for a, b in itertools.pairwise(counted)}
    assert steps == {1.0}, "the other source has missed nothing and repeated nothing"


def test_a_scale_a_calculation_and_an_input_that_goes_are_taken_up(house: House) -> None:
    house.config["tags"]["m.a"]["scale"] = 3
    house.config["calculated"]["thrice"] = {"expression": "3 * m.a", "interval": 0.1}
    del house.config["calculated"]["twice"]
    assert house.reload().returncode == 0
    house.until(lambda: [v for _, v in house.samples("thrice")][-1:] == [63.0], "the calculation")
    ended = len(house.samples("twice"))
    del house.config["integrations"]["data_flow"]["input"][0]
    done = house.reload()
    assert "0 inputs begun, 1 ended, 2 go on" in done.stderr
    now = time.time_ns()  # what was accepted before has a place before this in the store
    house.until(lambda: house.samples("thrice")[-1][0] > now, "all is delivered")
    counted = len(house.samples("counter"))
    time.sleep(1)
    assert (len(house.samples("counter")), len(house.samples("twice"))) == (counted, ended)


def test_what_needs_a_restart_or_makes_no_sense_is_said_and_all_goes_on(house: House) -> None:
    house.config["integrations"]["data_flow"]["output"][0]["interval"] = 5
    house.config["store"] = {"max_bytes": 8 * 2**20}
    done = house.reload()
    assert done.returncode == 78
    assert "'store', 'integrations.data_flow.output'" in done.stderr
    assert "start it again" in done.stderr
    house.config["store"] = {}
    house.config["integrations"]["data_flow"]["output"][0]["interval"] = 0.1
    house.config["tags"]["m.a"] = {"unit": "furlong"}
    assert "unknown unit" in house.reload().stderr
    house.write()
    house.process.send_signal(signal.SIGHUP)  # as systemd does, without a check before
    house.until(lambda: "not taken up" in (house.folder / "log.txt").read_text(), "the refusal")
    before = len(house.samples("counter"))
    house.until(lambda: len(house.samples("counter")) > before, "values go on")
    shown = subprocess.run(
        [sys.executable, "-m", "gl002", "top", "--once", "--json", "-c", str(house.file)],
        env=house.environment, check=False, capture_output=True, text=True, timeout=90,
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr
    assert "unknown unit" in json.loads(shown.stdout)["loaded"]["error"]
    assert "is wrong as it is now: gl002 check" in shown.stderr


def test_the_change_stands_in_the_audit_file(house: House) -> None:
    house.config["tags"]["m.a"]["scale"] = 4
    assert house.reload().returncode == 0
    lines = (house.folder / "state" / "audit.jsonl").read_text().splitlines()
    actions = [json.loads(line)["action"] for line in lines]
    assert actions.count("config.load") == 1
    assert actions.count("config.reload") == 1


def test_without_a_gateway_that_runs_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "integrations.yaml"
    file.write_text("integrations: {enabled: [sqlite]}\n")
    done = subprocess.run(
        [sys.executable, "-m", "gl002", "reload", str(file)], check=False, capture_output=True,
        text=True, timeout=60, env={**os.environ, "GL002_STATE_DIR": str(tmp_path / "state")},
    )  # fmt: skip
    assert done.returncode == 69
    assert "no gateway" in done.stderr
