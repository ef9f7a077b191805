"""History from a connector, through the same steps, into a sink: resumable, harmless to repeat.

The range is cut into windows. When everything of a window is delivered, that is noted in a file,
so that a run which ends in the middle goes on with the window it was in. Samples of that window
are delivered a second time, which sinks take without harm.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from gl002.connector import Connector
from gl002.errors import AccessDenied, GL002Error, TagNotFound, Unsupported
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import write_or_refuse
from gl002.flow.steps import Steps
from gl002.model import Batch, Sample, is_bad
from gl002.retry import RetryPolicy
from gl002.security.folders import make_private
from gl002.sink import Sink

RETRY = RetryPolicy(max_attempts=20, first=0.5, most=30.0)
"""How long a source or sink may be away before the run ends: about eight minutes."""

_OF_ONE_TAG = (TagNotFound, Unsupported, AccessDenied)  # says nothing about the others

_MOST_GAPS = 10_000  # gaps remembered; more are counted


class Gap(msgspec.Struct, frozen=True):
    """A stretch without a usable sample of a tag: nanoseconds UTC, `end` not included."""

    tag: str
    start: int
    end: int


class TagCount(msgspec.Struct):
    """What was found of one tag.

    Attributes:
        samples: delivered.
        bad: of these, without a usable value.
        last: time of the newest usable one, or where the range began.
        gaps: stretches without a usable sample.
        missing: nanoseconds of all of them.
    """

    samples: int = 0
    bad: int = 0
    last: int = 0
    gaps: int = 0
    missing: int = 0


class Job(msgspec.Struct, kw_only=True):
    """What is to be done, and how far it is. Kept in a file.

    Attributes:
        ranges: nanoseconds UTC, start and end.
        step: nanoseconds of a window.
        threshold: nanoseconds without a usable sample that are a gap.
        tags: as the source knows them, in the order of delivery.
        prefix: put before their names.
        done: windows delivered.
        resumed: windows that an earlier run delivered.
        refused: samples kept as dead letters.
        counts: by tag.
        gaps: the first ten thousand.
        without: tag -> why its history cannot be had.
        unknown: what was asked for and is no tag of the source.
    """

    ranges: list[tuple[int, int]]
    step: int
    threshold: int
    tags: list[str]
    prefix: str = ""
    done: int = 0
    resumed: int = 0
    refused: int = 0
    counts: dict[str, TagCount] = {}
    gaps: list[Gap] = []
    without: dict[str, str] = {}
    unknown: list[str] = []

    def windows(self) -> Iterator[tuple[int, int]]:
        """Start and end of each, oldest range first."""
        for start, end in self.ranges:
            for begin in range(start, end, self.step):
                yield begin, min(begin + self.step, end)

    def __len__(self) -> int:
        return sum(-(-(end - start) // self.step) for start, end in self.ranges)

    # ---- gaps -------------------------------------------------------------------------------

    def begin(self, start: int) -> None:
        """A range begins: from here on samples are expected."""
        for tag in self.tags:
            self.counts.setdefault(self.prefix + tag, TagCount()).last = start

    def note(self, sample: Sample) -> None:
        """A sample was delivered."""
        count = self.counts.setdefault(sample.tag, TagCount(last=sample.time))
        count.samples += 1
        if is_bad(sample.quality) or sample.value is None:
            count.bad += 1
            return
        self._gap(sample.tag, count, sample.time)
        count.last = max(count.last, sample.time)

    def finish(self, end: int) -> None:
        """A range is over."""
        for tag, count in self.counts.items():
            self._gap(tag, count, end)

    def _gap(self, tag: str, count: TagCount, end: int) -> None:
        if end - count.last > self.threshold:
            count.gaps += 1
            count.missing += end - count.last
            if len(self.gaps) < _MOST_GAPS:
                self.gaps.append(Gap(tag, count.last, end))


class Checkpoints:
    """The jobs of one gateway that are not finished, a file each.

    Args:
        folder: made where it is missing.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def file(self, asked: Mapping[str, Any]) -> Path:
        """Where the job that was asked for in these words is kept."""
        words = json.dumps(asked, sort_keys=True, default=str)
        return self._folder / f"{hashlib.sha256(words.encode()).hexdigest()[:16]}.json"

    def load(self, file: Path) -> Job | None:
        """A job that was begun; None where there is none.

        Raises:
            GL002Error: the file is damaged.
        """
        try:
            return msgspec.json.decode(file.read_bytes(), type=Job)
        except FileNotFoundError:
            return None
        except msgspec.DecodeError as error:
            raise GL002Error(f"{file}: {error}", hint="begin anew with --restart") from None

    def save(self, file: Path, job: Job) -> None:
        """On disk when it returns, whole or not at all."""
        make_private(self._folder)
        part = file.with_suffix(".part")
        with part.open("wb") as out:
            out.write(msgspec.json.encode(job))
            out.flush()
            os.fsync(out.fileno())
        part.replace(file)

    def forget(self, file: Path) -> None:
        """The job is finished, or is to begin anew."""
        file.unlink(missing_ok=True)


