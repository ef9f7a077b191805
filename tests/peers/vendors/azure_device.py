"""Microsoft's own device SDK against a hub: arguments connection string, port, CA,
and whether to use a WebSocket ("ws").

Sends telemetry, reads and updates the twin, is refused a bad update, gets a change, answers a
method, takes a message. Before each thing that the hub must do it prints a line; JSON at the end.
"""

from __future__ import annotations

import json
import sys
import threading
from pathlib import Path

from azure.iot.device import IoTHubDeviceClient, Message, MethodResponse
from azure.iot.device.common import mqtt_transport

connection_string, port, ca, way = sys.argv[1:]
certificate = Path(ca).read_text()
# The SDK knows ports 8883 and 443 only; where it connects to is all that is changed.
connect = mqtt_transport.mqtt.Client.connect
mqtt_transport.mqtt.Client.connect = lambda self, host, port_=0, **more: connect(
    self, host=host, **{**more, "port": int(port)}
)

client = IoTHubDeviceClient.create_from_connection_string(
    connection_string, server_verification_cert=certificate, websockets=way == "ws"
)
patched, called, told = threading.Event(), threading.Event(), threading.Event()
seen = {}


def on_patch(patch):
    seen["patch"] = patch
    patched.set()


def on_method(request):
    seen["method"] = [request.name, request.payload]
    client.send_method_response(
        MethodResponse.create_from_method_request(request, 207, {"done": True})
    )
    called.set()


def on_message(message):
    seen["message"] = [message.data.decode(), message.custom_properties, message.message_id]
    told.set()


client.connect()
message = Message(json.dumps({"efficiency": 85.4}), message_id="from-the-sdk")
message.content_type, message.content_encoding = "application/json", "utf-8"
message.custom_properties["plant"] = "a b/c"
client.send_message(message)
client.on_twin_desired_properties_patch_received = on_patch
client.on_method_request_received = on_method
client.on_message_received = on_message
before = client.get_twin()
client.patch_twin_reported_properties({"firmwareVersion": "2.0.0", "gone": None})
after = client.get_twin()
print("now", flush=True)
for event in (patched, called, told):
    assert event.wait(20), seen
client.shutdown()
print(json.dumps({"before": before, "after": after, **seen}))
