"""Microsoft's own provisioning client: arguments port, CA, scope, registration, key.."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from azure.iot.device import ProvisioningDeviceClient
from azure.iot.device.common import mqtt_transport

port, ca, scope, registration, key = sys.argv[1:]
# The SDK knows port 8883 only; where it connects to is all that is changed.
connect = mqtt_transport.mqtt.Client.connect
mqtt_transport.mqtt.Client.connect = lambda self, host, port_=0, **more: connect(
    self, host=host, **{**more, "port": int(port)}
)
client = ProvisioningDeviceClient.create_from_symmetric_key(
    provisioning_host="localhost", registration_id=registration, id_scope=scope,
    symmetric_key=key, server_verification_cert=Path(ca).read_text(),
)  # fmt: skip
result = client.register()
state = result.registration_state
print(
    json.dumps({
        "status": result.status, "hub": state.assigned_hub, "device": state.device_id,
    })
)  # fmt: skip