class Backfill:
    """One run of a job.

    Args:
        source: whose history is read.
        sink: where it goes.
        output: name that dead letters are kept under.
        job: what to do.
        steps: applied to every batch; None leaves samples as they are.
        batch_size: most samples delivered at once.
        letters: where refused samples go.
        save: called when a window is delivered.
        policy: how often a failed request is repeated.
    """

    def __init__(
        self,
        source: Connector[Any],
        sink: Sink,
        *,
        output: str,
        job: Job,
        steps: Steps | None,
        batch_size: int,
        letters: DeadLetters,
        save: Callable[[Job], None],
        policy: RetryPolicy = RETRY,
    ) -> None:
        self._source = source
        self._sink = sink
        self._output = output
        self._job = job
        self._steps = steps
        self._batch_size = batch_size
        self._letters = letters
        self._save = save
        self._policy = policy
        self._prepared = False
        self._samples = sum(count.samples for count in job.counts.values())

    async def run(self, report: Callable[[int, str], None] = lambda _, __: None) -> Job:
        """Deliver what is left of the job.

        Args:
            report: told the number of windows done, and what is being done.

        Raises:
            GL002Error: the source or the sink failed for good, or for too long. What was
                delivered so far is noted; the same job goes on from there.
        """
        job = self._job
        starts, ends = ({moments[i] for moments in job.ranges} for i in (0, 1))
        job.resumed, job.without = job.done, {}
        try:
            for number, (start, end) in enumerate(job.windows()):
                if number < job.done:
                    continue
                if start in starts:
                    job.begin(start)
                await self._window(start, end, partial(report, number))
                if end in ends:
                    job.finish(end)
                job.done = number + 1
                await asyncio.to_thread(self._save, job)
        finally:
            await self._sink.close()
        return job

    async def _window(self, start: int, end: int, report: Callable[[str], None]) -> None:
        """Deliver one window."""
        waiting: Batch = []
        for tag in self._job.tags:
            if self._job.prefix + tag in self._job.without:
                continue
            async for page in self._pages(tag, start, end, report):
                named = [_named(sample, self._job.prefix) for sample in page]
                waiting += named if self._steps is None else self._steps.apply(named)
                while len(waiting) >= self._batch_size:
                    await self._deliver(waiting[: self._batch_size], report)
                    waiting = waiting[self._batch_size :]
        if waiting:
            await self._deliver(waiting, report)

    async def _pages(
        self, tag: str, start: int, end: int, report: Callable[[str], None]
    ) -> AsyncIterator[Batch]:
        """The history of a tag; after a failure it goes on behind the last page.

        Where the tag has none, that is noted, and keeps none of the others.
        """
        delays = self._policy.delays()
        while True:
            try:
                async for page in self._source.history([tag], start, end):
                    yield page
                    start, delays = page[-1].time + 1, self._policy.delays()
            except _OF_ONE_TAG as error:
                self._job.without[self._job.prefix + tag] = str(error)
                return
            except GL002Error as error:
                await self._wait_or_raise(error, delays, report)
            else:
                return

    async def _deliver(self, batch: Batch, report: Callable[[str], None]) -> None:
        delays = self._policy.delays()
        while True:
            try:
                if not self._prepared:
                    await self._sink.prepare()
                    self._prepared = True
                refused = await write_or_refuse(self._sink, batch)
            except GL002Error as error:
                self._prepared = False
                await self._wait_or_raise(error, delays, report)
            else:
                break
        if refused:
            await asyncio.to_thread(self._letters.add, self._output, refused)
            self._job.refused += len(refused)
        for sample in batch:
            self._job.note(sample)
        self._samples += len(batch)
        report(f"{batch[-1].tag}: {self._samples:,} samples")

    async def _wait_or_raise(
        self, error: GL002Error, delays: Iterator[float], report: Callable[[str], None]
    ) -> None:
        wait = next(delays, None) if RetryPolicy.worth_it(error) else None
        if wait is None:
            raise error
        report(f"waiting: {error}")
        await asyncio.sleep(wait)


def _named(sample: Sample, prefix: str) -> Sample:
    if not prefix:
        return sample
    return Sample(prefix + sample.tag, sample.value, sample.time, sample.quality)
