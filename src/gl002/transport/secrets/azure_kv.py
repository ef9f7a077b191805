"""Azure Key Vault: secrets by their REST interface, with a token of Entra ID.

Source: Azure Key Vault REST reference, 'Get Secret' (api-version 7.4); Microsoft identity
platform, 'OAuth 2.0 client credentials flow'; 'How to use managed identities ... to acquire an
access token'.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import urlencode

import msgspec

from gl002.config.secrets import AzureSettings
from gl002.errors import AuthFailed, ConfigError, TagNotFound
from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer
from gl002.transport.http.client import segment
from gl002.transport.secrets.web import Store, Web, field, refused

_VERSION = "7.4"
_RESOURCE = "https://vault.azure.net"
_MACHINE = "http://169.254.169.254/metadata/identity/oauth2/token"
_NAME = re.compile(r"(?P<vault>[A-Za-z][A-Za-z0-9-]{1,23})/(?P<secret>[A-Za-z0-9-]{1,127})")


class AzureStore(Store):
    """The key vaults that one identity may read."""

    title: ClassVar[str] = "Azure Key Vault"

    def __init__(self, settings: AzureSettings) -> None:
        self._settings = settings
        self.tls = settings.tls
        self._token = Secret("")

    def addresses(self, names: Iterable[str]) -> Iterable[str]:
        """Where tokens come from, and each vault."""
        yield self._tokens()
        for name in names:
            yield self._placed(name)[0]

    def _tokens(self) -> str:
        settings = self._settings
        if settings.client_secret is None:
            return _MACHINE
        return f"{settings.authority}/{segment(settings.tenant_id)}/oauth2/v2.0/token"

    async def log_in(self, web: Web) -> None:
        """Get a token."""
        settings = self._settings
        if settings.client_secret is not None:
            body = urlencode({
                "grant_type": "client_credentials", "client_id": settings.client_id,
                "client_secret": settings.client_secret.reveal(), "scope": f"{_RESOURCE}/.default",
            }).encode()  # fmt: skip
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            answer = await web.send("POST", self._tokens(), headers=headers, body=body)
        else:
            query = {"api-version": "2018-02-01", "resource": _RESOURCE}
            query |= {"client_id": settings.client_id} if settings.client_id else {}
            url = f"{_MACHINE}?{urlencode(query)}"
            answer = await web.send("GET", url, headers={"Metadata": "true"})
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
            raise AuthFailed(
                f"Azure gives us no token: {_of_token(answer)}",
                hint="tenant_id, client_id, client_secret (has it ended?); without a secret: has "
                "this machine a managed identity?",
            )
        if not answer.ok:
            raise refused(self, answer, "log in", _of_token(answer))
        self._token = Secret(str(field(self, answer, "access_token")), passing=True)

    async def read(self, web: Web, name: str) -> str:
        """The newest version of a secret."""
        vault, secret = self._placed(name)
        url = f"{vault}/secrets/{secret}?api-version={_VERSION}"
        headers = {"Authorization": f"Bearer {self._token.reveal()}"}
        answer = await web.send("GET", url, headers=headers)
        if answer.status == HTTPStatus.NOT_FOUND:
            raise TagNotFound(
                f"Azure Key Vault: there is no secret '{name}', or it is turned off",
                hint=f"az keyvault secret show --vault-name {name.replace('/', ' --name ')}",
            )
        if answer.status == HTTPStatus.FORBIDDEN:
            raise AuthFailed(
                f"Azure Key Vault: we may not read '{name}': {_said(answer)}",
                hint="give our identity the role 'Key Vault Secrets User', and let the vault's "
                "firewall admit us",
            )
        if not answer.ok:
            raise refused(self, answer, f"'{name}'", _said(answer))
        return str(field(self, answer, "value"))

    def _placed(self, name: str) -> tuple[str, str]:
        """Address of the vault, and name of the secret.

        Raises:
            ConfigError: the reference is not of the form vault/name.
        """
        match = _NAME.fullmatch(name)
        if match is None:
            raise ConfigError(
                f"'{name}' is no secret of Azure Key Vault",
                hint="${azure-kv:vault/name}: letters, digits and '-'",
            )
        return self._settings.vault_url.replace("{vault}", match["vault"]), match["secret"]


def _said(answer: Answer) -> str:
    """What Key Vault says: {'error': {'code', 'message'}}."""
    error = _content(answer).get("error")
    if not isinstance(error, dict):
        return ""
    return f"{error.get('code', '')}: {error.get('message', '')}"[:300]


def _of_token(answer: Answer) -> str:
    """What Entra ID says: {'error', 'error_description'}."""
    content = _content(answer)
    return f"{content.get('error', '')}: {content.get('error_description', '')}"[:300]


def _content(answer: Answer) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
