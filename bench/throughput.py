"""Values per second through the gateway into PostgreSQL, beside raw clients that store nothing.

Everything on loopback of one machine: servers, gateway and database share its cores. The store
syncs to disk before a value counts as accepted (SQLite `synchronous=FULL`, 20 ms group commit).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gl002.context import Context
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery
from gl002.flow.hub import Hub
from gl002.flow.store import Store
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.model import Sample, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.libmodbus import LibModbus
from peers.node_opcua import NodeOpcua
from peers.postgresql import PostgreSQL

BLOCKS = 50  # requests of one poll cycle
TICKS = os.sysconf("SC_CLK_TCK")

RAW_MODBUS = """
import asyncio, json, sys, time
from pymodbus.client import AsyncModbusTcpClient
port, blocks, values = (int(argument) for argument in sys.argv[1:4])
seconds = float(sys.argv[4])
async def main():
    client = AsyncModbusTcpClient("127.0.0.1", port=port)
    await client.connect()
    count, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        for block in range(blocks):
            reply = await client.read_holding_registers(block * 100, count=2 * values, device_id=1)
            count += len(client.convert_from_registers(reply.registers, client.DATATYPE.FLOAT32)
                         if values > 1 else [1])
    print(json.dumps(count / seconds))
    client.close()
asyncio.run(main())
"""

RAW_OPC_UA = """
import asyncio, json, sys, time
from asyncua import Client
url, nodes, period, seconds = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4])
class Handler:
    count = 0
    def datachange_notification(self, node, value, data):
        self.count += 1
async def main():
    async with Client(url) as client:
        handler = Handler()
        subscription = await client.create_subscription(period, handler)
        await subscription.subscribe_data_change(
            [client.get_node(f"ns=2;s=Many.T{i}") for i in range(nodes)], queuesize=10)
        await asyncio.sleep(2)
        start, before = time.monotonic(), handler.count
        await asyncio.sleep(seconds)
        print(json.dumps((handler.count - before) / (time.monotonic() - start)))
asyncio.run(main())
"""


def raw(script: str, *args: object) -> float:
    """Values per second of a raw client in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, args)]
    return float(json.loads(subprocess.check_output(command, timeout=120)))


class Run:
    """A gateway as a process, measured over a while."""

    def __init__(self, folder: Path, database: PostgreSQL, integrations: dict, flow: dict) -> None:
        self.folder = folder
        self.database = database
        config = {
            "integrations": {
                **integrations,
                "enabled": [*integrations, "postgresql"],
                "postgresql": database.config,
                "data_flow": {
                    **flow,
                    "output": [{"destination": "postgresql", "table": "samples", "interval": 0.2}],
                },
            },
            "gateway": {"state_dir": str(folder)},
            "web": {"enabled": False},
        }
        (folder / "integrations.yaml").write_text(yaml.safe_dump(config))

    def measure(self, seconds: float, warm_up: float = 5.0) -> dict[str, float]:
        command = [sys.executable, "-m", "gl002", "run", str(self.folder / "integrations.yaml")]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as gateway:
            time.sleep(warm_up)
            rows, cpu, start = self._rows(), _cpu(gateway.pid), time.monotonic()
            time.sleep(seconds)
            elapsed = time.monotonic() - start
            result = {
                "rate": (self._rows() - rows) / elapsed,
                "cpu": (_cpu(gateway.pid) - cpu) / elapsed,
                "rss": _rss(gateway.pid),
            }
            gateway.terminate()
            gateway.wait(60)
        return result

    def _rows(self) -> int:
        found = self.database.execute("SELECT to_regclass('samples')")
        if found[0][0] is None:
            return 0
        return int(self.database.execute("SELECT count(*) FROM samples")[0][0])


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    return 0.0


def report(what: str, ours: dict[str, float], raw_rate: float, raw_name: str) -> None:
    print(
        f"{what:44} {ours['rate']:>9,.0f} values/s   {raw_name} {raw_rate:>9,.0f}   "
        f"ratio {ours['rate'] / raw_rate:5.2f}   gateway {ours['cpu']:4.0%} of a core, "
        f"{ours['rss']:3.0f} MiB",
        flush=True,
    )


