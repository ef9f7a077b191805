"""Trends of the embedded history: every low and high is there, however long the range is."""

from __future__ import annotations

import math
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gl002.context import Context
from gl002.errors import ConfigError, ConnectFailed
from gl002.integrations.databases import AsyncSQLiteConnector, SQLiteConnector
from gl002.model import Batch, Quality, Sample, TagTable, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.sqlite import HistoryFile
from gl002.transport.sqlite.aggregates import HOUR, MINUTE, floor
from gl002.trend import Bucket, reduced

SECOND = 1_000_000_000
DAY = 24 * HOUR
START = floor(1_760_000_000 * SECOND, DAY)
BAD = int(Quality.BAD_SENSOR_FAILURE)


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


def opened(path: Path, *, settle_at: int = 1000) -> HistoryFile:
    file = HistoryFile(path, settle_at=settle_at)
    file.open()
    return file


def noise(count: int, step: int, *, start: int = START, seed: int = 1) -> Batch:
    """A random walk with a spike here and there, and some samples that are bad."""
    chance, level, batch = random.Random(seed), 50.0, []
    for i in range(count):
        level += chance.uniform(-1, 1)
        value = level + (900 if chance.random() < 0.001 else 0)
        quality = BAD if chance.random() < 0.01 else 0
        batch.append(Sample("t", None if quality else value, start + i * step, quality))
    return batch


def figures(buckets: list[Bucket]) -> list[tuple]:
    """Everything of them, the mean rounded: sums of floats depend on their order."""
    return [
        (b.start, b.end, b.samples, b.used, b.low, b.high, b.mean and round(b.mean, 9), b.quality)
        for b in buckets
    ]


@pytest.mark.parametrize(
    ("step", "count", "points"),
    [
        (SECOND, 5000, 100),  # from samples
        (20 * SECOND, 5000, 100),  # from minutes
        (600 * SECOND, 5000, 50),  # from hours
        (SECOND, 10, 2000),  # more points than samples
    ],
)
@pytest.mark.parametrize("settle_at", [10**9, 700])
def test_a_trend_has_the_lows_highs_and_means_of_all_samples(
    tmp_path: Path, step: int, count: int, points: int, settle_at: int
) -> None:
    batch = noise(count, step)
    with closing(opened(tmp_path / "h.sqlite", settle_at=settle_at)) as file:
        for i in range(0, count, 300):
            file.write(batch[i : i + 300], TagTable())
        found = file.trend("t", START, START + count * step, points)
    assert points / 2 <= len(found) <= points or count < points
    assert sum(b.samples for b in found) == count
    numbers = [s.value for s in batch if s.value is not None]
    assert min(b.low for b in found if b.low is not None) == min(numbers)
    assert max(b.high for b in found if b.high is not None) == max(numbers)
    width = found[0].end - found[0].start
    covered = math.ceil((batch[-1].time + 1 - found[0].start) / width)
    expected = reduced(batch, found[0].start, found[0].start + covered * width, points=covered)
    assert figures(found) == figures(expected)


SAMPLES = st.builds(
    Sample,
    st.sampled_from(["t", "u"]),
    st.one_of(st.none(), st.integers(-9, 9), st.sampled_from(["x"]), st.booleans()),
    st.integers(-3 * 60, 3 * 60).map(lambda minute: START + minute * MINUTE // 3),
    st.sampled_from([0, int(Quality.UNCERTAIN), BAD]),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.lists(SAMPLES, max_size=8), max_size=12),
    st.integers(1, 9),
    st.integers(1, 200),
    st.booleans(),
)
def test_whatever_arrives_in_whatever_order_minutes_and_hours_agree_with_the_samples(
    tmp_path_factory: pytest.TempPathFactory, batches: list[Batch], settle_at: int, points: int,
    replayed: bool,  # noqa: FBT001 (hypothesis gives it)
) -> None:  # fmt: skip
    path, expected = tmp_path_factory.mktemp("history") / "h.sqlite", {}
    with closing(opened(path, settle_at=settle_at)) as file:
        for batch in batches * (2 if replayed else 1):
            file.write(batch, TagTable())
            expected.update({(s.tag, s.time): s for s in batch})
        samples = [s for (tag, _), s in expected.items() if tag == "t"]
        found = file.trend("t", START - HOUR, START + HOUR, points)
    samples = [s for s in samples if START - HOUR <= s.time < START + HOUR]
    assert sum(b.samples for b in found) == len(samples)
    for b in found:
        (whole,) = reduced(samples, b.start, b.end, points=1)
        assert figures([b]) == figures([whole])


