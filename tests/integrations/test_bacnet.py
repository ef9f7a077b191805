"""BACnet: what is special to it, against rusty-bacnet (Rust) and node-bacnet (JavaScript)."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gl002.cli import main
from gl002.config.load import load
from gl002.connector import Found, State
from gl002.context import Context
from gl002.errors import (
    ConfigError,
    ConnectFailed,
    DataError,
    GL002Error,
    NotAllowed,
    RequestFailed,
    RequestTimeout,
    TagNotFound,
)
from gl002.flow.gateway import Gateway
from gl002.integrations.industrial import BACnetConnector, SyncBACnetConnector
from gl002.model import Quality, Sample, now_ns
from gl002.security.audit import Audit, read
from gl002.security.network import Network
from gl002.testing.contract import requests
from gl002.testing.datagram_link import DatagramLink
from gl002.transport.bacnet.device import WrongDevice
from gl002.transport.bacnet.settings import settings_of
from peers.bacnet_liar import liar
from peers.bacnet_router import BacnetRouter
from peers.node_bacnet import NodeBacnet
from peers.process import free_port
from peers.rusty_bacnet import RustyBacnet
from virtual_time import in_virtual_time

SECOND = 1_000_000_000
PATIENCE = 30.0  # seconds for what comes; how fast the machine is decides no test
eventually = partial(requests.eventually, within=PATIENCE)


@pytest.fixture(scope="module")
def rusty() -> Iterator[RustyBacnet]:
    with RustyBacnet() as peer:
        yield peer


@pytest.fixture(scope="module")
def small() -> Iterator[RustyBacnet]:
    """Many objects, no segments: answers must fit one message."""
    with RustyBacnet(segmentation="none", more=300, instance=1003, name="Small") as peer:
        yield peer


@pytest.fixture(scope="module")
def old() -> Iterator[NodeBacnet]:
    with NodeBacnet() as peer:
        yield peer


@pytest.fixture
async def connect(tmp_path: Path) -> AsyncIterator[Callable[..., BACnetConnector]]:
    """Makes connectors and closes them."""
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    made: list[BACnetConnector] = []

    def make(peer: Any = None, *, context: Context = context, **settings: Any) -> BACnetConnector:
        if peer is not None:
            settings.setdefault("address", f"127.0.0.1:{peer.udp}")
        made.append(BACnetConnector({"timeout": PATIENCE / 3, **settings}, context=context))
        return made[-1]

    yield make
    for connector in made:
        await connector.close()
    context.audit.close()


@contextlib.asynccontextmanager
async def followed(connector: BACnetConnector, *tags: str) -> AsyncIterator[list[Sample]]:
    """Samples as they come, and again after errors, as the flow does it."""
    samples: list[Sample] = []
    spec = connector.Input.parse({"source": "bacnet", "tags": list(tags) or None})
    source = connector.source(spec)

    async def run() -> None:
        while True:
            with contextlib.suppress(GL002Error):
                async with source.open() as batches:
                    async for batch in batches:
                        samples.extend(batch)
            await asyncio.sleep(0.05)

    task = asyncio.create_task(run())
    try:
        yield samples
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def last(samples: list[Sample], tag: str) -> Sample | None:
    return next((s for s in reversed(samples) if s.tag == tag), None)


# ---- what a device is -------------------------------------------------------------------------


async def test_a_device_without_a_number_says_who_it_is(rusty, connect) -> None:
    health = await connect(rusty, name="boiler1").check()
    assert health.ok
    assert "1001 'Boiler 1'" in health.detail


async def test_another_device_at_the_address_is_named(rusty, connect) -> None:
    connector = connect(rusty, device_id=1002)
    with pytest.raises(WrongDevice, match="device 1001 answers there, not 1002"):
        await connector.connect()
    assert connector.state is State.FAILED


async def test_where_nobody_answers_the_error_says_what_to_look_at(connect) -> None:
    connector = connect(address=f"127.0.0.1:{free_port()}", timeout=0.2, retry_count=1)
    with pytest.raises(ConnectFailed, match="firewall") as caught:
        await connector.connect()
    assert caught.value.retryable


async def test_a_port_of_ours_that_is_taken_is_said(rusty, connect) -> None:
    connector = connect(rusty, local={"address": "127.0.0.1", "port": rusty.udp})
    with pytest.raises(ConnectFailed, match="another program on this machine has the port"):
        await connector.connect()


async def test_units_of_the_device_are_in_the_tag_table(rusty, connect) -> None:
    connector = connect(
        rusty, name="b",
        objects=[
            {"name": "flow", "object": "AI1"},
            {"name": "heat", "object": "AI2", "unit": "degC", "scale": 0.5, "offset": -10},
        ],
    )  # fmt: skip
    flow, heat = await connector.read(["b.flow", "heat"])
    assert (flow.value, heat.value) == (50000.0, 350.5 * 0.5 - 10)
    tags = connector.context.tags
    assert (tags["b.flow"].unit, tags["heat"].unit) == ("lb/hr", "degC")
    assert tags["b.flow"].address == "device 1001 analog-input,1"


async def test_any_property_can_be_read_by_its_name_or_number(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    assert await connector.read_value("b.AI1.object-name") == "steam flow"
    assert await connector.read_value("b.analog-input,1.77") == "steam flow"
    assert await connector.read_value("1001.device,1001.vendor-identifier") == 555
    assert await connector.read_value("AI1.out-of-service") is False
    with pytest.raises(TagNotFound, match="unknown-property"):
        await connector.read_value("b.AI1.setpoint")
    with pytest.raises(TagNotFound, match=r"no object 'b\.steam'"):
        await connector.read_value("b.steam")


async def test_a_browse_below_a_device_that_is_not_there_is_said(rusty, connect) -> None:
    connector = connect(rusty, name="boiler1")
    with pytest.raises(TagNotFound, match="did you mean 'boiler1'"):
        [f async for f in connector.browse("boiler2")]
    assert [f async for f in connector.browse("boiler1.AI1")] == []


# ---- limits of a device -----------------------------------------------------------------------


async def test_three_hundred_objects_are_read_without_segments(small, connect) -> None:
    connector = connect(small, name="s")
    tags = [f"s.analog-input,{100 + i}" for i in range(300)]
    samples = await connector.read(tags)
    assert [sample.value for sample in samples] == [float(i) for i in range(300)]


async def test_an_object_list_too_long_for_one_answer_is_read_by_element(small, connect) -> None:
    connector = connect(small, name="s")
    found = [f async for f in connector.browse("s")]
    assert len(found) == 312
    assert {f.name for f in found} >= {"steam flow", "point 0", "point 299"}


async def test_an_object_list_comes_in_segments_where_the_device_can(connect) -> None:
    with RustyBacnet(more=600) as peer:
        found = [f async for f in connect(peer, name="b").browse("b")]
    assert len(found) == 612


async def test_a_device_without_multiple_reads_is_read_one_by_one(old, connect) -> None:
    connector = connect(old, name="old")
    old.tell("set", "2,1", 85, 10.5)
    samples = await connector.read(["old.AI1", "old.BI1", "old.AV1", "old.AI7"])
    assert [s.value for s in samples] == [88.25, True, 10.5, None]
    assert samples[3].quality == Quality.BAD_NODE_ID_UNKNOWN
    health = await connector.check()
    assert "2002 'Old boiler' (Maker B-1)" in health.detail


# ---- quality ----------------------------------------------------------------------------------


async def test_a_value_set_by_hand_is_uncertain(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    rusty.put("analog-input,2", "boolean", True, "OUT_OF_SERVICE")
    try:
        (sample,) = await connector.read(["b.AI2"])
    finally:
        rusty.put("analog-input,2", "boolean", False, "OUT_OF_SERVICE")
    assert (sample.value, sample.quality) == (350.5, Quality.UNCERTAIN_SUBSTITUTE_VALUE)


async def test_a_fault_is_bad_in_the_way_its_reliability_says(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    rusty.put("analog-input,2", "boolean", True, "OUT_OF_SERVICE")
    rusty.put("analog-input,2", "enumerated", 4, "RELIABILITY")  # open loop
    try:
        good, bad = await connector.read(["b.AI1", "b.AI2"])
    finally:
        rusty.put("analog-input,2", "enumerated", 0, "RELIABILITY")
        rusty.put("analog-input,2", "boolean", False, "OUT_OF_SERVICE")
    assert (bad.value, bad.quality) == (None, Quality.BAD_SENSOR_FAILURE)
    assert good.quality == Quality.GOOD


# ---- reports of changes -----------------------------------------------------------------------

HOURS = 3600.0


async def test_changes_are_reported_without_polling(rusty, connect) -> None:
    connector = connect(
        rusty, name="b", polling_interval=HOURS * 1000, cov={"refresh": HOURS, "lifetime": 600}
    )
    tags = ["b.binary-value,1", "b.multi-state-value,1"]
    before = _subscriptions(rusty)
    async with followed(connector, *tags) as samples:
        await eventually(lambda: len({s.tag for s in samples}) == 2, "first values")
        await eventually(lambda: _subscriptions(rusty) >= before + 2, "subscribed")
        samples.clear()
        rusty.set("binary-value,1", value=True)
        rusty.set("multi-state-value,1", 4)
        await eventually(
            lambda: [getattr(last(samples, tag), "value", None) for tag in tags] == [True, 4],
            lambda: f"reports: {samples}",
        )
    rusty.set("binary-value,1", value=False)
    rusty.set("multi-state-value,1", 1)


@pytest.mark.slow
async def test_a_subscription_is_renewed_before_it_ends(rusty, connect) -> None:
    connector = connect(
        rusty, name="b", polling_interval=HOURS * 1000, cov={"refresh": HOURS, "lifetime": 10}
    )
    object.__setattr__(connector._devices[0].settings.cov, "lifetime", 3)  # a file may not say so
    async with followed(connector, "b.binary-value,1") as samples:
        await eventually(lambda: samples, "first value")
        await asyncio.sleep(5)
        rusty.set("binary-value,1", value=True)
        await eventually(
            lambda: getattr(last(samples, "b.binary-value,1"), "value", None), "report"
        )
    rusty.set("binary-value,1", value=False)


async def test_what_a_device_does_not_report_is_polled(old, connect) -> None:
    connector = connect(old, name="old", polling_interval=50, cov={"refresh": HOURS})
    async with followed(connector, "old.AI1") as samples:
        await eventually(lambda: samples, "first value")
        old.tell("set", "0,1", 85, 91.5)
        await eventually(lambda: samples[-1].value == 91.5, "polled")
    old.tell("set", "0,1", 85, 88.25)


async def test_what_a_full_device_refuses_to_report_is_polled(connect) -> None:
    with RustyBacnet(subscriptions=1) as peer:
        connector = connect(peer, name="b", polling_interval=50, cov={"refresh": HOURS})
        tags = ["b.binary-value,1", "b.multi-state-value,1", "b.analog-value,1"]
        async with followed(connector, *tags) as samples:
            await eventually(lambda: len(samples) > 6, "values")
            peer.set("binary-value,1", value=True)
            peer.set("multi-state-value,1", 4)
            peer.set("analog-value,1", 7.5)
            await eventually(
                lambda: [getattr(last(samples, t), "value", None) for t in tags] == [True, 4, 7.5],
                lambda: f"all three: {samples[-5:]}",
            )


async def test_reports_go_on_after_the_device_has_restarted(connect) -> None:
    with RustyBacnet() as peer:
        connector = connect(
            peer, name="b", timeout=0.3, polling_interval=HOURS * 1000, cov={"refresh": 0.2}
        )
        async with followed(connector, "b.binary-input,1") as samples:
            await eventually(lambda: samples, "first value")
            await asyncio.to_thread(peer.restart)
            samples.clear()
            await eventually(lambda: any(s.value for s in samples), "values after the restart")


async def test_a_device_that_forgot_its_subscriptions_gets_them_again(
    connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gl002.transport.bacnet.source._RENEW_EARLY", 0.2)
    with RustyBacnet() as peer:
        connector = connect(
            peer, name="b", timeout=1.0, retry_count=10, cov={"refresh": 0.2, "lifetime": 3600}
        )  # a request waits until the device is there again: it is not silent
        async with followed(connector, "b.binary-value,1") as samples:
            await eventually(lambda: samples, "first value")
            await eventually(lambda: _subscriptions(peer) == 1, "subscribed")
            await asyncio.to_thread(peer.restart)
            assert _subscriptions(peer) == 0
            peer.set("binary-value,1", value=True)
            await eventually(lambda: _subscriptions(peer) == 1, "subscribed again")


def _subscriptions(peer: RustyBacnet) -> int:
    return str(peer.get("device,1001", "ACTIVE_COV_SUBSCRIPTIONS")).count("object_identifier")


async def test_the_subscriptions_are_ended_with_the_stream(
    connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gl002.transport.bacnet.source._FAREWELL", PATIENCE)
    with RustyBacnet(subscriptions=1) as peer:
        for _ in range(3):
            connector = connect(
                peer, name="b", polling_interval=HOURS * 1000, cov={"refresh": HOURS}
            )
            async with followed(connector, "b.binary-value,1") as samples:
                await eventually(lambda s=samples: s, "first value")
                await eventually(lambda: _subscriptions(peer) == 1, "the one subscription is ours")
                samples.clear()
                peer.set("binary-value,1", value=True)
                await eventually(lambda s=samples: s and s[-1].value is True, "a report")
            await eventually(lambda: _subscriptions(peer) == 0, "ended")
            peer.set("binary-value,1", value=False)
            await connector.close()


@in_virtual_time
async def test_a_silent_device_leaves_the_others_alone(tmp_path: Path) -> None:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    async with liar() as alive:
        places = {"b": (1001, alive.port), "dead": (7, free_port())}
        devices = [
            {"device_id": number, "name": name, "address": f"127.0.0.1:{port}", "cov": False,
             "polling_interval": 20, "objects": [{"name": "x", "object": "AI1"}]}
            for name, (number, port) in places.items()
        ]  # fmt: skip
        settings = {"timeout": 0.3, "retry_count": 0, "devices": devices}
        async with BACnetConnector(settings, context=context) as connector:
            async with followed(connector) as samples:
                await eventually(lambda: last(samples, "dead.x"), "the dead one is said to be dead")
                samples.clear()
                await asyncio.sleep(1.0)
                values = [s.value for s in samples if s.tag == "b.x"]
            assert len(values) in {50, 51}, "as if nobody were dead"
            assert set(values) == {50000.0}
            good, bad = await connector.read(["b.x", "dead.x"])
            assert good.value == 50000.0
            assert bad.quality == Quality.BAD_NO_COMMUNICATION
            assert connector.state is State.UP
    context.audit.close()


# ---- writing ----------------------------------------------------------------------------------


async def test_a_value_arrives_at_its_priority_and_can_be_taken_back(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    await connector.write_value("b.AV1", 120.5, priority=12)
    await connector.write_value("b.AV1", 110.0)
    assert rusty.get("analog-value,1") == 120.5
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) == 110.0
    await connector.relinquish("b.AV1", priority=12)
    assert rusty.get("analog-value,1") == 110.0
    await connector.write("b.AV1", None)
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) is None


POINT = """
integrations:
  enabled: [bacnet]
  bacnet: {{address: '127.0.0.1:{port}', name: b, timeout: 10}}
