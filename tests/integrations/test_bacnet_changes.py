"""BACnet: changes that devices report, and what is polled where they do not."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.integrations.industrial import BACnetConnector
from gl002.model import Quality, Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from integrations.bacnet_site import HOURS, PATIENCE, connect, eventually, followed, old, rusty
from peers.bacnet_liar import liar
from peers.process import free_port
from peers.rusty_bacnet import RustyBacnet
from virtual_time import in_virtual_time

fixtures = rusty, old, connect


def last(samples: list[Sample], tag: str) -> Sample | None:
    return next((s for s in reversed(samples) if s.tag == tag), None)


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
