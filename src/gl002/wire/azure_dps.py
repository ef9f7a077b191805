"""The device provisioning service of Azure IoT Hub over MQTT: keys, topics, answers.

Source: Azure documentation, 'Communicate with DPS using the MQTT protocol', 'How to use symmetric
key attestation'.

>>> register_topic("7")
'$dps/registrations/PUT/iotdps-register/?$rid=7'
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from typing import NamedTuple
from urllib.parse import parse_qsl

from gl002.errors import AuthFailed, ConfigError, ConnectFailed
from gl002.security.secrets import Secret
from gl002.wire.json_payload import decode

API = "2019-03-31"
"""Version of the service's interface that is asked for."""
HOST = "global.azure-devices-provisioning.net"
"""Where the service is for every customer."""
RESULTS = "$dps/registrations/res/"
"""Topics of its answers begin so."""

_HUBS = (".azure-devices.net", ".azure-devices.us", ".azure-devices.cn")
_RESULT = re.compile(r"^\$dps/registrations/res/(\d+)/\?(.*)$")
_LONGEST_WAIT = 60
_ASSIGNING, _PASSES = 202, 429
_FAULTS = 500


class Answer(NamedTuple):
    """An answer of the service.

    Attributes:
        request: the number it was asked with.
        operation: to ask about again; '' once it has ended.
        wait: seconds before that.
        hub: host name of the hub that the device was assigned to, '' before.
        device: its name there.
    """

    request: str
    operation: str = ""
    wait: int = 0
    hub: str = ""
    device: str = ""


def device_key(group: Secret, registration: str) -> Secret:
    """The key of a device, from that of its enrollment group.

    Raises:
        ConfigError: the group's key is no base64.
    """
    try:
        key = base64.b64decode(group.reveal(), validate=True)
    except ValueError:
        raise ConfigError(
            "the key of the enrollment group is no base64", hint="copy it from the enrollment"
        ) from None
    return Secret(
        base64.b64encode(hmac.digest(key, registration.encode(), hashlib.sha256)).decode()
    )


def resource(scope: str, registration: str) -> str:
    """What a token for the service is for."""
    return f"{scope}/registrations/{registration}"


def username(scope: str, registration: str) -> str:
    """User name at the service."""
    return f"{resource(scope, registration)}/api-version={API}"


def register_topic(request: str) -> str:
    """Where a device registers."""
    return f"$dps/registrations/PUT/iotdps-register/?$rid={request}"


def status_topic(request: str, operation: str) -> str:
    """Where a device asks what became of its registration."""
    return (
        f"$dps/registrations/GET/iotdps-get-operationstatus/?$rid={request}&operationId={operation}"
    )


def answer_of(topic: str, payload: bytes) -> Answer:
    """What the service has answered.

    Raises:
        ConnectFailed: it cannot do it now.
        AuthFailed: it does not let this device in.
        DataError: it is no answer of the service.
    """
    match = _RESULT.match(topic)
    query = dict(parse_qsl(match[2])) if match is not None else {}
    status = int(match[1]) if match is not None else 0
    content = decode(payload) if payload else {}
    known = content if isinstance(content, dict) else {}
    state = known.get("registrationState")
    told = state if isinstance(state, dict) else {}
    if status == _PASSES or status >= _FAULTS:
        raise ConnectFailed(f"the provisioning service is busy: status {status}")
    if status == _ASSIGNING or known.get("status") == "assigning":
        wait = query.get("retry-after", "")
        seconds = min(int(wait), _LONGEST_WAIT) if wait.isdecimal() else 3
        return Answer(query.get("$rid", ""), str(known.get("operationId", "")), seconds)
    hub, device = told.get("assignedHub"), told.get("deviceId")
    if known.get("status") != "assigned" or not isinstance(hub, str) or not isinstance(device, str):
        reason = told.get("errorMessage") or known.get("message") or known.get("status") or status
        raise AuthFailed(
            f"the provisioning service has assigned no hub: {reason}",
            hint="look at the enrollment: is it there, enabled, and linked to a hub?",
        )
    if not hub.endswith(_HUBS):
        raise AuthFailed(f"the provisioning service names '{hub}', which is no hub of Azure")
    return Answer(query.get("$rid", ""), hub=hub, device=device)
