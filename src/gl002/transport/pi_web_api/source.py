"""Values of PI as a stream: every value that the archive gets, also those of an outage.

Each cycle asks for the current values in one batch, and of the tags that have a newer one what
was recorded in between in another. So nothing between two cycles is missed; after an outage of the
link, or of the gateway, what PI recorded meanwhile comes first. A tag without anything new comes
with its current value; after an outage of the link with the time of the return, because that
outage is on record.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from http import HTTPStatus

import msgspec

from gl002.model import Batch, Quality, Sample, Tag, Value, now_ns
from gl002.source import PolledSource
from gl002.transport.pi_web_api.api import PIWebAPI
from gl002.transport.pi_web_api.history import FIELDS, Page, paged, readings_in
from gl002.transport.pi_web_api.streams import About, Streams, Unknown, why
from gl002.wire.pi_batch import Sub, SubAnswer
from gl002.wire.pi_time import to_text
from gl002.wire.pi_values import Reading

_PER_CYCLE = 50_000  # values of all tags
_PER_TAG = 1000
_LEAST = 10
_SECOND = 1_000_000_000
_VALUE_FIELDS = FIELDS.replace("Items.", "")


class _Watched:
    """One tag and how far it has been read.

    Attributes:
        name: of its samples.
        address: what PI calls it.
        last: time of its newest value, raw; None before the first.
        since: where the next question for recorded values begins, raw.
        what: its newest value and quality; None before the first of this process.
        trouble: quality that was last said of it while it could not be read; 0 for none.
        silent: it has not been heard of since the session began.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        self.web_id: str | Unknown = Unknown(int(Quality.BAD_WAITING_FOR_INITIAL_DATA), "not asked")
        self.last: int | None = None
        self.since = 0
        self.what: tuple[Value, int] | None = None
        self.trouble = 0
        self.silent = False

    def heard(self, newest: Reading) -> None:
        """This is its newest value."""
        self.last = self.since = newest.raw
        self.what = newest.value, newest.quality
        self.silent = False


