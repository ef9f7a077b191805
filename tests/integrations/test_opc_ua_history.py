"""OPC UA history: what a server has recorded, page by page, and gaps that are filled from it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from gl002.config.load import load
from gl002.connector import first_of
from gl002.context import Context
from gl002.errors import TagNotFound, Unsupported
from gl002.flow.gateway import Gateway
from gl002.integrations.industrial import OPCUAConnector, SyncOPCUAConnector
from gl002.model import Quality, is_good, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.link import Link
from gl002.transport.opc_ua import gaps, history
from peers.node_opcua import NodeOpcua

pytestmark = pytest.mark.usefixtures("unhurried_greeting")
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

    def make(**settings):
        where = {} if "server" in settings else {"url": peer.url}
        made.append(OPCUAConnector(where | settings, context=context))
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
    tags = ["ns=2;s=Boiler1.Name", GRADE]

    async def read():
        async for batch in connector.history(tags, peer.first, peer.first + 10**10):
            got.extend(batch)

    with pytest.raises(Unsupported, match=r"Boiler1.Name.*History"):
        await read()
    assert len(got) == 10
    with pytest.raises(TagNotFound, match="absent"):
        await recorded(connector, ["absent"], 0, now_ns())


def test_the_blocking_face_has_it_too(peer, context):
    with SyncOPCUAConnector({"url": peer.url}, context=context) as opc:
        (batch,) = opc.history([GRADE], peer.first, peer.first + 10**10)
        assert len(batch) == 10


# ---- gaps -------------------------------------------------------------------------------------

KEPT, LOST = "ns=2;s=Many.T0", "ns=2;s=Many.T1"


@pytest.fixture(scope="module")
def busy():
    """Both count up, slower than the server looks at them; it remembers one of them."""
    with NodeOpcua(MANY=2, PERIOD=200, HISTORY="Many.T0") as peer:
        yield peer


@pytest.fixture
def link(busy):
    with Link(busy.port) as link:
        yield link


FAST = {"publishing_interval": 100, "sampling_interval": 0, "keepalive_count": 100}
"""The server may stand still for 20 s before its session counts as lost."""


@pytest.fixture
def source(connect, link, monkeypatch):
    """The machine may stand still while history is read: what is in order stays in order."""
    monkeypatch.setattr(gaps, "_IN_ORDER", 60.0)
    server = {"url": f"opc.tcp://127.0.0.1:{link.port}", "retry_count": 0}
    connector = connect(server=server, subscription=FAST)
    return connector.source(connector.Input.parse({"source": "opc_ua", "tags": [KEPT, LOST]}))


async def taken(source, enough):
    """What comes until there is enough of it."""
    samples = []
    async with source.open() as batches, asyncio.timeout(60):
        async for batch in batches:
            samples += batch
            if enough(samples):
                break
    return samples


def several(samples):
    """The session has lasted for a while."""
    return len({s.time for s in of(LOST, samples) if s.value is not None}) > 5


async def missed(busy, count):
    """Wait until the server has counted so much further, while nobody listens."""
    end = busy.value("Many.T1") + count
    async with asyncio.timeout(60):
        while await asyncio.to_thread(busy.value, "Many.T1") < end:
            await asyncio.sleep(0.05)


async def outage(link, busy, count):
    """The line is cut while the server counts so much further."""
    link.cut()
    await missed(busy, count)
    link.restore()


def of(tag, samples):
    return [s for s in samples if s.tag == tag]


def whole(numbers):
    """Every number from the first to the last."""
    return [float(n) for n in range(int(min(numbers)), int(max(numbers)) + 1)]


async def test_after_an_outage_every_value_is_there_in_order(source, link, busy):
    before = await taken(source, several)
    await outage(link, busy, 10)
    after = await taken(source, several)
    kept = of(KEPT, before + after)
    numbers = [s.value for s in kept]
    assert list(dict.fromkeys(numbers)) == whole(numbers)
    assert len(numbers) <= len(set(numbers)) + 1, "one may be told again as the value on return"
    assert [s.time for s in kept] == sorted({s.time for s in kept})
    assert {s.quality for s in kept} == {Quality.GOOD}
    assert len(of(KEPT, after)) > 10, "the gap and what came after it"


async def test_ten_minutes_without_the_line_are_closed_from_history_and_none_comes_twice(
    connect, peer, monkeypatch
):
    """The line is cut for a moment, in which the server records ten minutes at 5 Hz."""
    monkeypatch.setattr(gaps, "_IN_ORDER", 60.0)
    second, count = 1_000, 3_000
    begin = now_ns() // 1_000_000 - 15 * 60 * second
    ticks = [(10_000 + i, begin + i * second // 5) for i in range(count + 1)]
    peer.set_many("Boiler1.Starts", ticks[:1])
    with Link(peer.port) as link:
        server = {"url": f"opc.tcp://127.0.0.1:{link.port}", "retry_count": 0}
        connector = connect(server=server, subscription=FAST)
        source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": [STARTS]}))
        before = await taken(source, bool)
        link.cut()
        source.resume(str(ticks[0][1] * 1_000_000 + 1).encode())  # heard nothing since then
        await asyncio.to_thread(peer.set_many, "Boiler1.Starts", ticks[1:])
        link.restore()
        after = await taken(source, lambda samples: len(samples) >= count)
    assert [s.value for s in before] == [10_000]
    assert [(s.value, s.time // 1_000_000) for s in after] == ticks[1:]


async def test_a_gap_nobody_recorded_is_said_where_it_begins(source, link, busy):
    before = of(LOST, await taken(source, several))
    began = now_ns()
    await outage(link, busy, 5)
    told, *values = of(LOST, await taken(source, several))
    assert (told.value, told.quality) == (None, Quality.BAD_DATA_LOST)
    assert before[-1].time < told.time < began < values[0].time
    assert values[0].value >= before[-1].value + 5
    assert Quality.BAD_DATA_LOST not in {s.quality for s in values}


async def test_a_long_gap_is_filled_behind_the_live_values(source, link, busy, monkeypatch):
    monkeypatch.setattr(gaps, "_IN_ORDER", 0.0)
    monkeypatch.setattr(history, "_VALUES", 1)
    before = of(KEPT, await taken(source, several))
    await outage(link, busy, 20)
    link.delay(0.05)
    last = before[-1].value

    def filled(samples):
        numbers = [last] + [s.value for s in of(KEPT, samples)]
        return len(numbers) > 20 and sorted(set(numbers)) == whole(numbers)

    after = of(KEPT, await taken(source, filled))
    numbers = [s.value for s in before + after]
    assert sorted(set(numbers)) == whole(numbers)
    assert numbers != sorted(numbers), "live values came first"
    times = [s.time for s in after]
    assert len(set(times)) == len(times), "none twice"


async def test_after_a_restart_of_the_gateway_history_fills_the_gap(source, connect, link, busy):
    before = await taken(source, several)
    position = source.position()
    await source.close()
    await missed(busy, 10)
    server = {"url": f"opc.tcp://127.0.0.1:{link.port}"}
    new = connect(server=server, subscription=FAST)
    again = new.source(new.Input.parse({"source": "opc_ua", "tags": [KEPT, LOST]}))
    again.resume(position)
    after = await taken(again, several)
    numbers = [s.value for s in of(KEPT, before + after)]
    assert sorted(set(numbers)) == whole(numbers)
    assert len(of(KEPT, after)) > 10
    assert all(is_good(s.quality) for s in after), (
        "what nobody recorded is not said after a restart"
    )
    assert int(again.position()) > int(position)


async def test_a_gap_that_is_not_yet_filled_is_left_for_the_next_session(
    source, link, busy, monkeypatch
):
    monkeypatch.setattr(history, "_VALUES", 2)
    samples = await taken(source, several)
    await outage(link, busy, 10)
    part = await taken(source, lambda samples: len(of(KEPT, samples)) > 3)
    assert len(of(KEPT, part)) < 8
    await outage(link, busy, 5)
    samples += part + await taken(source, several)
    numbers = [s.value for s in of(KEPT, samples)]
    assert sorted(set(numbers)) == whole(numbers)


# ---- at the destination -----------------------------------------------------------------------

GATEWAY = """
integrations:
  enabled: [opc_ua, sqlite]
  opc_ua:
    server: {{url: 'opc.tcp://127.0.0.1:{port}', retry_count: 0}}
    subscription: {{publishing_interval: 100, sampling_interval: 0, keepalive_count: 100}}
    data_mapping: {{kept: 'ns=2;s=Many.T0', lost: 'ns=2;s=Many.T1'}}
  data_flow:
    input: [{{source: opc_ua}}]
    output: [{{destination: sqlite, interval: 0.1}}]
