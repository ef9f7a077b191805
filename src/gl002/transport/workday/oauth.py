"""OAuth 2.0 with a refresh token (RFC 6749, section 6), as Workday's API clients use it."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from urllib.parse import urlencode

import msgspec

from gl002.errors import AuthFailed, GL002Error, RequestFailed
from gl002.security.secrets import Redactor, Secret
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import basic
from gl002.transport.http.client import Request
from gl002.transport.workday.settings import WorkdayConfig

_REFUSED = {400, 401}  # RFC 6749, 5.2
_LONGEST = 300  # characters of a description that a message quotes


class _Token(msgspec.Struct):
    access_token: str


class _Refusal(msgspec.Struct):
    error: str = ""
    error_description: str = ""


class Token:
    """One access token."""

    def __init__(self, value: str) -> None:
        self._value = Secret(value, passing=True)

    def on(self, request: Request) -> Request:
        """The request with the token."""
        authorization = {"Authorization": f"Bearer {self._value.reveal()}"}
        return replace(request, headers={**request.headers, **authorization})


class Tokens:
    """The token of the moment.

    Attributes:
        current: None where there is none, or none that is still taken.
    """

    def __init__(self) -> None:
        self.current: Token | None = None

    def forget(self, token: Token | None) -> None:
        """A token is no longer taken; one that has come in its stead is."""
        if self.current is token:
            self.current = None

    def keep(self, answer: Answer) -> None:
        """Take the token that a refresh has brought.

        Raises:
            RequestFailed: it brought none; nothing of the answer is told.
        """
        try:
            brought = msgspec.json.decode(answer.body, type=_Token)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RequestFailed(
                "the answer to a refresh holds no access token",
                hint="is there a proxy or a login page at that address?",
            ) from None
        self.current = Token(brought.access_token)


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
        f"{what}: no access token: {Redactor.redact(words)[:_LONGEST]}",
        hint="check client_id, client_secret and refresh_token; has the token been revoked?",
    )
