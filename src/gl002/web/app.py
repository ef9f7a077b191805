"""The routes of the local API and of the dashboard, each with the permission it asks for."""

from __future__ import annotations

import mimetypes
from collections.abc import Callable
from importlib.resources import files
from typing import Annotated, Any, NamedTuple

from fastapi import Body, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from gl002 import __version__
from gl002.errors import GL002Error
from gl002.flow.gateway import Gateway
from gl002.model import now_ns
from gl002.web.boilers import boiler_state, boilers
from gl002.web.guard import Guard, problem
from gl002.web.metrics import MEDIA_TYPE, exposition
from gl002.web.openapi import describe
from gl002.web.permission import (
    SESSION_DAYS,
    Allow,
    Permission,
    Refused,
    Sessions,
    check_every_route,
)
from gl002.web.pulse import Pulse, tags_of
from gl002.web.queues import MOST as MOST_ENTRIES
from gl002.web.queues import USUAL, Queues
from gl002.web.shapes import (
    BoilerState,
    OutboxAnswer,
    Problem,
    ProposalsAnswer,
    StatusAnswer,
    TagState,
    TrendAnswer,
    as_json,
    tag_state,
    trend_of,
)
from gl002.web.stream import MOST, EventStream, Streams, TooManyStreams

_JSON = "application/json"
_MOST_PATTERNS = 100
_HOW_TO_ENTER = (
    "open the address that the gateway printed at its start; scripts send the header "
    "Authorization: Bearer <token>"
)

Patterns = Annotated[
    list[str],
    Query(
        alias="tag",
        max_length=_MOST_PATTERNS,
        description="Only these tags; '*' stands for any characters. May be given several times.",
    ),
]

Names = Annotated[
    list[str], Query(alias="tag", max_length=20, description="These tags, 20 at most.")
]
Back = Annotated[float, Query(gt=0, le=1e9, description="Seconds from now back.")]
Points = Annotated[int, Query(ge=1, le=2000, description="At most so many stretches of a tag.")]
Limit = Annotated[int, Query(ge=1, le=MOST_ENTRIES, description="At most so many entries.")]


class _Route(NamedTuple):
    method: str
    path: str
    answers: Callable[..., Any]
    permission: Permission
    form: Any = None


# ---- for everybody ----------------------------------------------------------------------------


async def healthz() -> Response:
    """Whether the gateway answers; says nothing about it."""
    return Response(b'{"status":"ok"}', media_type=_JSON)


async def page(request: Request, token: str | None = None) -> Response:
    """The dashboard; with a token, exchange it for a session and leave it out of the address."""
    if token is None:
        return asset("index.html")
    known = request.app.state.sessions.knows(token)
    answer = RedirectResponse("/" if known else "/?refused", 303)
    if known:
        _begin_session(request, answer)
    return answer


async def login(request: Request, token: Annotated[str, Body(embed=True)]) -> Response:
    """Exchange the token for a session cookie."""
    if not request.app.state.sessions.knows(token):
        raise Refused
    answer = Response(status_code=204)
    _begin_session(request, answer)
    return answer


def _begin_session(request: Request, answer: Response) -> None:
    sessions: Sessions = request.app.state.sessions
    answer.set_cookie(
        sessions.cookie,
        sessions.begin(),
        max_age=SESSION_DAYS * 86_400,
        httponly=True,
        samesite="strict",
    )


def asset(name: str) -> Response:
    """One file of the page; the names are those of the package, so no path leads elsewhere."""
    content = _ASSETS.get(name)
    if content is None:
        return problem(404, "there is no such file")
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return Response(content, media_type=kind, headers={"cache-control": "no-cache"})


# ---- for whoever has the token ----------------------------------------------------------------


async def status(request: Request) -> Response:
    """State of the gateway: inputs, store, outputs."""
    return Response(as_json(request.app.state.pulse.status_now()), media_type=_JSON)


async def values(request: Request, tags: Patterns = []) -> Response:  # noqa: B006 (FastAPI copies)
    """Every tag with the last value accepted of it."""
    gateway: Gateway = request.app.state.gateway
    stale, now = request.app.state.pulse.stale, now_ns()
    latest = gateway.hub.latest
    found = [
        tag_state(tag, latest.get(tag.name), now=now, stale=tag.name in stale)
        for tag in tags_of(gateway, tags)
    ]
    return Response(as_json(found), media_type=_JSON)


async def trend(
    request: Request,
    tags: Names = [],  # noqa: B006 (FastAPI copies)
    seconds: Back = 1800,
    points: Points = 300,
) -> Response:
    """What tags did until now, from the first output that keeps a history."""
    gateway: Gateway = request.app.state.gateway
    now = now_ns()
    start = now - round(seconds * 1e9)
    found = [
        trend_of(tag, gateway.context.tags, await gateway.trend(tag, start, now, points=points))
        for tag in dict.fromkeys(tags)
    ]
    return Response(as_json(found), media_type=_JSON)


