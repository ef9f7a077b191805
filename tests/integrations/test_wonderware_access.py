"""Logging in to the historian, and encryption on the way."""

from __future__ import annotations

import asyncio
import socket

import pytest

from gl002.context import Context
from gl002.errors import AuthFailed, ConnectFailed, GL002Error
from gl002.integrations.historians import AsyncWonderwareConnector
from gl002.integrations.historians.wonderware import WonderwareConfig
from integrations.wonderware_site import FLOW, context, only, peer
from peers.wonderware import PASSWORD, USER, Wonderware

fixtures = peer, context, only


# ---- logging in -------------------------------------------------------------------------------


async def test_a_windows_account_logs_in(peer: Wonderware, context: Context) -> None:
    config = {"server": peer.config["server"], "integrated_security": True,
              "username": f"PLANT\\{USER}", "password": PASSWORD}  # fmt: skip
    ww = AsyncWonderwareConnector(config, context=context)
    assert (await ww.read([FLOW]))[0].value == 10.0
    await ww.close()
    wrong = AsyncWonderwareConnector({**config, "password": "wrong"}, context=context)
    with pytest.raises(AuthFailed, match="18452"):
        await wrong.connect()
    await wrong.close()


async def test_an_unknown_database_is_named(peer: Wonderware, context: Context) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "database": "Holding"}, context=context)
    with pytest.raises(AuthFailed, match=r"4060.*is 'database' right"):
        await ww.connect()
    await ww.close()


def test_without_a_user_name_it_is_integrated_security() -> None:
    assert WonderwareConfig.parse({"server": "hist"}).integrated
    assert not WonderwareConfig.parse(
        {"server": "hist", "username": "u", "password": "p"}
    ).integrated
    assert str(WonderwareConfig.parse({"server": "hist"}).endpoint) == "hist:1433"


# ---- encryption -------------------------------------------------------------------------------


async def test_over_tls_everything_is_encrypted(only: Wonderware, context: Context) -> None:
    config = {**only.config, "server": f"localhost:{only.port}", "tls": {"ca": str(only.ca)}}
    ww = AsyncWonderwareConnector(config, context=context)
    assert "TLS" in (await ww.check()).detail
    assert (await ww.read([FLOW]))[0].value == 1.0
    await ww.close()


async def test_a_certificate_that_cannot_be_checked_is_refused(
    only: Wonderware, context: Context
) -> None:
    here = f"localhost:{only.port}"
    for changes, words in (
        ({"server": here, "tls": {}}, "not trusted"),
        ({"server": here, "tls": {"ca": str(only.ca), "server_name": "other"}}, "not trusted"),
        ({"tls": False}, "tls"),
    ):
        ww = AsyncWonderwareConnector({**only.config, **changes}, context=context)
        with pytest.raises(AuthFailed, match=words):
            await ww.connect()
        await ww.close()


async def test_a_server_that_does_not_encrypt_gets_no_password(
    peer: Wonderware, context: Context
) -> None:
    ww = AsyncWonderwareConnector({**peer.config, "tls": {}}, context=context)
    with pytest.raises(AuthFailed, match="does not encrypt"):
        await ww.connect()
    await ww.close()


async def test_what_speaks_no_tds_is_an_error_that_comes_again(context: Context) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def lie() -> None:
            line, _ = listening.accept()
            with line:
                line.recv(4096)
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        lying = asyncio.create_task(asyncio.to_thread(lie))
        ww = AsyncWonderwareConnector(
            {"server": f"127.0.0.1:{port}", "username": "u", "password": "p"}, context=context
        )
        with pytest.raises(ConnectFailed) as caught:
            await ww.connect()
        assert isinstance(caught.value, GL002Error)
        await lying
        await ww.close()
