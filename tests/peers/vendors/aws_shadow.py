"""AWS's own device SDK against a broker: arguments host, port, CA, certificate, key, thing.

Updates the shadow, meets a version conflict, reads it, sees a delta, deletes it. Prints JSON.
"""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import Future

from awscrt import mqtt
from awsiot import iotshadow, mqtt_connection_builder

host, port, ca, cert, key, thing = sys.argv[1:]
connection = mqtt_connection_builder.mtls_from_path(
    endpoint=host, port=int(port), ca_filepath=ca, cert_filepath=cert, pri_key_filepath=key,
    client_id=thing, clean_session=True, keep_alive_secs=30,
)  # fmt: skip
connection.connect().result(20)
shadows = iotshadow.IotShadowClient(connection)
QOS = mqtt.QoS.AT_LEAST_ONCE
answers: dict[str, Future] = {}
deltas: list[iotshadow.ShadowDeltaUpdatedEvent] = []
seen = threading.Event()


def settle(response):
    answers[response.client_token].set_result(response)


def on_delta(event):
    deltas.append(event)
    seen.set()


def subscribe(verb, request):
    for outcome in ("accepted", "rejected"):
        method = getattr(shadows, f"subscribe_to_{verb}_{outcome}")
        method(request, QOS, settle)[0].result(20)


def ask(method, request):
    request.client_token = f"token-{len(answers)}"
    answers[request.client_token] = Future()
    method(request, QOS).result(20)
    return answers[request.client_token].result(20)


subscribe("update_shadow", iotshadow.UpdateShadowSubscriptionRequest(thing))
subscribe("get_shadow", iotshadow.GetShadowSubscriptionRequest(thing))
subscribe("delete_shadow", iotshadow.DeleteShadowSubscriptionRequest(thing))
watched = iotshadow.ShadowDeltaUpdatedSubscriptionRequest(thing)
shadows.subscribe_to_shadow_delta_updated_events(watched, QOS, on_delta)[0].result(20)

update = iotshadow.UpdateShadowRequest
state = iotshadow.ShadowState
first = ask(
    shadows.publish_update_shadow, update(thing_name=thing, state=state(reported={"o2": 3.4}))
)
second = ask(
    shadows.publish_update_shadow, update(thing_name=thing, state=state(desired={"o2": 3.1}))
)
conflict = ask(
    shadows.publish_update_shadow,
    update(thing_name=thing, state=state(reported={"o2": 1}), version=first.version),
)
whole = ask(shadows.publish_get_shadow, iotshadow.GetShadowRequest(thing))
assert seen.wait(20)
gone = ask(shadows.publish_delete_shadow, iotshadow.DeleteShadowRequest(thing))
missing = ask(shadows.publish_get_shadow, iotshadow.GetShadowRequest(thing))
connection.disconnect().result(20)
print(
    json.dumps(
        {
            "versions": [first.version, second.version, whole.version, gone.version],
            "conflict": [conflict.code, conflict.message],
            "state": [whole.state.reported, whole.state.desired, whole.state.delta],
            "stamped": bool(whole.metadata.desired["o2"]["timestamp"]),
            "delta": [deltas[0].state, deltas[0].version],
            "missing": [missing.code, missing.message],
        }
    )
)