class PISource(PolledSource):
    """Points and attributes, asked for at an interval.

    Args:
        api: to ask.
        streams: finds them.
        addresses: of the tags, in PI.
        prefix: put before their names.
        interval: seconds between two cycles.
    """

    acknowledges = True  # the position is kept with each batch
    by_exception = True

    def __init__(
        self,
        api: PIWebAPI,
        streams: Streams,
        addresses: Sequence[str],
        *,
        prefix: str,
        interval: float,
    ) -> None:
        self._api = api
        self._streams = streams
        self._watched = [_Watched(prefix + a, a) for a in dict.fromkeys(addresses)]
        tags = [Tag(name=w.name, source=api.name, address=w.address) for w in self._watched]
        super().__init__(api.name, self._cycle, tags, interval)
        self._most = max(_LEAST, min(_PER_TAG, _PER_CYCLE // len(self._watched)))
        self._key = zlib.crc32("\0".join(w.name for w in self._watched).encode())
        self._sessions = 0

    async def batches(self) -> AsyncIterator[Batch]:
        """What is new, once a cycle; first what each tag is now."""
        await self._begin()
        async for batch in super().batches():
            yield batch

    # ---- where it stands --------------------------------------------------------------------

    def position(self) -> bytes:
        """The second of the newest value of each tag, four bytes each; 0 before the first."""
        seconds = [max(0, min((w.last or 0) // _SECOND, 2**32 - 1)) for w in self._watched]
        return struct.pack(f">I{len(seconds)}I", self._key, *seconds)

    def resume(self, position: bytes) -> None:
        """Go on from there. Values of that very second come again, which does no harm."""
        count = len(self._watched)
        if len(position) != 4 * (count + 1):
            return  # of another list of tags
        key, *seconds = struct.unpack(f">I{count}I", position)
        if key == self._key:
            for watched, second in zip(self._watched, seconds, strict=True):
                if second:
                    watched.last = watched.since = second * _SECOND

    # ---- a session --------------------------------------------------------------------------

    async def _begin(self) -> None:
        """Find the tags, and tell the tag table what PI knows of them."""
        addresses = [w.address for w in self._watched]
        found = await self._streams.web_ids(addresses)
        for watched, web_id in zip(self._watched, found, strict=True):
            watched.web_id = web_id
            watched.trouble = 0
            watched.silent = True
        if not self._sessions:
            await self._declare()
        self._sessions += 1

    async def _declare(self) -> None:
        paths = {
            w.name: await self._api.path_of(w.address)
            for w in self._watched
            if not isinstance(w.web_id, Unknown)
        }
        about = await self._streams.about(paths.values())
        for watched in self._watched:
            known = about.get(paths.get(watched.name, ""))
            tag = (
                known.tag(watched.name, self.name, watched.address)
                if isinstance(known, About)
                else Tag(name=watched.name, source=self.name, address=watched.address)
            )
            self._api.tags.declare(tag)

    async def _cycle(self) -> Batch:
        """What is new of every tag: its current value, and what lies between that and the last.

        No value counts as heard before all answers are read: a cycle that fails takes none along.
        """
        batch = [s for w in self._watched if isinstance(w.web_id, Unknown)
                 for s in _said(w, w.web_id)]  # fmt: skip
        asked = [w for w in self._watched if isinstance(w.web_id, str)]
        moved: list[tuple[_Watched, Reading]] = []
        unmoved: list[tuple[_Watched, Reading]] = []
        for watched, answer in await self._answers(asked, _value):
            if not answer.ok:
                batch += _said(watched, why(answer, watched.address))
                continue
            watched.trouble = 0
            now = _single(answer.content)
            newer = watched.last is not None and now.raw > watched.last
            (moved if newer else unmoved).append((watched, now))
        ask = partial(_recorded, most=self._most)
        answers = await self._answers([w for w, _ in moved], ask)
        pages = [self._page(answer) for _, answer in answers]
        for (watched, now), (_, answer), page in zip(moved, answers, pages, strict=True):
            if page is None:
                batch += _said(watched, why(answer, watched.address))
            else:
                batch += self._between(watched, page, now)
        for watched, now in unmoved:
            batch += self._unmoved(watched, now)
        return batch

    async def _answers(
        self, watched: Sequence[_Watched], ask: Callable[[_Watched], Sub]
    ) -> list[tuple[_Watched, SubAnswer]]:
        answers = await self._api.batch([ask(w) for w in watched], f"read {len(watched)} tags")
        return list(zip(watched, answers, strict=True))

    def _unmoved(self, watched: _Watched, now: Reading) -> Batch:
        """The current value of a tag where that is news."""
        first, changed = watched.last is None, watched.what not in (None, (now.value, now.quality))
        if not (first or changed or watched.silent):
            return []
        own_time = first or changed or self._sessions == 1
        watched.heard(now)
        sample = now.sample(watched.name)
        return [sample if own_time else msgspec.structs.replace(sample, time=now_ns())]

    def _page(self, answer: SubAnswer) -> Page | None:
        """What was recorded; None where PI does not say. A formula of AF keeps no values."""
        if answer.status == HTTPStatus.CONFLICT:
            return Page([], None)
        return paged(readings_in(answer.content), self._most) if answer.ok else None

    def _between(self, watched: _Watched, page: Page, now: Reading) -> Batch:
        """What was recorded since the last value, the current one at the end.

        Whether the newest value is among the recorded ones is up to the server, so it is taken from
        the first answer.
        """
        last = watched.last or 0
        news = [r for r in page.readings if r.raw > last]
        if page.onwards is None and (not news or news[-1].raw < now.raw):
            news.append(now)
        if news:
            watched.heard(news[-1])
        elif page.onwards is not None:  # more values of one time than a page holds
            watched.since = page.onwards
        return [r.sample(watched.name) for r in news]


def _value(watched: _Watched) -> Sub:
    return Sub(f"streams/{watched.web_id}/value", [("selectedFields", _VALUE_FIELDS)])


def _recorded(watched: _Watched, *, most: int) -> Sub:
    query = [("startTime", to_text(watched.since)), ("maxCount", str(most)),
             ("boundaryType", "Inside"), ("selectedFields", FIELDS)]  # fmt: skip
    return Sub(f"streams/{watched.web_id}/recorded", query)


def _said(watched: _Watched, unknown: Unknown) -> Batch:
    """A bad sample for a tag that cannot be read, once until something else is the matter."""
    if watched.trouble == unknown.quality:
        return []
    watched.trouble = unknown.quality
    return [Sample(watched.name, None, now_ns(), unknown.quality)]


def _single(content: object) -> Reading:
    (found,) = readings_in({"Items": [content]})
    return found
