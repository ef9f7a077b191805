"""Fleet provisioning of AWS IoT Core ('Device provisioning MQTT API'), behind the broker.

A certificate is good when its thing is registered. The rights of one are those of its common name
here, which stands for the policy that a template attaches.
"""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from peers.aws_iot import THING, AWSBroker
from peers.service import BrokerService

TEMPLATE, CLAIM = "boilers", "claim"
_CREATE = "$aws/certificates/create/json"
_FROM_REQUEST = "$aws/certificates/create-from-csr/json"
_REGISTER = "$aws/provisioning-templates/+/provision/json"


class ProvisioningService(BrokerService):
    """Makes certificates, and registers things.

    Attributes:
        serials: serial numbers that the template's hook lets in; None for all.
        things: name of each thing -> parameters.
        silent: answers nothing.
    """

    topics = (_CREATE, _FROM_REQUEST, _REGISTER)

    def __init__(self, broker: AWSBroker) -> None:
        super().__init__(broker.port)
        self._authority = broker.authority
        self._tokens: set[str] = set()
        self.serials: set[str] | None = None
        self.things: dict[str, Any] = {}
        self.silent = False
        self.asked: list[str] = []

    def answer(self, topic: str, payload: bytes) -> None:
        self.asked.append(topic)
        if self.silent:
            return
        try:
            request = json.loads(payload or b"{}")
            content = self._answered(topic, request)
        except _Refused as refused:
            content = {
                "statusCode": refused.status, "errorCode": refused.code,
                "errorMessage": refused.words,
            }  # fmt: skip
            self.publish(f"{topic}/rejected", json.dumps(content))
        else:
            self.publish(f"{topic}/accepted", json.dumps(content))

    def _answered(self, topic: str, request: dict[str, Any]) -> dict[str, Any]:
        if topic == _CREATE:
            key = ec.generate_private_key(ec.SECP256R1())
            private = key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )  # fmt: skip
            return {**self._issued(key.public_key()), "privateKey": private.decode()}
        if topic == _FROM_REQUEST:
            try:
                text = request["certificateSigningRequest"].encode()
                asked = x509.load_pem_x509_csr(text)
            except (KeyError, ValueError):
                raise _Refused(400, "InvalidCertificateSigningRequest", "cannot be read") from None
            if not asked.is_signature_valid:
                raise _Refused(400, "InvalidCertificateSigningRequest", "is not signed")
            return self._issued(asked.public_key())
        return self._registered(topic.split("/")[2], request)

    def _issued(self, public: Any) -> dict[str, Any]:
        authority = x509.load_pem_x509_certificate(self._authority.cert_pem.bytes())
        signer = serialization.load_pem_private_key(
            self._authority.private_key_pem.bytes(), password=None
        )
        now, token = datetime.now(UTC), secrets.token_urlsafe(40)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, THING)]))
            .issuer_name(authority.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=400))
            .sign(signer, hashes.SHA256())  # type: ignore[arg-type]
        )
        self._tokens.add(token)
        return {
            "certificateId": secrets.token_hex(32),
            "certificatePem": made.public_bytes(serialization.Encoding.PEM).decode(),
            "certificateOwnershipToken": token,
        }

    def _registered(self, template: str, request: dict[str, Any]) -> dict[str, Any]:
        if template != TEMPLATE:
            raise _Refused(404, "ResourceNotFound", f"Template {template} not found")
        token = request.get("certificateOwnershipToken")
        if token not in self._tokens:
            raise _Refused(400, "InvalidCertificateOwnershipToken", "Token is not valid.")
        serial = request.get("parameters", {}).get("SerialNumber")
        if not serial:
            raise _Refused(400, "InvalidParameters", "Missing parameter SerialNumber")
        if self.serials is not None and serial not in self.serials:
            raise _Refused(400, "AccessDenied", "The pre-provisioning hook denied the request.")
        self._tokens.discard(str(token))
        self.things[THING] = request["parameters"]
        return {"deviceConfiguration": {"site": "north"}, "thingName": THING}


class _Refused(Exception):
    def __init__(self, status: int, code: str, words: str) -> None:
        super().__init__(words)
        self.status, self.code, self.words = status, code, words
