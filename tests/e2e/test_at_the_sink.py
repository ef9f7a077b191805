"""What a plant says of its values reaches the database: bad, uncertain, no number, old."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from psycopg.errors import UndefinedTable

from gl002.config.load import load
from gl002.flow.gateway import Gateway
from gl002.model import Quality, severity
from peers.libmodbus import LibModbus
from peers.node_opcua import NodeOpcua
from peers.postgresql import PostgreSQL

GATEWAY = """
integrations:
  enabled: [opc_ua, modbus, postgresql]
  opc_ua:
    url: {opc_ua}
    subscription: {{publishing_interval: 50, keepalive_count: 200}}
    data_mapping:
      dead: ns=2;s=Boiler1.Temperature
      doubtful: ns=2;s=Boiler1.FuelFlow
      frozen: ns=2;s=Boiler1.Starts
      counter: ns=2;s=Many.T0
  modbus:
    connection: {{host: 127.0.0.1, port: {modbus}}}
    devices:
      - name: meter
        slave_id: 1
        polling_interval: 50
        registers:
          - {{name: burnt_out, address: 0, format: float32}}
          - {{name: alive, address: 2, format: float32}}
  postgresql: {postgresql}
  data_flow:
    input: [{{source: opc_ua}}, {{source: modbus}}]
    output: [{{destination: postgresql, table: samples, interval: 0.1}}]
gateway: {{state_dir: state}}
"""
HOUR = 3600


@pytest.fixture(scope="module")
def opc_ua() -> Iterator[NodeOpcua]:
    with NodeOpcua(MANY=1, PERIOD=50) as peer:
        yield peer


@pytest.fixture(scope="module")
def modbus() -> Iterator[LibModbus]:
    with LibModbus() as peer:
        yield peer


@pytest.fixture(scope="module")
def database() -> Iterator[PostgreSQL]:
    with PostgreSQL() as peer:
        yield peer


class Told:
    """What stands in the database."""

    def __init__(self, database: PostgreSQL) -> None:
        self._database = database

    async def rows(self, tag: str) -> list[tuple[float, float | None, int]]:
        """(seconds since 1970, value, quality) of a tag, oldest first."""
        query = (
            "SELECT extract(epoch FROM time)::float8, value, quality FROM samples"
            f" WHERE tag = '{tag}' ORDER BY time"
        )
        try:
            found = await asyncio.to_thread(self._database.execute, query)
        except UndefinedTable:  # the gateway makes it
            return []
        return [(float(when), value, int(quality)) for when, value, quality in found]

    async def some(self, tag: str, count: int) -> None:
        """Wait until there are so many."""
        async with asyncio.timeout(60):
            while len(await self.rows(tag)) < count:
                await asyncio.sleep(0.1)

    async def ends_with(self, tag: str, value: float | None, holds: Callable[[int], bool]) -> None:
        """Wait until the last row has this value, and a quality of that sort."""
        rows, deadline = await self.rows(tag), time.monotonic() + 60
        while not (rows and rows[-1][1] == value and holds(rows[-1][2])):
            assert time.monotonic() < deadline, f"{tag}: {rows[-5:]}"
            await asyncio.sleep(0.1)
            rows = await self.rows(tag)


@asynccontextmanager
async def told(
    folder: Path, opc_ua: NodeOpcua, modbus: LibModbus, database: PostgreSQL
) -> AsyncIterator[Told]:
    """A gateway that runs between the plant and the database."""
    file = folder / "integrations.yaml"
    file.write_text(
        GATEWAY.format(opc_ua=opc_ua.url, modbus=modbus.port, postgresql=database.config)
    )
    database.execute("DROP TABLE IF EXISTS samples")
    gateway = Gateway(load(file, {}))
    running = asyncio.create_task(gateway.run())
    try:
        yield Told(database)
    finally:
        gateway.stop()
        await running


async def test_bad_uncertain_and_not_a_number_are_to_be_seen_and_their_neighbours_are_good(
    tmp_path, opc_ua, modbus, database
) -> None:
    opc_ua.set("Boiler1.Temperature", 0, status="BadSensorFailure")
    opc_ua.set("Boiler1.FuelFlow", 3400, status="UncertainSensorNotAccurate")
    modbus.set_bytes(1, "holding", 0, struct.pack(">ff", float("nan"), 12.5))
    async with told(tmp_path, opc_ua, modbus, database) as sink:
        await sink.ends_with("dead", None, lambda q: q == Quality.BAD_SENSOR_FAILURE)
        doubt = Quality.UNCERTAIN_SENSOR_NOT_ACCURATE
        await sink.ends_with("doubtful", 3400, lambda q: q == doubt)
        await sink.ends_with("meter.burnt_out", None, lambda q: severity(q) == "bad")
        await sink.ends_with("meter.alive", 12.5, lambda q: q == Quality.GOOD)


async def test_a_value_that_stands_still_keeps_the_time_its_source_gave_it(
    tmp_path, opc_ua, modbus, database
) -> None:
    """While others go on; nothing is told again as if it were fresh."""
    then = int(time.time()) - HOUR
    opc_ua.set("Boiler1.Starts", 21, time=then * 1000)
    async with told(tmp_path, opc_ua, modbus, database) as sink:
        await sink.some("counter", 30)
        assert await sink.rows("frozen") == [(then, 21, Quality.GOOD)]
