"""AWS IoT Core as far as a device sees it: mosquitto with client certificates, rights for each
certificate, and a shadow service written from the Developer Guide ('Device Shadow MQTT topics',
'Device Shadow service documents', 'Device Shadow error messages').

The vendor's own SDK is run against it, and moto's shadows are compared with these
(`tests/integrations/test_aws_vendor.py`).
"""

from __future__ import annotations

import copy
import json
import re
import time
from pathlib import Path
from typing import Any

from peers.mosquitto import Mosquitto
from peers.service import BrokerService

THING = "gl002_optimizer"
LARGEST_PACKET = 149_504  # bytes, as the CONNACK of AWS says
# Without a certificate, or as the user of the command line tools: what AWS does on its own side.
_RIGHTS = """
topic readwrite #
topic readwrite $aws/#
user gl002
topic readwrite #
topic readwrite $aws/#
user gl002_optimizer
topic readwrite $aws/things/gl002_optimizer/shadow/#
topic readwrite $aws/things/gl002_optimizer/jobs/#
topic read $aws/things/gl002/shadow/#
topic write $aws/rules/boilers/#
topic readwrite plant/#
user claim
topic readwrite $aws/certificates/#
topic readwrite $aws/provisioning-templates/boilers/#
user stranger
topic readwrite elsewhere/#
"""
_SHADOW = re.compile(
    r"^\$aws/things/(?P<thing>[^/]+)/shadow(?:/name/(?P<name>[^/]+))?/(?P<verb>update|get|delete)$"
)
_MOST_STATE = 8 * 1024
_UPDATES = "$aws/things/+/jobs/+/update"


class Rejected(Exception):
    """A request that the shadow service refuses."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class AWSBroker(Mosquitto):
    """The broker: a client is known by the common name of its certificate (`mutual_port`)."""

    def __init__(self, *, revoked: bytes | None = None) -> None:
        super().__init__(tls=True, persistent=True, largest=LARGEST_PACKET)
        rights = self.folder / "rights"
        rights.write_text(_RIGHTS)
        self._options.append(f"acl_file {rights}")
        self._revoked = revoked

    def _lines(self) -> list[str]:
        # In TLS 1.3 a refused client has written its CONNECT already, and a reset may overtake the
        # alert that says why.
        lines = [*super()._lines(), "use_identity_as_username true", "tls_version tlsv1.2"]
        if self._revoked is not None:
            (self.folder / "revoked.crl").write_bytes(self._revoked)
            lines.append(f"crlfile {self.folder}/revoked.crl")
        return lines


class Shadow:
    """One shadow's document. Pure but for the clock."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.version = 0
        self.there = False

    def update(self, document: dict[str, Any], now: int) -> dict[str, Any]:
        """Merge; returns the metadata of what was in the request."""
        if not isinstance(document.get("state"), dict):
            raise Rejected(400, "Missing required node: state")
        unknown = document["state"].keys() - {"desired", "reported"}
        if unknown:
            raise Rejected(400, f"State contains an invalid node: '{min(unknown)}'")
        if "version" in document and document["version"] != self.version:
            raise Rejected(409, "Version conflict")
        state = copy.deepcopy(self.state)
        metadata = copy.deepcopy(self.metadata)
        for section, change in document["state"].items():
            if change is None:
                state.pop(section, None)
                metadata.pop(section, None)
            else:
                _merge(state.setdefault(section, {}), change)
                _stamp(metadata.setdefault(section, {}), change, now)
        if len(json.dumps(state)) > _MOST_STATE:
            raise Rejected(413, "The payload exceeds the maximum size allowed")
        self.state = {section: values for section, values in state.items() if values}
        self.metadata, self.there = metadata, True
        self.version += 1
        stamped: dict[str, Any] = {}
        for section, change in document["state"].items():
            _stamp(stamped.setdefault(section, {}), change or {}, now)
        return stamped

    def delta(self) -> dict[str, Any]:
        return _difference(self.state.get("desired", {}), self.state.get("reported", {}))

    def document(self) -> dict[str, Any]:
        return {
            "state": copy.deepcopy(self.state),
            "metadata": copy.deepcopy(self.metadata),
            "version": self.version,
        }


def _merge(into: dict[str, Any], change: dict[str, Any]) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict) and isinstance(into.get(key), dict):
            _merge(into[key], value)
        else:
            into[key] = _without_nulls(value)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}
    return value


