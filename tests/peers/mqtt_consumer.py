"""A consumer with a file as its store, as a process that can be killed: topics in, lines out.

    python mqtt_consumer.py PORT FOLDER SHARE [QOS]

Each line holds the values of one batch and the source's position, and is on disk before the next
batch is asked for. After a share of the batches the process kills itself at the worst moment: the
line is durable, the broker has no acknowledgement.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from pathlib import Path

from gl002.context import Context
from gl002.integrations.industrial.mqtt import MQTTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network


def stored(file: Path) -> tuple[list[int], bytes]:
    """The values in a store and the last position; a line torn by a kill does not count."""
    values: list[int] = []
    position = b""
    for line in file.read_bytes().split(b"\n")[:-1] if file.exists() else ():
        record = json.loads(line)
        values += record["values"]
        position = bytes.fromhex(record["position"])
    return values, position


async def main(port: int, folder: Path, share: float, qos: int) -> None:
    audit = Audit(folder / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=folder)
    connector = MQTTConnector({"broker": f"127.0.0.1:{port}"}, context=context)
    spec = {"source": "mqtt", "topics": ["count/#"], "format": "raw", "qos": qos}
    source = connector.source(MQTTConnector.Input.parse(spec))
    file = folder / "store"
    source.resume(stored(file)[1])
    store = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    async with source.open() as batches:
        async for batch in batches:
            record = {
                "values": [sample.value for sample in batch],
                "position": source.position().hex(),
            }
            os.write(store, json.dumps(record).encode() + b"\n")
            os.fsync(store)
            if random.random() < share:
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    quality = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]), quality))
