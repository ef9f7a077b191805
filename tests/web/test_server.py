"""Starting and stopping beside a gateway."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import time

import pytest

from gl002.errors import ConnectFailed
from gl002.model import Sample, now_ns
from gl002.testing.stalls import Stalls
from gl002.web.access import read_access
from gl002.web.server import serve
from peers.process import free_port
from web.client import ask, events
from web.house import House


async def test_a_port_in_use_is_our_error_with_the_key_that_changes_it(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        house = House(tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ConnectFailed, match=r"another program listens there .*web\.port"):
            await house.start()
        house.gateway.stop()
        await house._running
    assert not (tmp_path / "state" / "api.json").exists()


async def test_it_announces_an_address_that_answers_and_takes_it_back(house):
    access = read_access(house.gateway.context.state_dir)
    assert access.url == house.base
    assert house.url == access.browser_url()
    await house.stop_serving()
    with pytest.raises(ConnectFailed, match="no gateway"):
        read_access(house.gateway.context.state_dir)
    with pytest.raises(ConnectionRefusedError):
        await ask(house.port, "/healthz")


async def test_it_can_be_started_again_on_the_same_port_at_once_with_the_same_token(house):
    token = house.token
    await house.stop_serving()
    await house.serve_again()
    assert house.token == token
    assert (await ask(house.port, "/healthz")).status == 200


async def test_readers_and_those_who_have_stopped_reading_do_not_hold_up_the_stop(house, caplog):
    path = "/api/stream?stage=source"
    async with (
        events(house.port, "/api/stream", house.token) as one,
        events(house.port, path, house.token, limit=2**10),
        events(house.port, "/api/stream", house.token, limit=2**10),
    ):
        await anext(one)
        for _ in range(20):  # more than a connection that nobody reads can hold
            house.gateway.hub.accepted([Sample(f"f{i}", "x" * 1000, now_ns()) for i in range(500)])
            house.gateway.hub.publish("source", [Sample("f", "x" * 1000, now_ns())] * 500)
            await asyncio.sleep(0.02)
        await asyncio.sleep(1.0)
        began = time.monotonic()
        with Stalls() as stalls:
            await house.stop_serving()
        took = time.monotonic() - began - stalls.total
        assert took < 5, took
        assert [r.getMessage() for r in caplog.records if r.levelname == "ERROR"] == []
        async with asyncio.timeout(60):
            async for _ in one:
                pass  # what was under way still comes, and then the end


async def test_a_gateway_that_never_starts_leaves_nothing_behind(tmp_path):
    house = House(tmp_path, port=free_port())
    serving = asyncio.ensure_future(serve(house.gateway, house.gateway.config.sections.web))
    await asyncio.sleep(0.05)
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert not (tmp_path / "state").exists()


async def test_signals_stay_with_whoever_runs_the_gateway(house):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    await house.stop_serving()
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
    assert "uvicorn" not in repr(before)


async def test_requests_with_the_token_in_their_address_leave_no_trace_in_the_log(house, caplog):
    with caplog.at_level("DEBUG"):
        await ask(house.port, f"/?token={house.token}")
        await ask(house.port, "/healthz")
    assert house.token not in caplog.text


def test_nothing_of_it_is_loaded_before_it_serves():
    script = (
        "import sys, json, gl002.web.access, gl002.web.server, gl002.flow.gateway\n"
        "print(json.dumps([m for m in ('fastapi', 'starlette', 'uvicorn') if m in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert json.loads(done.stdout) == []
