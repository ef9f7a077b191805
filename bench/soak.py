"""Hours of an ordinary plant with trouble in it: does the gateway grow?

The simulated boiler over OPC UA and Modbus TCP, 1,000 MQTT messages a second, the engine; into
SQLite and PostgreSQL. Every minute one peer is frozen for some seconds or killed and started again,
in turn. Memory, descriptors and threads are noted every ten seconds; what counts is the slope over
the second half, when caches are full.

    python bench/soak.py --for 3600
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from importlib.resources import files
from itertools import cycle
from pathlib import Path
from statistics import linear_regression, median
from typing import NamedTuple

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
sys.path.insert(0, str(Path(__file__).parent))

from throughput import _cpu

from peers.mosquitto import Mosquitto, Watcher
from peers.postgresql import PostgreSQL
from peers.process import free_port

TOPICS, MESSAGES_PER_SECOND = 50, 1000
EVERY, TROUBLE, FROZEN = 10.0, 60.0, 8.0  # seconds
ROWS = 12  # of the table


class Look(NamedTuple):
    """At one moment: hours since the start, MiB resident, descriptors, threads, processor s."""

    hours: float
    resident: float
    descriptors: int
    threads: int
    cpu: float


def main() -> None:
    """Run, and print a table of what was seen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--for", dest="seconds", type=float, default=3600.0, metavar="S")
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory() as folder, PostgreSQL() as database, Mosquitto() as broker:
        ports = free_port(), free_port()
        with _plant(*ports) as plant, _gateway(Path(folder), database, broker, ports) as gateway:
            done = threading.Event()
            feeder = threading.Thread(target=_feed, args=(broker, done), daemon=True)
            feeder.start()
            try:
                looks = list(_watch(gateway.pid, seconds, _troubles(broker, database)))
            finally:
                done.set()
                feeder.join(30)
                for process in (gateway, plant):
                    process.terminate()
                    process.wait(60)
        rows = database.execute("SELECT count(*) FROM samples")[0][0]
    _report(looks, rows)


def _plant(opc_ua: int, modbus: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "gl002", "sim", "--opc-ua", str(opc_ua)]
    return subprocess.Popen([*command, "--modbus", str(modbus)], stdout=subprocess.DEVNULL)


def _gateway(
    folder: Path, database: PostgreSQL, broker: Mosquitto, ports: tuple[int, int]
) -> subprocess.Popen[bytes]:
    config = yaml.safe_load(files("gl002.sim").joinpath("demo.yaml").read_text())
    integrations = config["integrations"]
    integrations["enabled"] += ["mqtt", "postgresql"]
    integrations["mqtt"] = {"broker": "127.0.0.1", "port": broker.port, "client_id": "soak"}
    integrations["postgresql"] = database.config
    flow = integrations["data_flow"]
    flow["input"].append({"source": "mqtt", "topics": ["soak/+"], "format": "raw"})
    flow["output"].append({"destination": "postgresql", "table": "samples"})
    (folder / "integrations.yaml").write_text(yaml.safe_dump(config))
    environment = {
        "GL002_OPC_SERVER": f"opc.tcp://127.0.0.1:{ports[0]}",
        "GL002_MODBUS_PORT": str(ports[1]),
        "GL002_DEMO_STATE": str(folder / "state"),
        "GL002_DEMO_PORT": str(free_port()),
    }
    command = [sys.executable, "-m", "gl002", "run", str(folder / "integrations.yaml")]
    with (folder / "gateway.log").open("wb") as log:
        return subprocess.Popen(command, env={**os.environ, **environment}, stderr=log)


def _feed(broker: Mosquitto, done: threading.Event) -> None:
    number = 0
    while not done.is_set():
        try:
            with Watcher(broker.port) as publisher:
                while not done.is_set():
                    for _ in range(MESSAGES_PER_SECOND // 20):
                        publisher.publish(f"soak/q{number % TOPICS}", str(number))
                        number += 1
                    done.wait(0.05)
        except Exception as error:  # noqa: BLE001 (the broker is down for a while: that is meant)
            print(f"  the feeder waits: {error}", file=sys.stderr)
            done.wait(1)


def _troubles(broker: Mosquitto, database: PostgreSQL) -> Iterator[tuple[str, Callable[[], None]]]:
    def frozen(peer: Mosquitto | PostgreSQL) -> None:
        peer.freeze()
        time.sleep(FROZEN)
        peer.thaw()

    yield from cycle([
        ("broker frozen", lambda: frozen(broker)),
        ("database killed", database.restart),
        ("broker killed", broker.restart),
        ("database frozen", lambda: frozen(database)),
    ])  # fmt: skip


def _watch(
    pid: int, seconds: float, troubles: Iterator[tuple[str, Callable[[], None]]]
) -> Iterator[Look]:
    start = trouble = time.monotonic()
    while (now := time.monotonic()) < start + seconds:
        look = _look(pid, now - start)
        print(
            f"  {look.hours * 60:6.1f} min  {look.resident:6.1f} MiB  {look.descriptors} files  "
            f"{look.threads} threads", file=sys.stderr,
        )  # fmt: skip
        yield look
        if now - trouble > TROUBLE:
            trouble = now
            what, make = next(troubles)
            print(f"  {what}", file=sys.stderr)
            make()
        time.sleep(EVERY)


def _look(pid: int, elapsed: float) -> Look:
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return Look(
        hours=elapsed / 3600,
        resident=int(status["VmRSS"].split()[0]) / 1024,
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(status["Threads"]),
        cpu=_cpu(pid),
    )


def _report(looks: list[Look], rows: int) -> None:
    size = max(1, len(looks) // ROWS)
    print(f"\n{'minutes':>8} {'MiB':>7} {'files':>6} {'threads':>8}   (medians)")
    for first in range(0, len(looks) - size + 1, size):
        part = looks[first : first + size]
        print(
            f"{part[0].hours * 60:8.0f} {median(x.resident for x in part):7.1f} "
            f"{median(x.descriptors for x in part):6.0f} {median(x.threads for x in part):8.0f}"
        )
    half = looks[len(looks) // 2 :]
    slope = linear_regression([x.hours for x in half], [x.resident for x in half]).slope
    share = (looks[-1].cpu - looks[0].cpu) / ((looks[-1].hours - looks[0].hours) * 3600)
    print(
        f"\n{rows:,} rows in PostgreSQL; second half: {slope:+.2f} MiB an hour of "
        f"{median(x.resident for x in half):.1f} MiB; {share:.0%} of a core"
    )


if __name__ == "__main__":
    main()
