"""`gl002 init --from` on the simulated boiler's own OPC UA server."""

from __future__ import annotations

import asyncio
import json
import threading

import pytest
import yaml

from gl002.cli import main
from gl002.config.boilers import BoilerSettings
from gl002.sim.opc_ua import OPCUASimulator
from gl002.sim.plant import Plant


@pytest.fixture(scope="module")
def url():
    """A server in a thread of its own."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    simulator = OPCUASimulator([Plant("boiler1")])
    asyncio.run_coroutine_threadsafe(simulator.start(), loop).result(60)
    yield simulator.url
    asyncio.run_coroutine_threadsafe(simulator.stop(), loop).result(30)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def test_a_server_gives_a_section_that_is_a_configuration(capsys, url, tmp_path, monkeypatch):
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    assert main(["init", "--from", url]) == 0
    proposed = yaml.safe_load(capsys.readouterr().out)["boilers"]["boiler1"]
    settings = BoilerSettings.parse(proposed)
    assert settings.oxygen.basis == "wet"
    assert settings.stack_temperature.tag.startswith("TT301")


def test_for_scripts_it_says_addresses_and_units(capsys, url, tmp_path, monkeypatch):
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    assert main(["init", "--from", url, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["roles"]["feedwater_temperature"]["unit"] == "degF"
    assert "TT102.PV" in found["roles"]["feedwater_temperature"]["address"]
