"""OPC UA values per second, beside the raw driver: batched reads, and pages of history.

The server is node-opcua on loopback, without security. Each client is a process of its own. Ours
makes samples with quality and time; the raw driver's objects are only counted. Subscriptions into
a store are in `throughput.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.node_opcua import NodeOpcua

SECONDS = 5.0
NODES = 1000
RECORDED = 10_000

OURS = """
import asyncio, json, sys, tempfile, time
from pathlib import Path
from gl002.context import Context
from gl002.integrations.industrial import OPCUAConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
url, what, size, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
async def main(folder):
    context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
    opc = OPCUAConnector({"url": url}, context=context)
    tags = [f"ns=2;s=Many.T{i}" for i in range(size)]
    async def read():
        return len(await opc.read(tags))
    async def history():
        batches = opc.history(["ns=2;s=Boiler1.Starts"], 0, time.time_ns())
        return sum([len(batch) async for batch in batches])
    once = {"read": read, "history": history}[what]
    await once()
    count, cpu, start = 0, time.process_time(), time.monotonic()
    while time.monotonic() < start + seconds:
        count += await once()
    print(json.dumps([count / (time.monotonic() - start), count / (time.process_time() - cpu)]))
    await opc.close()
    context.audit.close()
with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
"""

RAW = """
import asyncio, json, sys, time
from datetime import datetime, timezone
from asyncua import Client, ua
url, what, size, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
async def main():
    async with Client(url) as client:
        ids = [ua.NodeId(f"Many.T{i}", 2) for i in range(size)]
        recorded = client.get_node(ua.NodeId("Boiler1.Starts", 2))
        async def read():
            return len(await client.uaclient.read_attributes(ids, ua.AttributeIds.Value))
        async def history():
            return len(await recorded.read_raw_history(datetime(2000, 1, 1), datetime.utcnow()))
        once = {"read": read, "history": history}[what]
        await once()
        count, cpu, start = 0, time.process_time(), time.monotonic()
        while time.monotonic() < start + seconds:
            count += await once()
        print(json.dumps([count / (time.monotonic() - start), count / (time.process_time() - cpu)]))
asyncio.run(main())
"""

CLIENTS = {"gl002": OURS, "asyncua": RAW}


def measure(script: str, url: str, what: str, size: int) -> tuple[float, float]:
    """Values per second, and per second of processor time."""
    command = [sys.executable, "-c", script, url, what, str(size), str(SECONDS)]
    rate, per_cpu = json.loads(subprocess.check_output(command, timeout=120))
    return float(rate), float(per_cpu)


def main() -> None:
    with NodeOpcua(MANY=NODES, HISTORY="Boiler1.Starts") as peer:
        first = int(time.time() * 1000) - RECORDED
        peer.set_many("Boiler1.Starts", [(i, first + i) for i in range(RECORDED)])
        for what, size in (("read", 50), ("read", NODES), ("history", RECORDED)):
            ours = 0.0
            for name, script in CLIENTS.items():
                rate, per_cpu = measure(script, peer.url, what, size)
                ours = ours or rate
                print(
                    f"{what:8} of {size:6}  {name:8} {rate:10,.0f} values/s"
                    f" {per_cpu:10,.0f} per CPU second   gl002 is {ours / rate:5.2f} times that"
                )


if __name__ == "__main__":
    main()
