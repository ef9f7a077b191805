"""Samples in PostgreSQL: nothing lost, nothing doubled, each as it was."""

from __future__ import annotations

import asyncio
import math
from itertools import zip_longest
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gl002.context import Context
from gl002.errors import PartialWrite, RequestFailed
from gl002.integrations.databases import AsyncPostgreSQLConnector
from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value
from gl002.security.audit import Audit
from gl002.security.network import Network
from integrations.postgresql_site import (
    SECOND,
    START,
    Make,
    context,
    empty,
    make,
    ready,
    recorded,
    role,
    series,
    server,
)
from peers.postgresql import PostgreSQL

fixtures = server, empty, context, make


@pytest.mark.parametrize(
    "value",
    [
        True,
        False,
        0,
        -7,
        2**53 + 1,
        2**64 - 1,
        0.0,
        2.0,
        1e-300,
        "",
        "auto",
        "ü ✓",
        "a\tb\\n",
        None,
    ],
)
async def test_a_sample_comes_back_as_it_was(make: Make, value: Value) -> None:
    connector = make()
    sample = Sample("boiler1.x", value, START + 1000, Quality.BAD_OUT_OF_SERVICE)
    await (await ready(connector)).write([sample])
    (latest,) = await connector.read(["boiler1.x"])
    assert latest == sample
    assert type(latest.value) is type(value)
    assert await recorded(connector, "boiler1.x") == [sample]


async def test_a_replay_writes_nothing_at_all(make: Make, server: PostgreSQL) -> None:
    batch = series(500)
    sink = await ready(make())
    await sink.write(batch)
    rows = "SELECT tag, time, value, xmin, ctid FROM samples ORDER BY tag, time"
    before = server.execute(rows)
    assert len(before) == 500
    await sink.write(batch)
    await (await ready(make())).write(batch[::-1])
    assert server.execute(rows) == before, "not one row was written again"


async def test_of_one_tag_and_time_the_later_sample_stays(make: Make) -> None:
    connector = make()
    sink = await ready(connector)
    await sink.write([Sample("a", 1.0, START), Sample("a", 2.0, START)])
    assert [s.value for s in await recorded(connector, "a")] == [2.0]
    await sink.write([Sample("a", 3.0, START, Quality.UNCERTAIN)])
    assert await recorded(connector, "a") == [Sample("a", 3.0, START, Quality.UNCERTAIN)]


STEPS = st.lists(
    st.one_of(
        st.just("prepare"),
        st.lists(
            st.builds(
                Sample,
                st.sampled_from(["a", "b", "c"]),
                st.one_of(st.none(), st.integers(-9, 9), st.sampled_from(["x", "y"])),
                st.integers(0, 9).map(lambda second: START + second * SECOND),
                st.sampled_from([0, int(Quality.UNCERTAIN)]),
            ),
            max_size=6,
        ),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.differing_executors])
@given(STEPS, STEPS)
def test_whatever_two_outputs_write_in_whatever_order_the_last_word_stays(
    server: PostgreSQL, tmp_path_factory: pytest.TempPathFactory, one: Any, two: Any
) -> None:
    folder, expected = tmp_path_factory.mktemp("state"), {}
    server.execute("DROP TABLE IF EXISTS samples, gl002_tag")

    async def write() -> Batch:
        context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
        async with AsyncPostgreSQLConnector(server.config, context=context) as connector:
            sinks = [await ready(connector), await ready(connector)]
            for step in zip_longest(one, two, fillvalue=[]):
                for sink, batch in zip(sinks, step, strict=True):
                    if batch == "prepare":
                        await sink.prepare()
                        continue
                    await sink.write(batch)
                    expected.update({(s.tag, s.time): s for s in batch})
            stored = await recorded(connector, "a", "b", "c")
        context.audit.close()
        return stored

    assert asyncio.run(write()) == [sample for _, sample in sorted(expected.items())]


async def test_rows_that_another_writer_was_faster_to_write_are_merged(make: Make) -> None:
    connector = make()
    one, two = await ready(connector), await ready(connector)
    await one.write(series(10))
    await two.write(series(100, start=START + SECOND))
    await one.write([Sample(s.tag, -1.0, s.time) for s in series(60)])
    await one.write(series(110))
    values = [s.value for s in await recorded(connector, "boiler0.flow")]
    assert values == [float(i) for i in range(55)]


async def test_a_table_with_row_security_is_written_too(make: Make, server: PostgreSQL) -> None:
    role(server, "secured", "LOGIN")
    server.execute("GRANT USAGE, CREATE ON SCHEMA public TO secured")
    connector = make(user="secured", password="role-canary-1")
    sink = await ready(connector)
    server.execute("ALTER TABLE samples ENABLE ROW LEVEL SECURITY")
    server.execute("ALTER TABLE samples FORCE ROW LEVEL SECURITY")
    server.execute("CREATE POLICY all_rows ON samples USING (true)")
    await sink.write(series(4))
    await sink.write(series(8))
    assert server.execute("SELECT count(*) FROM samples") == [(8,)]
    server.execute("DROP OWNED BY secured")


