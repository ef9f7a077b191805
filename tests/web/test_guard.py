"""What other people's web pages and odd clients get: nothing."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.web.guard import is_loopback
from web.client import ask, bearer

OWN = ["127.0.0.1:8080", "127.0.0.1", "localhost", "localhost:9000", "LOCALHOST:1", "[::1]:8080"]
FOREIGN = [
    "", "evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example",
    "evil@127.0.0.1", "127.0.0.1@evil.example", "127.0.0.1:80@evil", "0.0.0.0", "10.0.0.5",
    "169.254.169.254", "[::ffff:10.0.0.5]", "2130706433", "0x7f.1", "127.0.0.1:99999",
    "localhost:x", "localhost/..", "localhost#", "localhost?", "[::1", "::1", "localhost localhost",
]  # fmt: skip


@pytest.mark.parametrize("host", OWN)
def test_names_of_this_machine_are_served(host):
    assert is_loopback(host)


@pytest.mark.parametrize("host", FOREIGN)
def test_any_other_name_is_not(host):
    assert not is_loopback(host)


@given(st.text(max_size=30))
def test_no_host_header_breaks_the_check(host):
    assert is_loopback(host) in {True, False}


@pytest.mark.parametrize("host", ["evil.example", "10.0.0.5:8080", "127.0.0.1@evil.example"])
async def test_a_foreign_name_that_resolves_to_loopback_gets_nothing_even_with_the_token(
    house, host
):
    for path in ("/api/status", "/healthz", "/", f"/?token={house.token}", "/static/app.js"):
        answer = await ask(house.port, path, headers={"Host": host, **bearer(house.token)})
        assert answer.status == 421
        assert "set-cookie" not in answer.headers


async def test_headers_that_proxies_set_are_not_believed(house):
    for name in ("X-Forwarded-Host", "X-Original-URL", "X-Rewrite-URL", "Forwarded", "Referer"):
        answer = await ask(house.port, "/healthz", headers={name: "/api/status"})
        assert answer.body == b'{"status":"ok"}'
    spoofed = {"X-Forwarded-For": "127.0.0.1", "Host": "evil.example"}
    assert (await ask(house.port, "/healthz", headers=spoofed)).status == 421


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"]
)
async def test_a_change_asked_for_by_another_page_is_refused(house, origin):
    body = b'{"token": "%s"}' % house.token.encode()
    answer = await ask(house.port, "/login", method="POST", body=body, headers={"Origin": origin})
    assert answer.status == 403
    assert "set-cookie" not in answer.headers


async def test_our_own_page_may_ask_also_through_a_tunnel_on_another_port(house):
    body = b'{"token": "%s"}' % house.token.encode()
    through = {"Host": "localhost:9999", "Origin": "http://localhost:9999"}
    answer = await ask(house.port, "/login", method="POST", body=body, headers=through)
    assert answer.status == 204


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
async def test_what_a_browser_calls_another_sites_request_is_refused(house, site):
    for mode in ("cors", "no-cors"):
        headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode, **bearer(house.token)}
        assert (await ask(house.port, "/api/values", headers=headers)).status == 403
    link = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}
    assert (await ask(house.port, f"/?token={house.token}", headers=link)).status == 303


async def test_no_other_site_may_read_an_answer(house):
    headers = {"Origin": "http://evil.example", **bearer(house.token)}
    answer = await ask(house.port, "/api/status", headers=headers)
    assert not [name for name in answer.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    "path", ["/", "/api/status", "/nothing", "/static/app.js", "/api/stream?stage=no"]
)
async def test_every_answer_carries_the_headers_that_protect_it(house, path):
    answer = await ask(house.port, path, headers=bearer(house.token))
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "require-trusted-types-for 'script'" in policy
    assert "unsafe" not in policy
    assert "*" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    files = path in {"/", "/static/app.js"}
    assert answer.headers["cache-control"] == ("no-cache" if files else "no-store")
    assert "server" not in answer.headers


async def test_a_body_too_large_or_of_unknown_length_is_not_read(house):
    for headers in (
        {"Content-Length": "20000"},
        {"Content-Length": "-1"},
        {"Content-Length": "", "Transfer-Encoding": "chunked"},
    ):
        answer = await ask(house.port, "/login", method="POST", headers=headers)
        assert answer.status in {400, 413}, headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py", "/static/..%2fapp.py", "/static/%2e%2e/app.py", "/static/....//app.py",
        "/static/%252e%252e%252fapp.py", "/static//etc/passwd", "/static/%2Fetc%2Fpasswd",
        "/static/app.js%00.html", "/static/.", "/static/", "/static/..\\app.py", "/static/app.py",
    ],
)  # fmt: skip
async def test_only_the_files_of_the_page_are_served(house, path):
    answer = await ask(house.port, path)
    assert answer.status == 404
    assert set(answer.json) == {"error", "hint"}


async def test_headers_without_end_are_refused_before_they_fill_the_memory(house):
    with suppress(ConnectionError):  # it may hang up while we still send
        answer = await ask(house.port, "/healthz", headers={"X-Long": "x" * 5_000_000})
        assert answer.status == 400
    assert (await ask(house.port, "/healthz")).status == 200
