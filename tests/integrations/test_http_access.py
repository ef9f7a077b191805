"""HTTP: who we are to a server, and which server we trust."""

from __future__ import annotations

import asyncio

import pytest

from gl002.errors import AuthFailed, ConnectFailed
from gl002.security.secrets import Secret
from gl002.security.tls import client_context
from gl002.transport.http.auth import Auth, Basic, Exchange, Header
from integrations.http_site import authority, ca, client_of, echo, get, secure, server
from peers.web_server import Reply, Seen, WebServer

fixtures = server, authority, secure, ca


# ---- who we are -------------------------------------------------------------------------------


async def test_a_token_goes_with_every_request(server: WebServer) -> None:
    async with client_of(server, auth=Header("Token", Secret("my-token"))) as client:
        await get(client)
        await get(client)
    assert [s.headers["authorization"] for s in server.seen] == ["Token my-token"] * 2


async def test_a_key_may_have_a_header_of_its_own(server: WebServer) -> None:
    async with client_of(server, auth=Header("", Secret("my-key"), name="X-API-Key")) as client:
        await get(client)
    assert server.seen[0].headers["x-api-key"] == "my-key"


async def test_basic_credentials_are_utf_8(server: WebServer) -> None:
    async with client_of(server, auth=Basic("Jörg", Secret("pä:ß"))) as client:
        await get(client)
    assert server.seen[0].headers["authorization"] == "Basic SsO2cmc6cMOkOsOf"


def test_a_user_with_a_colon_cannot_be_sent() -> None:
    with pytest.raises(ValueError, match="RFC 7617"):
        Basic("a:b", Secret("password"))


class Conversation(Auth):
    """Three legs on one connection, as Negotiate has them."""

    bound_to_connection = True

    async def exchange(self) -> Exchange:
        answer = yield {}
        while answer.status == 401 and answer.challenges:
            (challenge,) = answer.challenges
            answer = yield {"Authorization": f"answer to {challenge}"}


def _three_legs(seen: Seen) -> Reply:
    known = {"": "one", "answer to one": "two"}
    challenge = known.get(seen.headers.get("authorization", ""))
    if challenge is not None:
        return Reply(401, headers={"WWW-Authenticate": challenge})
    return echo(seen)


async def test_an_authentication_may_take_several_legs_on_one_connection(
    server: WebServer,
) -> None:
    server.answer = _three_legs
    async with client_of(server, auth=Conversation()) as client:
        answers = await asyncio.gather(*(get(client) for _ in range(4)))
    assert all(answer.ok for answer in answers)
    assert len(server.seen) == 12
    assert len({seen.connection for seen in server.seen}) == 1
    legs = [seen.headers.get("authorization") for seen in server.seen]
    assert legs == [None, "answer to one", "answer to two"] * 4, "no request comes in between"


async def test_an_authentication_that_never_ends_is_given_up(server: WebServer) -> None:
    server.answer = lambda _: Reply(401, headers={"WWW-Authenticate": "again"})
    async with client_of(server, auth=Conversation()) as client:
        with pytest.raises(AuthFailed, match="again and again"):
            await get(client)
    assert len(server.seen) == 6


# ---- TLS --------------------------------------------------------------------------------------


async def test_https_works_with_an_authority_we_trust(secure: WebServer, ca: str) -> None:
    async with client_of(secure, tls=client_context(ca=ca)) as client:
        assert (await get(client)).ok


async def test_a_certificate_nobody_trusts_is_refused(secure: WebServer) -> None:
    async with client_of(secure, tls=client_context()) as client:
        with pytest.raises(AuthFailed, match="not trusted"):
            await get(client)
    assert secure.seen == []


async def test_a_certificate_for_another_name_is_refused(secure: WebServer, ca: str) -> None:
    tls = client_context(ca=ca)
    async with client_of(secure, tls=tls, server_name="other") as client:
        with pytest.raises(AuthFailed, match="not trusted"):
            await get(client)
    async with client_of(secure, tls=tls, server_name="localhost") as client:
        assert (await get(client)).ok


async def test_https_to_a_port_without_tls_says_so(server: WebServer, ca: str) -> None:
    base = f"https://127.0.0.1:{server.port}/"
    async with client_of(server, base_url=base, tls=client_context(ca=ca)) as client:
        with pytest.raises(ConnectFailed, match="does that port speak TLS"):
            await get(client)
