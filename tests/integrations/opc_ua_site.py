"""node-opcua, and connectors to it, for the tests of OPC UA."""

from __future__ import annotations

import asyncio

import pytest

from gl002.context import Context
from gl002.integrations.industrial import OPCUAConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.node_opcua import NodeOpcua

MANY = 1200
FAST = {"publishing_interval": 50, "keepalive_count": 200}
"""The server may stand still for 10 s before its session counts as lost."""


@pytest.fixture(scope="module")
def peer():
    with NodeOpcua(MANY=MANY) as peer:
        yield peer


@pytest.fixture
def context(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def connect(peer, context, no_leaks):
    """Makes connectors to the peer and closes them."""
    made = []

    def make(to=peer, *, pool=None, **settings):
        config = {"url": to.url, "subscription": FAST, **settings}
        made.append(OPCUAConnector(config, context=context, pool=pool))
        return made[-1]

    yield make
    for connector in made:
        await connector.close()
    context.audit.close()


def node(name: str) -> str:
    return f"ns=2;s=Boiler1.{name}"


async def collect(connector, count, **spec):
    """The first batches of a source until there are `count` samples."""
    source = connector.source(connector.Input.parse({"source": "opc_ua", **spec}))
    samples = []
    async with asyncio.timeout(30), source.open() as batches:
        async for batch in batches:
            samples += batch
            if len(samples) >= count:
                break
    return samples


MAPPING = {
    "flow": {"node_id": node("SteamFlow"), "scaling": 0.001, "offset": 0.5, "unit": "klb/hr"},
    "limit": {"node_id": node("Limit"), "scaling": 0.1},
    "running": {"node_id": node("Running"), "scaling": 2.0},
    "on": node("Running"),
    "by_uri": "nsu=urn:boiler;s=Boiler1.Efficiency",
}
