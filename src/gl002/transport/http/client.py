"""A session with one origin: limited in time and size, never led elsewhere.

client = HTTPClient(options, network)
answer = await client.send("GET", "api/v2/buckets", timeout=10, query={"limit": "1"})
"""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeAlias
from urllib.parse import quote, urlencode, urljoin

from gl002.errors import AuthFailed, ConnectFailed, GL002Error, RequestFailed
from gl002.security.network import Endpoint, Network
from gl002.security.tls import explained
from gl002.transport.aside import aside
from gl002.transport.http.answer import Answer, Unreadable
from gl002.transport.http.auth import Anonymous, Auth
from gl002.transport.http.dialing import connections

if TYPE_CHECKING:
    from aiohttp import ClientResponse
    from yarl import URL

Query: TypeAlias = Mapping[str, str] | Sequence[tuple[str, str]]
Taker: TypeAlias = Callable[[bytes], None]
"""Takes the body of an answer piece by piece, as it arrives; what it raises ends the answer."""

MIB = 1024 * 1024
_MOST_REDIRECTS = 3
_MOST_LEGS = 6  # attempts of one request: Negotiate takes two or three
_MOVED_FOR_ALL = {307, 308}  # the method stays (RFC 9110, 15.4)
_MOVED = {301, 302, 303} | _MOVED_FOR_ALL
_FASTEST = 1  # of gzip: samples repeat so much that it makes a tenth of them
_SAFE = {"GET", "HEAD"}
_SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class HTTPOptions:
    """How a session is made.

    Attributes:
        base_url: where every path begins, '/' at its end.
        tls: context of https.
        server_name: to expect in the certificate; the host where None.
        auth: who we are.
        headers: sent with every request.
        connections: to the server at once.
        largest: bytes of an answer, after decompression.
        cookies: keep the server's cookies for the session.
    """

    base_url: str
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    auth: Auth = field(default_factory=Anonymous)
    headers: Mapping[str, str] = field(default_factory=dict)
    connections: int = 8
    largest: int = 64 * MIB
    cookies: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """One request; it can be sent again.

    Attributes:
        method: 'GET', 'POST' and so on.
        path: below the base, its parts percent-encoded (`segment`); or a whole address that the
            server has given us.
        query: names and values as they are; they are encoded when sent.
        headers: besides those of the session.
        body: as bytes.
        compress: send the body as gzip.
    """

    method: str
    path: str
    query: Query = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    compress: bool = False


