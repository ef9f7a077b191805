"""Google's token services: OAuth 2 for service accounts, STS, the metadata server.

Source: 'Using OAuth 2.0 for Server to Server Applications', 'Method: token' of the Security Token
Service (RFC 8693), 'VM metadata'.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

ACCOUNT = "gateway@plant-1.iam.gserviceaccount.com"
SUBJECT = "subject-token-of-another-provider"
_AUDIENCE = "https://oauth2.googleapis.com/token"  # always, wherever it is sent to
_JWT_BEARER = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_TIMEFRAME = (
    "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable timeframe. "
    "Check your iat and exp values in the JWT claim."
)


def make_key(folder: Path, token_uri: str) -> str:
    """The file of a service account's key, as the console makes it; its public half is kept."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (folder / "public.pem").write_bytes(public)
    return json.dumps({
        "type": "service_account", "project_id": "plant-1", "private_key_id": "0815",
        "private_key": private.decode(), "client_email": ACCOUNT, "client_id": "1",
        "token_uri": token_uri,
    })  # fmt: skip


class Tokens:
    """Those that were given, and until when they hold."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.lifetime = 3599
        self._given: dict[str, float] = {}

    def holds(self, token: str) -> bool:
        return self._given.get(token, 0.0) > time.time()

    def revoke(self) -> None:
        self._given.clear()

    def for_assertion(self, form: dict[str, str], now: float) -> tuple[int, Any]:
        """The answer of the token endpoint at the time `now`."""
        if form.get("grant_type") != _JWT_BEARER:
            return _error("unsupported_grant_type", "Invalid grant_type")
        try:
            head, body, signature = form["assertion"].split(".")
            public = serialization.load_pem_public_key((self._folder / "public.pem").read_bytes())
            assert isinstance(public, rsa.RSAPublicKey)
            public.verify(
                _bytes(signature), f"{head}.{body}".encode(), padding.PKCS1v15(), hashes.SHA256()
            )
            claims = json.loads(_bytes(body))
        except (InvalidSignature, ValueError, KeyError):
            return _error("invalid_grant", "Invalid JWT Signature.")
        if claims.get("iss") != ACCOUNT:
            return _error("invalid_grant", "Invalid grant: account not found")
        if claims.get("aud") != _AUDIENCE or "auth/pubsub" not in claims.get("scope", ""):
            return _error("invalid_scope", "Invalid OAuth scope or ID token audience provided.")
        begins, ends = claims["iat"], claims["exp"]
        if ends <= now or begins > now + 60 or ends - begins > 3600:
            return _error("invalid_grant", _TIMEFRAME)
        return 200, self._token()

    def for_subject(self, form: dict[str, str]) -> tuple[int, Any]:
        """The answer of the security token service."""
        if form.get("grant_type") != _EXCHANGE or "audience" not in form:
            return _error("invalid_request", "Invalid grant_type or audience")
        if form.get("subject_token") != SUBJECT:
            return _error("invalid_grant", "The given credential is rejected by the provider.")
        kind = "urn:ietf:params:oauth:token-type:access_token"
        return 200, {**self._token(), "issued_token_type": kind}

    def of_machine(self) -> Any:
        """The answer of the metadata server."""
        return self._token()

    def _token(self) -> dict[str, Any]:
        token = f"ya29.canary-{secrets.token_hex(12)}"
        self._given[token] = time.time() + self.lifetime
        return {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}


def _error(code: str, words: str) -> tuple[int, Any]:
    return 400, {"error": code, "error_description": words}


def _bytes(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
