"""Who may call what: every route names a permission, and a request proves that it has it.

There is one key so far, the token of `api.json`. A script sends it with each request; a browser
exchanges it once for a session cookie, which proves the token without containing it.
"""

from __future__ import annotations

import enum
import hashlib
import hmac
import time
from typing import Final

from fastapi import FastAPI, Request
from fastapi.routing import APIRoute

SESSION_DAYS: Final = 30
_SECONDS: Final = SESSION_DAYS * 86_400
_LONGEST: Final = 200  # characters of a cookie or token worth looking at


class Permission(enum.StrEnum):
    """What a route lets one do."""

    PUBLIC = "public"
    VIEW = "view"


class Refused(Exception):
    """The request did not prove that it may do this."""


class Sessions:
    """Checks tokens and session cookies. Keeps nothing, so sessions survive a restart.

    Args:
        token: the token of this gateway.
        cookie: name of the session cookie. Browsers share cookies among all ports of a host, so
            two gateways on one machine need two names.
    """

    def __init__(self, token: str, cookie: str) -> None:
        self._token = token.encode()
        self.cookie = cookie

    def knows(self, token: str) -> bool:
        """Whether this is the token; takes the same time for every wrong one."""
        return hmac.compare_digest(token[:_LONGEST].encode(errors="replace"), self._token)

    def begin(self) -> str:
        """A new session: the value of its cookie, '<when>.<proof>'."""
        when = str(int(time.time()))
        return f"{when}.{self._proof(when)}"

    def holds(self, cookie: str) -> bool:
        """Whether a session with this cookie was begun here and is not over."""
        when, _, proof = cookie[:_LONGEST].partition(".")
        if not hmac.compare_digest(proof.encode(), self._proof(when).encode()):
            return False
        return 0 <= time.time() - int(when) < _SECONDS

    def _proof(self, when: str) -> str:
        return hmac.new(self._token, f"session {when}".encode(), hashlib.sha256).hexdigest()

    def admits(self, request: Request) -> bool:
        """Whether a request carries the token or a session."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.knows(token.strip())
        cookie = request.cookies.get(self.cookie)
        return cookie is not None and self.holds(cookie)


class Allow:
    """A route's permission as a dependency of FastAPI: `dependencies=[Depends(Allow(VIEW))]`."""

    def __init__(self, permission: Permission) -> None:
        self.permission = permission

    async def __call__(self, request: Request) -> None:
        """Let the request through.

        Raises:
            Refused: it carries neither the token nor a session.
        """
        sessions: Sessions = request.app.state.sessions
        if self.permission is not Permission.PUBLIC and not sessions.admits(request):
            raise Refused


def permission_of(route: object) -> Permission | None:
    """What a route declares; None where it declares nothing."""
    if not isinstance(route, APIRoute):
        return None
    declared = [
        d.call.permission for d in route.dependant.dependencies if isinstance(d.call, Allow)
    ]
    return declared[0] if len(declared) == 1 else None


def check_every_route(app: FastAPI) -> None:
    """Refuse to serve an application with a route that declares no permission.

    Raises:
        RuntimeError: names the routes.
    """
    open_routes = [str(route) for route in app.routes if permission_of(route) is None]
    if open_routes:
        raise RuntimeError(f"routes without a permission: {', '.join(open_routes)}")