gateway: {{state_dir: state}}
"""


@asynccontextmanager
async def gateway_of(file):
    gateway = Gateway(load(file, {}))
    running = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        gateway.stop()
        await running


async def rows(gateway):
    """What is in the destination, by tag."""
    batches = gateway.connectors["sqlite"].history(["kept", "lost"], 0, now_ns() + 10**12)
    return [sample async for batch in batches for sample in batch]


async def grown(gateway, count):
    """Wait until the destination has that many more good values."""

    async def good():
        return sum(is_good(sample.quality) for sample in await rows(gateway))

    wanted = await good() + count
    async with asyncio.timeout(60):
        while await good() < wanted:
            await asyncio.sleep(0.1)


@pytest.mark.slow
async def test_outage_and_restart_leave_no_hole_at_the_destination(
    busy, link, tmp_path, monkeypatch
):
    monkeypatch.setattr(gaps, "_IN_ORDER", 60.0)
    file = tmp_path / "integrations.yaml"
    file.write_text(GATEWAY.format(port=link.port))
    async with gateway_of(file) as gateway:
        await grown(gateway, 12)
        await outage(link, busy, 15)
        await grown(gateway, 12)
    await missed(busy, 10)
    async with gateway_of(file) as gateway:
        await grown(gateway, 30)
        stored = await rows(gateway)
    kept = [s for s in of("kept", stored) if s.value is not None]
    assert sorted({s.value for s in kept}) == whole([s.value for s in kept])
    assert len(kept) <= len({s.value for s in kept}) + 2, "twice only as the value on return"
    outages = [s.quality for s in of("lost", stored) if s.value is None]
    assert outages == [Quality.BAD_DATA_LOST, Quality.BAD_NO_COMMUNICATION]