def test_a_tag_without_samples_has_no_buckets_and_a_pause_is_a_gap(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "h.sqlite")) as file:
        file.write([Sample("t", 1.0, START), Sample("t", 2.0, START + 9 * SECOND)], TagTable())
        assert file.trend("absent", START, START + HOUR, 10) == []
        found = file.trend("t", START, START + 10 * SECOND, 10)
    assert [(b.start - START) // SECOND for b in found] == [0, 9]


def test_bad_samples_are_counted_but_are_no_lows_and_highs(tmp_path: Path) -> None:
    values = ((5.0, 0), (99.0, BAD), ("x", 0))
    batch = [Sample("t", value, START + i, quality) for i, (value, quality) in enumerate(values)]
    with closing(opened(tmp_path / "h.sqlite")) as file:
        file.write(batch, TagTable())
        (b,) = file.trend("t", START, START + SECOND, 1)
    assert (b.samples, b.used, b.low, b.high, b.mean, b.quality) == (3, 1, 5.0, 5.0, 5.0, BAD)


def test_whole_numbers_of_64_bits_do_not_overflow_a_total(tmp_path: Path) -> None:
    batch = [Sample("t", 2**63 - 1, START + i) for i in range(5)]
    with closing(opened(tmp_path / "h.sqlite", settle_at=1)) as file:
        file.write(batch, TagTable())
        (b,) = file.trend("t", START, START + HOUR, 1)
    assert b.mean == pytest.approx(2**63)


def test_a_late_sample_and_a_corrected_one_change_their_minute_and_hour(tmp_path: Path) -> None:
    with closing(opened(tmp_path / "h.sqlite", settle_at=1)) as file:
        file.write([Sample("t", 1.0, START + i * MINUTE) for i in range(120)], TagTable())
        file.write([Sample("t", 77.0, START + 5 * MINUTE + 1)], TagTable())
        file.write([Sample("t", -7.0, START + 90 * MINUTE)], TagTable())
        hours = file.trend("t", START, START + 2 * HOUR, 2)
        minutes = file.trend("t", START, START + 2 * HOUR, 120)
    assert [(b.samples, b.low, b.high) for b in hours] == [(61, 1.0, 77.0), (60, -7.0, 1.0)]
    assert minutes[5].high == 77.0
    assert minutes[90].low == -7.0


# ---- retention ----------------------------------------------------------------------------------


async def test_what_is_too_old_for_samples_is_shown_by_minutes_and_then_by_hours(
    context: Context,
) -> None:
    now = now_ns()
    kept = {"retention": "2 days", "minute_retention": "4 days", "hour_retention": "6 days"}
    batch = noise(8 * 24 * 60, MINUTE, start=now - 8 * DAY)
    connector = AsyncSQLiteConnector(kept, context=context)
    async with connector:
        connector._file._settle_at = 1000
        await connector.store(batch)
        while connector._trim_at == 0.0:
            await connector.store([Sample("u", 1.0, now)])
        found = await connector.trend("t", now - 8 * DAY, now, points=100_000)
        edge = await connector.trend("t", now - 51 * HOUR, now - 45 * HOUR, points=100_000)
        with closing(sqlite3.connect(connector.path)) as db:
            oldest = {t: db.execute(f"SELECT min(time) FROM {t} WHERE tag_id = 1").fetchone()[0]
                      for t in ("sample", "minute", "hour")}  # fmt: skip
    assert [round((now - moment) / DAY) for moment in oldest.values()] == [2, 4, 6]
    widths = [b.end - b.start for b in found]
    assert widths == sorted(widths, reverse=True), "coarse before fine"
    assert set(widths) == {HOUR, MINUTE}
    assert {b.end - b.start > SECOND for b in edge} == {True, False}
    kept_samples = [s for s in batch if s.time >= found[0].start]
    assert sum(b.samples for b in found) == len(kept_samples), "each sample once"
    for earlier, later in pairwise(found):
        assert earlier.end <= later.start


async def test_a_late_sample_does_not_replace_the_aggregate_of_deleted_ones(
    context: Context,
) -> None:
    now = now_ns()
    old = floor(now - 3 * DAY, HOUR)
    async with AsyncSQLiteConnector({"retention": "1 day"}, context=context) as connector:
        connector._file._settle_at = 1
        await connector.store([Sample("t", float(i), old + i * SECOND) for i in range(60)])
        while connector._trim_at == 0.0:
            await connector.store([Sample("t", 1.0, now)])
        await connector.store([Sample("t", 500.0, old + 7)])
        (b,) = await connector.trend("t", old, old + HOUR, points=1)
    assert (b.samples, b.low, b.high) == (60, 0.0, 59.0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"retention": "2 days", "minute_retention": "1 day"},
        {"minute_retention": "1 day"},
        {"retention": "1 day", "hour_retention": "30 days"},
    ],
)
def test_what_is_coarse_must_outlive_what_is_fine(wrong: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="must not be shorter"):
        SQLiteConnector(wrong)


