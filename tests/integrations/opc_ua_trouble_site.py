"""OPC UA servers to kill and to change, a line to cut, and who watches what comes.

Values must be back within five seconds of the end of the trouble, whatever it was. Each test looks
at that, and at how long we ourselves chose to wait before a next try.
"""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager

import pytest
from asyncua import Server, ua

from gl002.context import Context
from gl002.integrations.industrial import OPCUAConnector
from gl002.model import is_good
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.testing.stalls import at_most
from gl002.transport.opc_ua import security
from peers.node_opcua import NodeOpcua
from peers.process import free_port

LIMIT = "ns=2;s=Boiler1.Limit"
T0 = "ns=2;s=Many.T0"
BACK = 5.0  # seconds
PATIENT = {"publishing_interval": 100, "keepalive_count": 100}
"""No machine stands still for so long: what is lost is lost by what the test does."""


@pytest.fixture(scope="module")
def healthy():
    """A peer that tests leave as it is; trouble is on the line."""
    with NodeOpcua(MANY=10, PERIOD=60) as peer:
        yield peer


@pytest.fixture(scope="module")
def shared():
    with NodeOpcua(MANY=10, PERIOD=60) as peer:
        yield peer


@pytest.fixture
def mortal(shared):
    """A peer to kill and to change; what a test changed is changed back."""
    options, certificate = dict(shared.options), shared.certificate
    yield shared
    if (shared.options, shared.certificate) != (options, certificate):
        shared.options = options
        shared.shows(certificate)
        shared.restart()


@pytest.fixture
def link(healthy):
    with Link(healthy.port) as link:
        yield link


class Waits(logging.Handler):
    """How long we wait before the next try, as we say it ourselves; seconds."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.longest = 0.0

    def emit(self, record):
        found = re.search(r"; again in ([\d.]+) s$", record.getMessage())
        self.longest = max(self.longest, float(found[1]) if found else 0.0)


@pytest.fixture
def no_wait_is_long():
    """Whatever the trouble: the next try, with its wait for a greeting, follows in time."""
    ours, waits = logging.getLogger("gl002.opc_ua"), Waits()
    level = ours.level
    ours.setLevel(logging.DEBUG)
    ours.addHandler(waits)
    yield
    ours.removeHandler(waits)
    ours.setLevel(level)
    assert waits.longest + security._GREETING <= BACK


@pytest.fixture
async def connect(tmp_path, no_wait_is_long, no_leaks):
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made = []

    def new(port, **settings):
        config = {
            "server": {"url": f"opc.tcp://127.0.0.1:{port}", "retry_count": 0},
            "subscription": PATIENT,
        }
        made.append(OPCUAConnector(config | settings, context=context))
        return made[-1]

    yield new
    for connector in made:
        await connector.close()
    audit.close()


class Watched:
    """A subscription and what came."""

    def __init__(self):
        self.samples, self.source = [], None

    def __call__(self, sample):
        self.samples.append(sample)

    async def flowing(self, within=BACK):
        """Wait for a good value that comes from now on; what the machine stood still is no wait."""
        seen = len(self.samples)
        with at_most(within):
            await eventually(
                lambda: any(is_good(s.quality) for s in self.samples[seen:]),
                lambda: f"good values again; the last: {self.samples[-3:]}",
                within=30,
            )


@asynccontextmanager
async def watching(connector, *tags):
    watched = Watched()
    async with await connector.subscribe(list(tags or [T0]), callback=watched) as subscription:
        watched.source = subscription._source
        await watched.flowing()
        yield watched


_LOOPS_OF_SERVER = {"InternalSession._timeout_loop", "InternalSubscription._subscription_loop"}


@asynccontextmanager
async def little_server():
    """asyncua's server with one counting node."""
    server = Server()
    await server.init()
    port = free_port()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    await server.register_namespace("urn:little")
    node = await server.nodes.objects.add_variable(ua.NodeId("Counter", 2), "2:Counter", 0)

    async def count():
        number = 0
        while True:
            number += 1
            await node.write_value(number)
            await asyncio.sleep(0.05)

    async with server:
        counting = asyncio.create_task(count())
        try:
            yield server, port
        finally:
            counting.cancel()
            for task in asyncio.all_tasks():
                if any(loop in repr(task) for loop in _LOOPS_OF_SERVER):
                    task.cancel()  # it would watch over a session that is gone, for its 30 s
            await asyncio.wait([counting])
