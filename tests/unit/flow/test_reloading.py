"""A configuration read again at a bad moment, or with a part that cannot be made."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest
import yaml

from gl002.config.load import load
from gl002.errors import ConfigError, ConnectFailed, PasswordRefused
from gl002.flow.ending import ended
from gl002.flow.gateway import Gateway
from gl002.flow.inputs import Part
from gl002.integrations.industrial.modbus import AsyncModbusConnector
from gl002.source import Source
from peers.process import free_port
from peers.web_server import Reply, Seen, WebServer
from virtual_time import in_virtual_time


class Site:
    """A gateway with one device that never answers: its input reconnects all the time."""

    def __init__(self, folder) -> None:
        self.file = folder / "integrations.yaml"
        self.register = {"name": "a", "address": 0, "unit": "kg/s"}
        self.config = {
            "integrations": {
                "enabled": ["modbus", "sqlite"],
                "modbus": {
                    "connection": {"host": "127.0.0.1", "port": free_port()},
                    "devices": [{
                        "name": "m", "slave_id": 1, "polling_interval": 50,
                        "registers": [self.register],
                    }],
                },
                "sqlite": {"path": str(folder / "history.sqlite")},
                "data_flow": {
                    "input": [{"source": "modbus"}],
                    "output": [{"destination": "sqlite", "interval": 0.1}],
                },
            },
            "gateway": {"state_dir": str(folder / "state"), "drain": 1},
        }  # fmt: skip
        self.gateway = Gateway(self.loaded())

    def loaded(self):
        self.file.write_text(yaml.safe_dump(self.config))
        return load(self.file, {})

    @asynccontextmanager
    async def running(self):
        task = asyncio.create_task(self.gateway.run())
        try:
            yield
        finally:
            self.gateway.stop()
            await asyncio.wait_for(task, 60)


def inputs_running() -> int:
    """Those that a gateway keeps running; what they begin themselves has the same name."""
    return sum(
        task.get_name().startswith("gl002-modbus") and task.get_coro().__name__ == "keep"
        for task in asyncio.all_tasks()
    )


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


async def test_a_reload_before_the_start_is_over_runs_each_input_once(site):
    async with site.running():
        site.register["address"] = 1
        loaded = await asyncio.wait_for(site.gateway.reload(site.loaded()), 60)
        await asyncio.sleep(0.1)
        assert (loaded.begun, inputs_running()) == (1, 1)


async def test_two_reloads_at_once_follow_each_other(site):
    async with site.running():
        await site.gateway.started()
        site.register["address"] = 1
        first = site.loaded()
        site.register["address"] = 2
        second = site.loaded()
        both = await asyncio.gather(site.gateway.reload(first), site.gateway.reload(second))
        assert ([each.begun for each in both], inputs_running()) == ([1, 1], 1)
        assert site.gateway.config is second


async def test_a_reload_after_the_stop_begins_nothing(site):
    async with site.running():
        await site.gateway.started()
        site.gateway.stop()
        site.register["address"] = 1
        with pytest.raises(ConfigError, match="stopping"):
            await site.gateway.reload(site.loaded())
    assert inputs_running() == 0


async def test_a_stop_during_a_reload_leaves_no_input_running(site):
    async with site.running():
        await site.gateway.started()
        site.register["address"] = 1
        reloading = asyncio.create_task(site.gateway.reload(site.loaded()))
        await asyncio.sleep(0)
        site.gateway.stop()
    await asyncio.wait([reloading], timeout=60)
    await asyncio.sleep(0.1)
    assert inputs_running() == 0


async def test_a_refused_reload_leaves_the_units_of_the_sources_as_they_were(site):
    async with site.running():
        await site.gateway.started()
        site.register["unit"] = "degC"
        site.config["tags"] = {"m.a": {"unit": "t/h"}}
        with pytest.raises(ConfigError):
            await site.gateway.reload(site.loaded())
        assert site.gateway.context.tags.source_unit("m.a") == "kg/s"
        assert site.gateway.context.tags.unit("m.a") == "kg/s"


async def test_tags_of_an_input_that_has_gone_are_no_tags_any_more(site):
    async with site.running():
        await site.gateway.started()
        site.register["name"] = "b"
        await site.gateway.reload(site.loaded())
        assert list(site.gateway.context.tags) == ["m.b"]
        async with asyncio.timeout(60):
            while site.gateway.context.tags.retired:
                await asyncio.sleep(0.05)


async def test_a_tag_that_has_gone_keeps_its_unit_while_samples_of_it_wait(site, tmp_path):
    (tmp_path / "history.sqlite").mkdir()  # so that nothing can be delivered
    async with site.running():
        await site.gateway.started()
        async with asyncio.timeout(60):
            while not site.gateway.store.pending("sqlite"):
                await asyncio.sleep(0.05)
        site.register["name"] = "b"
        await site.gateway.reload(site.loaded())
        await asyncio.sleep(1.2)  # two looks at what is to be forgotten
        assert "m.a" not in site.gateway.context.tags
        assert site.gateway.context.tags.unit("m.a") == "kg/s"


async def test_a_source_that_cannot_be_made_by_a_fault_is_refused_and_said(site, monkeypatch):
    async with site.running():
        await site.gateway.started()
        site.register["address"] = 1
        config = site.loaded()

        def faulty(*_):
            raise ValueError("hunter2")

        monkeypatch.setattr(AsyncModbusConnector, "source", faulty)
        with pytest.raises(ConfigError, match="ValueError"):
            await site.gateway.reload(config)
        said = site.gateway.status().loaded
        assert ("ValueError" in said.error, "hunter2" in said.error) == (True, False)
        assert inputs_running() == 1


class Lost(Source):
    """A source whose other side goes away at once."""

    name = "lost"

    def tags(self):
        return []

    async def batches(self):
        raise ConnectFailed("nobody there")
        yield


async def test_an_input_that_is_ended_while_it_loses_its_source_ends(site):
    for turns in range(12):
        intake = site.gateway._intake(f"lost{turns}", Lost())
        task = asyncio.create_task(intake.run())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=30)
        assert done, f"ended after {turns} turns of the loop, it goes on"


class Hanging(Lost):
    """A source that does not let go of what it holds."""

    name = "hanging"

    def __init__(self, *, stubborn: bool) -> None:
        self.stubborn = stubborn
        self.closing = asyncio.Event()

    async def close(self):
        self.closing.set()
        while True:
            try:
                return await asyncio.Event().wait()
            except asyncio.CancelledError:
                if not self.stubborn:
                    raise
                self.stubborn = False  # so that the test itself can end


@pytest.mark.parametrize("stubborn", [False, True])
@in_virtual_time
async def test_a_source_that_hangs_in_its_goodbye_is_named_and_holds_up_nothing(
    site, caplog, stubborn
):
    source = Hanging(stubborn=stubborn)
    intake = site.gateway._intake("hanging#2", source)
    task = asyncio.create_task(intake.run(), name="gl002-hanging#2")
    await asyncio.sleep(0)
    async with asyncio.timeout(60):
        await ended([task], within=0.1)
    assert source.closing.is_set()
    assert "hanging#2: has not ended within 0.1 s and is cut short" in caplog.text
    assert ("hanging#2: does not end" in caplog.text) == stubborn
    assert task.done() != stubborn
    task.cancel()
    await asyncio.wait([task])


@pytest.mark.slow
async def test_a_gateway_stops_although_a_source_hangs(site, monkeypatch):
    monkeypatch.setattr("gl002.flow.gateway.ended", partial(ended, within=1))
    source = Hanging(stubborn=False)
    intake = site.gateway._intake("hanging", source)
    site.gateway._parts.append(Part((), intake))
    async with site.running():
        await site.gateway.started()
        async with asyncio.timeout(60):
            while intake.status().state != "retrying":
                await asyncio.sleep(0.01)


async def test_a_refused_password_is_tried_at_once_after_a_reload(site):
    """Somebody has put it right over there and says so; else hours would pass."""
    asked = []

    def refuse(seen: Seen) -> Reply:
        asked.append(seen.path)
        return Reply(401, headers={"WWW-Authenticate": "Basic"})

    with WebServer(refuse) as server:
        integrations = site.config["integrations"]
        integrations["enabled"].append("pi_system")
        log_in = {"username": "u", "password": "not the one"}
        integrations["pi_system"] = {"server": server.url, **log_in}
        site.gateway = Gateway(site.loaded())
        async with site.running():
            await site.gateway.started()
            connector = site.gateway.connectors["pi_system"]
            for _ in range(3):
                with pytest.raises(PasswordRefused):
                    await connector.connect()
            assert len(asked) == 1
            await site.gateway.reload(site.loaded())
            with pytest.raises(PasswordRefused):
                await connector.connect()
            assert len(asked) == 2
