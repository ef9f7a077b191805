"""Windows authentication over HTTP: Kerberos where there is a ticket, else NTLM (RFC 4559).

The tokens are made by pyspnego. Without a user name the ticket of the process's own account is
used (`kinit`, or a keytab), which takes pyspnego's Kerberos libraries.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from gl002.errors import AuthFailed, PasswordRefused
from gl002.security.secrets import Secret
from gl002.transport.http.auth import Auth, Exchange

if TYPE_CHECKING:
    from spnego import ContextProxy

_SCHEME = "negotiate"
_UNAUTHORIZED = 401


class Negotiate(Auth):
    r"""Who we are, proved once for each connection.

    Args:
        host: of the server, as its service principal 'HTTP/host' names it.
        username: 'DOMAIN\user'; '' for the account that the process has a ticket of.
        password: of it.
    """

    bound_to_connection: ClassVar[bool] = True

    def __init__(self, host: str, *, username: str = "", password: Secret | None = None) -> None:
        self._host = host
        self._username = username
        self._password = password
        self.with_password = password is not None

    async def exchange(self) -> Exchange:
        """The request as it is, and the tokens that the server asks for.

        Raises:
            AuthFailed: there is no ticket, or the server's token is wrong.
        """
        answer = yield {}
        if answer.status != _UNAUTHORIZED or _token(answer.challenges) is None:
            return
        context = await asyncio.to_thread(self._context)
        while not context.complete:
            given = _token(answer.challenges)
            if given is None or (answer.status != _UNAUTHORIZED and not given):
                return
            ours = await asyncio.to_thread(self._step, context, given)
            if not ours or answer.status != _UNAUTHORIZED:
                return
            answer = yield {"Authorization": f"Negotiate {base64.b64encode(ours).decode()}"}

    def _context(self) -> ContextProxy:
        import spnego
        from spnego.exceptions import SpnegoError

        make = partial(spnego.client, hostname=self._host, service="HTTP", protocol=_SCHEME)
        try:
            if not self._username:
                return make()
            password = self._password.reveal() if self._password is not None else None
            return make(self._username, password)
        except (SpnegoError, ImportError) as error:
            raise _refused(error) from error

    def _step(self, context: ContextProxy, given: bytes) -> bytes | None:
        from spnego.exceptions import SpnegoError

        try:
            return context.step(given or None)
        except (SpnegoError, ValueError) as error:
            raise _refused(error) from error


_WRONG_PASSWORD = "preauthentication failed"  # noqa: S105 (Kerberos' words for it)
_HINT = "user and password, or a ticket (kinit) and pyspnego's Kerberos libraries"


def _refused(error: Exception) -> AuthFailed:
    text = _first_line(error)
    kind = PasswordRefused if _WRONG_PASSWORD in text.lower() else AuthFailed
    return kind(f"Negotiate: {text}", hint=_HINT)


def _token(challenges: Sequence[str]) -> bytes | None:
    """The server's token, b'' for an invitation, None where it does not speak Negotiate."""
    for challenge in challenges:
        scheme, _, token = challenge.strip().partition(" ")
        if scheme.lower() == _SCHEME:
            try:
                return base64.b64decode(token.strip(), validate=True)
            except binascii.Error:
                raise AuthFailed("Negotiate: the server's token cannot be read") from None
    return None


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0] or type(error).__name__
