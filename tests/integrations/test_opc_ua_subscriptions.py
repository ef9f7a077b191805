"""Subscriptions and sources of OPC UA: every change, in order, within bounds."""

from __future__ import annotations

import asyncio

import pytest
from asyncua import Client

from gl002.errors import ConfigError, TagNotFound
from gl002.model import Quality, is_bad, is_good, now_ns, severity
from gl002.testing.contract.requests import eventually
from integrations.opc_ua_site import FAST, MAPPING, collect, connect, context, node, peer
from peers.node_opcua import NodeOpcua

fixtures = peer, context, connect


@pytest.fixture(scope="module")
def busy():
    """Values that change every 25 ms."""
    with NodeOpcua(MANY=20, PERIOD=25) as peer:
        yield peer


# ---- subscriptions ----------------------------------------------------------------------------


async def test_a_subscription_tells_the_value_now_and_every_change(connect, peer):
    got = []
    async with await connect().subscribe([node("Starts")], callback=got.append):
        await eventually(lambda: [s.value for s in got] == [12], "the value now")
        for value in (13, 14, 12):
            peer.set("Boiler1.Starts", value)
            await eventually(lambda v=value: got[-1].value == v, f"the change to {value}")
        assert [s.value for s in got] == [12, 13, 14, 12]
        assert all(s.tag == node("Starts") and is_good(s.quality) for s in got)


async def test_a_coroutine_callback_is_awaited_in_order(connect, busy):
    started, finished = [], []

    async def callback(sample):
        started.append(sample.value)
        await asyncio.sleep(0)
        finished.append(sample.value)
        assert started == finished

    async with await connect(busy).subscribe(["ns=2;s=Many.T0"], callback=callback):
        await eventually(lambda: len(finished) >= 20, "twenty values")
    assert finished == sorted(finished)


async def test_a_callback_that_fails_is_logged_and_gets_the_next_value(connect, peer, caplog):
    got = []

    def callback(sample):
        got.append(sample.value)
        raise ValueError("my mistake")

    async with await connect().subscribe([node("Starts")], callback=callback):
        await eventually(lambda: got, "the first value")
        peer.set("Boiler1.Starts", 15)
        await eventually(lambda: got[-1] == 15, "the second value")
    peer.set("Boiler1.Starts", 12)
    assert "my mistake" in caplog.text
    assert "ns=2;s=Boiler1.Starts" in caplog.text


async def test_after_closing_nothing_comes(connect, busy):
    got = []
    subscription = await connect(busy).subscribe(["ns=2;s=Many.T0"], callback=got.append)
    await eventually(lambda: len(got) > 3, "values")
    assert subscription.active
    await subscription.close()
    await subscription.close()
    count = len(got)
    await asyncio.sleep(0.15)
    assert len(got) == count
    assert not subscription.active


async def test_a_callback_may_close_its_own_subscription(connect, busy):
    got = []

    async def callback(sample):
        got.append(sample)
        await subscription.close()

    subscription = await connect(busy).subscribe(["ns=2;s=Many.T0"], callback=callback)
    await eventually(lambda: not subscription.active, "it is closed")
    await asyncio.sleep(0.15)
    assert len(got) == 1


async def test_closing_the_connector_ends_its_subscriptions(connect, busy):
    connector = connect(busy)
    subscription = await connector.subscribe(["ns=2;s=Many.T0"], callback=lambda _: None)
    await connector.close()
    assert not subscription.active


async def test_subscriptions_of_one_connector_do_not_disturb_each_other(connect, busy):
    connector = connect(busy)
    one, two = [], []
    first = await connector.subscribe(["ns=2;s=Many.T0"], callback=one.append)
    second = await connector.subscribe(["ns=2;s=Many.T1"], callback=two.append)
    await eventually(lambda: len(one) > 3 and len(two) > 3, "values of both")
    await first.close()
    count = len(two)
    await eventually(lambda: len(two) > count + 5, "the second goes on")
    assert {s.tag for s in two} == {"ns=2;s=Many.T1"}
    await second.close()
    third = await connector.subscribe(["ns=2;s=Many.T2"], callback=one.append)
    await eventually(lambda: one[-1].tag == "ns=2;s=Many.T2", "and so does a third")
    await third.close()


async def test_subscribing_to_an_unknown_name_is_an_error_and_leaves_nothing(connect):
    connector = connect()
    with pytest.raises(TagNotFound, match="no node is called 'no_such_name'"):
        await connector.subscribe([node("Limit"), "no_such_name"], callback=print)
    assert not connector._session.publisher.active


