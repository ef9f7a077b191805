"""A dashboard that cannot be served at the start of the gateway, and can later."""

from __future__ import annotations

import asyncio
import logging
import socket

import pytest

from gl002.cli import service
from gl002.errors import ConnectFailed
from gl002.web import http
from gl002.web.access import read_access
from gl002.web.server import keep_serving
from peers.process import free_port
from web.client import ask
from web.conftest import value_of
from web.house import House, until


def why_not(folder):
    try:
        read_access(folder)
    except ConnectFailed as error:
        return str(error)
    return ""


class Waiting:
    """A gateway as `gl002 run` runs it, with a dashboard that is served as soon as it can be."""

    def __init__(self, folder, port):
        self.house = House(folder, port=port)
        self.addresses = []

    async def __aenter__(self):
        self._running = asyncio.ensure_future(
            service.serve(self.house.gateway, announce=self.addresses.append)
        )
        return self

    async def __aexit__(self, *_):
        self.house.gateway.stop()
        await self._running


async def test_the_dashboard_comes_up_once_the_port_is_free_and_values_flow_before(
    tmp_path, caplog
):
    port, state = free_port(), tmp_path / "state"
    taken = socket.create_server(("127.0.0.1", port))
    with caplog.at_level(logging.INFO, "gl002.web"), taken:
        async with Waiting(tmp_path, port) as waiting:
            await until(lambda: value_of(waiting.house, "boiler1.efficiency_note") == "good")
            await until(lambda: "another program listens there" in why_not(state))
            assert waiting.addresses == []
            taken.close()
            await until(lambda: waiting.addresses)
            assert read_access(state).url == f"http://127.0.0.1:{port}"
            assert (await ask(port, "/healthz")).status == 200
    ours = [r for r in caplog.records if r.name == "gl002.web"]
    said = [r.getMessage() for r in ours if r.levelno >= logging.WARNING]
    assert len(said) == 1, said
    assert said[0].startswith(f"no dashboard yet, trying again: 127.0.0.1:{port}: another program")
    assert "web.port" in said[0]


async def test_a_stop_while_the_port_is_taken_ends_the_wait(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with Waiting(tmp_path, taken.getsockname()[1]):
            await until(lambda: "another program listens there" in why_not(tmp_path / "state"))
    assert why_not(tmp_path / "state").startswith("no gateway")


async def test_a_state_folder_of_another_gateway_is_said_and_left_alone(tmp_path, caplog):
    (tmp_path / "first").mkdir()
    (tmp_path / "second").mkdir()
    async with House(tmp_path / "first", port=free_port()) as first:
        second = House(tmp_path / "second", port=free_port())
        second.gateway.context.state_dir = first.gateway.context.state_dir
        running = asyncio.ensure_future(second.gateway.run())
        serving = asyncio.ensure_future(
            keep_serving(second.gateway, second.gateway.config.sections.web)
        )
        await until(lambda: "another gateway serves this state folder" in caplog.text)
        assert read_access(first.gateway.context.state_dir).url == first.base
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        second.gateway.stop()
        await running
    assert second.gateway.status().faults == 0


async def test_a_fault_of_ours_costs_the_dashboard_a_moment_and_not_its_life(
    tmp_path, caplog, monkeypatch
):
    faults = [RuntimeError("broken")]
    real = http.serve_on

    async def sometimes(*given):
        if faults:
            raise faults.pop()
        await real(*given)

    monkeypatch.setattr("gl002.web.http.serve_on", sometimes)
    async with Waiting(tmp_path, free_port()) as waiting:
        await until(lambda: waiting.addresses)
        assert (await ask(waiting.house.port, "/healthz")).status == 200
    assert "a fault in the dashboard" in caplog.text
