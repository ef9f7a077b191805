"""Fleet provisioning by claim, over MQTT: topics, answers, a request for a certificate.

Source: AWS IoT Core Developer Guide, 'Device provisioning MQTT API' (CreateKeysAndCertificate,
CreateCertificateFromCsr, RegisterThing).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from gl002.errors import AuthFailed, Busy, GL002Error, RequestFailed
from gl002.wire.json_payload import decode

CREATE = "$aws/certificates/create/json"
FROM_REQUEST = "$aws/certificates/create-from-csr/json"
_TOO_MANY, _SERVER_ERRORS = 429, 500
_FORBIDDEN = {401, 403}


class Issued(NamedTuple):
    """A certificate that AWS has made, not good for anything until a thing is registered.

    Attributes:
        certificate: PEM.
        ownership: token that proves that it is ours, for one hour.
        key: PEM of the private key, where AWS has made that, too.
    """

    certificate: str
    ownership: str
    key: str = ""


def register_topic(template: str) -> str:
    """Where the thing of a template is registered."""
    return f"$aws/provisioning-templates/{template}/provision/json"


def issued(payload: bytes) -> Issued:
    """The certificate in an answer.

    Raises:
        RequestFailed: there is none.
    """
    content = decode(payload)
    try:
        return Issued(
            str(content["certificatePem"]),
            str(content["certificateOwnershipToken"]),
            str(content.get("privateKey", "")),
        )
    except (KeyError, TypeError, AttributeError):
        raise RequestFailed("AWS answers without a certificate") from None


def registration(certificate: Issued, parameters: Mapping[str, str]) -> dict[str, Any]:
    """The request that registers a thing."""
    return {"certificateOwnershipToken": certificate.ownership, "parameters": dict(parameters)}


def registered(payload: bytes) -> str:
    """Name of the thing in an answer; '' where the template makes none.

    Raises:
        RequestFailed: it is no answer.
    """
    content = decode(payload)
    if not isinstance(content, dict):
        raise RequestFailed("AWS answers a registration with something else")
    return str(content.get("thingName") or "")


def refusal(payload: bytes, what: str) -> GL002Error:
    """The error that a message under '.../rejected' tells of."""
    content = decode(payload)
    told = content if isinstance(content, dict) else {}
    status = told.get("statusCode")
    message = f"{what}: refused with {status} {told.get('errorCode', '')}: " + str(
        told.get("errorMessage", "no reason given")
    )
    if status in _FORBIDDEN:
        return AuthFailed(message, hint="the policy of the claim certificate must allow it")
    if isinstance(status, int) and (status == _TOO_MANY or status >= _SERVER_ERRORS):
        return Busy(message)
    return RequestFailed(
        message, hint="the template: its name, its parameters, its pre-provisioning hook"
    )


def certificate_request(name: str) -> tuple[str, str]:
    """A private key of the curve P-256 and a request for its certificate, both PEM.

    Args:
        name: common name of the request.
    """
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:64])])
    request = (
        x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private.decode(), request.public_bytes(serialization.Encoding.PEM).decode()
