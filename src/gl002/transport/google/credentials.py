"""Access tokens of Google Cloud, made by google-auth and fetched through our own network.

Three ways, chosen by what the credentials file is ('type' in it), or by its absence:

    service_account      a key of a service account: a signed assertion is exchanged for a token
    external_account     workload identity federation: another provider's token, read from a file
                         or a URL, is exchanged; there is no secret of Google's to keep
    no file              the metadata server of the machine or the pod (GKE workload identity)
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from gl002.errors import AuthFailed, ConfigError, ConnectFailed, GL002Error
from gl002.security.network import Endpoint, Network
from gl002.security.secrets import Redactor, Secret
from gl002.transport.http.auth import Auth, Exchange
from gl002.transport.http.client import HTTPClient, HTTPOptions, Request
from gl002.transport.http.settings import PORTS

_UNAUTHORIZED = 401
_METADATA = "metadata.google.internal"
_METADATA_IP = "169.254.169.254"  # the name leads there; as an address it is dialled knowingly
_METADATA_VARIABLE = "GCE_METADATA_HOST"
_LARGEST = 1 << 20  # bytes of an answer that holds a token
_MARGIN = 5.0  # seconds by which a thread waits longer than the request may take
_SKEW_TOLD = 30.0  # seconds by which a clock is off before we say so
_KINDS = "a key of a service account, or a configuration of workload identity federation"


class Reply(NamedTuple):
    """An answer in the form that google-auth reads."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class GoogleAuth(Auth):
    """A bearer token with each request, renewed before it ends.

    While a token is still valid and a new one cannot be had, the old one is used on. Credentials
    that have been replaced since are read before the next token: keys are rotated.

    Args:
        load: gives the credentials file's content; None for the metadata server. May read a file.
        scope: what the token is for.
        network: tokens are fetched through it; the addresses in the credentials are named there.
        timeout: seconds one request for a token may take.
        tls: context for https.
    """

    def __init__(
        self,
        load: Callable[[], str | None],
        *,
        scope: str,
        network: Network,
        timeout: float,
        tls: Any = None,
    ) -> None:
        self._load = load
        self._scope = scope
        self._network = network
        self.limit = timeout
        self._tls = tls
        self._credentials: Any = None
        self._text: str | None = None  # what they were made of
        self._turn = asyncio.Lock()
        self._log = logging.getLogger("gl002.google")
        self.skew = 0.0
        """Seconds that our clock is ahead of the one that gives tokens, as far as is known."""

    async def exchange(self) -> Exchange:
        """The request with a token; once more with a fresh one where that is refused.

        Raises:
            AuthFailed: Google gives us no token.
            ConnectFailed: it cannot be asked.
            ConfigError: the credentials cannot be used.
        """
        answer = yield {"Authorization": f"Bearer {await self._token()}"}
        if answer.status == _UNAUTHORIZED:
            yield {"Authorization": f"Bearer {await self._token(fresh=True)}"}

    @property
    def account(self) -> str:
        """Whose token it is, for messages; '' where that is not known yet."""
        return str(getattr(self._credentials, "service_account_email", None) or "")

    async def _token(self, *, fresh: bool = False) -> str:
        from google.auth.credentials import TokenState

        async with self._turn:
            known = self._credentials
            state = TokenState.INVALID if fresh or known is None else known.token_state
            if state is not TokenState.FRESH:
                await self._renew(usable=state is TokenState.STALE)
            token = str(self._credentials.token)
        Redactor.remember(token, passing=True)
        return token

    async def _renew(self, *, usable: bool) -> None:
        """Get a new token.

        Args:
            usable: the old one holds for a while; then a failure is no error yet.
        """
        try:
            await self._refreshed()
        except GL002Error as error:
            if not usable:
                raise
            self._log.warning("the token cannot be renewed yet: %s", error)

    async def _refreshed(self) -> None:
        before, text = self._credentials, self._text
        await asyncio.to_thread(self._read)
        try:
            await self._refreshed_now()
        except GL002Error:
            if before is not None:  # its token may hold for a while; read again the next time
                self._credentials, self._text = before, text
            raise

    async def _refreshed_now(self) -> None:
        from google.auth import exceptions

        fetch = _Fetch(self, asyncio.get_running_loop())
        try:
            await asyncio.to_thread(self._credentials.refresh, fetch)
        except exceptions.TransportError as error:
            raise ConnectFailed(f"no token: {_words(error)}") from error
        except exceptions.GoogleAuthError as error:
            raise AuthFailed(f"Google gives us no token: {_words(error)}", hint=self._hint()) from (
                error
            )
        except (ValueError, KeyError) as error:
            raise ConfigError(f"the credentials cannot be used: {error}", hint=_KINDS) from None

    def _hint(self) -> str:
        if abs(self.skew) > _SKEW_TOLD:
            way = "ahead of" if self.skew > 0 else "behind"
            return (
                f"the clock of this machine is {abs(self.skew):.0f} s {way} Google's: set it "
                "(a time service such as chrony keeps it right)"
            )
        return "is the key still valid, and the service account enabled?"

    # ---- credentials ------------------------------------------------------------------------

    def _read(self) -> None:
        """Make the credentials, where they are new; blocking, for it may read a file."""
        try:
            text = self._load()
            if self._credentials is None or text != self._text:
                self._credentials, self._text = self._made(text), text
        except GL002Error as error:
            if self._credentials is None:
                raise
            self._log.warning("the credentials cannot be read again, those before go on: %s", error)

    def _made(self, text: str | None) -> Any:
        """The credentials."""
        if text is None:
            from gl002.transport.google.machine import MachineCredentials

            host = os.environ.get(_METADATA_VARIABLE) or _METADATA_IP
            self._network.name(Endpoint.of(host, PORTS["http"]))
            return MachineCredentials(self._scope)
        try:
            info = json.loads(text)
            kind = info.get("type")
        except (ValueError, AttributeError):
            raise ConfigError("the credentials are no JSON object", hint=_KINDS) from None
        try:
            made = self._of_kind(kind, info)
        except (ValueError, KeyError, TypeError) as error:  # google-auth's own are ValueErrors
            raise ConfigError(f"the credentials cannot be used: {error}", hint=_KINDS) from None
        for url in _addresses(info):
            self._network.name(Endpoint.of(url, PORTS.get(urlsplit(url).scheme, PORTS["https"])))
        return made

    def _of_kind(self, kind: object, info: Mapping[str, Any]) -> Any:
        if kind == "service_account":
            from google.oauth2 import service_account

            Redactor.remember(str(info.get("private_key", "")))
            return service_account.Credentials.from_service_account_info(info, scopes=[self._scope])
        source = info.get("credential_source")
        if kind == "external_account" and isinstance(source, Mapping) and source.keys() & {
            "file", "url",
        }:  # fmt: skip
            from google.auth import identity_pool

            return identity_pool.Credentials.from_info(info, scopes=[self._scope])
        raise ConfigError(f"credentials of type '{kind}' are not used here", hint=_KINDS)

    # ---- fetching ---------------------------------------------------------------------------

    async def fetched(
        self, url: str, method: str, body: bytes | None, headers: Mapping[str, str]
    ) -> Reply:
        """One request of google-auth, over the allowlist, limited in time and size."""
        parts = urlsplit(url)
        if parts.hostname == _METADATA:
            host = os.environ.get(_METADATA_VARIABLE) or _METADATA_IP
            url = parts._replace(netloc=host).geturl()
            parts = urlsplit(url)
        options = HTTPOptions(
            base_url=f"{parts.scheme}://{parts.netloc}/", tls=self._tls, largest=_LARGEST
        )
        client = HTTPClient(options, self._network)
        try:
            request = Request(method, url, headers=headers, body=body or b"")
            answer = await client.send(request, timeout=self.limit)
        except TimeoutError:
            raise ConnectFailed(f"{parts.netloc}: no token within {self.limit:g} s") from None
        finally:
            await client.close()
        self._note_clock(answer.headers.get("date", ""))
        return Reply(answer.status, answer.headers, answer.body)

    def _note_clock(self, date: str) -> None:
        try:
            self.skew = time.time() - parsedate_to_datetime(date).timestamp()
        except ValueError:
            self.skew = 0.0


