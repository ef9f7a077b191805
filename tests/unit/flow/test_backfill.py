"""Backfill: everything arrives once, whatever interrupts it, and what is missing is said."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gl002.config.flow import OutputSettings
from gl002.config.sections import TagSettings
from gl002.context import Context
from gl002.errors import Busy, DataError, GL002Error, RequestFailed
from gl002.flow.backfill import Backfill, Checkpoints, Gap, Job
from gl002.flow.deadletter import DeadLetters
from gl002.flow.steps import Steps
from gl002.integrations.databases import AsyncSQLiteConnector
from gl002.model import Batch, Quality, Sample
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sink import Sink

SECOND = 1_000_000_000
START = 1_760_000_000 * SECOND
HOUR = 3600 * SECOND
QUICK = RetryPolicy(max_attempts=4, first=0.001, most=0.001)


class Troubled(Sink):
    """The real sink of a history, with trouble before some of its writes."""

    name = "troubled"

    def __init__(self, sink: Sink, trouble: Callable[[int, Batch], GL002Error | None]) -> None:
        self._sink, self._trouble = sink, trouble
        self.writes = 0
        self.prepared = 0

    async def prepare(self) -> None:
        self.prepared += 1
        await self._sink.prepare()

    async def write(self, batch: Batch) -> None:
        self.writes += 1
        if error := self._trouble(self.writes, batch):
            raise error
        await self._sink.write(batch)


class Site:
    """Two histories, and what a backfill between them needs."""

    def __init__(self, folder: Path, context: Context) -> None:
        self.old = AsyncSQLiteConnector({"path": "old.sqlite"}, name="old", context=context)
        self.new = AsyncSQLiteConnector({"path": "new.sqlite"}, name="new", context=context)
        self.context = context
        self.letters = DeadLetters(folder / "letters.sqlite")
        self.checkpoints = Checkpoints(folder / "backfill")
        self.file = self.checkpoints.file({"job": 1})

    def job(self, hours: int = 4, **changes: object) -> Job:
        given = {"ranges": [(START, START + hours * HOUR)], "step": HOUR, "threshold": 60 * SECOND,
                 "tags": ["a", "b"], **changes}  # fmt: skip
        return Job(**given)  # type: ignore[arg-type]

    async def fill(
        self, job: Job, trouble: Callable[[int, Batch], GL002Error | None] = lambda _, __: None,
        steps: Steps | None = None,
    ) -> Job:  # fmt: skip
        spec = OutputSettings(destination="new")
        self.sink = Troubled(self.new.sink(spec), trouble)
        backfill = Backfill(
            self.old, self.sink, output="new", job=job, steps=steps, batch_size=1000,
            letters=self.letters, save=lambda j: self.checkpoints.save(self.file, j), policy=QUICK,
        )  # fmt: skip
        return await backfill.run()

    async def all(self, connector: AsyncSQLiteConnector, *tags: str) -> Batch:
        return [s async for batch in connector.history(tags, 0, 2**62) for s in batch]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    one = Site(tmp_path, context)
    yield one
    await one.old.close()
    await one.new.close()
    audit.close()


def every_second(*tags: str, hours: int = 4) -> Batch:
    return [Sample(tag, float(i), START + i * SECOND) for tag in tags for i in range(hours * 3600)]


async def test_everything_in_the_range_arrives_and_again_changes_nothing(site: Site) -> None:
    recorded = every_second("a", "b")
    outside = [Sample("a", -1.0, START - 1), Sample("a", -1.0, START + 4 * HOUR)]
    await site.old.store([*recorded, *outside, Sample("c", 1.0, START)])
    for _ in range(2):
        job = await site.fill(site.job())
        assert await site.all(site.new, "a", "b", "c") == recorded
        assert [(c.samples, c.gaps) for c in job.counts.values()] == [(14_400, 0), (14_400, 0)]


async def test_a_run_that_fails_goes_on_where_it_was(site: Site) -> None:
    await site.old.store(every_second("a", "b"))

    def breaks(writes: int, _: Batch) -> GL002Error | None:
        return RequestFailed("no right any more") if writes > 20 else None

    with pytest.raises(RequestFailed):
        await site.fill(site.job(), breaks)
    job = site.checkpoints.load(site.file)
    assert job is not None
    assert 0 < job.done < 4
    before = job.done
    job = await site.fill(job)
    assert job.resumed == before
    assert site.sink.writes <= (4 - before) * 8
    assert await site.all(site.new, "a", "b") == every_second("a", "b")
    assert [(c.samples, c.gaps) for c in job.counts.values()] == [(14_400, 0), (14_400, 0)]


async def test_what_passes_is_waited_for_and_counted_once(site: Site) -> None:
    await site.old.store(every_second("a", "b"))
    job = await site.fill(site.job(), lambda n, _: Busy("deadlock") if n % 7 == 3 else None)
    assert [c.samples for c in job.counts.values()] == [14_400, 14_400]
    assert await site.all(site.new, "a", "b") == every_second("a", "b")


async def test_a_sink_that_stays_away_ends_the_run_with_its_error(site: Site) -> None:
    await site.old.store(every_second("a"))
    with pytest.raises(Busy):
        await site.fill(site.job(), lambda _, __: Busy("full"))
    assert site.sink.writes == 4


async def test_refused_samples_are_kept_and_all_else_arrives(site: Site) -> None:
    await site.old.store(every_second("a"))

    def refuses(_: int, batch: Batch) -> GL002Error | None:
        return DataError("too large") if any(s.value == 77.0 for s in batch) else None

    job = await site.fill(site.job(), refuses)
    assert job.refused == 1
    assert [letter.sample.value for letter in site.letters.list("new")] == [77.0]
    assert len(await site.all(site.new, "a")) == 14_399


async def test_gaps_are_named_also_at_the_ends_and_across_windows(site: Site) -> None:
    present = [s for s in every_second("a") if not (3000 <= s.value < 5000 or s.value < 100)]
    present = [s for s in present if s.value < 14_000]
    bad = [Sample("a", None, START + 4000 * SECOND, Quality.BAD_NO_COMMUNICATION)]
    await site.old.store([*present, *bad])
    job = await site.fill(site.job())
    second = [(g.tag, (g.start - START) // SECOND, (g.end - START) // SECOND) for g in job.gaps]
    assert second == [("a", 0, 100), ("a", 2999, 5000), ("a", 13_999, 14_400), ("b", 0, 14_400)]
    assert (job.counts["a"].bad, job.counts["b"].missing) == (1, 4 * HOUR)


async def test_every_range_has_its_own_beginning(site: Site) -> None:
    await site.old.store(every_second("a", hours=5))
    ranges = [(START, START + HOUR), (START + 3 * HOUR, START + 5 * HOUR)]
    job = await site.fill(site.job(ranges=ranges, tags=["a"]))
    assert len(await site.all(site.new, "a")) == 3 * 3600
    assert job.gaps == []


async def test_the_steps_of_live_values_are_applied(site: Site) -> None:
    await site.old.store([Sample("a", 10.0, START), Sample("b", 900.0, START)])
    declared = {"a": TagSettings(scale=2.0), "b": TagSettings.parse({"range": {"high": 100}})}
    await site.fill(site.job(), steps=Steps(declared, site.context.tags))
    doubled, beyond = await site.all(site.new, "a", "b")
    assert doubled.value == 20.0
    assert beyond.quality == int(Quality.UNCERTAIN_ENGINEERING_UNITS_EXCEEDED)


def test_a_job_is_kept_whole_or_not_at_all(site: Site) -> None:
    job = site.job()
    job.begin(START)
    job.gaps.append(Gap("a", 1, 2))
    site.checkpoints.save(site.file, job)
    assert site.checkpoints.load(site.file) == job
    assert site.checkpoints.load(site.checkpoints.file({"job": 2})) is None
    site.file.write_bytes(b"{half")
    with pytest.raises(GL002Error, match="--restart"):
        site.checkpoints.load(site.file)
    site.checkpoints.forget(site.file)
    assert site.checkpoints.load(site.file) is None
