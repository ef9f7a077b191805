"""HashiCorp Vault, engine KV version 2, with a token or an AppRole.

Source: Vault's HTTP API, 'KV secrets engine - version 2', 'AppRole auth method', 'Token auth
method'. Vault answers 403 also where a path does not exist that a token may not see.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar

import msgspec

from gl002.config.secrets import VaultSettings
from gl002.errors import AuthFailed, Busy, RequestFailed, TagNotFound
from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer
from gl002.transport.http.client import segment
from gl002.transport.secrets.web import Store, Web, field, refused

log = logging.getLogger("gl002.secrets")


class VaultStore(Store):
    """One Vault."""

    title: ClassVar[str] = "Vault"

    def __init__(self, settings: VaultSettings) -> None:
        self._settings = settings
        self.tls = settings.tls
        self._token = settings.token

    def addresses(self, names: Iterable[str]) -> Iterable[str]:
        """The one address."""
        return [self._settings.url]

    async def log_in(self, web: Web) -> None:
        """Renew the token, or log in with the AppRole."""
        if self._settings.role_id:
            await self._log_in_by_role(web)
            return
        answer = await self._send(web, "POST", "auth/token/renew-self", b"{}")
        if not answer.ok:  # root tokens and such as may not: reading shows whether it holds
            log.debug("Vault does not renew our token: status %d", answer.status)

    async def _log_in_by_role(self, web: Web) -> None:
        settings = self._settings
        assert settings.secret_id is not None
        body = {"role_id": settings.role_id, "secret_id": settings.secret_id.reveal()}
        path = f"auth/{settings.auth_mount}/login"
        answer = await self._send(web, "POST", path, msgspec.json.encode(body), anonymous=True)
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN}:
            raise AuthFailed(
                f"Vault at {settings.url}: the AppRole is refused: {_said(answer)}",
                hint="are role_id and secret_id right, and is the secret_id not used up?",
            )
        self._check(answer, "log in")
        self._token = Secret(str(field(self, answer, "auth", "client_token")), passing=True)

    async def read(self, web: Web, name: str) -> Mapping[str, Any]:
        """The newest version of a secret."""
        mount, path = self._placed(name)
        there = f"{mount}/data/{'/'.join(map(segment, path.split('/')))}"
        answer = await self._send(web, "GET", there)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise TagNotFound(
                f"Vault at {self._settings.url}: there is no secret '{name}'",
                hint=f"vault kv get -mount={mount} {path}; is the engine KV version 2?",
            )
        if answer.status == HTTPStatus.FORBIDDEN:
            raise AuthFailed(
                f"Vault at {self._settings.url}: we may not read '{name}': {_said(answer)}",
                hint=f'its policy needs: path "{mount}/data/{path}" {{ capabilities = ["read"] }}; '
                "or the token has ended",
            )
        self._check(answer, f"read '{name}'")
        data = field(self, answer, "data", "data")
        if not isinstance(data, Mapping):
            raise RequestFailed(f"Vault: '{name}' is no secret of KV version 2")
        return data

    def _placed(self, name: str) -> tuple[str, str]:
        """Mount and path of 'secret/gl002', or as the HTTP API has it, 'secret/data/gl002'."""
        mount = self._settings.mount.strip("/")
        if not mount:
            mount, _, name = name.partition("/")
        path = name.removeprefix("data/").strip("/")
        if not path:
            raise RequestFailed(f"Vault: '{name}' names no secret", hint="${vault:secret/path#key}")
        return mount, path

    async def _send(
        self, web: Web, method: str, path: str, body: bytes = b"", *, anonymous: bool = False
    ) -> Answer:
        headers = {"X-Vault-Request": "true"}
        if self._settings.namespace:
            headers["X-Vault-Namespace"] = self._settings.namespace
        if self._token is not None and not anonymous:
            headers["X-Vault-Token"] = self._token.reveal()
        url = f"{self._settings.url}/v1/{path}"
        return await web.send(method, url, headers=headers, body=body)

    def _check(self, answer: Answer, what: str) -> None:
        if answer.status == HTTPStatus.SERVICE_UNAVAILABLE:
            raise Busy(
                f"Vault at {self._settings.url}: {what}: it is sealed or in maintenance",
                hint="vault status; vault operator unseal",
            )
        if not answer.ok:
            raise refused(self, answer, f"{what}: {self._settings.url}", _said(answer))


def _said(answer: Answer) -> str:
    """What Vault says: {'errors': [...]}."""
    try:
        errors = msgspec.json.decode(answer.body, type=dict[str, Any]).get("errors")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return "; ".join(map(str, errors))[:300].strip() if isinstance(errors, list) else ""
