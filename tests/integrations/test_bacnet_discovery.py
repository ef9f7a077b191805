"""BACnet: devices found by broadcast, through a BBMD, behind a router."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from gl002.connector import Found
from gl002.context import Context
from gl002.errors import ConfigError, ConnectFailed, NotAllowed
from gl002.integrations.industrial import BACnetConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.datagram_link import DatagramLink
from gl002.transport.bacnet.settings import settings_of
from integrations.bacnet_site import HOURS, PATIENCE, connect, eventually, followed, rusty
from peers.bacnet_router import BacnetRouter
from peers.process import free_port
from peers.rusty_bacnet import RustyBacnet
from virtual_time import in_virtual_time

fixtures = rusty, connect


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
