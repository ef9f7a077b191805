"""A history as a source: what others store in it, soon after they did, each sample once.

Every database with a narrow table is read the same way: at an interval, of each tag everything
younger than a cursor, in pages of bounded size. Rows arrive a little out of order, since outputs
write in batches, so each reading also looks back a while from the newest sample and leaves out what
was delivered already. After a restart that while is read again: its samples may come twice.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import msgspec
from pydantic import Field

from gl002.config.flow import InputSettings
from gl002.config.settings import Seconds
from gl002.connector import Found
from gl002.model import Batch, Sample, Tag, TagTable, now_ns
from gl002.source import Source
from gl002.transport.narrow import PAGE
from gl002.transport.remembered import Remembered

log = logging.getLogger("gl002.following")

_TAGS_INTERVAL = 60.0  # seconds between two looks for new tags
_MOST_READ = 200_000  # samples read at once, of all tags together
_LEAST_PAGE = 10  # samples of a tag, however many tags there are
_MOST_SEEN = 1_000_000  # samples remembered, so as not to deliver them twice
_TO_COME = 2**62  # later than any sample


class FollowInput(InputSettings):
    """What is read from a history."""

    tags: list[str] | None = Field(
        None, description="Only these tags; '*' stands for any characters. All where absent."
    )
    interval: Seconds = Field(10.0, gt=0, description="Time between two readings, in seconds.")
    lookback: Seconds = Field(
        60.0,
        description="How much older than the newest sample others may be when they are stored. "
        "What comes later still is for gl002 backfill.",
    )
    from_start: bool = Field(
        False,
        description="On the very first start deliver everything there is, and not only the "
        "newest sample of each tag.",
    )


class _Position(msgspec.Struct, array_like=True):
    """Everything up to this time was delivered, as far as it was there."""

    time: int


class FollowingSource(Source):
    """Delivers what is stored in a history.

    Args:
        name: connector instance.
        spec: what to read and how often.
        browse: the tags there are.
        newest: the newest sample of each tag.
        pages: of each tag the oldest samples between two times, as many as are asked for: less
            only where there are no more.
        about: told about the tags.
    """

    acknowledges = True

    def __init__(
        self,
        name: str,
        spec: FollowInput,
        *,
        browse: Callable[[], AsyncIterator[Found]],
        newest: Callable[[Sequence[str]], Awaitable[Iterable[Sample]]],
        pages: Callable[[Sequence[str], int, int, int], Awaitable[Batch]],
        about: TagTable,
    ) -> None:
        self.name = name
        self._spec = spec
        self._browse = browse
        self._newest = newest
        self._pages = pages
        self._about = about
        self._lookback = int(spec.lookback * 1e9)
        self._cursor: int | None = 0 if spec.from_start else None
        self._reached = self._cursor  # what the cursor will be when the last batch is durable
        self._seen = Remembered(_MOST_SEEN)
        self._names: list[str] = []
        self._look_at = 0.0

    def tags(self) -> Sequence[Tag]:
        """Those known by name: none before it connects."""
        return [Tag(name=self._spec.prefix + name, source=self.name) for name in self._names]

    def position(self) -> bytes:
        """The cursor behind the batch just yielded."""
        return b"" if self._reached is None else msgspec.msgpack.encode(_Position(self._reached))

    def resume(self, position: bytes) -> None:
        """Go on behind what was delivered."""
        self._reached = self._cursor = msgspec.msgpack.decode(position, type=_Position).time
        self._seen.clear()  # what was read behind it may never have reached the disk

    async def batches(self) -> AsyncIterator[Batch]:
        """What is new at each interval, page by page.

        A batch counts when the next is asked for; until then it comes again after a failure.
        """
        while True:
            began = time.monotonic()
            await self._look_for_tags()
            async for batch in self._first() if self._cursor is None else self._news(self._cursor):
                yield batch
            await asyncio.sleep(max(0.0, began + self._spec.interval - time.monotonic()))

    async def _look_for_tags(self) -> None:
        if time.monotonic() < self._look_at:
            return
        patterns, names = self._spec.tags, []
        async for found in self._browse():
            if patterns is None or _matches(found.address, patterns):
                names.append(found.address)
                self._about.declare(
                    Tag(
                        name=self._spec.prefix + found.address, unit=found.unit,
                        source=self.name, address=found.address, description=found.description,
                    )
                )  # fmt: skip
        self._names = names
        wait = _TAGS_INTERVAL if names else self._spec.interval
        self._look_at = time.monotonic() + min(wait, _TAGS_INTERVAL)

    async def _first(self) -> AsyncIterator[Batch]:
        """The newest sample of each tag."""
        newest = [s for s in await self._newest(self._names) if s.value is not None]
        self._reached = min(max((s.time for s in newest), default=now_ns()), now_ns())
        if newest:
            yield self._named(newest)
        self._cursor = self._reached
        self._seen.add(newest)

    async def _news(self, cursor: int) -> AsyncIterator[Batch]:
        """What is younger than the cursor, or was late and is not much older, oldest page first."""
        limit = max(_LEAST_PAGE, min(PAGE, _MOST_READ // max(1, len(self._names))))
        cursor = min(cursor, now_ns())  # it may be from a time when our clock was ahead
        start = max(0, cursor - self._lookback, self._seen.floor)
        full: int | None = start
        while full is not None:
            found = await self._pages(self._names, start, _TO_COME, limit)
            full = min(_ends_of_full_pages(found, limit), default=None)
            if full is not None:  # of some tags there is more: up to here all are complete
                found = [sample for sample in found if sample.time <= full]
            newest = max((sample.time for sample in found), default=cursor)
            self._reached = max(cursor, min(newest, now_ns()))  # clocks may err
            batch = [sample for sample in found if sample not in self._seen]
            if batch:
                yield self._named(batch)
            self._cursor = cursor = self._reached
            self._remember(batch, cursor - self._lookback)
            if full is not None:
                start = max(
                    full, start + 1
                )  # a whole page of one moment: there is no way through it

    def _remember(self, batch: Batch, since: int) -> None:
        known = self._seen.floor
        self._seen.add(batch)
        self._seen.forget(since)
        if self._seen.floor > known == 0:
            log.warning(
                "%s: more than %d samples within the 'lookback' of %g s: it is shortened",
                self.name, _MOST_SEEN, self._spec.lookback,
            )  # fmt: skip

    def _named(self, samples: Iterable[Sample]) -> Batch:
        prefix = self._spec.prefix
        return [Sample(prefix + s.tag, s.value, s.time, s.quality) for s in samples]


def _matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a tag is meant: by its very name, whatever that looks like, or by a pattern."""
    return name in patterns or any(fnmatch.fnmatchcase(name, p) for p in patterns)


def _ends_of_full_pages(found: Batch, limit: int) -> Iterable[int]:
    """Of tags that may have more: the time of the last sample read."""
    counts: dict[str, tuple[int, int]] = {}
    for sample in found:
        count, last = counts.get(sample.tag, (0, 0))
        counts[sample.tag] = (count + 1, max(last, sample.time))
    return (last for count, last in counts.values() if count >= limit)
