"""Following a history: each sample once, whatever the clocks say and however much there is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gl002.connector import Found
from gl002.context import Context
from gl002.integrations.databases import AsyncSQLiteConnector
from gl002.model import Batch, Sample, TagTable, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from gl002.transport import following
from integrations.following_site import Reader, doubled

SECOND = 1_000_000_000
YEAR = 365 * 86400 * SECOND


@pytest.fixture
async def history(tmp_path: Path) -> AsyncIterator[AsyncSQLiteConnector]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    async with AsyncSQLiteConnector({}, context=context) as connector:
        yield connector
    audit.close()


def source(history: AsyncSQLiteConnector, **spec: Any) -> Source:
    given = {"source": "sqlite", "interval": 0.01, **spec}
    return history.source(history.Input.parse(given))


async def test_a_backlog_of_many_tags_comes_in_pieces_and_once(
    history: AsyncSQLiteConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a gateway that was off for a weekend fills its memory when it comes back."""
    monkeypatch.setattr(following, "_MOST_READ", 500)
    begin = now_ns() - 2000 * SECOND
    stored = [
        Sample(f"t{n:02}", float(i), begin + i * SECOND + n) for n in range(50) for i in range(200)
    ]
    await history.store(stored)
    async with source(history, from_start=True, lookback=60).open() as batches:
        reader = Reader(batches)
        await reader.until(stored[-1])
        after = Sample("t00", -1.0, begin + 300 * SECOND)
        await history.store([after])
        found = await reader.until(after)
    assert max(len(batch) for batch in reader.batches) <= 500
    assert doubled(found) == []
    assert {(s.tag, s.time) for s in found} == {(s.tag, s.time) for s in [*stored, after]}


async def test_more_than_can_be_remembered_is_not_delivered_again(
    history: AsyncSQLiteConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time looked back becomes shorter rather than that samples come twice."""
    monkeypatch.setattr(following, "_MOST_SEEN", 100)
    begin = now_ns() - 2000 * SECOND
    stored = [Sample(f"t{n}", float(i), begin + i * SECOND) for n in range(10) for i in range(50)]
    await history.store(stored)
    async with source(history, from_start=True, lookback=600).open() as batches:
        reader = Reader(batches)
        await reader.until(stored[-1])
        for second in (51, 52, 53):
            after = Sample("t0", -1.0, begin + second * SECOND)
            await history.store([after])
            found = await reader.until(after)
        late = Sample("t1", -2.0, begin + 53 * SECOND - 1)
        await history.store([late])
        found = await reader.until(late)
    assert doubled(found) == []
    assert len(found) == len(stored) + 4


async def test_late_samples_are_met_where_a_page_holds_less_than_the_time_to_look_back(
    history: AsyncSQLiteConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "PAGE", 20)
    begin = now_ns() - 100 * SECOND
    stored = [Sample("a", float(i), begin + i * SECOND) for i in range(90)]
    await history.store(stored)
    async with source(history, from_start=True, lookback=95).open() as batches:
        reader = Reader(batches)
        await reader.until(stored[-1])
        late = Sample("a", -1.0, begin + 5 * SECOND + 1)
        await history.store([late])
        found = await reader.until(late)
    assert doubled(found) == []
    assert len(found) == 91


async def test_a_tag_whose_clock_is_ahead_hides_no_other(history: AsyncSQLiteConnector) -> None:
    now = now_ns()
    ahead, other = Sample("ahead", 1.0, now + YEAR), Sample("other", 1.0, now - SECOND)
    await history.store([ahead, other])
    one = source(history, lookback=5)
    async with one.open() as batches:
        reader = Reader(batches)
        await reader.until(ahead)
        new = Sample("other", 2.0, now)
        await history.store([new])
        assert doubled(await reader.until(new)) == []
    again = source(history, lookback=5)
    again.resume(one.position())
    async with again.open() as batches:
        newer = Sample("other", 3.0, now + 1)
        await history.store([newer])
        await Reader(batches).until(newer)


async def test_a_place_that_was_kept_while_our_clock_was_ahead_holds_nothing_back(
    history: AsyncSQLiteConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = now_ns()
    monkeypatch.setattr(following, "now_ns", lambda: now + 2 * YEAR)
    await history.store([Sample("a", 1.0, now + YEAR)])
    one = source(history, lookback=5)
    async with one.open() as batches:
        await Reader(batches).until(Sample("a", 1.0, now + YEAR))
    monkeypatch.undo()
    again = source(history, lookback=5)
    again.resume(one.position())
    async with again.open() as batches:
        new = Sample("b", 2.0, now)
        await history.store([new])
        await Reader(batches).until(new)


async def test_a_backlog_that_ends_in_the_middle_goes_on_there_and_looks_back(
    history: AsyncSQLiteConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "_MOST_READ", 40)
    begin = now_ns() - 2000 * SECOND
    stored = [Sample(f"t{n}", float(i), begin + i * SECOND) for n in range(2) for i in range(200)]
    await history.store(stored)
    one = source(history, from_start=True, lookback=10)
    first: Batch = []
    async with one.open() as batches:
        for _ in range(3):
            place = one.position()
            first += await anext(batches)
    again = source(history, from_start=True, lookback=10)
    again.resume(place)  # of the second batch: the third never became durable
    async with again.open() as batches:
        second = await Reader(batches).until(stored[-1])
    assert {(s.tag, s.time) for s in [*first, *second]} == {(s.tag, s.time) for s in stored}
    assert doubled(second) == []
    assert len(second) < len(stored)


async def test_a_tag_may_be_named_though_its_name_looks_like_a_pattern(
    history: AsyncSQLiteConnector,
) -> None:
    sample = Sample("burner[1].flame", 1.0, now_ns())
    await history.store([sample])
    async with source(history, tags=["burner[1].flame"]).open() as batches:
        await Reader(batches).until(sample)


async def test_more_samples_of_one_moment_than_a_page_holds_do_not_stop_the_reading() -> None:
    """No narrow table has such; a historian that keeps versions of a value might."""
    stuck = [Sample("t", float(n), SECOND) for n in range(following.PAGE)]
    after = Sample("t", 1.5, 2 * SECOND)

    async def browse() -> AsyncIterator[Found]:
        yield Found(address="t", name="t", path="t", type="", unit="", description="")

    async def newest(_: Any) -> Batch:
        return [after]

    async def pages(_: Any, start: int, end: int, limit: int) -> Batch:
        return [s for s in [*stuck, after] if start <= s.time < end][:limit]

    spec = following.FollowInput.parse({"source": "x", "interval": 0.01, "from_start": True})
    told = following.FollowingSource(
        "x", spec, browse=browse, newest=newest, pages=pages, about=TagTable()
    )  # fmt: skip
    async with told.open() as batches:
        assert after in await Reader(batches).until(after)
