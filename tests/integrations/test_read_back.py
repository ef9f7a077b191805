"""What an output has written is read back from where that output writes, in whichever layout."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from gl002.cli import main
from gl002.config.load import load
from gl002.flow.gateway import Gateway
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.model import Quality, Sample, now_ns
from gl002.testing.contract.requests import eventually
from peers.influxdb import InfluxDB
from peers.postgresql import PostgreSQL
from peers.timescale import Timescale
from rigs.gateway import running

SECOND = 1_000_000_000
START = (now_ns() // SECOND - 3600) * SECOND
PEERS: Mapping[str, type[AbstractContextManager[Any]]] = {
    "postgresql": PostgreSQL, "timescale": Timescale, "influxdb": InfluxDB,
}  # fmt: skip
WIDE = {"table": "boiler_data", "layout": "wide"}
BATCH = [
    sample
    for i in range(60)
    for sample in (
        Sample("b1.o2", 3.0 + i, START + i * SECOND),
        Sample("b1.starts", i, START + i * SECOND),
        Sample("b1.firing", i % 2 == 0, START + i * SECOND),
        Sample("b1.mode", "auto %s", START + i * SECOND),
    )
]
TAGS = ["b1.firing", "b1.mode", "b1.o2", "b1.starts"]


@pytest.fixture(scope="module")
def postgresql() -> Iterator[PostgreSQL]:
    with PostgreSQL() as running:
        yield running


async def everything(connector: Any, *tags: str) -> list[tuple[str, int, Any]]:
    """What a history has, in the order of a batch."""
    batches = connector.history(tags, 0, 2**62)
    return sorted([(s.tag, s.time, s.value) async for batch in batches for s in batch])


@pytest.mark.parametrize(
    ("kind", "output"),
    [
        ("postgresql", {"table": "boiler_data"}),
        ("postgresql", WIDE),
        ("postgresql", {**WIDE, "key_column": "boiler_id", "time_column": "at"}),
        ("timescale", {**WIDE, "key_column": "boiler_id"}),
        ("influxdb", {"measurement": "boiler"}),
    ],
    ids=["narrow", "wide", "wide with a key", "hypertable", "measurement"],
)
async def test_trends_reports_and_commands_see_what_the_output_of_the_file_wrote(
    kind: str, output: dict[str, str], tmp_path: Path
) -> None:
    with PEERS[kind]() as peer:
        integrations = {
            "enabled": [kind],
            kind: peer.config,
            "data_flow": {"output": [{"destination": kind, "interval": 0, **output}]},
        }
        async with running(tmp_path, integrations) as gateway:
            await gateway.store.put(BATCH)
            await eventually(lambda: not gateway.store.pending(kind), "delivered", within=60)
            found = await gateway.trend("b1.o2", START, START + 60 * SECOND, points=6)
            assert [(b.low, b.high, b.samples) for b in found] == [
                (3.0 + 10 * i, 12.0 + 10 * i, 10) for i in range(6)
            ]
            history = gateway.history()
            assert await everything(history, *TAGS) == sorted(
                (s.tag, s.time, s.value) for s in BATCH
            )
            assert [type(s.value) for s in await history.read(TAGS)] == [bool, str, float, int]
            (absent,) = await history.read(["b1.absent"])
            assert absent.quality == Quality.BAD_NODE_ID_UNKNOWN
        again = Gateway(load(tmp_path / "integrations.yaml", {}))  # as the commands open it
        async with again.history() as history:
            assert [f.address async for f in history.browse()] == TAGS
            assert len(await everything(history, "b1.o2")) == 60
        again.context.audit.close()


def test_the_command_line_finds_the_table_of_the_output(
    postgresql: PostgreSQL, tmp_path: Path, monkeypatch, capsys
) -> None:
    postgresql.execute("DROP SCHEMA public CASCADE")
    postgresql.execute("CREATE SCHEMA public")
    postgresql.execute("CREATE TABLE log (timestamp timestamptz, load float8, boiler_id text)")
    postgresql.execute(
        "INSERT INTO log VALUES ('2026-01-01Z', 0.5, 'B001'), ('2026-01-02Z', 0.7, 'B001')"
    )
    flow = {"output": [{"destination": "postgresql", "table": "log"}]}
    (tmp_path / "integrations.yaml").write_text(
        yaml.safe_dump(
            {"integrations": {"enabled": ["postgresql"], "postgresql": postgresql.config,
                              "data_flow": flow}, "gateway": {"state_dir": "state"}}
        )
    )  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert main(["history", "tags", "--json"]) == 0
    told = [json.loads(line)["address"] for line in capsys.readouterr().out.splitlines()]
    assert told == ["boiler_id", "load"], "a table that we have never written"
    assert main(["history", "query", "load", "--from", "2026-01-01", "--json"]) == 0
    values = [json.loads(line)["value"] for line in capsys.readouterr().out.splitlines()]
    assert values == [0.5, 0.7]


async def test_a_table_that_the_connection_names_goes_before_that_of_an_output(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """And of several outputs the first is read."""
    for named, expected in ({"table": "ours"}, "ours"), ({}, "first"):
        file = tmp_path / "integrations.yaml"
        outputs = [
            {"destination": "postgresql", "name": n, "table": n} for n in ("first", "second")
        ]
        connection = {**postgresql.config, **named}
        flow = {"output": outputs}
        file.write_text(
            yaml.safe_dump(
                {"integrations": {"enabled": ["postgresql"], "postgresql": connection,
                                  "data_flow": flow}, "gateway": {"state_dir": "state"}}
            )
        )  # fmt: skip
        postgresql.execute("DROP SCHEMA public CASCADE")
        postgresql.execute("CREATE SCHEMA public")
        gateway = Gateway(load(file, {}))
        database = gateway.connectors["postgresql"]
        assert isinstance(database, AsyncPostgreSQLConnector)
        async with database:
            for table in ("ours", "first", "second"):
                sink = database.sink(
                    database.Output.parse({"destination": "postgresql", "table": table})
                )
                await sink.prepare()
                await sink.write([Sample("t", table, START)])
            assert [s.value for s in await database.read(["t"])] == [expected]
        gateway.context.audit.close()


async def test_a_name_that_is_none_of_a_column_finds_nothing(
    postgresql: PostgreSQL, tmp_path: Path
) -> None:
    postgresql.execute("DROP SCHEMA public CASCADE")
    postgresql.execute("CREATE SCHEMA public")
    at = datetime(2026, 1, 1, tzinfo=UTC)
    postgresql.execute("CREATE TABLE samples (timestamp timestamptz, o2 float8, born date)")
    postgresql.execute("INSERT INTO samples VALUES (%s, 3.1, '2026-01-01')", (at,))
    async with AsyncPostgreSQLConnector(postgresql.config) as database:
        strange = ["timestamp", "xmin", "o2'; --", "o2\0", "o2 ", "o%2", "", "born", "x" * 99]
        assert [s.value for s in await database.read(["o2", *strange])] == [3.1] + [None] * 9
        assert await everything(database, *strange) == []
        assert [f.address async for f in database.browse()] == ["o2"]