def _stamp(into: dict[str, Any], change: dict[str, Any], now: int) -> None:
    for key, value in change.items():
        if value is None:
            into.pop(key, None)
        elif isinstance(value, dict):
            inner = into.get(key)
            into[key] = inner if isinstance(inner, dict) and "timestamp" not in inner else {}
            _stamp(into[key], value, now)
        else:
            into[key] = {"timestamp": now}


def _difference(desired: dict[str, Any], reported: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in desired.items():
        other = reported.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            inner = _difference(value, other)
            if inner:
                found[key] = inner
        elif value != other:
            found[key] = value
    return found


class ShadowService(BrokerService):
    """Answers '$aws/things/+/shadow/...', classic and named.

    Attributes:
        silent: answers nothing while true.
        unanswered: requests that came while it was silent.
        busy: how many requests are refused with 429 before one is answered again.
    """

    topics = (
        "$aws/things/+/shadow/+",
        "$aws/things/+/shadow/name/+/+",
    )

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.reset()

    def reset(self) -> None:
        """No shadow at all, and nothing under way that would make one."""
        if self._client.is_connected():
            self.settle()
        with self.lock:
            self.shadows: dict[tuple[str, str], Shadow] = {}
            self.silent, self.unanswered, self.busy = False, 0, 0

    def shadow(self, thing: str = THING, name: str = "") -> Shadow:
        with self.lock:
            return self.shadows.setdefault((thing, name), Shadow())

    def desire(self, values: dict[str, Any], *, thing: str = THING, name: str = "") -> None:
        """What an application in the cloud does: change the desired state over HTTPS."""
        with self.lock:
            self._update(thing, name, {"state": {"desired": values}})
        self.settle()

    def answer(self, topic: str, payload: bytes) -> None:
        match = _SHADOW.match(topic)
        if match is None or self.silent:
            self.unanswered += match is not None
            return
        thing, name, verb = match["thing"], match["name"] or "", match["verb"]
        token: dict[str, Any] = {}
        try:
            request = json.loads(payload) if payload else {}
            token = {"clientToken": request["clientToken"]} if "clientToken" in request else {}
            self._be_busy()
            getattr(self, f"_{verb}")(thing, name, request)
        except json.JSONDecodeError:
            self._refuse(topic, Rejected(400, "Payload contains invalid json"), token)
        except Rejected as refusal:
            self._refuse(topic, refusal, token)

    def _be_busy(self) -> None:
        if self.busy:
            self.busy -= 1
            raise Rejected(429, "The request rate limit was exceeded")

    def _refuse(self, topic: str, refusal: Rejected, token: dict[str, Any]) -> None:
        content = {"code": refusal.code, "message": refusal.message, "timestamp": _now(), **token}
        self.publish(f"{topic}/rejected", json.dumps(content))

    def _say(self, thing: str, name: str, verbs: str, content: dict[str, Any]) -> None:
        named = f"/name/{name}" if name else ""
        self.publish(f"$aws/things/{thing}/shadow{named}/{verbs}", json.dumps(content))

    def _update(self, thing: str, name: str, request: dict[str, Any]) -> None:
        shadow, now = self.shadow(thing, name), _now()
        token = {k: v for k, v in request.items() if k == "clientToken"}
        before = shadow.document()
        metadata = shadow.update(request, now)
        also = {"version": shadow.version, "timestamp": now, **token}
        accepted = {"state": request["state"], "metadata": metadata, **also}
        self._say(thing, name, "update/accepted", accepted)
        documents = {"previous": before, "current": shadow.document(), "timestamp": now, **token}
        self._say(thing, name, "update/documents", documents)
        if delta := shadow.delta():
            self._say(thing, name, "update/delta", {"state": delta, "metadata": {}, **also})

    def _get(self, thing: str, name: str, request: dict[str, Any]) -> None:
        shadow = self._existing(thing, name)
        content = shadow.document()
        if delta := shadow.delta():
            content["state"]["delta"] = delta
        token = {k: v for k, v in request.items() if k == "clientToken"}
        self._say(thing, name, "get/accepted", {**content, "timestamp": _now(), **token})

    def _delete(self, thing: str, name: str, request: dict[str, Any]) -> None:
        shadow = self._existing(thing, name)
        shadow.state, shadow.metadata, shadow.there = {}, {}, False
        token = {k: v for k, v in request.items() if k == "clientToken"}
        content = {"version": shadow.version, "timestamp": _now(), **token}
        self._say(thing, name, "delete/accepted", content)

    def _existing(self, thing: str, name: str) -> Shadow:
        shadow = self.shadow(thing, name)
        if not shadow.there:
            raise Rejected(404, f"No shadow exists with name: '{name or thing}'")
        return shadow


def _now() -> int:
    return int(time.time())


class JobsService(BrokerService):
    """Answers '$aws/things/+/jobs/...' ('Jobs device MQTT API operations'), for one thing.

    Attributes:
        executions: in the order they were queued.
    """

    topics = ("$aws/things/+/jobs/start-next", "$aws/things/+/jobs/+/get", _UPDATES)

    def __init__(self, port: int, thing: str = THING) -> None:
        super().__init__(port)
        self.executions: list[dict[str, Any]] = []
        self._base = f"$aws/things/{thing}/jobs"

    def create(self, job: str, document: Any) -> None:
        """What an operator in the cloud does."""
        with self.lock:
            first = self._next() is None
            self.executions.append({
                "jobId": job, "status": "QUEUED", "jobDocument": document, "versionNumber": 1,
                "executionNumber": len(self.executions) + 1, "queuedAt": _now(),
            })  # fmt: skip
            if first:
                self._notify()
        self.settle()

    def reset(self) -> None:
        """No job, and no request under way."""
        self.settle()
        with self.lock:
            self.executions.clear()

    def status(self, job: str) -> tuple[str, Any]:
        with self.lock:
            (found,) = [e for e in self.executions if e["jobId"] == job]
            return found["status"], found.get("statusDetails")

    def _next(self) -> dict[str, Any] | None:
        open_ones = [e for e in self.executions if e["status"] in {"IN_PROGRESS", "QUEUED"}]
        return min(open_ones, key=lambda e: e["status"] != "IN_PROGRESS", default=None)

    def _notify(self) -> None:
        found = self._next()
        content = {"timestamp": _now()} | ({"execution": found} if found else {})
        self.publish(f"{self._base}/notify-next", json.dumps(content))

    def answer(self, topic: str, payload: bytes) -> None:
        request = json.loads(payload) if payload else {}
        token = {k: v for k, v in request.items() if k == "clientToken"}
        try:
            content = self._carried_out(topic.removeprefix(f"{self._base}/"), request)
        except JobRefused as refusal:
            content = {"code": str(refusal), "message": "refused", "timestamp": _now(), **token}
            self.publish(f"{topic}/rejected", json.dumps(content))
        else:
            content |= {"timestamp": _now(), **token}
            self.publish(f"{topic}/accepted", json.dumps(content))
            if topic.endswith("/update"):
                self._notify()

    def _carried_out(self, verbs: str, request: dict[str, Any]) -> dict[str, Any]:
        if verbs.endswith("/update"):
            return self._update(verbs.removesuffix("/update"), request)
        found = self._next()
        if found is not None and verbs == "start-next" and found["status"] == "QUEUED":
            found["status"] = "IN_PROGRESS"
            found["versionNumber"] += 1
        return {"execution": found} if found else {}

    def _update(self, job: str, request: dict[str, Any]) -> dict[str, Any]:
        found = next((e for e in self.executions if e["jobId"] == job), None)
        if found is None:
            raise JobRefused("ResourceNotFound")
        if found["status"] in {"SUCCEEDED", "FAILED", "REJECTED"}:
            raise JobRefused("InvalidStateTransition")
        if int(request.get("expectedVersion", found["versionNumber"])) != found["versionNumber"]:
            raise JobRefused("VersionMismatch")
        found["status"] = request["status"]
        found["statusDetails"] = request.get("statusDetails", {})
        found["versionNumber"] += 1
        return {}


class JobRefused(Exception):
    """A code of the jobs service."""


class AWSIoT:
    """Broker, shadow service and jobs service together."""

    def __init__(self) -> None:
        self.broker = AWSBroker()
        self.shadows = ShadowService(self.broker.port)
        self.jobs = JobsService(self.broker.port)

    def start(self) -> None:
        self.broker.start()
        self.shadows.start()
        self.jobs.start()

    def stop(self) -> None:
        self.jobs.stop()
        self.shadows.stop()
        self.broker.stop()

    def restart(self) -> None:
        self.shadows.forget()
        self.jobs.forget()
        self.broker.restart()
        self.shadows.wait()
        self.jobs.wait()

    def certificate(self, name: str = THING) -> tuple[Path, Path]:
        return self.broker.client_certificate(name)

    def config(self, port: int | None = None, **changes: Any) -> dict[str, Any]:
        cert, key = self.certificate(changes.pop("certificate", THING))
        return {
            "endpoint": "localhost", "port": port or self.broker.mutual_port, "client_id": THING,
            "cert_path": str(cert), "key_path": str(key), "ca_path": str(self.broker.ca),
            "region": "us-west-2", **changes,
        }  # fmt: skip

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
