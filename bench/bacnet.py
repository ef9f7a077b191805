"""Values per second from one BACnet/IP device, beside the raw libraries.

The device is rusty-bacnet on loopback. Each client is a process of its own and reads present value
and status flags of 20 and of 200 analog inputs with ReadPropertyMultiple, one request at a time.
Ours makes samples with quality and time of it; the raw ones only count what came.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from peers.rusty_bacnet import RustyBacnet

SECONDS = 5.0

OURS = """
import asyncio, json, sys, tempfile, time
from pathlib import Path
from gl002.context import Context
from gl002.integrations.industrial import BACnetConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
port, objects, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
async def main(folder):
    context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
    bacnet = BACnetConnector({"address": f"127.0.0.1:{port}", "name": "b"}, context=context)
    tags = [f"b.analog-input,{100 + i}" for i in range(objects)]
    await bacnet.read(tags)
    count, cpu, start = 0, time.process_time(), time.monotonic()
    while time.monotonic() < start + seconds:
        samples = await bacnet.read(tags)
        assert samples[7].value == 7.0 and not samples[7].quality
        count += len(samples)
    print(json.dumps([count / (time.monotonic() - start), count / (time.process_time() - cpu)]))
    await bacnet.close()
    context.audit.close()
with tempfile.TemporaryDirectory() as folder:
    asyncio.run(main(Path(folder)))
"""

BACPYPES3 = """
import asyncio, json, sys, time
from bacpypes3.pdu import Address
from bacpypes3.app import Application
from bacpypes3.local.device import DeviceObject
from bacpypes3.local.networkport import NetworkPortObject
from bacpypes3.primitivedata import ObjectIdentifier
port, objects, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
async def main():
    device = DeviceObject(objectIdentifier=("device", 99), objectName="bench", vendorIdentifier=999)
    local = NetworkPortObject("127.0.0.1/32:0", objectIdentifier=("network-port", 1),
                              objectName="port")
    app = Application.from_object_list([device, local])
    ids = [ObjectIdentifier(("analog-input", 100 + i)) for i in range(objects)]
    def pieces():
        for i in range(0, objects, 50):
            parameters = []
            for each in ids[i:i + 50]:
                parameters += [each, ["present-value", "status-flags"]]
            yield parameters
    requests, target = [*pieces()], Address(f"127.0.0.1:{port}")
    count, cpu, start = 0, time.process_time(), time.monotonic()
    while time.monotonic() < start + seconds:
        for parameters in requests:
            count += len(await app.read_property_multiple(target, parameters)) // 2
    print(json.dumps([count / (time.monotonic() - start), count / (time.process_time() - cpu)]))
    app.close()
asyncio.run(main())
"""

RUSTY = """
import asyncio, json, sys, time
from rusty_bacnet import BACnetClient, ObjectIdentifier, ObjectType, PropertyIdentifier
port, objects, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
async def main():
    wanted = [PropertyIdentifier.PRESENT_VALUE, PropertyIdentifier.STATUS_FLAGS]
    specs = [(ObjectIdentifier(ObjectType.ANALOG_INPUT, 100 + i), [(p, None) for p in wanted])
             for i in range(objects)]
    requests = [specs[i:i + 50] for i in range(0, objects, 50)]
    async with BACnetClient(interface="127.0.0.1", port=0) as client:
        count, cpu, start = 0, time.process_time(), time.monotonic()
        while time.monotonic() < start + seconds:
            for part in requests:
                count += len(await client.read_property_multiple(f"127.0.0.1:{port}", part))
        print(json.dumps([count / (time.monotonic() - start), count / (time.process_time() - cpu)]))
asyncio.run(main())
"""

CLIENTS = {"gl002": OURS, "bacpypes3": BACPYPES3, "rusty-bacnet (Rust)": RUSTY}


def measure(script: str, port: int, objects: int) -> tuple[float, float]:
    """Values per second, and per second of processor time."""
    command = [sys.executable, "-c", script, str(port), str(objects), str(SECONDS)]
    rate, per_cpu = json.loads(subprocess.check_output(command, timeout=120))
    return float(rate), float(per_cpu)


def main() -> None:
    with RustyBacnet(more=200) as peer:
        for objects in (20, 200):
            ours = 0.0
            for name, script in CLIENTS.items():
                rate, per_cpu = measure(script, peer.udp, objects)
                ours = ours or rate
                print(
                    f"{objects:4} objects  {name:20} {rate:10,.0f} values/s"
                    f" {per_cpu:10,.0f} per CPU second   gl002 is {ours / rate:5.2f} times that"
                )


if __name__ == "__main__":
    main()
