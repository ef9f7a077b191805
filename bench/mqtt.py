"""Messages per second to and from an MQTT broker, beside paho-mqtt alone.

The broker is mosquitto on loopback, QoS 1 throughout. Each client is a process of its own.

Out: JSON with value and time, a message for each sample, and one for each batch of 500. paho
publishes the same text from a loop with as many messages under way as ours.

In: 30,000 messages that wait in the client's session, from the connection to the last one. Ours
makes samples with time and quality of them, keeps positions, and acknowledges a batch when the next
one is asked for, as after the store; paho reads the JSON and acknowledges by itself.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.mosquitto import Mosquitto, Watcher

SECONDS, BACKLOG = 4.0, 30_000
UNLIMITED = ["max_inflight_messages 0"]

_OURS = """
import asyncio, json, sys, tempfile, time
from pathlib import Path
from gl002.context import Context
from gl002.integrations.industrial import MQTTConnector
from gl002.model import Sample, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
port, folder = int(sys.argv[1]), Path(sys.argv[2])
def connector():
    context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
    return MQTTConnector({"broker": f"127.0.0.1:{port}", "client_id": "bench"}, context=context)
"""

OURS_OUT = (
    _OURS
    + """
topic, seconds = sys.argv[3], float(sys.argv[4])
async def main():
    mqtt = connector()
    sink = mqtt.sink(MQTTConnector.Output.parse({"destination": "mqtt", "topic": topic, "qos": 1}))
    await mqtt.connect()
    count, cpu, start = 0, time.process_time(), time.monotonic()
    while time.monotonic() < start + seconds:
        now = now_ns()
        await sink.write([Sample(f"b1.t{i}", 3.1 + i, now) for i in range(500)])
        count += 500
    print(json.dumps([count / (time.monotonic() - start), count / (time.process_time() - cpu)]))
    await mqtt.close()
asyncio.run(main())
"""
)

PAHO_OUT = """
import json, sys, time
import paho.mqtt.client as mqtt
from datetime import UTC, datetime
port, topic, seconds = int(sys.argv[1]), sys.argv[3], float(sys.argv[4])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
client.max_inflight_messages = 100
client.connect("127.0.0.1", port)
client.loop_start()
time.sleep(0.2)
def said(i, now):
    return {"tag": f"b1.t{i}", "value": 3.1 + i, "time": now, "quality": "Good"}
count, cpu, start = 0, time.process_time(), time.monotonic()
while time.monotonic() < start + seconds:
    now = datetime.now(UTC).isoformat()
    if "{" in topic:
        infos = [client.publish(topic.format(tag=f"b1.t{i}"), json.dumps(said(i, now)), 1)
                 for i in range(500)]
    else:
        samples = [said(i, now) for i in range(500)]
        infos = [client.publish(topic, json.dumps({"samples": samples}), 1)]
    for info in infos:
        info.wait_for_publish()
    count += 500
print(json.dumps([count / (time.monotonic() - start), count / (time.process_time() - cpu)]))
client.loop_stop()
"""

OURS_IN = (
    _OURS
    + """
wanted = int(sys.argv[3])
async def main():
    mqtt = connector()
    source = mqtt.source(MQTTConnector.Input.parse({"source": "mqtt", "topics": ["in/+"]}))
    count, cpu, start = 0, time.process_time(), time.monotonic()
    async with source.open() as batches:
        if not wanted:
            waiting = asyncio.ensure_future(anext(batches))
            await asyncio.sleep(1)
            waiting.cancel()
            await asyncio.wait([waiting])
        else:
            async for batch in batches:
                count += len(batch)
                source.position()
                if count >= wanted:
                    break
    took, cpu = time.monotonic() - start, time.process_time() - cpu
    print(json.dumps([count / took, count / cpu]))
    await mqtt.close()
asyncio.run(main())
"""
)

PAHO_IN = """
import json, sys, time
import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
port, wanted = int(sys.argv[1]), int(sys.argv[3])
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "bench", protocol=mqtt.MQTTv5)
kept = Properties(PacketTypes.CONNECT)
kept.SessionExpiryInterval, kept.ReceiveMaximum = 600, 500
count = 0
def on_message(_client, _data, message):
    global count
    json.loads(message.payload)
    count += 1
client.on_message = on_message
client.on_connect = lambda *_: client.subscribe("in/+", 1)
cpu, start = time.process_time(), time.monotonic()
client.connect("127.0.0.1", port, clean_start=False, properties=kept)
while count < wanted if wanted else time.monotonic() < start + 1:
    client.loop(0.1)
took, cpu = time.monotonic() - start, time.process_time() - cpu
print(json.dumps([count / took, count / cpu]))
client.disconnect()
"""


def run(script: str, port: int, folder: str, *more: object) -> tuple[float, float]:
    """Values per second, and per second of processor time."""
    command = [sys.executable, "-c", script, str(port), folder, *map(str, more)]
    rate, per_cpu = json.loads(subprocess.check_output(command, timeout=120))
    return float(rate), float(per_cpu)


def drained(script: str) -> tuple[float, float]:
    """What a client makes of messages that wait for it."""
    with Mosquitto(options=UNLIMITED) as broker, tempfile.TemporaryDirectory() as folder:
        run(script, broker.port, folder, 0)
        with Watcher(broker.port) as sender:
            sender.publish_all("in/b1", (json.dumps({"o2": i / 7}) for i in range(BACKLOG)))
        return run(script, broker.port, folder, BACKLOG)


def published(script: str, topic: str) -> tuple[float, float]:
    with (
        Mosquitto(options=UNLIMITED) as broker,
        tempfile.TemporaryDirectory() as folder,
    ):
        return run(script, broker.port, folder, topic, SECONDS)


def show(what: str, unit: str, ours: tuple[float, float], raw: tuple[float, float]) -> None:
    print(
        f"{what:32} gl002 {ours[0]:9,.0f} {unit}/s {ours[1]:9,.0f} per CPU second   "
        f"paho {raw[0]:9,.0f} {raw[1]:9,.0f}   ratio {ours[0] / raw[0]:5.2f}, "
        f"by CPU {ours[1] / raw[1]:5.2f}"
    )


def main() -> None:
    for what, topic in (
        ("out, a message for each sample", "out/{tag}"),
        ("out, 500 samples in each", "out"),
    ):
        show(what, "values", published(OURS_OUT, topic), published(PAHO_OUT, topic))
    show("in, out of a backlog", "messages", drained(OURS_IN), drained(PAHO_IN))


if __name__ == "__main__":
    main()
