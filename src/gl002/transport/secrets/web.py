"""Requests to a secret store: over the allowlist, limited in time and size."""

from __future__ import annotations

import ssl
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

from gl002.config.blocks import TlsSettings
from gl002.errors import ConnectFailed, RequestFailed, require
from gl002.security.network import Endpoint, Network
from gl002.security.references import StoreReference
from gl002.security.tls import client_context
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.client import HTTPClient, HTTPOptions, Request
from gl002.transport.http.settings import PORTS

_LARGEST = 1 << 20  # bytes of an answer


class Web:
    """A round of requests to one store; a connection for each origin it names.

    Args:
        network: dials.
        tls: of the store.
        timeout: seconds one request may take.
    """

    def __init__(self, network: Network, tls: TlsSettings, timeout: float) -> None:
        self._network = network
        self._tls = tls
        self._limit = timeout
        self._clients: dict[str, HTTPClient] = {}

    async def __aenter__(self) -> Self:
        require("aiohttp", extra="secrets")
        return self

    async def __aexit__(self, *_: object) -> None:
        for client in self._clients.values():
            await client.close()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
    ) -> Answer:
        """One request; a status that is no success is an answer, too.

        Raises:
            ConnectFailed, NotAllowed, RequestFailed: as `HTTPClient.send`.
        """
        origin = "{0.scheme}://{0.netloc}/".format(urlsplit(url))
        if origin not in self._clients:
            options = HTTPOptions(base_url=origin, tls=self._context(origin), largest=_LARGEST)
            self._clients[origin] = HTTPClient(options, self._network)
        request = Request(method, url, headers=headers or {}, body=body)
        try:
            return await self._clients[origin].send(request, timeout=self._limit)
        except TimeoutError:
            raise ConnectFailed(f"{origin}: no answer within {self._limit:g} s") from None

    def _context(self, origin: str) -> ssl.SSLContext | None:
        tls = self._tls
        if not origin.startswith("https:"):
            return None
        return client_context(ca=tls.ca, cert=tls.cert, key=tls.key, min_version=tls.min_version)


class Store(ABC):
    """One secret store. A round asks for every secret that the configuration names."""

    title: ClassVar[str]
    """Its name for people."""
    tls: TlsSettings

    @abstractmethod
    def addresses(self, names: Iterable[str]) -> Iterable[str]:
        """Every address that is asked for these secrets."""

    def endpoints(self, names: Iterable[str]) -> Iterable[Endpoint]:
        """Host and port of each address."""
        for url in self.addresses(names):
            yield Endpoint.of(url, PORTS[urlsplit(url).scheme])

    async def log_in(self, web: Web) -> None:
        """What comes before the first secret of a round.

        Raises:
            GL002Error: we are not let in.
        """

    @abstractmethod
    async def read(self, web: Web, name: str) -> str | Mapping[str, Any]:
        """A secret: its text, or its keys and values.

        Raises:
            TagNotFound: there is none of this name.
            GL002Error: it cannot be read.
        """


def refused(store: Store, answer: Answer, what: str, said: str = "") -> Exception:
    """The error that an answer of a store stands for; nothing of a secret is in it."""
    words = said if said or answer.status >= HTTPStatus.BAD_REQUEST else "no answer of this store"
    return refusal(answer, f"{store.title}: {what}", words or "no reason given")


def field(store: Store, answer: Answer, *path: str) -> Any:
    """A field of an answer in JSON.

    Raises:
        RequestFailed: it is not there. The answer is not quoted: it may hold a secret.
    """
    try:
        here: Any = answer.json()
    except RequestFailed:
        here = None
    for part in path:
        here = here.get(part) if isinstance(here, Mapping) else None
    if here is None:
        raise RequestFailed(
            f"{store.title}: its answer has no {'.'.join(path)}",
            hint="is that the right address?",
        )
    return here


def chosen(store: Store, secret: str | Mapping[str, Any], reference: StoreReference) -> str:
    """The value that a reference means.

    Raises:
        RequestFailed: the secret has no such key; names those it has.
    """
    import msgspec

    if not reference.key:
        if isinstance(secret, str):
            return secret
        raise RequestFailed(
            f"{store.title}: '{reference.name}' holds several values",
            hint=f"name one: {reference.name}#key; it has {_keys(secret)}",
        )
    if isinstance(secret, str):
        try:
            secret = msgspec.json.decode(secret, type=dict[str, Any])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise RequestFailed(
                f"{store.title}: '{reference.name}' is one value and has no keys",
                hint="leave out the '#...'",
            ) from None
    value = secret.get(reference.key)
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise RequestFailed(
            f"{store.title}: '{reference.name}' has no key '{reference.key}'",
            hint=f"it has {_keys(secret)}",
        )
    return str(value)


def _keys(secret: Mapping[str, Any]) -> str:
    return ", ".join(sorted(map(str, secret))[:20]) or "none"