# ---- files of the first format ------------------------------------------------------------------


def as_format_1(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for level in ("minute", "hour"):
            db.execute(f"DROP VIEW history_by_{level}")
            db.execute(f"DROP TABLE {level}")
        db.execute("DROP TABLE kept")
        db.execute("PRAGMA user_version = 1")


def test_a_file_of_the_first_format_gets_its_minutes_and_hours_when_it_is_opened(
    tmp_path: Path,
) -> None:
    batch = [Sample(f"t{i % 3}", float(i), START + i * SECOND) for i in range(9000)]
    path = tmp_path / "h.sqlite"
    with closing(opened(path)) as file:
        file.write(batch, TagTable())
        before = [file.trend(f"t{n}", START, START + 9000 * SECOND, 100) for n in range(3)]
    as_format_1(path)
    with closing(opened(path)) as file:
        after = [file.trend(f"t{n}", START, START + 9000 * SECOND, 100) for n in range(3)]
        assert [s.value for s in file.page("t0", 0, 2**62, 10)] == [
            float(i) for i in range(0, 30, 3)
        ]
    assert list(map(figures, after)) == list(map(figures, before))


def test_a_migration_that_was_interrupted_goes_on(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "h.sqlite"
    with closing(opened(path, settle_at=1)) as file:
        file.write([Sample(f"t{n}", 1.0, START) for n in range(4)], TagTable())
    as_format_1(path)
    import gl002.transport.sqlite.aggregates as module

    real, calls = module.update, []

    def interrupted(db: sqlite3.Connection) -> None:
        calls.append(1)
        if len(calls) == 3:
            raise sqlite3.OperationalError("interrupted")
        real(db)

    monkeypatch.setattr(module, "update", interrupted)
    with pytest.raises(sqlite3.OperationalError):
        opened(path)
    with closing(opened(path)) as file:
        for n in range(4):
            (b,) = file.trend(f"t{n}", START, START + HOUR, 1)
            assert b.samples == 1


# ---- other readers ------------------------------------------------------------------------------


def test_other_programs_see_minutes_and_hours_in_views(tmp_path: Path) -> None:
    path = tmp_path / "h.sqlite"
    with closing(opened(path, settle_at=1)) as file:
        file.write([Sample("t", float(i), START + i * SECOND) for i in range(120)], TagTable())
        with closing(sqlite3.connect(path)) as db:
            rows = db.execute("SELECT tag, samples, low, high, mean FROM history_by_minute")
            assert rows.fetchall() == [("t", 60, 0, 59, 29.5), ("t", 60, 60, 119, 89.5)]
            hours = db.execute("SELECT samples, mean FROM history_by_hour").fetchall()
    assert hours == [(120, 59.5)]


async def test_a_url_of_the_command_line_makes_no_file(context: Context, tmp_path: Path) -> None:
    settings_ = AsyncSQLiteConnector.settings_of(f"sqlite://{tmp_path}/typo.sqlite")
    with pytest.raises(ConnectFailed, match="unable to open"):
        await AsyncSQLiteConnector(settings_, context=context).connect()
    assert not (tmp_path / "typo.sqlite").exists()


@pytest.mark.parametrize(("start", "end", "points"), [(5, 5, 10), (5, 4, 10), (0, 5, 0)])
async def test_a_range_that_is_none_is_refused(
    context: Context, start: int, end: int, points: int
) -> None:
    async with AsyncSQLiteConnector({}, context=context) as connector:
        with pytest.raises(ValueError, match="trend"):
            await connector.trend("t", start, end, points=points)
