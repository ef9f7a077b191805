"""Who gets in: a matrix over all routes, and the session of a browser."""

from __future__ import annotations

import json
import re
import time

import pytest
from fastapi import FastAPI

from gl002.web.app import routes
from gl002.web.permission import (
    SESSION_DAYS,
    Permission,
    Sessions,
    check_every_route,
    permission_of,
)
from gl002.web.pulse import Pulse
from web.client import ask, bearer

PUBLIC = {
    ("GET", "/healthz"), ("GET", "/"), ("GET", "/static/{name}"), ("POST", "/login"),
}  # fmt: skip


def app_of(house) -> FastAPI:
    return routes(house.gateway, Pulse(house.gateway), Sessions("token", "cookie"))


def all_routes(house) -> list[tuple[str, str]]:
    return [(m, r.path) for r in app_of(house).routes for m in sorted(r.methods)]


def a_path(path: str) -> str:
    return path.replace("{name}", "app.js")


async def session(house) -> dict[str, str]:
    answer = await ask(house.port, f"/?token={house.token}")
    return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}


async def test_every_route_declares_a_permission_and_only_these_need_no_token(house):
    declared = {(m, r.path): permission_of(r) for r in app_of(house).routes for m in r.methods}
    assert None not in declared.values()
    assert {key for key, given in declared.items() if given is Permission.PUBLIC} == PUBLIC


async def test_without_a_token_every_other_route_answers_401_and_nothing_else(house):
    for method, path in all_routes(house):
        if (method, path) in PUBLIC:
            continue
        for headers in ({}, bearer("wrong"), bearer(""), {"Authorization": "Basic Zm9vOmJhcg=="}):
            answer = await ask(house.port, a_path(path), method=method, headers=headers)
            assert answer.status == 401, (method, path, headers)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert set(answer.json) == {"error", "hint"}
            assert "token" in answer.json["error"]
            assert "Authorization: Bearer" in answer.json["hint"]


async def test_with_the_token_or_a_session_every_route_answers(house):
    cookie = await session(house)
    for method, path in all_routes(house):
        if path in {"/api/stream", "/login"}:
            continue  # the one does not end, the other has tests of its own
        for headers in (bearer(house.token), cookie):
            answer = await ask(house.port, a_path(path), method=method, headers=headers)
            assert answer.status == 200, (method, path, answer)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_no_route_takes_a_method_it_does_not_declare(house, method):
    for declared, path in all_routes(house):
        if declared != method:
            answer = await ask(house.port, a_path(path), method=method, headers=bearer(house.token))
            assert answer.status == 405, (method, path)
            assert set(answer.json) == {"error", "hint"}


async def test_the_printed_address_is_exchanged_for_a_session_and_loses_its_token(house):
    answer = await ask(house.port, f"/?token={house.token}")
    assert (answer.status, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"gl002_{house.port}=")
    for part in ("HttpOnly", "SameSite=strict", "Path=/", f"Max-Age={SESSION_DAYS * 86_400}"):
        assert part in cookie
    assert house.token not in str(answer.headers) + answer.body.decode()


async def test_a_wrong_token_in_the_address_begins_no_session_and_leads_nowhere_else(house):
    for token in ("wrong", "", "%00", "%C3%A9", "//evil.example", house.token + "x"):
        answer = await ask(house.port, f"/?token={token}")
        assert (answer.status, answer.headers["location"]) == (303, "/?refused")
        assert "set-cookie" not in answer.headers


async def test_the_page_itself_is_public_and_holds_no_data(house):
    answer = await ask(house.port, "/")
    assert answer.status == 200
    assert b"Boiler house 1" not in answer.body
    assert b"boiler1" not in answer.body


async def test_the_token_can_be_posted_for_a_session(house):
    body = json.dumps({"token": house.token}).encode()
    answer = await ask(house.port, "/login", method="POST", body=body)
    assert answer.status == 204
    cookie = {"Cookie": answer.headers["set-cookie"].partition(";")[0]}
    assert (await ask(house.port, "/api/status", headers=cookie)).status == 200


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"token": "wrong"}', 401),
        (b'{"token": "\\ud800"}', 401),
        (b'{"token": 5}', 400),
        (b"{}", 400),
        (b"{", 400),
        (b"[" * 5000, 400),
    ],
)
async def test_any_other_login_is_refused_without_a_session(house, body, status):
    answer = await ask(house.port, "/login", method="POST", body=body)
    assert answer.status == status
    assert set(answer.json) == {"error", "hint"}
    assert "set-cookie" not in answer.headers


async def test_a_session_proves_the_token_without_containing_it(house):
    (cookie,) = (await session(house)).values()
    assert house.token not in cookie


def test_only_a_cookie_made_with_this_token_opens_a_session(monkeypatch):
    sessions = Sessions("token", "c")
    cookie = sessions.begin()
    when, _, proof = cookie.partition(".")
    assert sessions.holds(cookie)
    for forged in (
        "", ".", "..", when, f"{when}.", f"{int(when) + 1}.{proof}", f"{when}.{proof[:-1]}0x",
        f"{when}.{proof}.x", f" {cookie}", cookie.upper(), "é.é", "9" * 10_000, f"-1.{proof}",
        Sessions("other", "c").begin(),
    ):  # fmt: skip
        assert not sessions.holds(forged), forged


def test_a_session_ends_after_thirty_days_and_is_not_valid_before_it_began(monkeypatch):
    sessions, now = Sessions("token", "c"), time.time()
    cookie = sessions.begin()
    for days, valid in ((29, True), (31, False), (-1, False)):
        monkeypatch.setattr(time, "time", lambda days=days: now + days * 86_400)
        assert sessions.holds(cookie) is valid


def test_an_application_with_an_undeclared_route_is_not_served():
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    check_every_route(app)
    app.add_api_route("/secret", lambda: 1)
    with pytest.raises(RuntimeError, match=re.escape("/secret")):
        check_every_route(app)
    documented = FastAPI()
    with pytest.raises(RuntimeError, match="openapi"):
        check_every_route(documented)
