"""libmodbus, and connectors to it, for the tests of Modbus."""

from __future__ import annotations

import contextlib

import pytest

from gl002.connector import first_of
from gl002.context import Context
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.model import Quality
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.libmodbus import LibModbus

GOOD = int(Quality.GOOD)
UNKNOWN = int(Quality.BAD_NODE_ID_UNKNOWN)
SILENT = int(Quality.BAD_NO_COMMUNICATION)
PATIENCE = 30.0  # seconds for what comes; how fast the machine is decides no test


@pytest.fixture(scope="module")
def server():
    with LibModbus() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.clear()
    return server


@pytest.fixture
def context(tmp_path):
    made = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    yield made
    made.audit.close()


@pytest.fixture
async def make(server, context, no_leaks):
    """Makes connectors to the peer and closes them."""
    made = []

    def maker(**settings):
        connection = {
            "host": "127.0.0.1", "port": server.port, "timeout": PATIENCE, "retry_count": 0,
        }  # fmt: skip
        flat = {"devices", "connection"}.isdisjoint(settings)
        config = {**connection, **settings} if flat else {"connection": connection, **settings}
        made.append(AsyncModbusConnector(config, context=context))
        return made[-1]

    yield maker
    for connector in made:
        await connector.close()
    context.audit.close()


def registers(*addresses, **keys):
    return [{"name": f"r{address}", "address": address, **keys} for address in addresses]


def device(unit, *addresses, name=None, interval=10, **keys):
    return {
        "slave_id": unit,
        "name": name or f"d{unit}",
        "polling_interval": interval,
        "registers": registers(*addresses),
        **keys,
    }


def source(connector, **spec):
    return connector.source(connector.Input.parse({"source": "modbus", **spec}))


async def polls(connector, count, **spec):
    """The first batches of a source."""
    async with source(connector, **spec).open() as batches:
        return await first_of(batches, count)


def qualities(batch):
    return {sample.tag: sample.quality for sample in batch}


@contextlib.asynccontextmanager
async def polled(units, context, *devices, seconds=0.2):
    """A connector to units of the test's own loop, and the batches of its source."""
    connector = AsyncModbusConnector(
        {
            "connection": {
                "host": "127.0.0.1", "port": units.port, "timeout": seconds, "retry_count": 0,
            },
            "devices": list(devices),
        },
        context=context,
    )  # fmt: skip
    try:
        async with source(connector).open() as batches:
            yield connector, batches
    finally:
        await connector.close()
        context.audit.close()
