"""OAuth 2.0 with a refresh token (RFC 6749, section 6), as Workday's API clients use it."""

from __future__ import annotations

from http import HTTPStatus
from urllib.parse import urlencode

import msgspec

from gl002.errors import AuthFailed, GL002Error
from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Auth, Exchange, basic
from gl002.transport.http.client import Request
from gl002.transport.workday.settings import WorkdayConfig

_REFUSED = {400, 401}  # RFC 6749, 5.2


class _Token(msgspec.Struct):
    access_token: str


class _Refusal(msgspec.Struct):
    error: str = ""
    error_description: str = ""


class AccessToken(Auth):
    """The token of the moment, sent with every request while there is one."""

    def __init__(self) -> None:
        self._token: Secret | None = None

    @property
    def is_there(self) -> bool:
        """Whether there is one."""
        return self._token is not None

    def forget(self) -> None:
        """It is no longer taken."""
        self._token = None

    def keep(self, answer: Answer) -> None:
        """Take the token that a refresh has brought.

        Raises:
            RequestFailed: it brought none.
        """
        token: _Token = answer.json(_Token)
        self._token = Secret(token.access_token)

    async def exchange(self) -> Exchange:
        """One attempt."""
        yield {"Authorization": f"Bearer {self._token.reveal()}"} if self._token else {}


def refresh(config: WorkdayConfig) -> Request:
    """The request for a new access token."""
    token = config.refresh_token
    form = {"grant_type": "refresh_token", "refresh_token": token.reveal() if token else ""}
    return Request(
        "POST", f"ccx/oauth2/{config.tenant}/token", (),
        {
            "Authorization": basic(config.client_id, config.client_secret),
            "Content-Type": "application/x-www-form-urlencoded",
            "Accept": "application/json",
        },
        urlencode(form).encode(),
    )  # fmt: skip


def is_over(answer: Answer) -> bool:
    """Whether a request was refused because its access token is no longer taken.

    HTTP says so by its status, SOAP by a fault.
    """
    return answer.status == HTTPStatus.UNAUTHORIZED or (
        not answer.ok and b"Client.authenticationError" in answer.body
    )


def refused(answer: Answer, what: str) -> GL002Error:
    """What a refused refresh means."""
    if answer.status not in _REFUSED:
        return refusal(answer, what)
    try:
        said = msgspec.json.decode(answer.body, type=_Refusal)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = _Refusal()
    words = said.error_description or said.error or str(answer.status)
    return AuthFailed(
        f"{what}: no access token: {words}",
        hint="check client_id, client_secret and refresh_token; has the token been revoked?",
    )