gateway: {{state_dir: state}}
writes:
  mode: approve
  points:
    - id: supply
      connector: bacnet
      address: b.AV1
      unit: psig
      limits: {{min: 100, max: 130, min_interval: 600}}
"""


def test_what_a_person_has_written_he_can_take_back(
    rusty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    """On the command line, through the guard; also within the interval between two writes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(POINT.format(port=rusty.udp))
    before = rusty.get("analog-value,1")
    assert main(["write", "supply", "--relinquish", "--check"]) == 0
    assert "to be taken back" in capsys.readouterr().err
    assert main(["write", "supply", "99", "--yes", "--json"]) != 0
    assert capsys.readouterr().out == "", "no table among what a script reads"
    assert main(["write", "supply", "120.5", "--yes"]) == 0
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) == 120.5
    assert main(["write", "supply", "--relinquish"]) != 0, "nobody confirmed"
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) == 120.5
    capsys.readouterr()
    words = ["write", "supply", "--relinquish", "--yes", "--reason", "end of trial", "--json"]
    assert main(words) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["before"], told["after"]) == ("relinquished", 120.5, before)
    assert rusty.get("analog-value,1", "PRIORITY_ARRAY", 14) is None
    entries = [e for e in read(tmp_path / "state" / "audit.jsonl") if e["action"].startswith("wr")]
    assert [e["action"] for e in entries[-3:]] == ["write.approved", "write", "write.result"]
    assert (entries[-3]["after"], entries[-3]["reason"]) == ("relinquish", "end of trial")
    for wrong in (["120.5", "--relinquish"], []):
        assert main(["write", "supply", *wrong]) == 64


