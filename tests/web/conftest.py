from __future__ import annotations

import pytest

from peers.process import free_port
from web.browser import Chromium
from web.house import House, until


def value_of(house, tag):
    sample = house.gateway.hub.latest.get(tag)
    return None if sample is None else sample.value


@pytest.fixture
async def house(tmp_path):
    """A gateway on a simulated boiler house, served, with an efficiency to show."""
    async with House(tmp_path, port=free_port()) as house:
        await until(lambda: value_of(house, "boiler1.efficiency_note") == "good")
        yield house


@pytest.fixture(scope="session")
def chromium():
    with Chromium() as browser:
        yield browser
