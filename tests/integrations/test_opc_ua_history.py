"""OPC UA history: what a server has recorded, page by page, and gaps that are filled from it."""

from __future__ import annotations

import asyncio

import pytest

from gl002.connector import first_of
from gl002.context import Context
from gl002.errors import TagNotFound, Unsupported
from gl002.integrations.industrial import OPCUAConnector, SyncOPCUAConnector
from gl002.model import Quality, is_good, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.link import Link
from peers.node_opcua import NodeOpcua

COUNT = 3500  # more than three pages
HOUR = 3_600_000
STARTS, GRADE = "ns=2;s=Boiler1.Starts", "ns=2;s=Boiler1.Grade"


@pytest.fixture(scope="module")
def peer():
    with NodeOpcua(HISTORY="Boiler1.Starts,Boiler1.Grade", LIMIT=10) as peer:
        first = now_ns() // 1_000_000 - HOUR
        peer.set_many("Boiler1.Starts", [(i, first + i) for i in range(COUNT)])
        peer.set_many("Boiler1.Grade", [(i / 2, first + i) for i in range(10)])
        peer.first = first * 1_000_000
        yield peer


@pytest.fixture
def context(tmp_path):
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def connect(peer, context, no_leaks):
    made = []

    def make(to=peer, **settings):
        made.append(OPCUAConnector({"url": to.url, **settings}, context=context))
        return made[-1]

    yield make
    for connector in made:
        await connector.close()
    context.audit.close()


async def recorded(connector, tags, start, end):
    return [s async for batch in connector.history(tags, start, end) for s in batch]


async def test_all_pages_of_a_history_come_oldest_first(connect, peer):
    connector = connect()
    samples = await recorded(connector, [STARTS], peer.first, peer.first + HOUR * 10**6 // 2)
    assert [s.value for s in samples] == list(range(COUNT))
    assert [s.time for s in samples] == [peer.first + i * 10**6 for i in range(COUNT)]
    assert {s.tag for s in samples} == {STARTS}
    assert all(is_good(s.quality) for s in samples)


async def test_the_start_is_included_and_the_end_is_not(connect, peer):
    ms = 10**6
    connector = connect()
    samples = await recorded(connector, [STARTS], peer.first + 3 * ms, peer.first + 7 * ms)
    assert [s.value for s in samples] == [3, 4, 5, 6]
    assert await recorded(connector, [STARTS], peer.first, peer.first) == []
    assert await recorded(connector, [STARTS], peer.first - ms, peer.first) == []


async def test_several_histories_come_together_each_under_its_name(connect, peer):
    connector = connect(data_mapping={"grade": {"node_id": GRADE, "scaling": 2.0, "offset": 1.0}})
    samples = await recorded(connector, [STARTS, "grade"], peer.first, peer.first + 10**10)
    grades = [s.value for s in samples if s.tag == "grade"]
    assert grades == [i + 1.0 for i in range(10)]
    assert len(samples) == COUNT + 10


async def test_a_history_left_early_gives_its_continuation_point_back(connect, peer):
    connector = connect()
    for _ in range(30):  # more than the server has continuation points for
        (batch,) = await first_of(connector.history([STARTS], peer.first, now_ns()), 1)
        assert batch[0].value == 0
    assert len(await recorded(connector, [STARTS], peer.first, peer.first + 10**10)) == COUNT


async def test_a_node_without_history_is_named_after_the_others_were_delivered(connect, peer):
    connector, got = connect(), []
    with pytest.raises(Unsupported, match=r"Boiler1.Name.*History"):
        async for batch in connector.history(
            ["ns=2;s=Boiler1.Name", GRADE], peer.first, peer.first + 10**10
        ):
            got += batch
    assert len(got) == 10
    with pytest.raises(TagNotFound, match="absent"):
        await recorded(connector, ["absent"], 0, now_ns())


def test_the_blocking_face_has_it_too(peer, context):
    with SyncOPCUAConnector({"url": peer.url}, context=context) as opc:
        (batch,) = opc.history([GRADE], peer.first, peer.first + 10**10)
        assert len(batch) == 10
