"""Modbus polling beside raw clients at 1, 8 and 32 devices; and what a dead slave costs the others.

Everything on loopback of one machine: server and client share its cores. Each device has a
connection of its own and is read without pause, 60 float32 in one request; ours also makes samples
with time and quality of them. libmodbus' client is C and blocks; pymodbus' is asyncio, as ours.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gl002.context import Context
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.model import is_good
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.libmodbus import LibModbus

VALUES = 60
SLAVES, INTERVAL = 20, 1.0

PYMODBUS = """
import asyncio, sys, time
from pymodbus.client import AsyncModbusTcpClient
port, devices, values = (int(argument) for argument in sys.argv[1:4])
seconds = float(sys.argv[4])
async def poll(unit, end):
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    requests = 0
    while time.monotonic() < end:
        reply = await client.read_holding_registers(0, count=2 * values, device_id=unit)
        client.convert_from_registers(reply.registers, client.DATATYPE.FLOAT32)
        requests += 1
    client.close()
    return requests
async def main():
    end = time.monotonic() + seconds
    done = await asyncio.gather(*(poll(1 + i % 32, end) for i in range(devices)))
    print(sum(done) / seconds, 1e6 * time.process_time() / sum(done))
asyncio.run(main())
"""


def context(folder: str) -> Context:
    path = Path(folder)
    return Context(network=Network(), audit=Audit(path / "audit.jsonl"), state_dir=path)


def device(unit: int, values: int, interval: float) -> dict:
    return {
        "slave_id": unit,
        "name": f"d{unit}",
        "polling_interval": interval * 1000,
        "registers": [
            {"name": f"r{i}", "address": 2 * i, "format": "float32"} for i in range(values)
        ],
    }


# ---- rate --------------------------------------------------------------------------------------


async def poll(port: int, unit: int, seconds: float, shared: Context) -> int:
    """Batches of one device on a connection of its own."""
    settings = {"connection": {"host": "127.0.0.1", "port": port}}
    settings["devices"] = [device(unit, VALUES, 0)]
    connector = AsyncModbusConnector(settings, context=shared)
    source = connector.source(connector.Input.parse({"source": "modbus"}))
    done, end = 0, time.monotonic() + seconds
    async with source.open() as batches:
        async for _ in batches:
            done += 1
            if time.monotonic() > end:
                break
    await connector.close()
    return done


class Rate(NamedTuple):
    """Polls per second, and processor time of the client for each, microseconds."""

    polls: float
    cpu: float

    @classmethod
    def of(cls, command: Sequence[str]) -> Rate:
        """What a raw client prints."""
        return cls(*map(float, subprocess.check_output(command, timeout=120).split()))


async def ours(port: int, devices: int, seconds: float, folder: str) -> Rate:
    shared = context(folder)
    before = time.process_time()
    polls = (poll(port, 1 + i % 32, seconds, shared) for i in range(devices))
    done = sum(await asyncio.gather(*polls))
    shared.audit.close()
    return Rate(done / seconds, 1e6 * (time.process_time() - before) / done)


def run(main) -> Any:  # a coroutine
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def rate(seconds: float) -> None:
    with LibModbus() as server, tempfile.TemporaryDirectory() as folder:
        client = Path(folder) / "modbus_client"
        flags = subprocess.check_output(
            ["pkg-config", "--cflags", "--libs", "libmodbus"], text=True
        )
        source = Path(__file__).with_name("modbus_client.c")
        subprocess.run(["gcc", "-O2", "-o", client, source, *shlex.split(flags)], check=True)
        for devices in (1, 8, 32):
            arguments = [str(a) for a in (server.port, devices)]
            in_c = [str(client), *arguments, str(2 * VALUES), str(seconds)]
            in_python = [sys.executable, "-c", PYMODBUS, *arguments, str(VALUES), str(seconds)]
            run(ours(server.port, devices, 0.5, folder))  # imports and first connections
            mine = run(ours(server.port, devices, seconds, folder))
            c, python = Rate.of(in_c), Rate.of(in_python)
            print(
                f"{devices:2} devices, {VALUES} float32 each   {mine.polls:6,.0f} polls/s, "
                f"{mine.polls * VALUES:9,.0f} values/s, {mine.cpu:4.0f} us of CPU a poll   "
                f"pymodbus {python.polls:6,.0f}, {python.cpu:4.0f} us: ratio "
                f"{mine.polls / python.polls:4.2f}, CPU {mine.cpu / python.cpu:4.2f}   "
                f"libmodbus in C {c.polls:6,.0f}, {c.cpu:3.0f} us: ratio "
                f"{mine.polls / c.polls:4.2f}",
                flush=True,
            )


# ---- a dead slave ------------------------------------------------------------------------------


class Waits(NamedTuple):
    """Of the living slaves of a line, in seconds.

    Attributes:
        between: from one value of a slave to its next.
        late: from when the slaves of the line were due, all at once, to each value, less what the
            quickest answer took.
    """

    between: list[float]
    late: list[float]


async def waits(port: int, seconds: float, line: dict, shared: Context) -> Waits:
    """What the living slaves wait for, on one line with 20 slaves."""
    settings = {
        "connection": {"host": "127.0.0.1", "port": port, **line},
        "devices": [device(unit, 10, INTERVAL) for unit in range(1, SLAVES + 1)],
    }
    connector = AsyncModbusConnector(settings, context=shared)
    source = connector.source(connector.Input.parse({"source": "modbus"}))
    times: dict[str, list[float]] = {}
    end = time.monotonic() + seconds
    async with source.open() as batches:
        async for batch in batches:
            sample = batch[0]
            if is_good(sample.quality):
                times.setdefault(sample.tag, []).append(sample.time / 1e9)
            if time.monotonic() > end:
                break
    await connector.close()
    between = [after - before for t in times.values() for before, after in pairwise(t)]
    return Waits(between, lateness([moment for t in times.values() for moment in t]))


def lateness(times: Sequence[float]) -> list[float]:
    """Seconds after the grid of INTERVAL on which the earliest answer of all cycles lies."""
    phases = [(moment - times[0] + INTERVAL / 2) % INTERVAL for moment in times]
    return [phase - min(phases) for phase in phases]


def dead_slave(seconds: float, timeout: float) -> None:
    """Two lines at the same time, so that whatever else the machine does meets both."""
    line = {"timeout": timeout}
    with LibModbus() as well, LibModbus() as ill, tempfile.TemporaryDirectory() as folder:
        shared = context(folder)
        for unit in range(1, SLAVES + 1):
            well.tell("delay", unit, 2)
            ill.tell("delay", unit, 2)
        ill.tell("silent", 7)

        async def both() -> list[Waits]:
            lines = (waits(server.port, seconds, line, shared) for server in (well, ill))
            return await asyncio.gather(*lines)

        of_lines = run(both())
        shared.audit.close()
    gaps = [of_line.between for of_line in of_lines]
    p95 = [statistics.quantiles(gap, n=20)[-1] for gap in gaps]
    late = [1000 * statistics.quantiles(of_line.late, n=20)[-1] for of_line in of_lines]
    print(
        f"{SLAVES} slaves on one line, polled every {INTERVAL:g} s, time-out {timeout:g} s, over "
        f"{seconds:g} s: p95 of the time between two values {p95[0] * 1000:.1f} ms with all "
        f"alive, {p95[1] * 1000:.1f} ms with one silent: {p95[1] / p95[0] - 1:+.1%} "
        f"(longest {max(gaps[0]):.2f} s and {max(gaps[1]):.2f} s); p95 of the time from due to "
        f"value {late[0]:.1f} ms and {late[1]:.1f} ms: {late[1] / late[0] - 1:+.1%}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement of a rate")
    parser.add_argument("--dead", type=float, default=60.0, help="seconds with a dead slave")
    parser.add_argument("--timeout", type=float, default=0.2, help="of the line with a dead slave")
    parser.add_argument("only", nargs="*", metavar="rate|dead")
    args = parser.parse_args()
    only = args.only or ["rate", "dead"]
    if "rate" in only:
        rate(args.seconds)
    if "dead" in only:
        dead_slave(args.dead, args.timeout)


if __name__ == "__main__":
    main()
