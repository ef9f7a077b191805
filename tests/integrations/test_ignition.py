"""Ignition: history over partitions and lives of tags, and which way serves a call."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import AuthFailed, DataError, RequestFailed, TagNotFound, Unsupported
from gl002.integrations.historians import AsyncIgnitionConnector
from gl002.model import Quality, Sample
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.ignition.settings import IgnitionInput
from gl002.wire import ignition as wire
from peers.ignition_history import DATE, FLOAT, INT, STRING, IgnitionHistory
from peers.node_opcua import NodeOpcua

JAN, FEB, MAR = 1_735_689_600_000, 1_738_368_000_000, 1_740_787_200_000  # 2025, ms UTC
MS = 1_000_000
FLOW = "Boiler1/SteamFlow"

Make = Callable[..., AsyncIgnitionConnector]


@pytest.fixture(scope="module")
def past() -> Iterator[IgnitionHistory]:
    with IgnitionHistory() as server:
        driver, other = server.driver(), server.driver("office-gw", "office")
        group = server.group(driver)
        server.partition("sqlt_data_1_2025_01", driver, JAN, FEB)
        server.partition("sqlt_data_1_2025_02", driver, FEB, MAR)
        server.partition("sqlt_data_1_2024_12", driver, JAN - 31 * 86_400_000, JAN, made=False)
        old = server.tag("boiler1/steamflow", group, INT, created=JAN, retired=FEB + 5000)
        new = server.tag("boiler1/steamflow", group, FLOAT, created=FEB + 5000)
        server.put("sqlt_data_1_2025_01", old, INT, (JAN, 1), (FEB - 1, 2))
        server.put("sqlt_data_1_2025_02", old, INT, (FEB, 3))
        server.put("sqlt_data_1_2025_02", new, FLOAT, (FEB + 5000, 4.5), (FEB + 6000, 5.5))
        server.put("sqlt_data_1_2025_02", new, FLOAT, (FEB + 7000, 6.5), integrity=500)
        note = server.tag("boiler1/note", group, STRING, created=JAN)
        server.put("sqlt_data_1_2025_01", note, STRING, (JAN + 1, "läuft ✓"), (JAN + 2, "it's"))
        date = server.tag("boiler1/serviced", group, DATE, created=JAN)
        server.put("sqlt_data_1_2025_01", date, DATE, (JAN, datetime(2024, 12, 24, 18)))  # noqa: DTZ001 (as stored)
        server.executed(group, JAN, JAN + 60_000)
        server.executed(group, JAN + 120_000, FEB + 3_600_000)
        elsewhere = server.group(other)
        server.partition("sqlth_1_data", other, 0, 2**60)
        flow = server.tag("boiler1/steamflow", elsewhere, created=0)
        server.put("sqlth_1_data", flow, FLOAT, (JAN, 99.0))
        yield server


@pytest.fixture
async def make(past: IgnitionHistory, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[AsyncIgnitionConnector] = []
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)

    def connector(**changes: Any) -> AsyncIgnitionConnector:
        settings = {"database": past.config, **changes}
        made.append(AsyncIgnitionConnector(settings, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


async def _history(ignition: AsyncIgnitionConnector, *args: Any) -> list[tuple[int, Any]]:
    return [(s.time // MS, s.value) async for batch in ignition.history(*args) for s in batch]


# ---- the history -----------------------------------------------------------------------------


async def test_history_goes_over_partitions_and_over_every_life_of_a_tag(make: Make) -> None:
    recorded = await _history(make(), [FLOW], 0, MAR * MS)
    assert recorded == [
        (JAN, 1), (FEB - 1, 2), (FEB, 3), (FEB + 5000, 4.5), (FEB + 6000, 5.5), (FEB + 7000, 6.5)
    ]  # fmt: skip
    assert [type(value) for _, value in recorded] == [int, int, int, float, float, float]


async def test_the_start_is_included_and_the_end_is_not(make: Make) -> None:
    ignition = make()
    assert await _history(ignition, [FLOW], FEB * MS, (FEB + 6000) * MS) == [
        (FEB, 3), (FEB + 5000, 4.5)
    ]  # fmt: skip
    assert await _history(ignition, [FLOW], FEB * MS + 1, (FEB + 5000) * MS + 1) == [
        (FEB + 5000, 4.5)
    ]
    assert await _history(ignition, [FLOW], FEB * MS, FEB * MS) == []
    assert await _history(ignition, ["Boiler1/Absent"], 0, MAR * MS) == []


async def test_every_column_of_values_and_every_quality_is_read(make: Make) -> None:
    ignition = make()
    assert await _history(ignition, ["Boiler1/Note"], 0, FEB * MS) == [
        (JAN + 1, "läuft ✓"), (JAN + 2, "it's")
    ]  # fmt: skip
    (day,) = await _history(ignition, ["Boiler1/Serviced"], 0, FEB * MS)
    assert day == (JAN, "2024-12-24T18:00:00")
    *_, good, stale = await ignition.read_history(FLOW, FEB * MS, MAR * MS)
    assert (good.quality, stale.quality) == (Quality.GOOD, Quality.BAD_NO_COMMUNICATION)


async def test_another_provider_and_another_gateway_are_not_mixed_in(
    make: Make, past: IgnitionHistory
) -> None:
    assert await _history(make(), ["[office]boiler1/STEAMFLOW"], 0, FEB * MS) == [(JAN, 99.0)]
    assert await _history(make(provider="office"), [FLOW], 0, FEB * MS) == [(JAN, 99.0)]
    only = make(database={**past.config, "gateway": "office-gw"})
    assert await _history(only, [FLOW], 0, FEB * MS) == []


async def test_a_seed_is_the_value_at_the_start_if_it_is_known_to_have_held(make: Make) -> None:
    ignition = make()
    start, end = (FEB + 5500) * MS, (FEB + 6500) * MS
    with_seed = await ignition.read_history(FLOW, start, end, seed=True)
    assert [(s.time // MS, s.value) for s in with_seed] == [(FEB + 5000, 4.5), (FEB + 6000, 5.5)]
    assert [s.value for s in await ignition.read_history(FLOW, start, end)] == [5.5]
    after_gap = (JAN + 200_000) * MS
    assert await ignition.read_history(FLOW, after_gap, after_gap + MS, seed=True) == [], (
        "the tag group stood still in between"
    )


async def test_where_the_tag_group_stood_still_a_gap_can_be_asked_for(make: Make) -> None:
    samples = await make().read_history(FLOW, JAN * MS, (JAN + 300_000) * MS, gaps=True)
    assert samples == [
        Sample(FLOW, 1, JAN * MS, 0),
        Sample(FLOW, None, (JAN + 60_000) * MS, int(Quality.BAD_NO_DATA)),
    ]


def test_a_pause_shorter_than_two_executions_is_no_gap() -> None:
    stretches = [wire.Stretch(0, 10_000, 1000), wire.Stretch(11_500, 20_000, 1000)]
    assert wire.gaps(stretches, 0, 20_000) == []
    assert wire.gaps(stretches, 0, 30_000) == [(20_000, 30_000)]
    assert wire.gaps([], 5, 9) == [(5, 9)]


async def test_more_than_a_page_comes_whole_and_in_order(make: Make, past: IgnitionHistory) -> None:
    tag = past.tag("many", 1, FLOAT, created=JAN)
    past.execute(
        "INSERT INTO sqlt_data_1_2025_01 (tagid, floatvalue, dataintegrity, t_stamp) "
        "SELECT %s, n, 192, %s + n FROM generate_series(0, 24999) n", (tag, JAN),
    )  # fmt: skip
    recorded = await _history(make(), ["many"], JAN * MS, FEB * MS)
    assert recorded == [(JAN + n, float(n)) for n in range(25_000)]


async def test_hostile_names_of_tags_and_partitions_are_only_names(
    make: Make, past: IgnitionHistory
) -> None:
    name = 'sqlt"; DROP TABLE sqlth_te; --'[:40]
    with contextlib.suppress(psycopg.Error):
        past.execute("INSERT INTO sqlth_partitions VALUES (%s, 1, %s, %s, 0, 0)", (name, JAN, FEB))
    hostile = "x'); DROP TABLE sqlth_te; --"
    tag = past.tag(hostile.lower(), 1, FLOAT, created=JAN)
    past.put("sqlt_data_1_2025_01", tag, FLOAT, (JAN, 1.0))
    assert await _history(make(), [hostile], 0, FEB * MS) == [(JAN, 1.0)]
    past.execute("DELETE FROM sqlth_partitions WHERE pname = %s", (name,))


async def test_the_database_is_read_and_never_written(make: Make, past: IgnitionHistory) -> None:
    reader = "canary-of-the-reader"
    with contextlib.suppress(psycopg.Error):
        past.execute(f"CREATE ROLE reader LOGIN PASSWORD '{reader}'")
        past.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    ignition = make(database={**past.config, "user": "reader", "password": reader})
    assert len(await _history(ignition, [FLOW], 0, MAR * MS)) == 6, "SELECT is all it takes"


async def test_a_database_without_the_tables_is_an_error_that_says_so(
    make: Make, past: IgnitionHistory
) -> None:
    ignition = make(database={**past.config, "database": "postgres"})
    with pytest.raises(RequestFailed, match="sqlth_te"):
        await _history(ignition, [FLOW], 0, MAR * MS)
    wrong = make(database={**past.config, "password": "wrong"})
    with pytest.raises(AuthFailed):
        await _history(wrong, [FLOW], 0, MAR * MS)
    assert not (await wrong.check()).ok


# ---- which way serves a call -----------------------------------------------------------------


async def test_with_a_database_alone_reading_browsing_and_streaming_come_from_it(
    make: Make, past: IgnitionHistory
) -> None:
    ignition = make()
    flow, absent = await ignition.read([FLOW, "Boiler1/Absent"])
    assert (flow.value, flow.quality) == (6.5, Quality.BAD_NO_COMMUNICATION)
    assert absent.quality == Quality.BAD_NODE_ID_UNKNOWN
    assert await ignition.read_tags(["Boiler1/Note"]) == ["it's"]
    assert ignition.state is State.UP
    found = [f.address async for f in ignition.browse("boiler1")]
    assert found == ["boiler1/note", "boiler1/serviced", "boiler1/steamflow"]
    with pytest.raises(Unsupported, match="no OPC UA server"):
        await ignition.write(FLOW, 1.0)
    tag = past.tag("stream/flow", 1, FLOAT, created=JAN)
    past.put("sqlt_data_1_2025_02", tag, FLOAT, (FEB, 1.0))
    spec = IgnitionInput.parse(
        {"source": "ignition", "tags": ["stream/*"], "interval": 0.05, "prefix": "p."}
    )
    source = ignition.source(spec)
    async with asyncio.timeout(60), source.open() as batches:
        assert [(s.tag, s.value) for s in await anext(batches)] == [("p.stream/flow", 1.0)]
        past.put("sqlt_data_1_2025_02", tag, FLOAT, (FEB + 1, 2.0))
        assert [s.value for s in await anext(batches)] == [2.0]


NO_PATHS = ["", "[default]", "[a]b[c", "ns=70000;i=1"]


async def test_what_is_no_tag_path_is_a_bad_sample_and_harms_no_other(make: Make) -> None:
    asked = [NO_PATHS[0], "Boiler1/Note", *NO_PATHS[1:]]
    samples = await make().read(asked)
    assert [s.tag for s in samples] == asked
    assert [s.value for s in samples] == [None, "it's", None, None, None]
    assert {s.quality for s in samples if s.value is None} == {Quality.BAD_NODE_ID_UNKNOWN}


async def test_without_a_database_there_is_no_history(make: Make) -> None:
    ignition = make(url="opc.tcp://127.0.0.1:1", database=None)
    with pytest.raises(Unsupported, match="no database"):
        await _history(ignition, [FLOW], 0, 1)


async def test_what_is_now_comes_over_opc_ua_and_what_was_from_the_database(make: Make) -> None:
    with NodeOpcua(IGNITION=1) as server:
        ignition = make(url=server.url)
        assert await ignition.read_tag(FLOW) == 50000.0
        assert await ignition.read_tag(f"[default]{FLOW}") == 50000.0
        assert await ignition.read_tags(["Boiler1/Starts", "Boiler1/Absent"]) == [41, None]
        for absent in ("Boiler1/Absent", *NO_PATHS):
            with pytest.raises(TagNotFound):
                await ignition.read_tag(absent)
        asked = [NO_PATHS[0], "Boiler1/Starts", *NO_PATHS[1:]]
        samples = await ignition.read(asked)
        assert [(s.tag, s.value) for s in samples] == [
            (tag, 41 if tag == "Boiler1/Starts" else None) for tag in asked
        ]
        assert {s.quality for s in samples if s.value is None} == {Quality.BAD_NODE_ID_UNKNOWN}
        await ignition.write_tag("Boiler1/SetPoint", 2.5)
        assert server.value("[default]Boiler1/SetPoint") == 2.5
        assert len(await _history(ignition, [FLOW], 0, MAR * MS)) == 6
        health = await ignition.check()
        assert health.ok
        assert "history of" in health.detail
        found = {f.address: f async for f in ignition.browse("", depth=2)}
        assert FLOW in found
        assert found["Boiler1/SetPoint"].writable
        assert not found[FLOW].writable


# ---- paths -----------------------------------------------------------------------------------


def test_a_path_without_a_provider_is_one_of_the_own_provider() -> None:
    assert str(wire.parse(FLOW, "default")) == f"[default]{FLOW}"
    assert wire.parse("[edge]A/B", "default") == ("edge", "A/B")
    assert wire.parse("/A/B/", "x").key == "a/b"
    for wrong in ("", "[default]", "[a]b[c", "]"):
        with pytest.raises(DataError):
            wire.parse(wrong, "default")


@pytest.mark.parametrize(
    ("integrity", "quality"),
    [
        (192, Quality.GOOD), (None, Quality.GOOD), (0, Quality.BAD), (64, Quality.UNCERTAIN),
        (500, Quality.BAD_NO_COMMUNICATION), (404, Quality.BAD_NODE_ID_UNKNOWN),
        (600, Quality.BAD), (-1, Quality.BAD),
    ],
)  # fmt: skip
def test_integrity_is_quality(integrity: int | None, quality: Quality) -> None:
    assert wire.quality(integrity) == quality
