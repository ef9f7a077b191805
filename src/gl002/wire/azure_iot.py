"""Azure IoT Hub over MQTT: connection strings, tokens, topics, errors, limits.

Source: Azure IoT Hub documentation, 'Communicate with an IoT hub using the MQTT protocol',
'Control access to IoT Hub by using shared access signatures', 'Quotas and throttling'.

>>> events_topic("boiler1", {"$.ct": "application/json"})
'devices/boiler1/messages/events/%24.ct=application%2Fjson'
>>> methods_answer("7", 200)
'$iothub/methods/res/200/?$rid=7'
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, unquote

import msgspec

from gl002.errors import Busy, ConfigError, DataError, GL002Error, RequestFailed
from gl002.security.secrets import Secret, part_of
from gl002.wire.desired_state import State
from gl002.wire.json_payload import decode

API = "2021-04-12"
"""Version of the hub's interface that is asked for."""
LARGEST_MESSAGE = 256 * 1024
"""Bytes that one message may have, its properties included."""
LARGEST_REPORTED = 32 * 1024
"""Bytes that the reported properties of a twin may have."""
MESSAGES_PER_SECOND = 100.0
"""Messages that a hub takes from its devices in a second, the smallest paid tier (S1, one unit)."""
WEBSOCKET = "/$iothub/websocket"
"""Path of the hub's WebSocket."""
DEVICE = r"^[A-Za-z0-9\-.%_*?!(),:=@$']{1,128}$"
"""Form of the name of a device."""

DESIRED = "$iothub/twin/PATCH/properties/desired/"
"""Topics of changes to the desired properties begin so."""
RESULTS = "$iothub/twin/res/"
"""Topics of answers about the twin begin so."""
METHODS = "$iothub/methods/POST/"
"""Topics of calls of direct methods begin so."""

_KNOWN = {
    "HostName": "host",
    "DeviceId": "device_id",
    "ModuleId": "module_id",
    "SharedAccessKey": "shared_access_key",
    "GatewayHostName": "gateway",
    "x509": "",
}
_KEY = _KNOWN["SharedAccessKey"]
_RESULT = re.compile(r"^\$iothub/twin/res/(\d+)/\?(.*)$")
_METHOD = re.compile(r"^\$iothub/methods/POST/([^/]+)/\?(.*)$")
_TOO_MANY = 429
_FAULTS = range(500, 600)
_WRONG = {400, 413}


