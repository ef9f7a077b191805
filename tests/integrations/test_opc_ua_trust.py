"""OPC UA security: whom we talk to, and what we send before we know."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
import pytest_asyncio
from asyncua import Server, ua
from asyncua.common.utils import ServiceError

from gl002.cli import main
from gl002.connector import State
from gl002.errors import ConnectFailed, GL002Error
from gl002.security.certificates import thumbprint_of
from gl002.testing.link import Link
from integrations.opc_ua_security_site import (
    LIMIT,
    SECURE,
    connect,
    peer,
    pki,
    refusal,
    trust,
    trusting,
)
from peers.certificates import Made, make
from peers.node_opcua import URI, NodeOpcua
from peers.process import free_port

fixtures = peer, pki, trusting, connect

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("unhurried_greeting"),
]  # fmt: skip


class Other:
    """asyncua's server, a second implementation; its certificate and offers can be changed.

    It takes long to start, so all tests share it.
    """

    def __init__(self, server: Server):
        self.server = server
        self.port = server.endpoint.port
        self.url = f"opc.tcp://127.0.0.1:{self.port}"
        self._offers = list(server.iserver.endpoints)
        self._policies = list(server._policies)

    def shows(self, made: Made | None, *, key_of: Made | None = None) -> None:
        """Show this certificate, and sign with its key or another's."""
        key = (key_of or made).key if made else None
        self.server.iserver.certificate = made.certificate if made else None
        self.server.iserver.private_key = key
        for endpoint in self._offers:
            endpoint.ServerCertificate = made.der if made else None
        for factory in self._policies:
            factory.certificate, factory.private_key = (made.certificate if made else None), key

    def offers(self, *wanted: str) -> None:
        """Offer only these, such as 'Basic256Sha256 Sign'."""
        self.server.iserver.endpoints[:] = [e for e in self._offers if _named(e) in wanted]

    def wants_passwords(self, policy: str) -> None:
        """Have passwords encrypted by this policy."""
        for endpoint in self._offers:
            for token in endpoint.UserIdentityTokens:
                if token.TokenType is ua.UserTokenType.UserName:
                    token.SecurityPolicyUri = f"{_POLICY}{policy}"


_POLICY = "http://opcfoundation.org/UA/SecurityPolicy#"
_OFFERS = {
    "None None": ua.SecurityPolicyType.NoSecurity,
    "Basic256Sha256 Sign": ua.SecurityPolicyType.Basic256Sha256_Sign,
    "Basic256Sha256 SignAndEncrypt": ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt,
}


def _named(endpoint) -> str:
    mode = endpoint.SecurityMode.name.rstrip("_")
    return f"{endpoint.SecurityPolicyUri.rpartition('#')[2]} {mode}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def asyncua_server():
    server = Server()
    await server.init()
    await server.set_application_uri(URI)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{free_port()}")
    certificate = make(URI, which=8)
    await server.load_certificate(certificate.der, "der")
    await server.load_private_key(certificate.key_as(), format="pem")
    server.set_security_policy(list(_OFFERS.values()))
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def other(asyncua_server):
    """A healthy server with a certificate nobody trusts yet."""
    other = Other(asyncua_server)
    other.offers(*_OFFERS)
    other.wants_passwords("Basic256Sha256")
    asyncua_server.set_certificate_validator(None)
    other.shows(make(URI, which=8))
    yield other
    asyncua_server.iserver.endpoints[:] = other._offers


# ---- the server's certificate -----------------------------------------------------------------


async def test_an_unknown_server_is_refused_until_a_person_trusts_it(connect, peer, pki):
    thumbprint = thumbprint_of(peer.certificate.certificate)
    connector = connect()
    error = await refusal(connector)
    assert "is not trusted" in str(error)
    assert thumbprint in str(error)
    assert error.hint.endswith(f"gl002 pki trust {thumbprint}")
    assert [c.place for c in pki.list() if c.thumbprint == thumbprint] == ["rejected"]

    pki.trust(error.hint.split()[-1])

    assert await connector.read_value(LIMIT) == 700
    assert connector.state is State.UP


