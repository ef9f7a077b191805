"""A whole house for end-to-end tests: every peer real, the gateway a process of its own.

Each tag counts upwards, so the sink proves by itself what was lost, doubled or out of order.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

import yaml

from peers.libmodbus import LibModbus
from peers.mosquitto import Mosquitto, Watcher
from peers.node_opcua import NodeOpcua
from peers.postgresql import PostgreSQL

OPC_UA_TAGS, MODBUS_TAGS, MQTT_TAGS = 20, 20, 5

_ARRIVALS = """
CREATE TABLE samples (time timestamptz NOT NULL, tag text NOT NULL, value double precision,
                      text text, quality bigint NOT NULL, PRIMARY KEY (tag, time));
CREATE TABLE arrival (no bigserial, tag text, value double precision);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  'BEGIN INSERT INTO arrival (tag, value) VALUES (NEW.tag, NEW.value); RETURN NULL; END';
CREATE TRIGGER note AFTER INSERT ON samples FOR EACH ROW EXECUTE FUNCTION note();
"""


class House:
    """OPC UA, Modbus and MQTT in, PostgreSQL out.

    Attributes:
        published: highest number confirmed by the broker for the MQTT tags.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.database = PostgreSQL()
        self.broker = Mosquitto()
        self.opc_ua = NodeOpcua(MANY=OPC_UA_TAGS, PERIOD=50)
        self.modbus = LibModbus()
        self.published = 0
        self._counting = threading.Event()
        self._feeders: list[threading.Thread] = []
        self._gateway: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._stack = contextlib.ExitStack()
        for peer in (self.database, self.broker, self.opc_ua, self.modbus):
            self._stack.enter_context(peer)
        self.database.execute(_ARRIVALS)
        (self.folder / "integrations.yaml").write_text(yaml.safe_dump(self.config()))
        return self

    def __exit__(self, *_: object) -> None:
        self.stop_counting()
        self.kill()
        self._stack.close()

    def config(self) -> dict[str, object]:
        registers = [
            {"name": f"m{i}", "address": 40001 + 2 * i, "format": "uint32"}
            for i in range(MODBUS_TAGS)
        ]
        nodes = {f"o{i}": {"node_id": f"ns=2;s=Many.T{i}"} for i in range(OPC_UA_TAGS)}
        return {
            "integrations": {
                "enabled": ["opc_ua", "modbus", "mqtt", "postgresql"],
                "opc_ua": {
                    "url": self.opc_ua.url, "security": "None", "data_mapping": nodes,
                    "subscription": {"publishing_interval": 50},
                },
                "modbus": {
                    "connection": {"host": "127.0.0.1", "port": self.modbus.port},
                    "devices": [
                        {"slave_id": 1, "name": "d1", "polling_interval": 50,
                         "registers": registers},
                    ],
                },
                "mqtt": {"broker": "127.0.0.1", "port": self.broker.port, "client_id": "kill"},
                "postgresql": self.database.config,
                "data_flow": {
                    "input": [
                        {"source": "opc_ua"},
                        {"source": "modbus"},
                        {"source": "mqtt", "topics": ["plant/+"], "format": "raw"},
                    ],
                    "output": [
                        {"destination": "postgresql", "table": "samples", "interval": 0.1}
                    ],
                },
            },
            "gateway": {"state_dir": "state", "drain": 60},
            "web": {"enabled": False},
        }  # fmt: skip

    # ---- what counts ------------------------------------------------------------------------

    def count(self) -> None:
        """Let every tag count until `stop_counting`; OPC UA counts by itself."""
        self._counting.set()
        for work in (self._count_registers, self._publish_numbers):
            self._feeders.append(threading.Thread(target=work, daemon=True))
            self._feeders[-1].start()

    def stop_counting(self) -> None:
        self._counting.clear()
        for feeder in self._feeders:
            feeder.join(120)
            assert not feeder.is_alive(), "it still counts"
        self._feeders.clear()

    def _count_registers(self) -> None:
        for number in itertools.count(1):
            words = divmod(number, 0x1_0000) * MODBUS_TAGS
            self.modbus.set(1, "holding", 0, *words)
            if not self._counting.is_set():
                return
            time.sleep(0.02)

    def _publish_numbers(self) -> None:
        with Watcher(self.broker.port) as publisher:
            while self._counting.is_set():
                self.published += 1
                for k in range(MQTT_TAGS):
                    publisher.publish(f"plant/q{k}", json.dumps(self.published))

    # ---- the gateway ------------------------------------------------------------------------

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text(errors="replace")

    def start(self) -> None:
        with (self.folder / "gateway.log").open("ab") as log:
            self._gateway = subprocess.Popen(
                [sys.executable, "-m", "gl002", "run", "integrations.yaml", "-v"],
                cwd=self.folder, stdout=log, stderr=log, env={**os.environ}, start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """Without a goodbye."""
        gateway, self._gateway = self._gateway, None
        if gateway is not None:
            gateway.kill()
            gateway.wait(60)  # a disk that stalls keeps a killed process for as long

    def stop(self) -> int:
        """In good order; the exit code."""
        assert self._gateway is not None
        self._gateway.send_signal(signal.SIGTERM)
        code = self._gateway.wait(90)
        self._gateway = None
        return code

    @property
    def running(self) -> bool:
        return self._gateway is not None and self._gateway.poll() is None

    def subscribed(self) -> bool:
        """Whether the broker keeps for the gateway what is published from now on."""
        return "Sending SUBACK to kill" in self.broker.output

    def caught_up(self) -> bool:
        """Whether the last number of every MQTT tag has arrived."""
        rows = self.rows()
        tags = [rows.get(f"q{k}") for k in range(MQTT_TAGS)]
        return all(numbers and numbers[-1][1] == self.published for numbers in tags)

    def rows(self) -> dict[str, list[tuple[int, float]]]:
        """Tag -> (microsecond, number) in order of time; without the records of outages."""
        found: dict[str, list[tuple[int, float]]] = {}
        for tag, time_, value in self.database.execute(
            "SELECT tag, extract(epoch FROM time) * 1000000, value FROM samples "
            "WHERE value IS NOT NULL ORDER BY tag, time"
        ):
            found.setdefault(tag, []).append((int(time_), value))
        return found
