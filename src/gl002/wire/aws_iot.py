"""AWS IoT Core over MQTT: reserved topics, device shadows, limits.

Source: AWS IoT Core Developer Guide, 'Reserved topics', 'Device Shadow MQTT topics', 'Device
Shadow service documents' and 'AWS IoT Core endpoints and quotas'.

>>> shadow_topic("boiler1", "", "update")
'$aws/things/boiler1/shadow/update'
>>> shadow_topic("boiler1", "limits", "get")
'$aws/things/boiler1/shadow/name/limits/get'
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from gl002.errors import Busy, ConfigError, DataError, GL002Error, RequestFailed, TagNotFound
from gl002.wire.desired_state import State
from gl002.wire.json_payload import decode
from gl002.wire.mqtt_topic import check_filter, check_name

LARGEST_MESSAGE = 128 * 1024
"""Bytes of payload that one message may have."""
LARGEST_SHADOW = 8 * 1024
"""Bytes that a shadow may have, without metadata."""
MOST_FILTERS = 8
"""Topic filters in one request to subscribe."""
MESSAGES_PER_SECOND = 100.0
"""Messages that one connection may publish in a second."""
ALPN = "x-amzn-mqtt-ca"
"""Application protocol of MQTT with a client certificate, where port 443 serves several."""
NAME = r"^[a-zA-Z0-9:_-]{1,128}$"
"""Form of the name of a thing."""
SHADOW = r"^[a-zA-Z0-9:_-]{1,64}$"
"""Form of the name of a shadow."""

_MOST_SLASHES = 7
_LONGEST_TOPIC = 256  # bytes
_RESERVED = re.compile(r"^\$aws/rules/[^/]+/")  # does not count (Basic Ingest)
_SHADOW_OF = re.compile(r"^\$aws/things/([^/]+)/shadow/")
_SECOND = 1_000_000_000
_UNAVAILABLE = {429, 500}
_ABOUT_THE_DOCUMENT = {400, 413, 415, 422}
_NO_RIGHT = {401, 403}
_NOT_FOUND, _CONFLICT = 404, 409


class VersionConflict(RequestFailed):
    """The shadow has another version than the one the update was meant for (code 409)."""


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """Where the desired state differs from the reported one.

    Attributes:
        state: the desired values that differ, nested.
        version: of the shadow.
        time: when it was published, nanoseconds UTC.
        shadow: its name; '' for the classic one.
    """

    state: Mapping[str, Any]
    version: int
    time: int = 0
    shadow: str = ""


def shadow_topic(thing: str, shadow: str, *verbs: str) -> str:
    """A topic of a shadow: verbs 'update', 'accepted' give '.../shadow/update/accepted'."""
    named = ["name", shadow] if shadow else []
    return "/".join(["$aws/things", thing, "shadow", *named, *verbs])


def check_shadow(name: str) -> str:
    """The name of a shadow; '' is the classic one.

    Raises:
        ConfigError: it has a character that is not allowed, or is too long.
    """
    if name and not re.match(SHADOW, name):
        raise ConfigError(
            f"'{name}' is no name of a shadow", hint="letters, digits, ':', '_', '-'; 64 at most"
        )
    return name


def thing_of(topic: str) -> str:
    """The thing whose shadow a topic belongs to; '' for other topics."""
    match = _SHADOW_OF.match(topic)
    return match[1] if match is not None else ""


def check_topic(topic: str, *, wildcards: bool = False) -> str:
    """The topic or filter, if AWS IoT Core takes it.

    Raises:
        ConfigError: it is not valid, longer than 256 bytes, or has more than seven slashes.
    """
    (check_filter if wildcards else check_name)(topic)
    counted = _RESERVED.sub("", topic)
    if len(counted.encode()) > _LONGEST_TOPIC or counted.count("/") > _MOST_SLASHES:
        raise ConfigError(
            f"the topic '{topic}' is too long for AWS IoT Core",
            hint=f"at most {_LONGEST_TOPIC} bytes and {_MOST_SLASHES} slashes",
        )
    return topic


def read_delta(payload: bytes, shadow: str) -> Delta:
    """A message under '.../shadow/update/delta'.

    Raises:
        DataError: it is none.
    """
    content = _object(payload)
    return Delta(
        state=_part(content, "state"),
        version=_version(content),
        time=_nanoseconds(content.get("timestamp")),
        shadow=shadow,
    )


def state_reader(thing: str, shadow: str) -> Callable[[str, bytes], State | None]:
    """What reads the desired state from '.../update/documents' and '.../get/accepted'.

    Not from '.../update/delta': that is silent when the desired state comes to be what is reported,
    and the tag would keep the wish before.
    """
    answer = shadow_topic(thing, shadow, "get", "accepted")

    def read(topic: str, payload: bytes) -> State | None:
        content = _object(payload)
        if topic == answer:
            return _desired(content, fresh=True)
        return _desired(_part(content, "current"), fresh=False)

    return read


def _desired(document: Mapping[str, Any], *, fresh: bool) -> State:
    metadata = _part(_part(document, "metadata"), "desired")
    return State(
        values=_part(_part(document, "state"), "desired"),
        version=_version(document),
        fresh=fresh,
        times=dict(_times(metadata)),
    )


def _times(metadata: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, int]]:
    """Dotted path and time of each value: {"o2": {"setpoint": {"timestamp": 1700000000}}}."""
    for key, inner in metadata.items():
        path = f"{above}.{key}" if above else str(key)
        if not isinstance(inner, Mapping):
            continue
        if isinstance(inner.get("timestamp"), int):
            yield path, _nanoseconds(inner["timestamp"])
        else:
            yield from _times(inner, path)


def refusal(payload: bytes, what: str) -> GL002Error:
    """The error that a message under '.../rejected' tells of."""
    content = _object(payload)
    code = content.get("code")
    message = f"{what}: refused with {code}: {content.get('message', 'no reason given')}"
    if code == _CONFLICT:
        return VersionConflict(message, hint="get the shadow, and update it with its version")
    if code == _NOT_FOUND:
        return TagNotFound(message, hint="the first update makes the shadow")
    if code in _NO_RIGHT:
        return RequestFailed(message, hint="the policy must allow iot:Publish on this topic")
    if code in _ABOUT_THE_DOCUMENT:
        return DataError(message)
    return Busy(message) if code in _UNAVAILABLE else RequestFailed(message)


def _object(payload: bytes) -> Mapping[str, Any]:
    content = decode(payload)
    if not isinstance(content, dict):
        raise DataError("no JSON object, as AWS IoT Core sends")
    return content


def _part(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    part = content.get(key, {})
    if not isinstance(part, dict):
        raise DataError(f"'{key}' is no JSON object")
    return part


def _version(content: Mapping[str, Any]) -> int:
    version = content.get("version")
    if not isinstance(version, int):
        raise DataError("a shadow document without a version")
    return version


def _nanoseconds(seconds: object) -> int:
    return seconds * _SECOND if isinstance(seconds, int) else 0
