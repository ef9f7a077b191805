"""How requests say who we are: nothing, a header, or a conversation.

A conversation is an asynchronous generator. It yields the headers of the next attempt and is sent
the answer to it; when it ends, the last answer counts. What answers a challenge (Negotiate, NTLM,
a token that has run out) yields more than once:

    async def exchange(self):
        answer = yield {}
        while answer.status == 401 and (token := self._step(answer.challenges)):
            answer = yield {"Authorization": f"Negotiate {token}"}
"""

from __future__ import annotations

import base64
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Mapping
from typing import ClassVar, TypeAlias

from gl002.security.secrets import Secret
from gl002.transport.http.answer import Answer

Exchange: TypeAlias = AsyncGenerator[Mapping[str, str], Answer]


class Auth(ABC):
    """Who we are. One object serves all requests of a session.

    Attributes:
        bound_to_connection: the other side knows the TCP connection, not the request (NTLM,
            Negotiate): the session then has one connection, and one request at a time.
        with_password: we say a user's password, or prove that we have it.
    """

    bound_to_connection: ClassVar[bool] = False
    with_password: bool = False

    @abstractmethod
    def exchange(self) -> Exchange:
        """The attempts that one request takes."""


class Anonymous(Auth):
    """We say nothing."""

    async def exchange(self) -> Exchange:
        """One attempt."""
        yield {}


class Header(Auth):
    """The same header with every request; its value is made when it is sent.

    Args:
        scheme: what stands before the secret, 'Bearer', 'Token'; '' for nothing.
        secret: token or key.
        name: of the header.
    """

    def __init__(self, scheme: str, secret: Secret, *, name: str = "Authorization") -> None:
        self._scheme = scheme
        self._secret = secret
        self._name = name

    async def exchange(self) -> Exchange:
        """One attempt."""
        yield {self._name: f"{self._scheme} {self._secret.reveal()}".lstrip()}


def basic(username: str, password: Secret | None) -> str:
    """The value of the header Authorization (RFC 7617, in UTF-8)."""
    both = f"{username}:{password.reveal() if password else ''}".encode()
    return f"Basic {base64.b64encode(both).decode()}"


class Basic(Auth):
    """User name and password (RFC 7617, in UTF-8)."""

    with_password = True

    def __init__(self, username: str, password: Secret) -> None:
        if ":" in username:
            raise ValueError("a user name of Basic authentication has no ':' (RFC 7617)")
        self._username = username
        self._password = password

    async def exchange(self) -> Exchange:
        """One attempt."""
        yield {"Authorization": basic(self._username, self._password)}
