"""OPC UA security: policies, certificates of ours, who may log in."""

from __future__ import annotations

import asyncio
import logging

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from gl002.errors import ConfigError
from gl002.testing.link import Link
from integrations.opc_ua_security_site import LIMIT, SECURE, connect, peer, pki, refusal, trusting
from peers.certificates import make

fixtures = peer, pki, trusting, connect

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("unhurried_greeting"),
]  # fmt: skip
Encodings = (Encoding.PEM, Encoding.DER)


# ---- policies ---------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize(
    "policy", ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"]
)
async def test_every_policy_reads_writes_and_streams(connect, peer, trusting, policy, mode):
    connector = connect(
        security={"policy": policy, "mode": mode},
        subscription={"publishing_interval": 50, "keepalive_count": 200},
    )
    got = asyncio.Queue()
    assert await connector.read_value(LIMIT) == 700
    async with await connector.subscribe([LIMIT], callback=got.put_nowait):
        assert (await asyncio.wait_for(got.get(), 30)).value == 700
        await connector.write_value(LIMIT, 701)
        assert (await asyncio.wait_for(got.get(), 30)).value == 701
    await connector.write_value(LIMIT, 700)
    channel = connector._session.client.security_policy
    assert channel.URI.endswith(f"#{policy}")
    assert channel.Mode.name == mode


async def test_a_mode_alone_takes_the_usual_policy_and_a_policy_alone_the_strictest_mode(
    connect, trusting
):
    for security in ("SignAndEncrypt", {"policy": "Aes128Sha256RsaOaep"}):
        connector = connect(security=security)
        await connector.connect()
        assert connector._session.client.security_policy.Mode.name == "SignAndEncrypt"


async def test_without_a_certificate_of_ours_one_is_made_and_kept(connect, trusting):
    connector = connect()
    await connector.connect()
    (own,) = [card for card in trusting.list() if card.place == "own"]
    assert own.application_uri.endswith(":gl002")
    await connector.close()
    await connector.connect()
    assert [c.thumbprint for c in trusting.list() if c.place == "own"] == [own.thumbprint]


@pytest.mark.parametrize("key_encoding", Encodings, ids=["pem key", "der key"])
@pytest.mark.parametrize("encoding", Encodings, ids=["pem", "der"])
async def test_certificate_and_key_of_the_guide_are_read_by_content(
    connect, trusting, tmp_path, encoding, key_encoding
):
    """Whatever the files are called: the server sees whose certificate it is."""
    made = make("urn:site:gateway", which=7)
    certificate, key = made.save(tmp_path, "client")  # .pem and .key
    certificate.write_bytes(made.certificate.public_bytes(encoding))
    key.write_bytes(made.key_as(key_encoding))
    connector = connect(
        security={**SECURE, "certificate": str(certificate), "private_key": str(key)}
    )
    assert await connector.read_value(LIMIT) == 700
    assert connector._session.client.application_uri == "urn:site:gateway"


async def test_a_missing_certificate_file_is_named(connect, trusting):
    files = {"certificate": "/nowhere/client.pem", "private_key": "/nowhere/client.key"}
    with pytest.raises(ConfigError, match=r"/nowhere/client\.pem: No such file"):
        await connect(security={**SECURE, **files}).connect()


async def test_the_trust_store_of_the_guide_is_trusted(connect, peer, tmp_path):
    store = tmp_path / "certs" / "trusted"
    store.mkdir(parents=True)
    (store / "plc.pem").write_bytes(peer.certificate.pem)
    connector = connect(security={**SECURE, "trust_store": str(store)})
    assert await connector.read_value(LIMIT) == 700


# ---- users ------------------------------------------------------------------------------------


async def test_a_wrong_password_is_refused_once(connect, peer, trusting, caplog):
    link = Link(peer.port)
    with link:
        connector = connect(
            f"opc.tcp://127.0.0.1:{link.port}", password="guessed_password"
        )  # fmt: skip
        error = await refusal(connector)
        assert link.connections == 2
    assert "refused the user 'admin'" in str(error)
    assert "guessed_password" not in f"{error}{caplog.text}"


async def test_where_users_must_log_in_nobody_else_gets_in(connect, trusting):
    error = await refusal(connect(username=None, password=None))
    assert "refused us without a user" in str(error)
    assert error.hint == "give a username"


async def test_a_user_may_log_in_by_certificate(connect, trusting, tmp_path):
    certificate, key = make("urn:user", which=6).save(tmp_path, "user")
    connector = connect(
        username=None, password=None,
        user_certificate=str(certificate), user_private_key=str(key),
    )  # fmt: skip
    assert await connector.read_value(LIMIT) == 700


@pytest.mark.parametrize("security", ["None", "Sign"])
async def test_a_password_goes_encrypted_also_where_messages_do_not(connect, trusting, security):
    """node-opcua offers to encrypt the password by itself."""
    connector = connect(security=security)
    assert await connector.read_value(LIMIT) == 700


async def test_debug_logging_shows_no_secret(connect, trusting, caplog):
    caplog.set_level(logging.DEBUG)
    await connect().connect()
    assert "secure_password" not in caplog.text