@pytest.mark.parametrize("priority", [0, 1, 5, 8, 17])
async def test_priorities_of_safety_and_people_are_refused(rusty, connect, priority) -> None:
    connector = connect(rusty, name="b")
    with pytest.raises(ValueError, match="9 to 16"):
        await connector.write_value("b.AV1", 1.0, priority=priority)
    assert not connector.context.audit.path.exists(), "nothing was to be audited or sent"
    assert connector.state is State.NEW


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("analog-value,1", 17.25),
        ("binary-value,1", True),
        ("multi-state-value,1", 3),
        ("integer-value,1", -70000),
        ("positive-integer-value,1", 4_000_000_000),
        ("large-analog-value,1", 1.0e300),
        ("characterstring-value,1", "Maßstab"),
    ],
)
async def test_each_type_is_written_as_its_own(rusty, connect, name, value) -> None:
    connector = connect(rusty, name="b")
    before = rusty.get(name)
    await connector.write_value(f"b.{name}", value)
    assert rusty.get(name) == value
    (sample,) = await connector.read([f"b.{name}"])
    assert sample.value == value
    assert type(sample.value) is type(value)
    if name.startswith("characterstring"):
        await connector.write_value(f"b.{name}", before)
    else:
        await connector.relinquish(f"b.{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("analog-value,1", True),
        ("analog-value,1", float("nan")),
        ("analog-value,1", 1e39),
        ("characterstring-value,1", "x" * 100_000),
        ("binary-value,1", "on"),
        ("multi-state-value,1", 2.5),
        ("multi-state-value,1", -1),
        ("multi-state-value,1", 9),  # of 5 states: the device says so
        ("positive-integer-value,1", 1 << 32),
        ("characterstring-value,1", 5),
    ],
)
async def test_a_value_that_does_not_fit_changes_nothing(rusty, connect, name, value) -> None:
    connector = connect(rusty, name="b")
    before = rusty.get(name)
    with pytest.raises((DataError, RequestFailed)):
        await connector.write_value(f"b.{name}", value)
    assert rusty.get(name) == before


