"""AWS Secrets Manager: its JSON interface, signed with version 4.

Source: AWS Secrets Manager API Reference, 'GetSecretValue', 'Common errors'.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from gl002.config.secrets import AWSSettings
from gl002.errors import AuthFailed, Busy, TagNotFound
from gl002.transport.http.answer import Answer
from gl002.transport.secrets.web import Store, Web, field, refused
from gl002.wire.sigv4 import Keys, Scope, signed_headers

_TARGET = "secretsmanager.GetSecretValue"
_UNKNOWN_KEY = {
    "UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException",
    "SignatureDoesNotMatch", "IncompleteSignatureException", "MissingAuthenticationTokenException",
}  # fmt: skip
_TIME = {"RequestExpired", "ExpiredTokenException"}
_AGAIN = {"ThrottlingException", "InternalServiceError", "ServiceUnavailable"}


class AWSStore(Store):
    """The secrets of one account in one region."""

    title: ClassVar[str] = "AWS Secrets Manager"

    def __init__(self, settings: AWSSettings) -> None:
        self._settings = settings
        self.tls = settings.tls

    def addresses(self, names: Iterable[str]) -> Iterable[str]:
        """That of the region."""
        return [self._settings.address]

    async def read(self, web: Web, name: str) -> str:
        """The current version of a secret, by name or ARN."""
        settings, url = self._settings, self._settings.address
        keys = Keys(settings.access_key_id, settings.secret_access_key, settings.session_token)
        body = msgspec.json.encode({"SecretId": name})
        headers = signed_headers(
            keys, Scope(settings.region, "secretsmanager"), host=urlsplit(url).netloc,
            target=_TARGET, body=body, now=time.time(),
        )  # fmt: skip
        answer = await web.send("POST", f"{url}/", headers=headers, body=body)
        if not answer.ok:
            raise self._refusal(answer, name)
        return str(field(self, answer, "SecretString"))

    def _refusal(self, answer: Answer, name: str) -> Exception:
        kind, said = _said(answer)
        where = f"AWS Secrets Manager in {self._settings.region}: '{name}'"
        if kind == "ResourceNotFoundException":
            return TagNotFound(
                f"{where}: there is no such secret",
                hint=f"aws secretsmanager describe-secret --secret-id {name}; is the region right?",
            )
        if kind == "AccessDeniedException":
            return AuthFailed(
                f"{where}: we may not read it: {said}",
                hint="its policy needs secretsmanager:GetSecretValue, and kms:Decrypt of its key",
            )
        if kind in _UNKNOWN_KEY:
            return AuthFailed(
                f"{where}: {kind}: {said}",
                hint="check access_key_id and secret_access_key, and the clock of this machine",
            )
        if kind in _TIME:
            return AuthFailed(
                f"{where}: {kind}: {said}",
                hint="temporary keys have ended, or the clock of this machine is wrong",
            )
        if kind in _AGAIN:
            return Busy(f"{where}: {kind}: {said}")
        return refused(self, answer, f"'{name}'", f"{kind}: {said}")


def _said(answer: Answer) -> tuple[str, str]:
    """Kind and words of an error: {'__type': '...#Kind', 'message': ...}."""
    try:
        content = msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return "", ""
    kind = str(content.get("__type", "")).rpartition("#")[2]
    return kind, str(content.get("message") or content.get("Message") or "")[:300]
