"""node-opcua that asks who one is, a folder of certificates, and connectors."""

from __future__ import annotations

import pytest
import pytest_asyncio

from gl002.connector import State
from gl002.context import Context
from gl002.errors import AuthFailed
from gl002.integrations.industrial import OPCUAConnector
from gl002.security.audit import Audit
from gl002.security.certificates import thumbprint_of
from gl002.security.network import Network
from gl002.security.pki import Pki
from gl002.testing.leaks import Leaks
from peers.certificates import Made
from peers.node_opcua import NodeOpcua

LIMIT = "ns=2;s=Boiler1.Limit"
USER = {"username": "admin", "password": "secure_password"}
SECURE = {"mode": "SignAndEncrypt", "policy": "Basic256Sha256"}


@pytest.fixture(scope="module")
def peer():
    """Takes any client certificate; users must log in."""
    with NodeOpcua(ANONYMOUS=0) as peer:
        yield peer


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path / "pki")


@pytest.fixture
def trusting(pki, peer):
    """The peer's certificate is trusted."""
    trust(pki, peer.certificate)
    return pki


@pytest_asyncio.fixture(loop_scope="module")
async def connect(peer, tmp_path):
    """Makes connectors that try once, and closes them."""
    leaks = Leaks()
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made = []

    def new(to=peer, **settings):
        config = {"url": to if isinstance(to, str) else to.url, "security": SECURE, **USER}
        config |= {"server": {"url": config.pop("url"), "retry_count": 0}}
        made.append(OPCUAConnector(config | settings, context=context))
        return made[-1]

    yield new
    for connector in made:
        await connector.close()
    audit.close()
    await leaks.check()


def trust(pki, made: Made):
    folder = pki.folder / "trusted"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{thumbprint_of(made.certificate)}.der").write_bytes(made.der)


async def refusal(connector) -> AuthFailed:
    with pytest.raises(AuthFailed) as caught:
        await connector.connect()
    assert not caught.value.retryable
    assert connector.state is State.FAILED
    assert str(caught.value).startswith("opc_ua: ")
    return caught.value