async def losses(request: Request, boiler: str | None = None) -> Response:
    """Efficiency of each boiler, or of one, and where the rest of the fuel's heat goes."""
    gateway: Gateway = request.app.state.gateway
    names = boilers(gateway)
    if boiler is not None and boiler not in names:
        return problem(404, f"there is no boiler '{boiler}'", f"boilers: {', '.join(names)}")
    wanted = names if boiler is None else [boiler]
    return Response(as_json([boiler_state(gateway, name) for name in wanted]), media_type=_JSON)


async def outbox(request: Request, limit: Limit = USUAL) -> Response:
    """Work orders and documents: what waits for a person, and the newest others."""
    queues: Queues = request.app.state.queues
    return Response(as_json(await queues.outbox(limit)), media_type=_JSON)


async def proposals(request: Request, limit: Limit = USUAL) -> Response:
    """Writes somebody outside asks for: what waits for a person, and the newest others."""
    queues: Queues = request.app.state.queues
    return Response(as_json(await queues.proposals(limit)), media_type=_JSON)


async def stream(
    request: Request,
    stage: str = "latest",
    tags: Patterns = [],  # noqa: B006 (FastAPI copies)
) -> Response:
    """Live values as server-sent events: batch, status, stale, missed."""
    streams: Streams = request.app.state.streams
    if stage not in streams.stages():
        known = ", ".join(streams.stages())
        return problem(404, f"there is no stage '{stage}'", f"stages: {known}")
    try:
        return streams.events(stage, tags)
    except TooManyStreams:
        return problem(503, f"{MOST} streams are open already", "close a dashboard or a tap")


async def metrics(request: Request) -> Response:
    """The state for Prometheus."""
    text = exposition(request.app.state.gateway, request.app.state.pulse.status_now())
    return Response(text, headers={"content-type": MEDIA_TYPE})


async def openapi(request: Request) -> Response:
    """This API as an OpenAPI document."""
    forms = {route.path: route.form for route in _ROUTES if route.form is not None}
    return Response(as_json(describe(request.app, forms, Problem)), media_type=_JSON)


_ROUTES = (
    _Route("GET", "/healthz", healthz, Permission.PUBLIC),
    _Route("GET", "/", page, Permission.PUBLIC),
    _Route("GET", "/static/{name}", asset, Permission.PUBLIC),
    _Route("POST", "/login", login, Permission.PUBLIC),
    _Route("GET", "/api/status", status, Permission.VIEW, StatusAnswer),
    _Route("GET", "/api/values", values, Permission.VIEW, list[TagState]),
    _Route("GET", "/api/trend", trend, Permission.VIEW, list[TrendAnswer]),
    _Route("GET", "/api/losses", losses, Permission.VIEW, list[BoilerState]),
    _Route("GET", "/api/outbox", outbox, Permission.VIEW, OutboxAnswer),
    _Route("GET", "/api/proposals", proposals, Permission.VIEW, ProposalsAnswer),
    _Route("GET", "/api/stream", stream, Permission.VIEW),
    _Route("GET", "/api/openapi.json", openapi, Permission.VIEW),
    _Route("GET", "/metrics", metrics, Permission.VIEW),
)

_ASSETS = {
    file.name: file.read_bytes()
    for file in files("gl002.web").joinpath("static").iterdir()
    if file.is_file()
}


def application(gateway: Gateway, pulse: Pulse, sessions: Sessions) -> ASGIApp:
    """The whole of it, behind its guard.

    Args:
        gateway: what is shown.
        pulse: its heartbeat, beating.
        sessions: who may look.
    """
    return Guard(routes(gateway, pulse, sessions))


def routes(gateway: Gateway, pulse: Pulse, sessions: Sessions) -> FastAPI:
    """The routes without the guard.

    Raises:
        RuntimeError: a route declares no permission.
    """
    app = FastAPI(
        title="gl002", version=__version__, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.state.gateway, app.state.pulse, app.state.sessions = gateway, pulse, sessions
    app.state.streams = Streams(gateway, pulse)
    app.state.queues = Queues(gateway, pulse)
    for route in _ROUTES:
        app.add_api_route(
            route.path,
            route.answers,
            methods=[route.method],
            dependencies=[Depends(Allow(route.permission))],
            response_class=EventStream if route.answers is stream else Response,
            response_model=None,
        )
    _answer_errors(app)
    check_every_route(app)
    return app


def _answer_errors(app: FastAPI) -> None:
    """Every error as a `Problem`, without a word about the inside."""

    async def refused(_: Request, __: Exception) -> Response:
        answer = problem(401, "this needs the token of the gateway", _HOW_TO_ENTER)
        answer.headers["www-authenticate"] = "Bearer"
        return answer

    async def of_http(_: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(error.status_code, str(error.detail).lower())

    async def malformed(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        wrong = [".".join(map(str, e["loc"])) + ": " + e["msg"].lower() for e in error.errors()]
        return problem(400, "; ".join(wrong))

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, GL002Error)
        return problem(503, "the gateway cannot answer this now", error.hint)

    async def fault(_: Request, __: Exception) -> Response:
        return problem(500, "a fault in the gateway", "its log says more")

    for kind, answer in (
        (Refused, refused),
        (HTTPException, of_http),
        (RequestValidationError, malformed),
        (GL002Error, ours),
        (Exception, fault),
    ):
        app.add_exception_handler(kind, answer)