async def test_scaling_is_undone_when_writing(rusty, connect) -> None:
    objects = [{"name": "sp", "object": "AV1", "scale": 2.0, "offset": 10.0}]
    connector = connect(rusty, name="b", objects=objects)
    await connector.write("b.sp", 110.0)
    assert rusty.get("analog-value,1") == 50.0
    await connector.relinquish("b.sp")


async def test_the_priority_is_on_the_wire_as_another_stack_sees_it(old, connect) -> None:
    old.tell("written")
    connector = connect(old, name="old")
    await connector.write_value("old.AV1", 12.5, priority=9)
    await connector.relinquish("old.AV1")
    assert old.tell("written") == [
        {"object": "2,1", "type": 4, "value": 12.5, "priority": 9},
        {"object": "2,1", "type": 0, "value": None, "priority": 14},
    ]


async def test_a_write_is_sent_once_whatever_happens(rusty, connect) -> None:
    with DatagramLink(rusty.udp) as link:
        connector = connect(address=f"127.0.0.1:{link.port}", name="b", retry_count=3)
        await connector.write_value("b.AV1", 1.0)
        await connector.relinquish("b.AV1")
        link.drop_replies()
        sent, clients = link.requests, link.connections
        connector.set_timeout(800)
        with pytest.raises(RequestTimeout):
            await connector.write_value("b.AV1", 2.0)
        with socket.socket(type=socket.SOCK_DGRAM) as after:  # it passes behind all that was sent
            after.sendto(b"x", ("127.0.0.1", link.port))
            await eventually(lambda: link.connections > clients, "passed on")
            await eventually(lambda: link.requests > sent + 1, "passed on")
        assert link.requests == sent + 2
        link.restore()
        connector.set_timeout(1000 * PATIENCE)
        await connector.relinquish("b.AV1")


