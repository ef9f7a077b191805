"""AWS's own device SDK over a signed WebSocket: arguments host, port, CA, region, key, token."""

from __future__ import annotations

import json
import sys
import threading

from awscrt import auth, mqtt
from awsiot import mqtt_connection_builder

host, port, ca, region, key_id, key, token = sys.argv[1:]
connection = mqtt_connection_builder.websockets_with_default_aws_signing(
    region=region, credentials_provider=auth.AwsCredentialsProvider.new_static(
        key_id, key, token or None
    ),
    endpoint=host, port=int(port), ca_filepath=ca, client_id="sdk", clean_session=True,
    keep_alive_secs=30,
)  # fmt: skip
connection.connect().result(20)
seen, received = threading.Event(), []


def arrived(topic, payload, **_):
    received.append([topic, payload.decode()])
    seen.set()


connection.subscribe("plant/sdk", mqtt.QoS.AT_LEAST_ONCE, arrived)[0].result(20)
connection.publish("plant/sdk", "85.4", mqtt.QoS.AT_LEAST_ONCE)[0].result(20)
assert seen.wait(20)
connection.disconnect().result(20)
print(json.dumps(received))