def modbus(seconds: float, values: int) -> None:
    """One device, 50 blocks far apart, so many float32 in each."""
    registers = [
        {"name": f"r{block}_{i}", "address": block * 100 + 2 * i, "format": "float32"}
        for block in range(BLOCKS)
        for i in range(values)
    ]
    with LibModbus() as server, PostgreSQL() as database, tempfile.TemporaryDirectory() as folder:
        device = {"slave_id": 1, "name": "d", "polling_interval": 1, "registers": registers}
        link = {"connection": {"host": "127.0.0.1", "port": server.port}, "devices": [device]}
        flow = {"input": [{"source": "modbus"}]}
        run = Run(Path(folder), database, {"modbus": link}, flow)
        before = raw(RAW_MODBUS, server.port, BLOCKS, values, seconds)
        ours = run.measure(seconds)
        after = raw(RAW_MODBUS, server.port, BLOCKS, values, seconds)
        report(f"Modbus TCP, {values} float32 a request", ours, (before + after) / 2, "pymodbus")


def opc_ua(seconds: float, nodes: int = 1000, period: int = 100) -> None:
    """A subscription to changing nodes of another make's server."""
    with (
        NodeOpcua(MANY=nodes, PERIOD=period) as server,
        PostgreSQL() as database,
        tempfile.TemporaryDirectory() as folder,
    ):
        link = {
            "url": server.url,
            "security": "None",
            "subscription": {"publishing_interval": period},
            "data_mapping": {f"t{i}": {"node_id": f"ns=2;s=Many.T{i}"} for i in range(nodes)},
        }
        run = Run(Path(folder), database, {"opc_ua": link}, {"input": [{"source": "opc_ua"}]})
        before = raw(RAW_OPC_UA, server.url, nodes, period, seconds)
        ours = run.measure(seconds, warm_up=8)
        after = raw(RAW_OPC_UA, server.url, nodes, period, seconds)
        what = f"OPC UA subscription, {nodes} nodes at {1000 / period:.0f} Hz"
        report(what, ours, (before + after) / 2, "asyncua")


def store(count: int = 500_000) -> None:
    """What lies in the store, delivered in batches of 5,000 with an upsert, beside psql's COPY."""
    with PostgreSQL() as database, tempfile.TemporaryDirectory() as folder:
        cpu = time.process_time()
        seconds = asyncio.run(_drain(Path(folder), database, count))
        cpu = time.process_time() - cpu
        rows = database.execute("SELECT count(*) FROM samples")[0][0]
        assert rows == count, f"{rows} of {count} rows"
        ours = {"rate": count / seconds, "cpu": cpu / seconds, "rss": _rss(os.getpid())}
        report("store to PostgreSQL, upsert", ours, count / _copy(database, folder), "psql \\copy")


async def _drain(folder: Path, database: PostgreSQL, count: int) -> float:
    sink_settings = AsyncPostgreSQLConnector.Output.parse(
        {"destination": "postgresql", "table": "samples", "interval": 0}
    )
    context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
    connector = AsyncPostgreSQLConnector(database.config, context=context)
    kept = Store(folder / "store")
    await kept.open(["postgresql"])
    first = now_ns()
    for start in range(0, count, 5000):
        await kept.put(
            [
                Sample(f"boiler{i % 10}.t{i % 100}", i * 0.5, first + i * 1_000_000)
                for i in range(start, start + 5000)
            ]
        )
    delivery = Delivery(
        "postgresql",
        connector.sink(sink_settings),
        sink_settings,
        store=kept,
        letters=DeadLetters(folder / "letters.sqlite"),
        hub=Hub(),
    )
    began = time.monotonic()
    delivery.drain()
    await delivery.run()
    elapsed = time.monotonic() - began
    await connector.close()
    await kept.close()
    context.audit.close()
    return elapsed


def _copy(database: PostgreSQL, folder: str) -> float:
    """Seconds psql takes to copy the same rows into an equal table, in one transaction."""
    file = Path(folder) / "rows.bin"
    database.execute("CREATE TABLE plain (LIKE samples INCLUDING ALL)")
    psql = ["psql", "-q", database.url, "-c"]
    copy_out = f"\\copy samples to '{file}' (format binary)"
    subprocess.run([*psql, copy_out], check=True, timeout=120)
    began = time.monotonic()
    subprocess.run([*psql, f"\\copy plain from '{file}' (format binary)"], check=True, timeout=120)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("only", nargs="*", metavar="modbus|opc_ua|store")
    args = parser.parse_args()
    only = args.only or ["modbus", "opc_ua", "store"]
    if "modbus" in only:
        for values in (1, 5, 10, 20):
            modbus(args.seconds, values)
    if "opc_ua" in only:
        opc_ua(args.seconds)
    if "store" in only:
        store()


if __name__ == "__main__":
    main()
