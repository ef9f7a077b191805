"""The public interface as a type checker sees it. Checked by mypy, never run.

A change here is a change for users: it needs a line in the changelog.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import TypeAlias, assert_type

import gl002
from gl002 import Batch, ConnectionPool, Quality, RetryPolicy, Sample, Tag, retry
from gl002.config.load import GatewayConfig, load
from gl002.config.settings import Settings
from gl002.connector import Connector, Found, Health, State
from gl002.errors import ConnectFailed, GL002Error, PartialWrite
from gl002.flow.gateway import Gateway
from gl002.integrations.databases import (
    AsyncPostgreSQLConnector,
    PostgreSQLConnector,
    SQLiteConnector,
    TimescaleConnector,
)
from gl002.integrations.industrial import (
    AsyncModbusConnector,
    BACnetConnector,
    ModbusConnector,
    MQTTConnector,
    OPCUAConnector,
    SyncBACnetConnector,
    SyncMQTTConnector,
    SyncOPCUAConnector,
)
from gl002.model import Value
from gl002.registry import connector, face, kinds
from gl002.sink import Sink
from gl002.source import Source

OpcUaValue: TypeAlias = Value | list[Value]
"""A node may hold an array."""

assert_type(gl002.__version__, str)

sample = Sample("boiler1.steam_flow", 12.6, 1)
assert_type(sample.value, bool | int | float | str | None)
assert_type(sample.quality, int)
batch: Batch = [sample]
tag = Tag(name="boiler1.steam_flow", unit="kg/s")
assert_type(tag.unit, str)
assert_type(int(Quality.GOOD), int)


@retry(max_attempts=3, backoff="exponential")
async def read_with_retry(connector: OPCUAConnector, tags: list[str]) -> list[OpcUaValue]:
    """As in the guide."""
    return await connector.read_values(tags)


@retry()
def plain(number: int, *, text: str = "") -> str:
    """A function keeps its signature."""
    return f"{number}{text}"


assert_type(plain(1, text="x"), str)
assert_type(RetryPolicy(max_attempts=None).delays(), Iterator[float])


async def opc_ua() -> None:
    """The async connector, with a pool."""
    pool = ConnectionPool(max_connections=10)
    async with OPCUAConnector({"url": "opc.tcp://localhost:4840"}, pool=pool) as opc:
        assert_type(await opc.browse_nodes("ns=2;s=Boiler1"), list[Found])
        assert_type(await opc.read(["a"]), list[Sample])
        assert_type(await opc.read_value("a"), OpcUaValue)
        assert_type(await opc.read_values(["a"]), list[OpcUaValue])
        assert_type(await opc.check(), Health)
        assert_type(opc.state, State)
        await opc.write_value("a", 485.0)
        assert_type(await opc.call_method("a", "Start", 80, [1.0]), list[OpcUaValue])
        assert_type(opc.history(["a"], 0, 1), AsyncIterator[Batch])
        opc.set_timeout(5000)


def opc_ua_blocking() -> None:
    """Its blocking twin has the same signatures without the await."""
    with SyncOPCUAConnector({"url": "opc.tcp://localhost:4840"}) as opc:
        assert_type(opc.read_values(["a"]), list[OpcUaValue])
        assert_type(opc.read(["a"]), list[Sample])
        assert_type(opc.aio, OPCUAConnector)
        assert_type(opc.browse("x"), Iterator[Found])


def modbus() -> None:
    """The guide's blocking connector."""
    with ModbusConnector({"host": "192.168.1.50"}) as plc:
        assert_type(plc.read_holding_registers(address=1000, count=10), list[Value])
        assert_type(plc.read_coils(0, 8), list[bool])
        assert_type(plc.read_mapped_values({"a": {"address": 1}}), dict[str, Value])
        plc.write_register(address=3000, value=1234)
        assert_type(plc.aio, AsyncModbusConnector)
        plc.read_holding_registers(address=1, data_type="float33")  # type: ignore[arg-type]


async def modbus_async() -> None:
    """The same calls to await."""
    async with AsyncModbusConnector({"host": "192.168.1.50"}) as plc:
        assert_type(await plc.read_holding_registers(1000, 10, "float32"), list[Value])


async def mqtt() -> None:
    """Publish and subscribe."""
    async with MQTTConnector({"broker": "localhost"}) as broker:
        await broker.publish(topic="boiler/data", payload={"efficiency": 85.4}, qos=1, retain=True)
        assert_type(broker.create_sparkplug_payload(metrics={"efficiency": 85.4}), bytes)


def mqtt_blocking() -> None:
    """Its blocking twin."""
    with SyncMQTTConnector({"broker": "localhost"}) as broker:
        broker.publish("boiler/data", {"efficiency": 85.4})


async def bacnet() -> None:
    """Async, and its blocking face."""
    async with BACnetConnector({"address": "10.20.0.15"}) as controller:
        assert_type(await controller.read_value("AI1"), Value)
        assert_type(await controller.read_values(["AI1"]), list[Value])
        await controller.write_value("AV1", 1.5, priority=14)
        await controller.relinquish("AV1")
        assert_type(await controller.discover(1, 100), list[Found])
        assert_type(controller.history(["a"], 0, 1), AsyncIterator[Batch])
    with SyncBACnetConnector({"discover": "10.20.0.0/24"}) as house:
        assert_type(house.aio, BACnetConnector)
        assert_type(house.discover(seconds=1.0), list[Found])
        assert_type(house.history(["a"], 0, 1), Iterator[Batch])


def databases() -> None:
    """All of them are blocking by their bare names."""
    with PostgreSQLConnector({"url": "postgresql://localhost/gl002"}) as database:
        database.query("SELECT 1")
        assert_type(database.aio, AsyncPostgreSQLConnector)
    with TimescaleConnector({"host": "localhost", "database": "a", "user": "b"}) as timescale:
        timescale.insert_data(table="boiler_data", data=[{"efficiency": 85.4}])
    with SQLiteConnector({}) as history:
        assert_type(history.read(["a"]), list[Sample])
        assert_type(history.history(["a"], 0, 1), Iterator[Batch])


async def author(any_connector: Connector[Settings]) -> None:
    """What someone who writes a connector relies on."""
    assert_type(await any_connector.read(["a"]), list[Sample])
    assert_type(any_connector.browse("x"), AsyncIterator[Found])
    assert_type(any_connector.history(["a"], 0, 1), AsyncIterator[Batch])


async def flow(source: Source, sink: Sink) -> None:
    """The contract between connectors and the flow."""
    assert_type(source.tags(), Sequence[Tag])
    async with source.open() as batches:
        async for some in batches:
            assert_type(some, Batch)
            try:
                await sink.write(some)
            except PartialWrite as error:
                assert_type(error.rejected, dict[int, str])
            except ConnectFailed as error:
                assert_type(error.retryable, bool)


async def gateway(path: Path) -> None:
    """From a file to a running gateway."""
    config = load(path)
    assert_type(config, GatewayConfig)
    try:
        await Gateway(config).run()
    except GL002Error as error:
        assert_type(error.hint, str)


assert_type(kinds(), Iterator[str])
connector("modbus")
face("modbus")
