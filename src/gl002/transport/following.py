"""A history as a source: what others store in it, soon after they did, each sample once.

Every database with a narrow table is read the same way: at an interval, of each tag everything
younger than a cursor. Rows arrive a little out of order, since outputs write in batches, so each
reading also looks back a while and leaves out what was delivered already.
"""

from __future__ import annotations

import asyncio
import fnmatch
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence

import msgspec
from pydantic import Field

from gl002.config.flow import InputSettings
from gl002.config.settings import Seconds
from gl002.connector import Found
from gl002.model import Batch, Sample, Tag, TagTable, now_ns
from gl002.source import Source
from gl002.transport.narrow import PAGE

_TAGS_INTERVAL = 60.0  # seconds between two looks for new tags
_MOST_SEEN = 500_000  # samples remembered, so as not to deliver them twice
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
        pages: of each tag at most `PAGE` samples between two times, oldest first.
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
        pages: Callable[[Sequence[str], int, int], Awaitable[Batch]],
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
        self._seen: OrderedDict[tuple[str, int], None] = OrderedDict()
        self._names: list[str] = []
        self._look_at = 0.0

    def tags(self) -> Sequence[Tag]:
        """Those known by name: none before it connects."""
        return [Tag(name=self._spec.prefix + name, source=self.name) for name in self._names]

    def position(self) -> bytes:
        """The cursor."""
        return b"" if self._cursor is None else msgspec.msgpack.encode(_Position(self._cursor))

    def resume(self, position: bytes) -> None:
        """Go on behind what was delivered."""
        self._cursor = msgspec.msgpack.decode(position, type=_Position).time
        self._seen.clear()  # what was read behind it may never have reached the disk

    async def batches(self) -> AsyncIterator[Batch]:
        """What is new at each interval; without a pause while there is more than a page."""
        while True:
            began = time.monotonic()
            await self._look_for_tags()
            batch, more = await self._next()
            if batch:
                yield batch
            if not more:
                await asyncio.sleep(max(0.0, began + self._spec.interval - time.monotonic()))

    async def _look_for_tags(self) -> None:
        if time.monotonic() < self._look_at:
            return
        patterns, names = self._spec.tags, []
        async for found in self._browse():
            if patterns is None or any(fnmatch.fnmatchcase(found.address, p) for p in patterns):
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

    async def _next(self) -> tuple[Batch, bool]:
        """New samples, and whether there are more."""
        if self._cursor is None:
            newest = [s for s in await self._newest(self._names) if s.value is not None]
            self._cursor = max((s.time for s in newest), default=now_ns())
            return self._unseen(newest), False
        since = max(0, self._cursor - self._lookback)
        found = await self._pages(self._names, since, _TO_COME)
        limits = list(_ends_of_full_pages(found))
        newest_time = max((s.time for s in found), default=self._cursor)
        self._cursor = max(self._cursor, min([*limits, newest_time, now_ns()]))  # clocks may err
        if limits and self._cursor - self._lookback <= since:
            # A page holds less than the time to look back: step over it, or it never ends.
            self._cursor = min(limits) + self._lookback
        return self._unseen(found), bool(limits)

    def _unseen(self, samples: Iterable[Sample]) -> Batch:
        batch: Batch = []
        for sample in samples:
            key = (sample.tag, sample.time)
            if key in self._seen:
                continue
            self._seen[key] = None
            name = self._spec.prefix + sample.tag
            batch.append(Sample(name, sample.value, sample.time, sample.quality))
        while len(self._seen) > _MOST_SEEN:
            self._seen.popitem(last=False)
        return batch


def _ends_of_full_pages(found: Batch) -> Iterable[int]:
    """Of tags that may have more: the time of the last sample read."""
    counts: dict[str, tuple[int, int]] = {}
    for sample in found:
        count, last = counts.get(sample.tag, (0, 0))
        counts[sample.tag] = (count + 1, max(last, sample.time))
    return (last for count, last in counts.values() if count >= PAGE)
