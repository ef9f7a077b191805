"""What connectors that speak HTTP have in common: one session, and what its answers mean."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from gl002.config.blocks import TlsSettings
from gl002.connector import Connector
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, require
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.security.tls import client_context
from gl002.transport.http.answer import Answer, refusal
from gl002.transport.http.auth import Anonymous, Auth
from gl002.transport.http.client import HTTPClient, HTTPOptions, Request, Taker
from gl002.transport.http.settings import HTTPSettings

C = TypeVar("C", bound=HTTPSettings)


class HTTPConnection(Connector[C]):
    """A connector over one HTTP session. Authors write `_greet` and their verbs.

    Verbs use `_ask` for a whole request with its retries, or `_send` within a `_call` of their
    own, where one verb takes several requests.
    """

    cookies = False
    """Whether the server's cookies are kept for the session."""
    largest = 64 * 1024 * 1024
    """Bytes of an answer, after decompression."""

    def __init__(
        self,
        config: C | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._client: HTTPClient | None = None

    # ---- what an author writes --------------------------------------------------------------

    @abstractmethod
    async def _greet(self) -> None:
        """One cheap request that shows that the server is there and takes our credentials.

        HTTP has no session of its own: this is what connecting means. Use `_send`.
        """

    def _auth(self) -> Auth:
        """Who we are; made anew for each session."""
        return Anonymous()

    def _headers(self) -> Mapping[str, str]:
        """Sent with every request."""
        return {}

    def _refusal(self, answer: Answer, what: str) -> GL002Error:
        """The error a refused request becomes; kinds that know the body's form override it."""
        return refusal(answer, what)

    # ---- the session ------------------------------------------------------------------------

    def endpoints(self) -> Iterable[Endpoint]:
        """The server's address."""
        return [self.config.endpoint]

    def _load(self) -> None:
        require("aiohttp", extra=self.kind)
        import aiohttp  # noqa: F401 (half a second on a small machine)

    async def _open(self) -> None:
        await self._shut()
        self._client = self._new_client(cookies=self.cookies)
        await self._greet()

    def _new_client(self, *, cookies: bool) -> HTTPClient:
        """A session with the server; who makes one besides the connector's own closes it."""
        tls = self.config.tls or TlsSettings()
        options = HTTPOptions(
            base_url=self.config.base_url,
            tls=client_context(ca=tls.ca, cert=tls.cert, key=tls.key, min_version=tls.min_version)
            if self.config.secure
            else None,
            server_name=tls.server_name,
            auth=self._auth(),
            headers=self._headers(),
            largest=self.largest,
            cookies=cookies,
        )
        return HTTPClient(options, self.context.network)

    async def _shut(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    # ---- requests ---------------------------------------------------------------------------

    async def _ask(self, request: Request, *, what: str, repeatable: bool = True) -> Answer:
        """One request: connected, limited in time, retried, its refusal an error.

        Args:
            request: what to send.
            what: a phrase for messages, 'write 500 points'.
            repeatable: as `Session._call`.

        Raises:
            GL002Error: as `refusal`, and as `HTTPClient.send`.
        """
        return await self._call(
            lambda: self._send(request, what=what), what=what, repeatable=repeatable
        )

    async def _send(self, request: Request, *, what: str) -> Answer:
        """One attempt of a request within a `_call` or `_greet`; a refusal is an error."""
        answer = await self._exchange(request)
        if not answer.ok:
            raise self._refusal(answer, f"{what}: {self.config.endpoint}")
        return answer

    async def _exchange(
        self,
        request: Request,
        client: HTTPClient | None = None,
        *,
        taker: Taker | None = None,
        limit: float | None = None,
    ) -> Answer:
        """One attempt as `_send`; a refusal is an answer, for the caller to judge.

        Args:
            request: what to send.
            client: a session besides the connector's own.
            taker: gets the body of a success as it arrives, instead of the answer.
            limit: seconds it may take; the time-out of requests where None.
        """
        client = client or self._client
        if client is None:
            raise ConnectFailed(f"{self.name}: the connection has just ended")
        return await client.send(request, timeout=limit or self._timeout, taker=taker)
