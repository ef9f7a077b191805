"""Ignition's history where tables, lives and tag groups overlap: no row is lost or comes twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.integrations.historians import AsyncIgnitionConnector
from gl002.model import Quality
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.narrow import PAGE
from gl002.wire import ignition as wire
from peers.ignition_history import FLOAT, INT, IgnitionHistory

JAN, FEB, MAR = 1_735_689_600_000, 1_738_368_000_000, 1_740_787_200_000  # 2025, ms UTC
MS = 1_000_000
HOUR = 3_600_000


@pytest.fixture(scope="module")
def past() -> Iterator[IgnitionHistory]:
    with IgnitionHistory() as server:
        driver = server.driver()
        server.group(driver)
        server.partition("sqlt_data_1_2025_01", driver, JAN, FEB)
        server.partition("sqlt_data_1_2025_02", driver, FEB, MAR)
        yield server


@pytest.fixture
async def ignition(past: IgnitionHistory, tmp_path: Path) -> AsyncIterator[AsyncIgnitionConnector]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    connector = AsyncIgnitionConnector({"database": past.config}, context=context)
    yield connector
    await connector.close()
    audit.close()


async def _history(ignition: AsyncIgnitionConnector, *args: Any) -> list[tuple[int, Any]]:
    return [(s.time // MS, s.value) async for batch in ignition.history(*args) for s in batch]


async def test_two_lives_with_a_value_at_the_same_time_give_one_and_lose_none_where_a_page_ends(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    edge = JAN + PAGE - 1  # the last one of the first page
    old = past.tag("twice", 1, INT, created=JAN, retired=edge + 5)
    new = past.tag("twice", 1, FLOAT, created=JAN)
    put = (
        "INSERT INTO sqlt_data_1_2025_01 (tagid, {}, dataintegrity, t_stamp) "
        "SELECT %s, n, 192, %s + n FROM generate_series(%s::int, %s::int) n"
    )
    past.execute(put.format("intvalue"), (old, JAN, 0, PAGE - 1))
    past.execute(put.format("floatvalue"), (new, JAN, PAGE - 3, PAGE + 50))
    recorded = await _history(ignition, ["twice"], JAN * MS, FEB * MS)
    assert [time for time, _ in recorded] == [JAN + n for n in range(PAGE + 51)]
    assert recorded[-1] == (JAN + PAGE + 50, PAGE + 50.0)


async def test_what_was_stored_late_is_there_though_it_is_older_than_its_tag(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    tag = past.tag("late", 1, FLOAT, created=FEB + HOUR)
    past.put("sqlt_data_1_2025_01", tag, FLOAT, (JAN + 1, 1.0))
    past.put("sqlt_data_1_2025_02", tag, FLOAT, (FEB + 2 * HOUR, 2.0))
    assert await _history(ignition, ["late"], JAN * MS, FEB * MS) == [(JAN + 1, 1.0)]
    recorded = await _history(ignition, ["late"], JAN * MS, MAR * MS)
    assert recorded == [(JAN + 1, 1.0), (FEB + 2 * HOUR, 2.0)]
    seeded = await ignition.read_history("late", FEB * MS, (FEB + 1) * MS, seed=True)
    assert seeded == [], "before a tag lives, nothing is known of what it holds"


async def test_the_newest_value_is_found_whichever_table_has_it(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    """Partitioning was switched off, or the system name changed: the tables overlap in time."""
    other = past.driver("plant-gw-2")
    group = past.group(other)
    past.partition("sqlth_9_data", other, 0, 2**60)
    first = past.tag("moved", 1, FLOAT, created=JAN)
    past.put("sqlt_data_1_2025_02", first, FLOAT, (FEB + 5, 1.0))
    second = past.tag("moved", group, FLOAT, created=FEB)
    past.put("sqlth_9_data", second, FLOAT, (FEB + 6, 2.0))
    (sample,) = await ignition.read(["moved"])
    assert (sample.value, sample.time) == (2.0, (FEB + 6) * MS)
    past.put("sqlt_data_1_2025_02", first, FLOAT, (FEB + 7, 3.0))
    (sample,) = await ignition.read(["moved"])
    assert (sample.value, sample.time) == (3.0, (FEB + 7) * MS)


async def test_a_partition_without_an_end_is_open(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    past.partition("sqlt_data_1_2025_03", 1, MAR, MAR)
    past.execute("UPDATE sqlth_partitions SET end_time = NULL WHERE pname = 'sqlt_data_1_2025_03'")
    tag = past.tag("open", 1, FLOAT, created=JAN)
    past.put("sqlt_data_1_2025_03", tag, FLOAT, (MAR + HOUR, 1.0))
    recorded = await _history(ignition, ["open"], JAN * MS, (MAR + 2 * HOUR) * MS)
    assert recorded == [(MAR + HOUR, 1.0)]


async def test_a_group_that_the_tag_has_left_does_not_vouch_for_it(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    left, joined = past.group(1, "left"), past.group(1, "joined")
    past.executed(left, JAN, JAN + 10 * HOUR)
    past.executed(joined, JAN + HOUR, JAN + 2 * HOUR)
    past.tag("changed", left, FLOAT, created=JAN, retired=JAN + HOUR)
    tag = past.tag("changed", joined, FLOAT, created=JAN + HOUR)
    past.put("sqlt_data_1_2025_01", tag, FLOAT, (JAN + 2 * HOUR - 1, 7.0))
    gaps = await ignition.read_history("changed", JAN * MS, (JAN + 9 * HOUR) * MS, gaps=True)
    assert [(s.time // MS, s.value) for s in gaps] == [
        (JAN + 2 * HOUR - 1, 7.0), (JAN + 2 * HOUR, None),
    ]  # fmt: skip
    at = (JAN + 5 * HOUR) * MS
    assert await ignition.read_history("changed", at, at + MS, seed=True) == []


async def test_a_folder_is_not_another_whose_name_goes_on(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    edge = past.group(past.driver("plant-gw", "edge"))
    for path, group in (("b1/flow", 1), ("b10/flow", 1), ("b1", 1), ("b1/flow", edge)):
        past.tag(path, group, FLOAT, created=JAN)
    past.tag("b1/flow", 1, FLOAT, created=FEB)  # a life that was not ended

    async def browse(address: str) -> list[str]:
        return [f.address async for f in ignition.browse(address)]

    assert await browse("B1") == ["b1", "b1/flow"]
    assert await browse("[default]b1/") == ["b1", "b1/flow"]
    assert await browse("[edge]") == ["[edge]b1/flow"]
    assert await browse("[edge]b10") == []
    everything = await browse("")
    assert len(everything) == len(set(everything))
    assert {"b1/flow", "b10/flow", "[edge]b1/flow"} <= set(everything)


async def test_the_check_names_the_gateways_that_store_there(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    past.driver("office-gw")
    health = await ignition.check()
    assert health.ok
    assert "office-gw, plant-gw" in health.detail


async def test_a_page_goes_along_the_index_and_not_through_the_rest_of_the_month(
    ignition: AsyncIgnitionConnector, past: IgnitionHistory
) -> None:
    ids = [past.tag("big", 1, FLOAT, created=JAN), past.tag("big", 1, FLOAT, created=FEB)]
    for table, id_, start in (
        ("sqlt_data_1_2025_01", ids[0], JAN),
        ("sqlt_data_1_2025_02", ids[1], FEB),
    ):
        past.execute(
            f"INSERT INTO {table} (tagid, floatvalue, dataintegrity, t_stamp) "
            "SELECT %s, n, 192, %s + n FROM generate_series(1, 100000) n", (id_, start),
        )  # fmt: skip
    past.execute("ANALYZE")
    before = _read(past)
    batches = ignition.history(["big"], JAN * MS, MAR * MS)
    assert len(await anext(batches)) == PAGE
    await batches.aclose()  # type: ignore[attr-defined]  # it is a generator
    await ignition.close()  # a session tells what it has read when it ends
    assert 0 < _read(past) - before < 3 * PAGE


def _read(past: IgnitionHistory) -> int:
    """Rows that were read of the data tables, by the server's own count."""
    past.execute("SELECT pg_stat_force_next_flush()")
    ((read,),) = past.execute(
        "SELECT sum(pg_stat_get_tuples_fetched(oid) + pg_stat_get_tuples_returned(oid)) "
        "FROM pg_class WHERE relname LIKE 'sqlt_data%'"
    )
    return int(read)


@pytest.mark.parametrize(
    ("integrity", "quality"),
    [
        (203, Quality.GOOD), (200, Quality.GOOD), (256, Quality.UNCERTAIN),
        (1073742080, Quality.UNCERTAIN), (1073742081, Quality.UNCERTAIN_LAST_USABLE_VALUE),
        (258, Quality.UNCERTAIN_INITIAL_VALUE), (-2147483136, Quality.BAD), (512, Quality.BAD),
        (-2147483132, Quality.BAD_NO_COMMUNICATION), (516, Quality.BAD_NO_COMMUNICATION),
        (-2147483129, Quality.BAD_NODE_ID_UNKNOWN), (515, Quality.BAD_OUT_OF_SERVICE),
        (-1073741055, Quality.BAD_CONFIGURATION_ERROR), (301, Quality.BAD_CONFIGURATION_ERROR),
        (262, Quality.BAD), (2**31 - 1, Quality.BAD), (-(2**31), Quality.BAD),
    ],
)  # fmt: skip
def test_a_code_of_ignition_8_is_its_quality_with_and_without_its_kind(
    integrity: int, quality: Quality
) -> None:
    assert wire.quality(integrity) == quality