class HTTPClient:
    """Requests to one origin. Every answer is read to its end, whatever its status.

    No proxy, no redirect to another origin, no answer above the limit. Make it on the event loop
    it is used on, after the driver's `require`.

    Args:
        options: how.
        network: what may be reached.
    """

    def __init__(self, options: HTTPOptions, network: Network) -> None:
        import aiohttp
        from yarl import URL

        self.options = options
        self._origin = _origin(URL(options.base_url))
        single = options.auth.bound_to_connection
        self._turn = asyncio.Lock() if single else None
        self._session = aiohttp.ClientSession(
            connector=connections(
                network,
                tls=options.tls,
                server_name=options.server_name,
                most=1 if single else options.connections,
            ),
            cookie_jar=aiohttp.CookieJar(unsafe=True)  # a plant's server has no domain, only an IP
            if options.cookies
            else aiohttp.DummyCookieJar(),
            headers={"User-Agent": "gl002", **options.headers},
            trust_env=False,
            timeout=aiohttp.ClientTimeout(total=None),
        )

    async def close(self) -> None:
        """Close every connection; safe to call twice."""
        await self._session.close()

    def url(self, path: str, query: Query = ()) -> URL:
        """The address of a request.

        Raises:
            RequestFailed: it leads to another origin, or is no address.
        """
        from yarl import URL

        pairs = urlencode(query, quote_via=quote)
        try:
            there = urljoin(self.options.base_url, path)
            mark = "&" if "?" in there else "?"
            url = URL(f"{there}{mark}{pairs}" if pairs else there, encoded=True)
            same = _origin(url) == self._origin
        except ValueError as error:
            raise RequestFailed(f"'{path.partition('?')[0]}' is no address: {error}") from None
        if not same:
            raise RequestFailed(
                f"{_shown(url)} is not on {self.options.base_url}",
                hint="configure the address that the server uses of itself",
            )
        return url

    async def send(
        self,
        request: Request,
        *,
        timeout: float,  # noqa: ASYNC109 (also given to the dialler)
        taker: Taker | None = None,
    ) -> Answer:
        """Send a request and read its answer; a status that is no success is an answer, too.

        Args:
            request: what to send.
            timeout: seconds for all of it.
            taker: gets the body of a success instead of the answer, and limits its size itself.

        Raises:
            ConnectFailed: unreachable, TLS failed, or the answer was cut short; or one of its
                kinds: AuthFailed (certificates), NotAllowed.
            RequestFailed: the answer is too large (Unreadable where the request was taken), or
                leads elsewhere.
            TimeoutError: it took longer than `timeout`.
        """
        url = self.url(request.path, request.query)
        headers, body = dict(request.headers), request.body
        if request.compress and body:
            body = await aside(len(body), gzip.compress, body, _FASTEST)
            headers["Content-Encoding"] = "gzip"
        async with asyncio.timeout(timeout), self._in_turn():
            for _ in range(_MOST_REDIRECTS + 1):
                once = partial(self._once, request.method, url, body, limit=timeout, taker=taker)
                answer = await self._exchange(url, headers, once)
                onwards = _onwards(request.method, answer)
                if onwards is None:
                    return answer
                url = self.url(urljoin(str(url), onwards))
        raise RequestFailed(f"{_shown(url)}: the server leads us in circles")

    def _in_turn(self) -> AbstractAsyncContextManager[object]:
        """One at a time where the server knows the connection."""
        return self._turn if self._turn is not None else nullcontext()

    async def _exchange(
        self, url: URL, headers: Mapping[str, str], once: Callable[..., Awaitable[Answer]]
    ) -> Answer:
        """Attempt after attempt until the authentication is content."""
        async with aclosing(self.options.auth.exchange()) as exchange:
            ours = await anext(exchange)
            for _ in range(_MOST_LEGS):
                answer = await once({**headers, **ours})
                try:
                    ours = await exchange.asend(answer)
                except StopAsyncIteration:
                    return replace(answer, with_password=self.options.auth.with_password)
        raise AuthFailed(f"{_shown(url)}: it asks again and again who we are")

    async def _once(
        self,
        method: str,
        url: URL,
        body: bytes,
        headers: Mapping[str, str],
        *,
        limit: float,
        taker: Taker | None,
    ) -> Answer:
        import aiohttp

        request = self._session.request(
            method,
            url,
            headers=headers,
            data=body or None,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=limit),
        )
        with _as_ours(url):
            async with request as response:
                if taker is not None and response.status in _SUCCESS:
                    return _answer(response, await self._pass_on(response, taker))
                return _answer(response, await self._read(response, url))

    async def _pass_on(self, response: ClientResponse, taker: Taker) -> bytes:
        async for chunk in response.content.iter_any():
            try:
                taker(chunk)
            except BaseException:
                response.close()  # the rest of it is not wanted
                raise
        return b""

    async def _read(self, response: ClientResponse, url: URL) -> bytes:
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) > self.options.largest:
                response.close()
                kind = Unreadable if response.ok else RequestFailed  # what was asked is done
                raise kind(
                    f"{_shown(url)}: an answer of more than {self.options.largest} bytes",
                    hint="ask for less at once",
                )
        return bytes(content)


def segment(text: str) -> str:
    """One part of a path, percent-encoded, '/' included."""
    return quote(text, safe="")


def _origin(url: URL) -> tuple[str, str, int]:
    """Scheme, host and port (RFC 6454), as they are dialled."""
    return url.scheme, url.host or "", url.port or 0


def _shown(url: URL) -> str:
    """An address in a message: what is asked of it may hold a secret."""
    return str(url).partition("?")[0]


def _onwards(method: str, answer: Answer) -> str | None:
    """Where a redirect leads that may be followed with the same request; None for any other."""
    there = answer.headers.get("location")
    if there is None or answer.status not in _MOVED:
        return None
    return there if method in _SAFE or answer.status in _MOVED_FOR_ALL else None


def _answer(response: ClientResponse, body: bytes) -> Answer:
    headers: dict[str, str] = {}
    for name, given in response.headers.items():
        key, value = name.lower(), _text(given)
        headers[key] = f"{headers[key]}, {value}" if key in headers else value
    challenges = tuple(map(_text, response.headers.getall("WWW-Authenticate", ())))
    return Answer(response.status, headers, body, challenges)


def _text(value: str) -> str:
    """Of a header: aiohttp gives bytes that are no text as half characters, which no file takes."""
    return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@contextmanager
def _as_ours(url: URL) -> Iterator[None]:
    """Errors of aiohttp as ours."""
    import aiohttp

    endpoint = Endpoint(*_origin(url)[1:])
    try:
        yield
    except aiohttp.InvalidURL as error:
        raise RequestFailed(f"{_shown(url)} is no address: {error}") from error
    except aiohttp.ClientError as error:
        cause = error.__cause__
        if isinstance(cause, GL002Error):  # of the dialler: aiohttp takes it for an OSError
            raise cause from None
        if isinstance(cause, ssl.SSLError):
            raise explained(cause, endpoint) from error
        if isinstance(error, aiohttp.ClientPayloadError):
            raise ConnectFailed(f"{endpoint}: the answer was cut short") from error
        if isinstance(error, aiohttp.ClientResponseError):
            raise ConnectFailed(
                f"{endpoint}: what came back is no HTTP: {error.message}",
                hint="does that port speak HTTP, and is it http or https?",
            ) from error
        raise ConnectFailed(f"{endpoint}: {str(error) or type(error).__name__}") from error