class Method(msgspec.Struct, frozen=True, kw_only=True):
    """A direct method that somebody calls on the device.

    Attributes:
        name: of the method.
        payload: JSON as given; None for none.
        request: the hub's number of the call.
    """

    name: str
    payload: Any = None
    request: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a direct method answers.

    Attributes:
        status: a number of your own; 200 by custom where all went well.
        payload: anything that has a JSON form.
    """

    status: int = 200
    payload: Any = None


class Result(NamedTuple):
    """An answer about the twin.

    Attributes:
        status: 200 with the twin, 204 after an update, else an error.
        request: the number it was asked with.
        version: of the reported properties after an update; 0 where it is not told.
    """

    status: int
    request: str
    version: int


def parts_of(text: str) -> dict[str, Any]:
    """The settings in a device's connection string. What is wrong is said without showing it.

    Raises:
        ValueError: it is none.
    """
    first = _pieces(text)

    def again(later: str) -> str:
        now = _pieces(later)
        if {**now, _KEY: ""} != {**first, _KEY: ""}:
            raise ValueError("connection_string: more than its SharedAccessKey has changed")
        return _checked_key(now[_KEY])

    return first | ({_KEY: Secret(part_of(text, again))} if _KEY in first else {})


def _pieces(text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in filter(None, text.strip().split(";")):
        name, equals, value = part.partition("=")
        if name == "SharedAccessKeyName":
            raise ValueError("connection_string is that of a service: take that of the device")
        if name not in _KNOWN or not equals:
            known = ", ".join(_KNOWN)
            raise ValueError(f"connection_string: 'name=value;...' is expected, with {known}")
        if _KNOWN[name]:
            found[_KNOWN[name]] = value
    for name in ("HostName", "DeviceId"):
        if not found.get(_KNOWN[name]):
            raise ValueError(f"connection_string has no {name}")
    return found


def _checked_key(key: str) -> str:
    try:
        base64.b64decode(key, validate=True)
    except ValueError:
        raise ValueError("connection_string: its SharedAccessKey is no base64") from None
    return key


def name_of(device: str, module: str = "") -> str:
    """Client id of a device, or of a module on it."""
    return f"{device}/{module}" if module else device


def username(hub: str, device: str, module: str = "", *, agent: str) -> str:
    """User name of a device at its hub.

    Args:
        hub: host name of the hub, also where the connection goes to a gateway.
        device: its name.
        module: on the device, '' for none.
        agent: what is connecting, for the hub's statistics.
    """
    whole = name_of(device, module)
    return f"{hub}/{whole}/?api-version={API}&DeviceClientType={quote(agent, safe='')}"


def token(hub: str, device: str, module: str, key: Secret, *, expires: int) -> Secret:
    """A shared access signature for one device.

    Args:
        hub: host name of the hub.
        device: its name.
        module: on the device, '' for none.
        key: shared access key of the device.
        expires: seconds since 1970 in UTC.

    Raises:
        ConfigError: the key is no base64.
    """
    resource = f"{hub}/devices/{device}"
    return signature(f"{resource}/modules/{module}" if module else resource, key, expires=expires)


def signature(resource: str, key: Secret, *, expires: int, policy: str = "") -> Secret:
    """A shared access signature.

    Args:
        resource: what it gives access to.
        key: that it is signed with.
        expires: seconds since 1970 in UTC.
        policy: name of the key, where the other side has several.

    Raises:
        ConfigError: the key is no base64.
    """
    quoted = quote(resource, safe="")
    try:
        secret = base64.b64decode(key.reveal(), validate=True)
    except ValueError:
        raise ConfigError("shared_access_key is no base64", hint="copy it from the hub") from None
    digest = hmac.digest(secret, f"{quoted}\n{expires}".encode(), hashlib.sha256)
    signed = quote(base64.b64encode(digest).decode(), safe="")
    named = f"&skn={policy}" if policy else ""
    return Secret(
        f"SharedAccessSignature sr={quoted}&sig={signed}&se={expires}{named}", passing=True
    )


# ---- topics -----------------------------------------------------------------------------------


def events_topic(device: str, properties: Mapping[str, str], module: str = "") -> str:
    """Where a device sends telemetry, with the properties of the message.

    Args:
        device: its name.
        properties: those of the system begin with '$.', such as '$.mid' and '$.ct'.
        module: on the device, '' for none.
    """
    bag = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in properties.items())
    own = f"devices/{device}/modules/{module}" if module else f"devices/{device}"
    return f"{own}/messages/events/{bag}"


def commands_filter(device: str) -> str:
    """Topic filter of messages from the cloud to a device."""
    return f"devices/{device}/messages/devicebound/#"


def properties_in(topic: str) -> dict[str, str]:
    """Properties that a message from the cloud carries in its topic."""
    pairs = (pair.partition("=") for pair in topic.rpartition("/")[2].split("&") if pair)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def get_topic(request: str) -> str:
    """Where the twin is asked for."""
    return f"$iothub/twin/GET/?$rid={request}"


def report_topic(request: str) -> str:
    """Where changes of the reported properties are sent."""
    return f"$iothub/twin/PATCH/properties/reported/?$rid={request}"


def methods_answer(request: str, status: int) -> str:
    """Where the answer to a direct method is sent."""
    return f"$iothub/methods/res/{status}/?$rid={request}"


# ---- what arrives -----------------------------------------------------------------------------


def result_of(topic: str) -> Result | None:
    """What the topic of an answer about the twin tells; None for other topics."""
    match = _RESULT.match(topic)
    if match is None:
        return None
    query = dict(parse_qsl(match[2]))
    version = query.get("$version", "")
    return Result(
        int(match[1]), query.get("$rid", ""), int(version) if version.isdecimal() else 0
    )  # fmt: skip


def method_of(topic: str, payload: bytes) -> Method:
    """A call of a direct method.

    Raises:
        DataError: it is none.
    """
    match = _METHOD.match(topic)
    request = dict(parse_qsl(match[2])).get("$rid") if match is not None else None
    if match is None or request is None:
        raise DataError(f"'{topic}' is no call of a direct method")
    content = decode(payload) if payload.strip() else None
    return Method(name=unquote(match[1]), payload=content, request=request)


def read_state(topic: str, payload: bytes) -> State | None:
    """The desired properties: all of them in the answer to a question, else what has changed.

    Raises:
        DataError: it is no JSON of a twin.
    """
    result = result_of(topic)
    if result is None:
        return _state(decode(payload), whole=False)
    return desired_in(payload) if result.status == 200 else None  # noqa: PLR2004 (HTTP's number)


def desired_in(twin: bytes) -> State:
    """The desired properties of a whole twin.

    Raises:
        DataError: it is no JSON of a twin.
    """
    content = decode(twin)
    return _state(content.get("desired") if isinstance(content, dict) else None, whole=True)


def _state(properties: object, *, whole: bool) -> State:
    if not isinstance(properties, dict) or not isinstance(properties.get("$version"), int):
        raise DataError("no properties of a twin: an object with '$version' is expected")
    values = {key: value for key, value in properties.items() if not key.startswith("$")}
    return State(values=values, version=properties["$version"], whole=whole, fresh=whole)


def refusal(status: int, payload: bytes, what: str) -> GL002Error:
    """The error that an answer about the twin tells of."""
    reason = payload.decode(errors="replace")[:300]
    message = f"{what}: refused with {status}: {reason or 'no reason given'}"
    if status == _TOO_MANY or status in _FAULTS:
        return Busy(message, hint="the hub is at the limit of its tier, or has a fault")
    if status in _WRONG:
        return DataError(message, hint="names hold no '.', '$' or blank; 32 KiB and 10 levels")
    return RequestFailed(message)
