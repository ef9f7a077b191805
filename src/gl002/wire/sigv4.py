"""Signatures of AWS, version 4: of a request's headers, and of an address.

Source: AWS Identity and Access Management User Guide, 'Create a signed AWS API request'. For the
WebSocket of AWS IoT Core: AWS IoT Core Developer Guide, 'Device communication protocols', where the
session token is added to the address after it is signed.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple
from urllib.parse import quote

from gl002.security.secrets import Secret

_ALGORITHM = "AWS4-HMAC-SHA256"


class Keys(NamedTuple):
    """An access key of AWS.

    Attributes:
        access_key_id: its name.
        secret: the key.
        session_token: of temporary keys; None for lasting ones.
    """

    access_key_id: str
    secret: Secret
    session_token: Secret | None = None


class Scope(NamedTuple):
    """What a signature is good for."""

    region: str
    service: str


def signed_headers(
    keys: Keys, scope: Scope, *, host: str, target: str, body: bytes, now: float
) -> Mapping[str, str]:
    """Headers of a signed POST to '/' of a service that speaks JSON 1.1.

    Args:
        keys: to sign with.
        scope: region and service.
        host: as the Host header says it, with a port that is not the usual one.
        target: operation, 'secretsmanager.GetSecretValue'.
        body: of the request.
        now: seconds since 1970 UTC; AWS refuses what is more than 5 minutes off.
    """
    moment = _moment(now)
    headers = {
        "content-type": "application/x-amz-json-1.1",
        "host": host,
        "x-amz-date": moment,
        "x-amz-target": target,
    }
    if keys.session_token is not None:
        headers["x-amz-security-token"] = keys.session_token.reveal()
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    canonical = f"POST\n/\n\n{lines}\n{names}\n{_digest(body)}"
    signature = _signature(keys, scope, moment, canonical)
    authorization = (
        f"{_ALGORITHM} Credential={keys.access_key_id}/{_credential(scope, moment)}, "
        f"SignedHeaders={names}, Signature={signature}"
    )
    rest = {name: value for name, value in headers.items() if name != "host"}
    return {**rest, "authorization": authorization}


def signed_path(keys: Keys, scope: Scope, *, host: str, path: str, now: float, expires: int) -> str:
    """Path and query of a signed GET, such as that of the WebSocket of AWS IoT Core.

    Args:
        keys: to sign with; the session token is not part of what is signed.
        scope: region and service, 'iotdevicegateway'.
        host: as the Host header says it.
        path: '/mqtt'.
        now: seconds since 1970 UTC.
        expires: seconds for which the address can be used.
    """
    moment = _moment(now)
    query = _query({
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{keys.access_key_id}/{_credential(scope, moment)}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": "host",
    })  # fmt: skip
    canonical = f"GET\n{path}\n{query}\nhost:{host}\n\nhost\n{_digest(b'')}"
    signed = f"{path}?{query}&X-Amz-Signature={_signature(keys, scope, moment, canonical)}"
    if keys.session_token is None:
        return signed
    return f"{signed}&{_query({'X-Amz-Security-Token': keys.session_token.reveal()})}"


def _query(values: Mapping[str, str]) -> str:
    return "&".join(f"{name}={quote(values[name], safe='-_.~')}" for name in sorted(values))


def _signature(keys: Keys, scope: Scope, moment: str, canonical: str) -> str:
    text = "\n".join([_ALGORITHM, moment, _credential(scope, moment), _digest(canonical.encode())])
    key = f"AWS4{keys.secret.reveal()}".encode()
    for part in (moment[:8], scope.region, scope.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def _credential(scope: Scope, moment: str) -> str:
    return f"{moment[:8]}/{scope.region}/{scope.service}/aws4_request"


def _moment(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).strftime("%Y%m%dT%H%M%SZ")


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