class _Fetch:
    """What google-auth calls from its thread to reach Google."""

    def __init__(self, auth: GoogleAuth, loop: asyncio.AbstractEventLoop) -> None:
        self._auth = auth
        self._loop = loop

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: Any,
    ) -> Reply:
        """One request; our own errors pass through google-auth as they are."""
        data = body.encode() if isinstance(body, str) else body
        request = self._auth.fetched(url, method, data, dict(headers or {}))
        future = asyncio.run_coroutine_threadsafe(request, self._loop)
        return future.result(self._auth.limit + _MARGIN)


def _addresses(info: Mapping[str, Any]) -> list[str]:
    """Every address that the credentials name."""
    source = info.get("credential_source")
    inner = source.get("url") if isinstance(source, Mapping) else None
    named = [
        info.get("token_uri"), info.get("token_url"), inner,
        info.get("service_account_impersonation_url"),
    ]  # fmt: skip
    return [str(url) for url in named if url]


def _words(error: Exception) -> str:
    """What google-auth says, without the answer it repeats."""
    return Redactor.redact(str(error.args[0] if error.args else type(error).__name__))[:300]


def from_file(path: str) -> str:
    """The content of a credentials file.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no UTF-8 text"
        raise ConfigError(
            f"credentials: {path}: {reason}", hint="the JSON file that Google Cloud made"
        ) from None


def loader(path: str | None, content: Secret | None) -> Callable[[], str | None]:
    """What gives the credentials: a file, its content, or None for the metadata server."""
    if content is not None:
        return content.reveal
    return (lambda: from_file(path)) if path else (lambda: None)
