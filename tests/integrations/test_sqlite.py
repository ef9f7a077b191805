"""The embedded history: each sample as it was, once, and quick to read by tag."""

from __future__ import annotations

import math
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.context import Context
from gl002.errors import PartialWrite
from gl002.integrations.databases import SQLiteConnector
from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value
from gl002.transport.sqlite import HistoryFile
from integrations.sqlite_site import ALWAYS, SECOND, START, context, make, query, recorded, series

fixtures = context, make


# ---- values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [True, False, 0, -7, 2**63 - 1, 2**64 - 1, -(2**70), 0.0, 2.0, 1e-300, "", "auto", "ü ✓", None],
)
async def test_a_sample_comes_back_as_it_was(make, value: Value) -> None:
    sample = Sample("boiler1.x", value, START + 1, Quality.UNCERTAIN_SUB_NORMAL)
    connector = make()
    await connector.store([sample])
    (latest,) = await connector.read(["boiler1.x"])
    assert latest == sample
    assert type(latest.value) is type(value)
    assert await recorded(connector, "boiler1.x") == [sample]


async def test_what_is_no_number_is_a_bad_sample_without_a_value(make) -> None:
    connector = make()
    odd = [Sample(f"t{v}", v, START) for v in (math.nan, math.inf, -math.inf)]
    await connector.store(odd)
    for sample in await connector.read([s.tag for s in odd]):
        assert (sample.value, sample.quality >> 31) == (None, 1)


async def test_a_tag_keeps_its_unit_description_and_the_widest_type_it_had(make, context) -> None:
    context.tags.declare(Tag(name="a", unit="kg/s", description="Steam"))
    connector = make()
    await connector.store([Sample("a", 1, START)])
    await connector.store([Sample("a", 1.5, START + 1)])
    (found,) = [found async for found in connector.browse()]
    assert (found.name, found.unit, found.description) == ("a", "kg/s", "Steam")
    assert found.type == "float"
    assert [s.value for s in await recorded(connector, "a")] == [1.0, 1.5]


async def test_a_tag_declared_after_its_first_sample_gets_its_unit(make, context) -> None:
    connector = make()
    await connector.store([Sample("a", 1.0, START)])
    context.tags.declare(Tag(name="a", unit="degC"))
    await connector.store([Sample("a", 2.0, START + 1)])
    assert [found.unit async for found in connector.browse("a")] == ["degC"]


@pytest.mark.parametrize(
    "tag", ["'; DROP TABLE sample; --", '"', "tag' OR '1'='1", "%", "?", "a\nb", "💧", " ", ""]
)
async def test_a_name_that_looks_like_code_is_only_a_name(make, tag: str) -> None:
    connector = make()
    await connector.store([Sample(tag, 1.0, START), Sample("other", 2.0, START)])
    assert [s.value for s in await recorded(connector, tag)] == [1.0]
    assert [s.value for s in await recorded(connector, "other")] == [2.0]


async def test_what_no_row_can_hold_is_named_and_all_else_is_stored(make) -> None:
    connector, good = make(), series(4)
    bad = [Sample("\ud800", 1.0, START), Sample("t", "\ud800", START), Sample("t", 1.0, 2**70)]
    with pytest.raises(PartialWrite) as caught:
        await connector.store([bad[0], *good[:2], bad[1], *good[2:], bad[2]])
    assert set(caught.value.rejected) == {0, 3, 6}
    assert all(caught.value.rejected.values())
    assert await recorded(connector, "boiler0.flow", "boiler1.flow") == sorted(
        good, key=lambda s: s.tag
    )


# ---- keys -------------------------------------------------------------------------------------


async def test_the_same_batch_again_changes_nothing(make) -> None:
    connector, batch = make(), series(1000)
    await connector.store(batch)
    before = query(connector.path, "SELECT * FROM history ORDER BY tag, time")
    await connector.store(batch)
    await connector.store(batch[::-1])
    assert query(connector.path, "SELECT * FROM history ORDER BY tag, time") == before


async def test_a_later_sample_of_the_same_time_takes_the_place_of_the_earlier(make) -> None:
    connector = make()
    await connector.store([Sample("a", 1.0, START), Sample("a", 2.0, START)])
    assert [s.value for s in await recorded(connector, "a")] == [2.0]
    await connector.store([Sample("a", 3.0, START, Quality.UNCERTAIN)])
    assert await recorded(connector, "a") == [Sample("a", 3.0, START, Quality.UNCERTAIN)]


SAMPLES = st.builds(
    Sample,
    st.sampled_from(["a", "b", "c"]),
    st.one_of(st.none(), st.integers(-9, 9), st.floats(-9, 9), st.sampled_from(["x", "y"])),
    st.integers(0, 12),
    st.sampled_from([0, int(Quality.UNCERTAIN), int(Quality.BAD)]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(SAMPLES, max_size=8), max_size=12), st.integers(1, 9))
def test_whatever_arrives_in_whatever_order_the_file_says_the_same(
    tmp_path_factory, batches: list[Batch], settle_at: int
) -> None:
    path = tmp_path_factory.mktemp("history") / "h.sqlite"
    file, expected = HistoryFile(path, settle_at=settle_at), {}
    file.open()
    with closing(file):
        for batch in batches:
            assert file.write(batch, TagTable()) == {}
            expected.update({(s.tag, s.time): s for s in batch})
        for tag in "abc":
            of_tag = [s for (name, _), s in sorted(expected.items(), key=lambda e: e[0])
                      if name == tag]  # fmt: skip
            assert file.page(tag, *ALWAYS, 100) == of_tag
            assert file.page(tag, 3, 7, 100) == [s for s in of_tag if 3 <= s.time < 7]
            assert file.page(tag, 0, 99, 2) == of_tag[:2]
            assert file.latest([tag]) == ({tag: of_tag[-1]} if of_tag else {})
        in_view = query(path, "SELECT tag, time, quality FROM history ORDER BY tag, time")
    assert in_view == sorted((s.tag, s.time, s.quality) for s in expected.values())


async def test_history_pages_through_many_samples_in_order(make) -> None:
    connector, batch = make(), series(50_000, tags=2)
    for i in range(0, len(batch), 10_000):
        await connector.store(batch[i : i + 10_000])
    await connector.store(series(10, tags=2, start=START - 100 * SECOND))
    read = await recorded(connector, "boiler1.flow")
    assert len(read) == 25_005
    assert [s.time for s in read] == sorted({s.time for s in read})


# ---- the blocking face ------------------------------------------------------------------------


def test_a_script_stores_browses_and_reads_without_asyncio(context: Context) -> None:
    with SQLiteConnector({}, context=context) as history:
        history.store(
            [Sample("boiler1.flow", 12.5, START), Sample("boiler1.flow", 13.0, START + 1)]
        )
        assert [tag.name for tag in history.browse("boiler1")] == ["boiler1.flow"]
        assert history.read(["boiler1.flow"])[0].value == 13.0
        (batch,) = history.history(["boiler1.flow"], START, START + 1)
        assert [s.value for s in batch] == [12.5]
        assert history.check().ok
    context.audit.close()