async def test_one_command_trusts_a_server_and_another_takes_it_back(
    connect, peer, tmp_path, monkeypatch, capsys
):
    """The command as the error prints it, typed by a person."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    thumbprint = thumbprint_of(peer.certificate.certificate)

    def places():
        assert main(["pki", "list", "--json"]) == 0
        cards = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        return [card["place"] for card in cards if card["thumbprint"] == thumbprint]

    connector = connect()
    error = await refusal(connector)
    assert places() == ["rejected"]
    program, *words = error.hint[error.hint.index("gl002 pki") :].split()
    assert (program, main(words)) == ("gl002", 0)
    assert thumbprint in capsys.readouterr().out
    assert places() == ["trusted"]
    assert await connector.read_value(LIMIT) == 700
    await connector.close()

    assert main(["pki", "reject", thumbprint]) == 0
    capsys.readouterr()
    assert places() == ["rejected"]
    await refusal(connect())


async def test_an_unknown_server_learns_nothing(connect, peer, pki):
    """Neither user nor certificate nor a session: all it is asked for is its endpoints."""
    link = Link(peer.port)
    with link:
        await refusal(connect(f"opc.tcp://127.0.0.1:{link.port}"))
        assert link.connections == 1
        assert link.request_bytes < 500
    assert [card.place for card in pki.list()] == ["rejected"]  # not even a key of ours was made


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        ({"end": timedelta(days=-1), "start": timedelta(days=-9)}, "expired on"),
        ({"start": timedelta(days=1), "end": timedelta(days=9)}, "is valid only from"),
        ({"hosts": ["plc7.site"]}, "is for plc7.site, not for 127.0.0.1"),
        ({"uri": "urn:another:server"}, "is for the application 'urn:another:server'"),
    ],
)
async def test_a_trusted_but_unfit_server_is_refused(connect, pki, other, bad, reason):
    certificate = make(**{"uri": URI, "which": 8, **bad})
    trust(pki, certificate)
    other.shows(certificate)
    assert reason in str(await refusal(connect(other)))


async def test_another_host_name_can_be_expected(connect, pki, other):
    certificate = make(URI, ["plc7.site"], which=8)
    trust(pki, certificate)
    other.shows(certificate)
    await connect(other, security={**SECURE, "server_name": "plc7.site"}).connect()


async def test_a_server_of_a_trusted_authority_is_trusted(connect, pki, other):
    root = make("", (), name="root", authority=True, which=9)
    trust(pki, root)
    other.shows(make(URI, which=8, issuer=root))
    await connect(other).connect()


async def test_a_rogue_server_with_the_right_name_is_refused(connect, trusting, other):
    """Its certificate says all the right things, signed by itself."""
    rogue = make(URI, name="node-opcua peer", which=8)
    other.shows(rogue)
    error = await refusal(connect(other))
    assert "is not trusted" in str(error)
    assert thumbprint_of(rogue.certificate) in error.hint


async def test_a_rogue_server_that_shows_the_right_certificate_cannot_use_it(
    connect, peer, trusting, other
):
    """It replays the certificate it saw but has not the key: no channel opens."""
    other.shows(peer.certificate, key_of=make(which=8))
    connector = connect(other)
    connector.set_timeout(1500)
    with pytest.raises(ConnectFailed):
        await connector.connect()


# ---- no downgrade -----------------------------------------------------------------------------


async def test_a_server_that_offers_less_is_refused_with_what_it_offers(connect, other):
    other.offers("None None", "Basic256Sha256 Sign")
    error = await refusal(connect(other))
    assert "does not offer Basic256Sha256 SignAndEncrypt" in str(error)
    assert error.hint == "it offers: Basic256Sha256 Sign, None None"


async def test_no_other_address_than_the_configured_one_is_dialled(connect, peer, trusting):
    """The peer says it is at 'localhost'; we go through the link we were told to use."""
    link = Link(peer.port)
    with link:
        connector = connect(f"opc.tcp://127.0.0.1:{link.port}")
        await connector.connect()
        assert link.connections == 2  # endpoints, then the session
        assert connector.context.network.named() == [("127.0.0.1", link.port)]


# ---- users ------------------------------------------------------------------------------------


async def test_a_password_is_not_encrypted_for_a_server_nobody_trusts(connect, pki):
    error = await refusal(connect(security="None"))
    assert "is not trusted" in str(error)


async def test_a_server_without_certificate_gets_no_password(connect, other):
    other.shows(None)
    error = await refusal(connect(other, security="None"))
    assert "no readable certificate" in str(error)


@pytest.mark.parametrize("policy", ["None", "Basic128Rsa15", "Basic256"])
async def test_a_server_that_wants_the_password_in_clear_does_not_get_it(
    connect, pki, other, policy
):
    """Its certificate is trusted, but it offers no good way to encrypt the password."""
    certificate = make(URI, which=8)
    trust(pki, certificate)
    other.shows(certificate)
    other.wants_passwords(policy)
    for security in ("None", "Sign"):
        error = await refusal(connect(other, security=security))
        assert "wants the password unencrypted; it was not sent" in str(error)
        assert "SignAndEncrypt" in error.hint


# ---- our certificate at the server ------------------------------------------------------------


async def test_a_server_that_does_not_trust_us_is_named_with_what_to_do(tmp_path, connect, pki):
    with NodeOpcua(AUTO=0, ANONYMOUS=0) as strict:
        trust(pki, strict.certificate)
        connector = connect(strict)
        error = await refusal(connector)
        own = pki.init()
        assert "refused our certificate" in str(error)
        assert f"thumbprint {own.thumbprint}" in error.hint
        assert own.application_uri in error.hint

        strict.trust_all_it_met()

        async with asyncio.timeout(60):
            while await failure(connector):
                await asyncio.sleep(0.05)
        assert await connector.read_value(LIMIT) == 700
        await connector.close()


async def failure(connector) -> GL002Error | None:
    try:
        await connector.connect()
    except GL002Error as error:
        return error
    return None


async def test_a_second_kind_of_server_that_does_not_trust_us_is_as_clear(connect, pki, other):
    """asyncua's server answers with a status code where node-opcua breaks off."""
    certificate = make(URI, which=8)
    trust(pki, certificate)
    other.shows(certificate)

    async def nobody(certificate, description):
        raise ServiceError(ua.StatusCodes.BadCertificateUntrusted)

    other.server.set_certificate_validator(nobody)
    error = await refusal(connect(other))
    assert "BadCertificateUntrusted" in str(error)
    assert "trust our certificate on the server" in error.hint


async def test_a_certificate_that_ends_soon_is_noted(connect, pki, other):
    certificate = make(URI, which=8, end=timedelta(days=12, hours=1))
    trust(pki, certificate)
    other.shows(certificate)
    connector = connect(other)
    await connector.connect()
    health = await connector.check()
    assert len(health.notes) == 1
    assert "the server's certificate ends on" in health.notes[0]
    assert "in 12 days" in health.notes[0]
