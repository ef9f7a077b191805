"""The server as a program: HTTP, log-in, limits.

    python -m peers.pi FOLDER PORT AUTH

AUTH: 'basic', 'bearer', 'negotiate' or 'anonymous'. Source of the limits: PI Web API User Guide,
"Restrictions on request size", "Other security settings".
"""

from __future__ import annotations

import base64
import json
import logging
import sys
import weakref
from pathlib import Path
from typing import Any

from aiohttp import web

from peers.pi.answers import Request
from peers.pi.api import Api
from peers.pi.archive import Archive

USER, PASSWORD, TOKEN = "piuser", "secure_password", "token-0815-canary"
_LARGEST = 4 * 1024 * 1024  # MaxRequestContentLength
_LONGEST = 16 * 1024  # bytes of a request line (http.sys)


class Server:
    """The API behind HTTP.

    Args:
        api: answers requests.
        auth: how one logs in.
    """

    def __init__(self, api: Api, auth: str) -> None:
        self._api = api
        self._auth = auth
        self._handshakes: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        refusal = self._not_allowed(request) or _too_much(request)
        if refusal is not None:
            return refusal
        path = request.url.path
        if not path.lower().startswith("/piwebapi"):
            return web.Response(status=404)
        body, sent = None, b""
        if request.method != "GET" and request.can_read_body:
            try:
                sent = await request.read()
                body = json.loads(sent, parse_constant=_no_constant)
            except ValueError:
                return _json(400, {"Errors": ["The request body is not valid JSON."]})
        query = [(key, value) for key, value in request.url.query.items()]
        answer = self._api.handle(
            Request(
                request.method,
                path[len("/piwebapi") :].strip("/"),
                query,
                body,
                headers=dict(request.headers),
                size=len(sent),
            )
        )
        if answer.content is None:
            return web.Response(status=answer.status, headers=answer.headers)
        return _json(answer.status, answer.content, answer.headers)

    def _not_allowed(self, request: web.BaseRequest) -> web.Response | None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        match self._auth:
            case "anonymous":
                return None
            case "basic":
                good = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                allowed = scheme.lower() == "basic" and given == good
                return None if allowed else _denied('Basic realm="PI Web API"')
            case "bearer":
                return None if (scheme, given) == ("Bearer", TOKEN) else _denied("Bearer")
            case _:
                return self._negotiated(request, scheme, given)

    def _negotiated(self, request: web.BaseRequest, scheme: str, given: str) -> web.Response | None:
        """Windows authentication belongs to a connection, as with http.sys."""
        import spnego

        transport = request.transport
        context = self._handshakes.get(transport)
        if context is not None and context.complete:
            return None
        if scheme != "Negotiate" or not given:
            return _denied("Negotiate")
        if context is None:
            context = spnego.server(
                "localhost",
                "HTTP",
                protocol="negotiate",
                options=spnego.NegotiateOptions.use_negotiate,
            )
            self._handshakes[transport] = context
        try:
            token = context.step(base64.b64decode(given))
        except Exception:  # noqa: BLE001 (whatever the library thinks of the token)
            del self._handshakes[transport]
            return _denied("Negotiate")
        if context.complete:
            return None
        return _denied("Negotiate " + base64.b64encode(token or b"").decode())


def _too_much(request: web.BaseRequest) -> web.Response | None:
    """What is refused before the request is looked at."""
    safe = request.method in {"GET", "HEAD", "OPTIONS"}
    if not safe and "X-Requested-With" not in request.headers:
        return _json(400, {"Errors": ["The X-Requested-With header is required."]})
    if len(request.path_qs) > _LONGEST:
        return web.Response(status=414)
    if (request.content_length or 0) >= _LARGEST:
        return _json(413, {"Message": "Request Entity Too Large"})
    return None


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _denied(challenge: str) -> web.Response:
    answer = {"Message": "Authorization has been denied for this request."}
    return _json(401, answer, {"WWW-Authenticate": challenge})


def _json(status: int, content: Any, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(content, status=status, headers=headers)


async def _serve(server: Server, port: int) -> web.ServerRunner:
    runner = web.ServerRunner(web.Server(server, access_log=None, max_line_size=2 * _LONGEST))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    return runner


def main() -> None:
    import asyncio

    folder, port, auth, most, read_only = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    api = Api(Archive(Path(folder) / "archive.db"), most=int(most), read_only=read_only == "1")

    async def run() -> None:
        await _serve(Server(api, auth), int(port))
        await asyncio.Event().wait()

    asyncio.run(run())


if __name__ == "__main__":
    main()
