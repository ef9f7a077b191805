"""Azure IoT Hub as far as a device sees it: a front that checks tokens and certificates, mosquitto
behind it, and a service for the twin, direct methods and messages, written from 'Communicate with
an IoT hub using the MQTT protocol' and 'Control access by using shared access signatures'.

The vendor's own SDK is run against it (`tests/integrations/test_azure_vendor.py`). It serves one
device at a time: the hub's topics of the twin do not name the device.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import hmac
import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl, quote

import trustme

from peers.front import Connect, Front, Verdict
from peers.mosquitto import Mosquitto, issue
from peers.service import BrokerService
from peers.websocket import WebSocketServer

HUB, DEVICE = "hub.azure-devices.net", "gl002"
KEY = base64.b64encode(b"a key of thirty-two bytes, indeed").decode()
LARGEST = 256 * 1024
_RIGHTS = """
topic readwrite #
topic readwrite $iothub/#
topic readwrite $dps/#
user gl002
topic readwrite #
pattern readwrite $dps/#
pattern write devices/%c/messages/events/#
pattern read devices/%c/messages/devicebound/#
pattern readwrite $iothub/#
"""
_NO_RIGHT = 5  # CONNACK: not authorized
_BAD_NAME = re.compile(r"[.$\s]")
_LARGEST_REPORTED = 32 * 1024


def connection_string(**changes: str) -> str:
    parts = {"HostName": HUB, "DeviceId": DEVICE, "SharedAccessKey": KEY, **changes}
    return ";".join(f"{key}={value}" for key, value in parts.items() if value)


class Gatekeeper:
    """Who may connect.

    Attributes:
        skew: seconds that the hub's clock is ahead of ours.
        lives: the life in seconds of each token that was taken.
    """

    def __init__(self) -> None:
        self.skew, self.lives = 0.0, list[float]()

    def __call__(self, connect: Connect) -> Verdict:
        form = f"{HUB}/{connect.client_id}/?api-version="
        if connect.level != 4 or not connect.username.startswith(form):
            return Verdict(_NO_RIGHT)
        if connect.client_id != DEVICE:
            return Verdict(_NO_RIGHT)
        if not connect.password:
            return Verdict(0 if _common_name(connect.certificate) == DEVICE else _NO_RIGHT)
        return self._token(connect.password)

    def _token(self, token: str) -> Verdict:
        scheme, _, rest = token.partition(" ")
        given = {key: values[0] for key, values in parse_qs(rest).items()}
        resource = f"{HUB}/devices/{DEVICE}"
        signed = f"{quote(resource, safe='')}\n{given['se']}".encode()
        expected = hmac.digest(base64.b64decode(KEY), signed, hashlib.sha256)
        left = int(given["se"]) - (time.time() + self.skew)
        good = (
            scheme == "SharedAccessSignature"
            and given["sr"] == resource
            and hmac.compare_digest(base64.b64decode(given["sig"]), expected)
            and left > 0
        )
        if not good:
            return Verdict(_NO_RIGHT)
        self.lives.append(left)
        return Verdict(0, left)


def _common_name(certificate: Any) -> str:
    subject = (certificate or {}).get("subject", ())
    return next((v for part in subject for k, v in part if k == "commonName"), "")


class HubService(BrokerService):
    """The twin, direct methods and messages of one device.

    Attributes:
        telemetry: (properties, payload) of each message so far.
        answers: (status, payload) of each answered method, by request number.
        silent: answers nothing while true.
        busy: how many requests are refused with 429 before one is answered again.
    """

    topics = (
        "$iothub/twin/GET/#",
        "$iothub/twin/PATCH/properties/reported/#",
        "$iothub/methods/res/#",
        "devices/+/messages/events/#",
    )

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.reset()

    def reset(self) -> None:
        """An empty twin, and nothing under way that would change it."""
        if self._client.is_connected():
            self.settle()
        with self.lock:
            self.desired: dict[str, Any] = {}
            self.reported: dict[str, Any] = {}
            self.versions = {"desired": 1, "reported": 1}
            self.telemetry: list[tuple[dict[str, str], bytes]] = []
            self.answers: dict[str, tuple[int, Any]] = {}
            self.silent, self.busy = False, 0

    # ---- what applications in the cloud do ------------------------------------------------------

    def desire(self, values: Mapping[str, Any]) -> None:
        with self.lock:
            _merge(self.desired, values)
            self.versions["desired"] += 1
            version = self.versions["desired"]
            change = {**values, "$version": version}
            self.publish(
                f"$iothub/twin/PATCH/properties/desired/?$version={version}", json.dumps(change)
            )
        self.settle()

    def call(self, method: str, payload: Any, request: str = "1") -> None:
        self.publish(f"$iothub/methods/POST/{method}/?$rid={request}", json.dumps(payload))
        self.settle()

    def send(self, payload: bytes | str, **properties: str) -> None:
        known = {"$.mid": "m1", "$.to": f"/devices/{DEVICE}/messages/devicebound", **properties}
        bag = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in known.items())
        self.publish(f"devices/{DEVICE}/messages/devicebound/{bag}", payload)
        self.settle()

    # ---- what the device asks -------------------------------------------------------------------

    def answer(self, topic: str, payload: bytes) -> None:
        if "/messages/events/" in topic:
            bag = topic.partition("/messages/events/")[2]
            self.telemetry.append((dict(parse_qsl(bag)), payload))
            return
        query = dict(parse_qsl(topic.partition("?")[2]))
        if topic.startswith("$iothub/methods/res/"):
            status = int(topic.split("/")[3])
            self.answers[query["$rid"]] = (status, json.loads(payload) if payload else None)
        elif not self.silent:
            self._about_the_twin(topic, payload, query["$rid"])

    def _about_the_twin(self, topic: str, payload: bytes, request: str) -> None:
        if self.busy:
            self.busy -= 1
            self._result(429, request, b'{"errorCode":429001,"message":"ThrottlingException"}')
        elif topic.startswith("$iothub/twin/GET/"):
            twin = {
                "desired": {**self.desired, "$version": self.versions["desired"]},
                "reported": {**self.reported, "$version": self.versions["reported"]},
            }
            self._result(200, request, json.dumps(twin).encode())
        else:
            self._report(payload, request)

    def _report(self, payload: bytes, request: str) -> None:
        try:
            change = json.loads(payload)
            _check(change)
        except ValueError as error:
            self._result(400, request, json.dumps({"message": str(error)}).encode())
            return
        reported = copy.deepcopy(self.reported)  # whoever looks sees all of a change or none
        _merge(reported, change)
        self.reported = reported
        self.versions["reported"] += 1
        self._result(204, f"{request}&$version={self.versions['reported']}", b"")

    def _result(self, status: int, request: str, payload: bytes) -> None:
        self.publish(f"$iothub/twin/res/{status}/?$rid={request}", payload)


def _check(change: Any) -> None:
    if not isinstance(change, dict) or len(json.dumps(change)) > _LARGEST_REPORTED:
        raise ValueError("reported properties are an object of at most 32 KB")
    for key, value in change.items():
        if _BAD_NAME.search(key):
            raise ValueError(f"the property name '{key}' holds a character that is not allowed")
        if isinstance(value, dict):
            _check(value)


def _merge(into: dict[str, Any], change: Mapping[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            inner = into.get(key)
            into[key] = inner if isinstance(inner, dict) else {}
            _merge(into[key], value)
        else:
            into[key] = value


SCOPE = "0ne00000A0A"
GROUP_KEY = base64.b64encode(b"the key of the whole group, long").decode()


def provisioning_gate(connect: Connect) -> Verdict:
    """Who may ask the provisioning service: by its own key, that of the group, or a certificate."""
    resource = f"{SCOPE}/registrations/{connect.client_id}"
    if connect.username != f"{resource}/api-version=2019-03-31" and not connect.username.startswith(
        f"{resource}/api-version=2019-03-31&ClientVersion="
    ):
        return Verdict(_NO_RIGHT)
    if not connect.password:
        good = _common_name(connect.certificate) == connect.client_id
        return Verdict(0 if good else _NO_RIGHT)
    given = {k: v[0] for k, v in parse_qs(connect.password.partition(" ")[2]).items()}
    signed = f"{quote(resource, safe='')}\n{given['se']}".encode()
    group = base64.b64decode(GROUP_KEY)
    keys = [base64.b64decode(KEY), hmac.digest(group, connect.client_id.encode(), hashlib.sha256)]
    digests = [base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode() for key in keys]
    good = (
        given["sr"] == resource
        and given["sig"] in digests
        and given.get("skn", "registration") == "registration"
    )
    return Verdict(0 if good and int(given["se"]) > time.time() else _NO_RIGHT)


class ProvisioningService(BrokerService):
    """The device provisioning service ('Communicate with DPS using the MQTT protocol').

    Attributes:
        enrolled: registration id -> (hub, device); None is an enrollment that is disabled.
        steps: how often it answers 'assigning' before it answers 'assigned'.
        asked: topics of the requests so far.
    """

    topics = ("$dps/registrations/PUT/#", "$dps/registrations/GET/#")

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.enrolled: dict[str, tuple[str, str] | None] = {DEVICE: (HUB, DEVICE)}
        self.steps, self.asked = 1, list[str]()
        self._waits: dict[str, tuple[str, int]] = {}

    def answer(self, topic: str, payload: bytes) -> None:
        self.asked.append(topic)
        query = dict(parse_qsl(topic.partition("?")[2]))
        if "/PUT/" in topic:
            operation, registration, left = (
                "4.op",
                json.loads(payload)["registrationId"],
                self.steps,
            )
        else:
            operation = query["operationId"]
            registration, left = self._waits.pop(operation)
        if registration not in self.enrolled:
            self._say(404, query["$rid"], {"errorCode": 404201, "message": "Device not found"})
        elif left:
            self._waits[operation] = (registration, left - 1)
            content = {"operationId": operation, "status": "assigning"}
            self._say(202, f"{query['$rid']}&retry-after=1", content)
        else:
            self._say(200, query["$rid"], self._outcome(operation, registration))

    def _outcome(self, operation: str, registration: str) -> dict[str, Any]:
        assigned = self.enrolled[registration]
        state = {"registrationId": registration}
        if assigned is None:
            return {"operationId": operation, "status": "disabled", "registrationState": state}
        moment = "2025-01-01T00:00:00.0000000Z"
        state |= {
            "assignedHub": assigned[0], "deviceId": assigned[1], "status": "assigned",
            "substatus": "initialAssignment", "createdDateTimeUtc": moment,
            "lastUpdatedDateTimeUtc": moment, "etag": "an etag",
        }  # fmt: skip
        return {"operationId": operation, "status": "assigned", "registrationState": state}

    def _say(self, status: int, request: str, content: dict[str, Any]) -> None:
        self.publish(f"$dps/registrations/res/{status}/?$rid={request}", json.dumps(content))


class AzureIoT:
    """Front, broker and service together."""

    def __init__(self) -> None:
        self.authority = trustme.CA()
        self.broker = Mosquitto(persistent=True, largest=LARGEST + 1024, options=[])
        rights = self.broker.folder / "rights"
        rights.write_text(_RIGHTS)
        self.broker._options.append(f"acl_file {rights}")
        self.ca = self.broker.folder / "ca.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.gatekeeper = Gatekeeper()
        self.front = Front(self._context(), self.broker.port, self.gatekeeper)
        self.hub = HubService(self.broker.port)

    @contextmanager
    def provisioning(self) -> Iterator[tuple[Front, ProvisioningService]]:
        """The provisioning service, with a listener of its own."""
        service = ProvisioningService(self.broker.port)
        with Front(self._context(), self.broker.port, provisioning_gate) as front:
            service.start()
            try:
                yield front, service
            finally:
                service.stop()
        assert service.errors == []

    @contextmanager
    def websocket(self, **more: Any) -> Iterator[WebSocketServer]:
        """The hub's WebSocket: TLS, '/$iothub/websocket', and the same gatekeeper behind it."""
        issued = self.authority.issue_cert("localhost")
        cert, key = self.broker.folder / "ws.pem", self.broker.folder / "ws.key"
        issued.cert_chain_pems[0].write_to_path(cert)
        issued.private_key_pem.write_to_path(key)
        with (
            Front(None, self.broker.port, self.gatekeeper) as front,
            WebSocketServer(front.port, "/$iothub/websocket", (cert, key), **more) as server,
        ):
            yield server

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=self.ca)
        self.authority.issue_cert("localhost").configure_cert(context)
        context.verify_mode = ssl.CERT_OPTIONAL
        return context

    def start(self) -> None:
        self.broker.start()
        self.front.start()
        self.hub.start()

    def stop(self) -> None:
        self.hub.stop()
        self.front.stop()
        self.broker.stop()

    def restart(self) -> None:
        self.front.holds = True  # a hub that takes connections answers for its twins, too
        self.hub.forget()
        self.broker.restart()
        self.hub.wait()
        self.front.holds = False

    def certificate(self, name: str = DEVICE) -> tuple[str, str]:
        cert, key = issue(self.authority, self.broker.folder, name)
        return str(cert), str(key)

    def config(self, port: int | None = None, **changes: Any) -> dict[str, Any]:
        return {
            "connection_string": connection_string(GatewayHostName="localhost"),
            "port": port or self.front.port, "ca_path": str(self.ca), **changes,
        }  # fmt: skip

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