async def test_samples_within_a_microsecond_are_merged_counted_and_warned_of_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    sink = await ready(connector)
    batch = [Sample("a", float(i), START + i * 100) for i in range(25)]
    await sink.write(batch)
    await sink.write(batch)
    assert [s.value for s in await recorded(connector, "a")] == [9.0, 19.0, 24.0]
    assert sink.merged == 2 * 22  # type: ignore[attr-defined]  # a PostgreSQLSink
    assert sum("microsecond" in r.getMessage() for r in caplog.records) == 1


async def test_a_repeated_sample_is_no_merged_sample(make: Make) -> None:
    sink = await ready(make())
    await sink.write([Sample("a", 1.0, START)] * 3)
    assert sink.merged == 0  # type: ignore[attr-defined]  # a PostgreSQLSink


async def test_what_no_row_can_hold_is_named_and_all_else_is_stored(make: Make) -> None:
    connector, good = make(), series(4)
    bad = [
        Sample("a\0b", 1.0, START), Sample("t", "a\0b", START), Sample("t", "\ud800", START),
        Sample("t", "x" * 1_000_001, START), Sample("t" * 501, 1.0, START), Sample("t", 10**400, 0),
    ]  # fmt: skip
    batch = [bad[0], *good[:2], *bad[1:4], *good[2:], *bad[4:]]
    with pytest.raises(PartialWrite) as caught:
        await (await ready(connector)).write(batch)
    assert {batch[i] for i in caught.value.rejected} == set(bad)
    stored = await recorded(connector, "boiler0.flow", "boiler1.flow")
    assert stored == sorted(good, key=lambda s: s.tag)


async def test_the_longest_tag_fits_the_index(make: Make) -> None:
    connector, tag = make(), "".join(chr(0x10000 + i * 7919 % 0xFFFF) for i in range(500))
    await (await ready(connector)).write([Sample(tag, 1.0, START)])
    assert len(await recorded(connector, tag)) == 1


async def test_what_is_no_number_is_a_bad_row_without_a_value(make: Make) -> None:
    connector = make()
    odd = [Sample(f"t{v}", v, START) for v in (math.nan, math.inf, -math.inf)]
    await (await ready(connector)).write(odd)
    for sample in await connector.read([s.tag for s in odd]):
        assert (sample.value, sample.quality >> 31) == (None, 1)


async def test_units_and_descriptions_are_in_the_tag_table(
    make: Make, context: Context, server: PostgreSQL
) -> None:
    context.tags.declare(Tag(name="a", unit="kg/s", description="Steam"))
    connector = make()
    sink = await ready(connector)
    await sink.write([Sample("a", 1, START), Sample("b", True, START)])
    await sink.write([Sample("a", 2.5, START + SECOND), Sample("b", "off", START + SECOND)])
    context.tags.declare(Tag(name="b", unit="", description="Burner"))
    await sink.write([Sample("b", False, START + 2 * SECOND)])
    assert server.execute("SELECT * FROM gl002_tag ORDER BY name") == [
        ("a", "kg/s", "Steam", "float"),
        ("b", "", "Burner", "bool"),
    ]
    assert [s.value for s in await recorded(connector, "b")] == [True, "off", False]
    assert [(f.name, f.unit, f.type) async for f in connector.browse("a")] == [
        ("a", "kg/s", "float")
    ]


async def test_a_type_and_a_unit_that_are_known_are_never_narrowed_or_hidden(
    make: Make, context: Context, server: PostgreSQL
) -> None:
    context.tags.declare(Tag(name="a", unit="kg/s"))
    await (await ready(make())).write([Sample("a", 1.5, START)])
    context.tags = TagTable()
    await (await ready(make())).write([Sample("a", 1, START + SECOND)])
    assert server.execute("SELECT unit, type FROM gl002_tag") == [("kg/s", "float")]


async def test_history_pages_through_many_samples_in_order(make: Make) -> None:
    connector, batch = make(), series(25_000, tags=1)
    sink = await ready(connector)
    for i in range(0, len(batch), 5000):
        await sink.write(batch[i : i + 5000])
    assert await recorded(connector, "boiler0.flow") == batch
    bounds = (batch[3].time, batch[7].time)
    (page,) = [page async for page in connector.history(["boiler0.flow"], *bounds)]
    assert page == batch[3:7]


async def test_reading_before_anything_was_written_says_so(make: Make) -> None:
    with pytest.raises(RequestFailed, match="no such table"):
        await make().read(["a"])
