"""What stands before every request, whatever route it is for, and what goes with every answer.

The API listens on loopback, where other people's web pages can reach it through the browser of
whoever sits there. Three checks keep them out:

* the Host header names loopback, so a foreign name made to resolve to 127.0.0.1 (DNS rebinding)
  gets nothing;
* a request that changes something comes from our own page, or from no page at all;
* a browser that says a request comes from another site (Fetch Metadata) is believed.

Where too many requests are under way, the others are told so; whether the gateway lives is answered
all the same.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gl002.web.shapes import Problem, as_json

_CONTENT_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
_HEADERS: Final = {
    "content-security-policy": _CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), usb=()",
}
_READING: Final = frozenset({"GET", "HEAD"})
_LARGEST_BODY: Final = 16 * 1024
_MOST: Final = 250  # requests under way, streams included
_ALWAYS: Final = "/healthz"


class Guard:
    """An ASGI application around another.

    Args:
        app: answers what is let through.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._under_way = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            raise RuntimeError(f"nothing here speaks '{scope['type']}'")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(_HEADERS)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        answer = refusal(str(scope["method"]), Headers(scope=scope)) or self._app
        if self._under_way >= _MOST and scope["path"] != _ALWAYS:
            answer = problem(503, f"{_MOST} requests are under way already", "try again later")
        self._under_way += 1
        try:
            await answer(scope, receive, send_guarded)
        finally:
            self._under_way -= 1


def problem(status: int, error: str, hint: str = "") -> Response:
    """An answer that says what is wrong."""
    content = as_json(Problem(error=error, hint=hint))
    return Response(content, status, media_type="application/json")


def refusal(method: str, headers: Headers) -> Response | None:
    """Why a request with these headers gets no further; None where it does."""
    host = headers.get("host", "")
    if len(headers.getlist("host")) != 1 or not is_loopback(host):
        return problem(
            421, "this host name is not served here", "use 127.0.0.1 or localhost; a proxy in "
            "front must set the header Host to it",
        )  # fmt: skip
    if headers.get("sec-fetch-site", "none") in {"cross-site", "same-site"} and not (
        method == "GET" and headers.get("sec-fetch-mode") == "navigate"
    ):
        return problem(403, "another site's page may not ask this")
    if method in _READING:
        return None
    if headers.get("origin", f"http://{host}") != f"http://{host}":
        return problem(403, "another site's page may not change anything here")
    length = headers.get("content-length", "0" if "transfer-encoding" not in headers else "")
    if not length.isdecimal() or int(length) > _LARGEST_BODY:
        return problem(413, f"the request must state its length, at most {_LARGEST_BODY} bytes")
    return None


def is_loopback(host: str) -> bool:
    """Whether a Host header, 'name[:port]', names this machine."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = parts.hostname, parts.port
        if parts.netloc != host or parts.username is not None or not name:
            return False
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
