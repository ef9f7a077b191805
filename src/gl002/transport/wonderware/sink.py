"""Samples into tags of a historian, by INSERT as the vendor documents it for manual tags.

Only tags whose values come by hand are written ('AcquisitionType' 2): an insert into a tag of an
I/O server would put a second version over what the instrument measured. Inserts go in as LATEST,
so that the same sample twice is the same value twice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from gl002.errors import DataError, GL002Error, PartialWrite, RequestFailed
from gl002.model import Batch, Sample, TagTable
from gl002.sink import Sink
from gl002.transport.tds.errors import StatementRefused
from gl002.transport.wonderware.settings import WonderwareOutput
from gl002.wire import wonderware as wire
from gl002.wire.wonderware import About, Query

_TOGETHER = 400  # inserts in one request; SQL Server takes 2100 parameters


class WonderwareSink(Sink):
    """Manual tags as a destination.

    Args:
        name: connector instance.
        spec: how to write.
        database: of the historian.
        zone: what UTC is called there; known while connected.
        about: what is known of tags.
        change: makes changes, in their order.
        forget: what is known of tags may have changed.
        tags: descriptions for tags that are made.
    """

    def __init__(
        self,
        name: str,
        spec: WonderwareOutput,
        *,
        database: str,
        zone: Callable[[], str],
        about: Callable[[Iterable[str]], Awaitable[Mapping[str, About]]],
        change: Callable[[Sequence[Query], str], Awaitable[None]],
        forget: Callable[[Iterable[str]], None],
        tags: TagTable,
    ) -> None:
        self.name = name
        self._spec = spec
        self._database = database
        self._zone = zone
        self._about = about
        self._change = change
        self._forget = forget
        self._tags = tags

    async def write(self, batch: Batch) -> None:
        """Insert every sample; those that do not fit their tag are named, the rest is stored."""
        names = {s.tag: self._spec.tag_prefix + s.tag for s in batch}
        about = await self._known(batch, names)
        rejected: dict[int, str] = {}
        ready: list[tuple[int, Query]] = []
        last = {(s.tag, s.time): place for place, s in enumerate(batch)}
        for place, sample in enumerate(batch):
            if last[sample.tag, sample.time] != place:
                continue  # the same moment comes again in this batch
            try:
                ready.append((place, self._query(sample, names[sample.tag], about)))
            except DataError as error:
                rejected[place] = str(error)
        for start in range(0, len(ready), _TOGETHER):
            rejected |= await self._insert(ready[start : start + _TOGETHER])
        if rejected:
            self._forget(names[batch[place].tag] for place in rejected)
            every = {
                place: rejected[last[s.tag, s.time]]
                for place, s in enumerate(batch) if last[s.tag, s.time] in rejected
            }  # fmt: skip
            raise PartialWrite(f"{self.name}: {len(every)} samples refused", every)

    def _query(self, sample: Sample, name: str, about: Mapping[str, About]) -> Query:
        tag = about.get(name)
        if tag is None:
            raise DataError(f"there is no tag '{name}'", hint="make it, or say 'create_tags: true'")
        writable(tag)
        here = Sample(name, sample.value, sample.time, sample.quality)
        return wire.insert(self._database, here, tag.kind, zone=self._zone())

    async def _insert(self, ready: Sequence[tuple[int, Query]]) -> dict[int, str]:
        """Insert; where one is refused, one by one. The first ones then go in twice."""
        try:
            await self._change([query for _, query in ready], f"insert {len(ready)} values")
        except (DataError, RequestFailed) as error:
            if error.retryable or isinstance(error, StatementRefused):
                raise  # that is not about a value: none of them becomes a dead letter
            if len(ready) == 1:
                return {ready[0][0]: str(error)}
        else:
            return {}
        half = len(ready) // 2
        return await self._insert(ready[:half]) | await self._insert(ready[half:])

    async def _known(self, batch: Batch, names: Mapping[str, str]) -> Mapping[str, About]:
        about = await self._about(names.values())
        missing = {s.tag: s for s in batch if names[s.tag] not in about and s.value is not None}
        missing |= {s.tag: s for s in batch if names[s.tag] not in about and s.tag not in missing}
        if not missing or not self._spec.create_tags:
            return about
        for tag, sample in missing.items():
            known = self._tags.get(tag)
            description = known.description if known is not None else ""
            queries = [wire.create(names[tag], sample.value, description)]
            try:
                await self._change(queries, f"make the tag {names[tag]}")
            except GL002Error as error:
                if error.retryable:
                    raise
        await self._change([Query("EXEC aaCommitChanges", ())], "commit the new tags")
        return await self._about(names.values())


def writable(tag: About) -> None:
    """See that the values of a tag come by hand.

    Raises:
        DataError: they come from an I/O server, or it is of a kind that is not written.
    """
    if tag.type is None:
        raise DataError(f"'{tag.name}' is neither an analog, nor a discrete, nor a string tag")
    if not tag.by_hand:
        raise DataError(
            f"'{tag.name}' is acquired by the historian",
            hint="only tags for manual data (AcquisitionType 2) are written",
        )