async def test_a_refusal_is_said_in_the_standards_words(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    with pytest.raises(RequestFailed, match="write-access-denied"):
        await connector.write_value("b.AI1", 1.0)


# ---- finding devices --------------------------------------------------------------------------


@pytest.fixture
def subnet() -> Iterator[tuple[int, list[RustyBacnet]]]:
    """Two devices on addresses of their own with one port, which hear broadcasts on loopback."""
    port = free_port()
    peers = [
        RustyBacnet(port=port, interface=f"127.0.0.{2 + i}", share=True, instance=3001 + i,
                    name=f"Device {i}")
        for i in range(2)
    ]  # fmt: skip
    try:
        for peer in peers:
            peer.start()
        yield port, peers
    finally:
        for peer in peers:
            peer.stop()


async def search(connector: BACnetConnector, wanted: int, *limits: int) -> list[Found]:
    """Search until so many devices have answered: how quickly they do it decides nothing."""
    async with asyncio.timeout(PATIENCE):
        while len(found := await connector.discover(*limits, seconds=0.5)) < wanted:
            pass
    return found


async def test_devices_are_found_by_broadcast(subnet, connect) -> None:
    port, _ = subnet
    connector = connect(discover=f"127.0.0.0/8:{port}")
    found = await search(connector, 2)
    assert [f.address for f in found] == [f"127.0.0.2:{port}/3001", f"127.0.0.3:{port}/3002"]
    assert [f.name async for f in connector.browse()] == ["device3001", "device3002"]
    (one,) = await search(connector, 1, 3002, 3002)
    assert one.name == "device3002"
    assert (await connector.check()).ok


async def test_a_device_without_address_is_found_and_read(subnet, connect) -> None:
    port, _ = subnet
    devices = [{"device_id": 3002, "name": "b", "objects": [{"name": "flow", "object": "AI1"}]}]
    connector = connect(discover=f"127.0.0.0/8:{port}", devices=devices)
    (sample,) = await connector.read(["b.flow"])
    assert sample.value == 50000.0


@in_virtual_time
async def test_a_device_that_is_nowhere_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    settings = {
        "discover": f"127.0.0.0/8:{free_port()}", "devices": [{"device_id": 9}],
        "timeout": 0.2, "retry_count": 1,
    }  # fmt: skip
    connector = BACnetConnector(settings, context=context)
    with pytest.raises(ConnectFailed, match="no device 9 answers Who-Is"):
        await connector.connect()
    await connector.close()
    context.audit.close()


async def test_the_allowlist_narrows_what_a_search_may_find(
    subnet, connect, tmp_path: Path
) -> None:
    port, _ = subnet
    audit = Audit(tmp_path / "narrow.jsonl")
    context = Context(
        network=Network(allow=[f"127.0.0.3:{port}", f"127.255.255.255:{port}"]),
        audit=audit, state_dir=tmp_path,
    )  # fmt: skip
    connector = connect(discover=f"127.0.0.0/8:{port}", context=context)
    found = await search(connector, 1)
    assert [f.name for f in found] == ["device3002"]
    await connector.close()
    audit.close()


async def test_without_a_subnet_nothing_is_broadcast(rusty, connect) -> None:
    connector = connect(rusty)
    session = await connector._current()
    with pytest.raises(NotAllowed, match="broadcast"):
        await session.stack.who_is(b"")


async def test_a_single_address_can_be_asked_who_is_there(rusty, connect) -> None:
    (found,) = await search(connect(rusty), 1)
    assert (found.address, found.description) == (f"127.0.0.1:{rusty.udp}/1001", "vendor 555")


async def test_devices_behind_a_bbmd_are_found(connect) -> None:
    with RustyBacnet(bbmd=True, instance=4001) as peer:
        connector = connect(bbmd=f"127.0.0.1:{peer.udp}", local={"address": "127.0.0.1"})
        found = await search(connector, 1)
        assert "device4001" in [f.name for f in found]


async def test_a_registration_with_a_bbmd_is_renewed_and_ends_with_us(connect) -> None:
    with RustyBacnet(bbmd=True, instance=4001) as peer, DatagramLink(peer.udp) as link:
        connector = connect(bbmd=f"127.0.0.1:{link.port}", local={"address": "127.0.0.1"})
        object.__setattr__(connector.config.bbmd, "ttl", 1)  # a file may say 30 at the least
        await connector.connect()
        first = link.requests
        assert first >= 1, "the registration"
        await eventually(lambda: link.requests >= first + 3, "renewed, and again")
        assert "device4001" in [f.name for f in await search(connector, 1)]
        before = link.requests
        await connector.close()
        await eventually(lambda: link.requests > before, "out of the table")


async def test_a_bbmd_that_takes_no_foreign_devices_is_said(connect) -> None:
    with RustyBacnet(bbmd=False, instance=4001) as peer:
        connector = connect(bbmd=f"127.0.0.1:{peer.udp}")
        with pytest.raises(ConnectFailed, match="refuses the registration"):
            await connector.connect()


async def test_a_bbmd_that_does_not_answer_is_said(connect) -> None:
    connector = connect(bbmd=f"127.0.0.1:{free_port()}", timeout=0.2, retry_count=0)
    with pytest.raises(ConnectFailed):
        await connector.connect()


def test_urls_mean_a_device_or_a_subnet() -> None:
    assert settings_of("bacnet://10.20.0.15") == {"address": "10.20.0.15:47808"}
    assert settings_of("bacnet://10.20.0.15:47809/1001") == {
        "address": "10.20.0.15:47809", "device_id": 1001,
    }  # fmt: skip
    assert settings_of("bacnet://10.20.0.0/24") == {"discover": "10.20.0.0/24"}
    assert settings_of("bacnet://10.20.0.15/24") == {
        "address": "10.20.0.15:47808", "device_id": 24,
    }  # fmt: skip
    with pytest.raises(ConfigError, match="no device number"):
        settings_of("bacnet://10.20.0.15/boiler")


# ---- behind a router --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def router() -> Iterator[BacnetRouter]:
    with BacnetRouter() as peer:
        yield peer


FAR = {"device_id": 5005, "name": "far", "network": 2001, "mac": 5}


async def test_a_device_behind_a_router_is_read_written_and_browsed(router, connect) -> None:
    connector = connect(router, **FAR)
    assert "5005 'Far device'" in (await connector.check()).detail
    assert await connector.read_value("far.AI1") == 61.5
    await connector.write_value("far.AV1", 7.5)
    assert await connector.read_value("far.AV1") == 7.5
    await connector.relinquish("far.AV1")
    assert {f.name for f in [f async for f in connector.browse("far")]} == {
        "far temperature", "far setpoint",
    }  # fmt: skip


async def test_a_device_behind_a_router_reports_changes(router, connect) -> None:
    connector = connect(router, **FAR, polling_interval=HOURS * 1000, cov={"refresh": HOURS})
    async with followed(connector, "far.AV1") as samples:
        await eventually(lambda: samples, "first value")
        await asyncio.sleep(0.3)
        await connector.write_value("far.AV1", 8.5)
        await eventually(lambda: samples[-1].value == 8.5, "a report")
        await connector.relinquish("far.AV1")


async def test_a_router_says_who_is_behind_it(router, connect) -> None:
    connector = connect(router, **FAR)
    (found,) = await search(connector, 1)
    assert found.name == "device5005"
    assert "2001:5 behind 127.0.0.1" in found.description


async def test_an_address_behind_a_router_where_nobody_is_is_silent(router, connect) -> None:
    connector = connect(router, **{**FAR, "mac": 9}, timeout=0.2, retry_count=0)
    with pytest.raises(ConnectFailed, match="no answer"):
        await connector.connect()


# ---- trend logs -------------------------------------------------------------------------------


def _recorded_so_far(peer: RustyBacnet) -> int:
    count = peer.get("trend-log,1", "TOTAL_RECORD_COUNT")
    assert isinstance(count, int)
    return count


async def _recorded(connector: BACnetConnector, tag: str, start: int, end: int) -> list[Sample]:
    return [s async for batch in connector.history([tag], start, end) for s in batch]


async def test_a_trend_log_is_read_in_order_and_within_its_bounds(connect) -> None:
    with RustyBacnet() as peer:
        start = now_ns()
        for i in range(60):  # more than one answer holds
            before = _recorded_so_far(peer)
            peer.set("analog-input,1", 100.0 + i)
            await eventually(lambda before=before: _recorded_so_far(peer) > before, "recorded")
        connector = connect(peer, name="b", objects=[{"name": "flow", "object": "AI1"}])
        samples = await _recorded(connector, "b.flow", start - SECOND, now_ns() + SECOND)
        values = [s.value for s in samples if isinstance(s.value, float) and s.value < 1000]
        assert values == [100.0 + i for i in range(60)]
        assert [s.time for s in samples] == sorted(s.time for s in samples)
        assert all(abs(s.time - start) < 60 * SECOND for s in samples)
        middle = samples[20].time
        later = await _recorded(connector, "b.flow", middle, samples[30].time)
        assert later == [s for s in samples if middle <= s.time < samples[30].time]
        assert await _recorded(connector, "b.flow", start - 100 * SECOND, start - 50 * SECOND) == []


async def test_an_object_without_a_trend_log_is_said(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    with pytest.raises(TagNotFound, match="no trend log records analog-input,2"):
        await _recorded(connector, "b.AI2", 0, now_ns())


# ---- EDE --------------------------------------------------------------------------------------

EDE = """\
#Engineering-Data-Exchange - B.I.G.-EU;;;;;;;;
PROJECT_NAME;boiler house
VERSION_OF_REFERENCEFILE;1
#
# keyname;device obj.-instance;object-name;object-type;object-instance;description;\
present-value-default;min-present-value;max-present-value;commandable;supports COV;hi-limit;\
low-limit;state-text-reference;unit-code;vendor-specific-addres
B1.dev;1001;Boiler 1;8;1001;controller;;;;N;N;;;;;
B1.F;1001;steam flow;0;1;Dampfmenge;;;;N;N;;;;46;
B1.T;1001;stack temperature;0;2;Abgastemperatur;;;;N;Y;;;;64;
B1.S;1001;setpoint;2;1;Sollwert;;;;Y;N;;;;56;
"""


async def test_an_ede_file_names_the_objects(rusty, connect, tmp_path: Path) -> None:
    file = tmp_path / "boiler_EDE.csv"
    file.write_bytes(EDE.encode("cp1252"))
    connector = connect(
        rusty, ede=str(file),
        devices=[{"device_id": 1001, "name": "b",
                  "objects": [{"name": "stack", "object": "AI2", "unit": "degF"}]}],
    )  # fmt: skip
    spec = connector.Input.parse({"source": "bacnet"})
    tags = {tag.name: (tag.unit, tag.description) for tag in connector.source(spec).tags()}
    assert tags == {
        "b.stack": ("degF", ""),
        "b.steam flow": ("lb/hr", "Dampfmenge"),
        "b.setpoint": ("psi", "Sollwert"),
    }
    (sample,) = await connector.read(["b.steam flow"])
    assert sample.value == 50000.0


def test_a_file_that_is_no_ede_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "wrong.csv"
    file.write_text("a;b\n1;2\n")
    with pytest.raises(ConfigError, match="no EDE file"):
        BACnetConnector({"address": "127.0.0.1", "ede": str(file)})


# ---- other colour -----------------------------------------------------------------------------


def test_the_blocking_twin_reads_writes_and_discovers(rusty, tmp_path: Path) -> None:
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    settings = {"address": f"127.0.0.1:{rusty.udp}", "name": "b", "timeout": PATIENCE}
    with SyncBACnetConnector(settings, context=context) as bacnet:
        assert bacnet.read_value("b.AI1") == 50000.0
        bacnet.write_value("b.AV1", 3.5)
        assert rusty.get("analog-value,1") == 3.5
        bacnet.relinquish("b.AV1")
        while not (found := bacnet.discover(seconds=0.3)):
            pass
        assert [f.name for f in found] == ["device1001"]
    context.audit.close()


# ---- through the gateway ----------------------------------------------------------------------

HOUSE = """
integrations:
  enabled: [bacnet, sqlite]
  bacnet:
    address: 127.0.0.1:{port}
    name: boiler1
    objects:
      - {{name: steam_flow, object: AI1}}
      - {{name: stack, object: AI2, unit: degF}}
      - {{name: flame, object: BI1}}
  sqlite: {{path: history.sqlite}}
  data_flow:
    input: [{{source: bacnet}}]
    output: [{{destination: sqlite, interval: 0.1}}]
gateway: {{state_dir: state}}
tags:
  boiler1.stack: {{unit: degC}}
"""


async def test_values_flow_into_the_embedded_history_in_the_declared_unit(
    rusty, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "integrations.yaml"
    file.write_text(HOUSE.format(port=rusty.udp))
    gateway = Gateway(load(file, {}))
    running = asyncio.create_task(gateway.run())
    tags = ["boiler1.steam_flow", "boiler1.stack", "boiler1.flame"]
    samples: list[Sample] = []
    try:
        async with asyncio.timeout(PATIENCE):
            while len([s for s in samples if s.value is not None]) < 3:
                await asyncio.sleep(0.1)
                samples = await gateway.connectors["sqlite"].read(tags)
    finally:
        gateway.stop()
        await running
    flow, stack, flame = samples
    assert (flow.value, flame.value) == (50000.0, True)
    assert stack.value == pytest.approx((350.5 - 32) / 1.8)


def test_the_command_line_browses_and_reads_an_address(
    rusty, capsys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    url = f"bacnet://127.0.0.1:{rusty.udp}/1001"
    assert main(["browse", url, "--json"]) == 0
    found = {
        thing["name"]: thing for thing in map(json.loads, capsys.readouterr().out.splitlines())
    }
    assert found["steam flow"]["address"] == "device1001.analog-input,1"
    assert found["steam flow"]["unit"] == "lb/hr"
    assert found["setpoint"]["writable"]
    assert main(["read", url, "AI1", "AI1.object-name"]) == 0
    out = capsys.readouterr().out
    assert "lb/hr" in out
    assert "steam flow" in out