async def test_what_the_server_had_to_drop_is_a_sample_before_the_next_value(connect, busy):
    settings = {"publishing_interval": 400, "sampling_interval": 0, "queue_size": 3}
    settings["keepalive_count"] = 25
    connector = connect(busy, subscription=settings)
    source = connector.source(
        connector.Input.parse({"source": "opc_ua", "tags": ["ns=2;s=Many.T0"]})
    )
    samples = []
    async with source.open() as batches:
        async for batch in batches:
            samples += batch
            lost = [i for i, s in enumerate(samples) if s.quality == Quality.BAD_DATA_LOST]
            if len(samples) > 12 and lost:
                break
    assert source.skipped == len(lost)
    for i in lost:
        gap, following = samples[i], samples[i + 1]
        assert gap.value is None
        assert gap.time == following.time - 1000
        assert following.quality == Quality.GOOD
        if i:
            assert following.value > samples[i - 1].value + 1


async def test_a_message_holds_no_more_than_max_notifications(connect):
    connector = connect(subscription={**FAST, "max_notifications": 10})
    tags = [f"ns=2;s=Many.T{i}" for i in range(50)]
    source = connector.source(connector.Input.parse({"source": "opc_ua", "tags": tags}))
    sizes = []
    async with source.open() as batches:
        async for batch in batches:
            sizes.append(len(batch))
            if sum(sizes) == 50:
                break
    assert max(sizes) <= 10


async def test_the_server_is_asked_for_the_options_of_the_guide(connect):
    wanted = {
        "publishing_interval": 700, "lifetime_count": 4321, "keepalive_count": 11, "priority": 7,
    }  # fmt: skip
    connector = connect(subscription=wanted)
    async with await connector.subscribe([node("Limit")], callback=lambda _: None):
        found = await _diagnostics(connector)
    assert found == (700.0, 4321, 11, 7)


async def _diagnostics(connector):
    """What the server itself says about our one subscription."""
    async with Client(connector.config.server.url) as other:
        array = await other.get_node("i=2290").read_value()  # SubscriptionDiagnosticsArray
    (ours,) = [s for s in array if s.PublishingInterval == 700.0]
    return ours.PublishingInterval, ours.MaxLifetimeCount, ours.MaxKeepAliveCount, ours.Priority


# ---- sources ----------------------------------------------------------------------------------


async def test_a_source_without_tags_delivers_the_whole_mapping_with_its_prefix(connect, context):
    connector = connect(data_mapping=MAPPING)
    samples = await collect(connector, len(MAPPING), prefix="b1.")
    assert {s.tag for s in samples} == {f"b1.{name}" for name in MAPPING}
    assert context.tags["b1.flow"].unit == "klb/hr"
    assert context.tags["b1.flow"].address == node("SteamFlow")
    assert context.tags["b1.flow"].source == "opc_ua"


async def test_units_come_from_the_server_where_the_configuration_names_none(connect, context):
    await collect(connect(), 1, tags=["pressure", node("Limit")])
    await connect().read([node("Pressure")])
    assert context.tags.unit("pressure") == context.tags.unit(node("Pressure")) == "bar"
    assert context.tags.unit(node("Limit")) == ""


async def test_a_source_of_nothing_is_a_mistake(connect):
    connector = connect()
    with pytest.raises(ConfigError, match="nothing to subscribe to"):
        connector.source(connector.Input.parse({"source": "opc_ua"}))


async def test_one_unknown_node_in_500_harms_no_other(connect, caplog):
    tags = [f"ns=2;s=Many.T{i}" for i in range(498)]
    tags[250:250] = [node("Absent"), "absent_name"]
    before = now_ns()
    samples = {s.tag: s for s in await collect(connect(), 500, tags=tags)}
    bad = {tag: s.quality for tag, s in samples.items() if is_bad(s.quality)}
    assert len(samples) == 500
    assert bad == {
        node("Absent"): Quality.BAD_NODE_ID_UNKNOWN, "absent_name": Quality.BAD_NODE_ID_UNKNOWN,
    }  # fmt: skip
    assert samples[node("Absent")].time >= before
    assert "absent_name" in caplog.text


async def test_a_thousand_items_arrive_and_go_on(connect, peer):
    tags = [f"ns=2;s=Many.T{i}" for i in range(1000)]
    connector = connect()
    samples = await collect(connector, 1000, tags=tags)
    assert {s.tag for s in samples} == set(tags)
    assert all(severity(s.quality) == "good" for s in samples)


async def test_a_consumer_that_pauses_holds_a_bounded_number_of_messages(connect, busy):
    settings = {**FAST, "sampling_interval": 0, "queue_size": 2}
    connector = connect(busy, subscription=settings)
    source = connector.source(
        connector.Input.parse({"source": "opc_ua", "tags": ["ns=2;s=Many.T0"]})
    )
    async with source.open() as batches:
        await anext(batches)
        await asyncio.sleep(1.0)  # about twenty messages; what does not fit waits at the server
        (inbox,) = connector._session.publisher._inboxes.values()
        assert len(inbox._messages) <= 10
        values = []
        async with asyncio.timeout(30):
            while Quality.BAD_DATA_LOST not in {s.quality for s in values}:
                values += await anext(batches)
        times = [s.time for s in values]
        assert times == sorted(times)
