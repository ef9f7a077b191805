"""Samples into PI as OMF messages: the types once, a container for each tag, then its values.

What OMF cannot carry, a state in place of a value, goes through the streams of PI Web API, as every
sample does where OMF is not asked for. Duplicate values at one time are PI's own affair: it does
with them what its attribute `OmfCreateMode` says; NoReplace and Replace make a repetition harmless.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

from gl002.errors import AccessDenied, Busy, DataError, PartialWrite, RequestFailed
from gl002.model import Batch, Sample, Tag
from gl002.sink import Sink
from gl002.transport.pi_web_api.api import PIWebAPI
from gl002.transport.pi_web_api.settings import PIOutput
from gl002.transport.pi_web_api.sink import PISink
from gl002.transport.pi_web_api.streams import DENIED
from gl002.wire import omf
from gl002.wire.pi_path import point_name

log = logging.getLogger("gl002.pi_system")

_MOST_REMEMBERED = 100_000
_MOST_REFUSED = 5  # that a message quotes
_CONTAINERS = 1_000  # in one request


class OMFSink(Sink):
    """One output to a PI System by OMF.

    Args:
        api: to ask.
        spec: the output.
        about: the tag table.
        streams: takes what OMF cannot carry.
    """

    def __init__(
        self, api: PIWebAPI, spec: PIOutput, about: Mapping[str, Tag], streams: PISink
    ) -> None:
        self.name = api.name
        self._api = api
        self._spec = spec
        self._about = about
        self._streams = streams
        self._made: set[str] = set()
        self._typed = False

    async def prepare(self) -> None:
        """Connect, and send the types. Containers are sent when their first sample comes."""
        await self._api.connect()
        refused = await self._send("type", omf.types(), "send the OMF types")
        if refused:
            raise RequestFailed(
                f"{self.name}: PI refuses our OMF types: {next(iter(refused.values())).words}",
                hint="were types 'gl002.number' and 'gl002.text' made by something else?",
            )

    async def write(self, batch: Batch) -> None:
        """Write the batch, all or with the refused samples named."""
        refused: dict[int, str] = {}
        await self._write_states(
            [i for i, s in enumerate(batch) if not omf.carries(s)], batch, refused
        )
        carried = [(i, s) for i, s in enumerate(batch) if omf.carries(s)]
        await self._contain(carried, refused)
        parts = list(self._parts(carried, refused))
        for some in omf.requests(parts):
            refused |= await self._deliver(some)
        if refused:
            some_words = list(dict.fromkeys(refused.values()))[:_MOST_REFUSED]
            message = f"{self.name}: {len(refused)} samples refused: {'; '.join(some_words)}"
            raise PartialWrite(message, refused)

    async def close(self) -> None:
        """Nothing is held."""
        await self._streams.close()

    # ---- parts of a batch -------------------------------------------------------------------

    async def _write_states(
        self, places: Sequence[int], batch: Batch, refused: dict[int, str]
    ) -> None:
        """Samples without a value; their points are made by OMF first, so that both agree."""
        if not places:
            return
        await self._contain([(place, batch[place]) for place in places], refused)
        left = [place for place in places if place not in refused]
        try:
            await self._streams.write([batch[place] for place in left])
        except PartialWrite as error:
            refused |= {left[place]: words for place, words in error.rejected.items()}

    def _parts(
        self, carried: Iterable[tuple[int, Sample]], refused: dict[int, str]
    ) -> Iterator[omf.Part]:
        places: dict[str, list[int]] = {}
        items: dict[str, list[Mapping[str, Any]]] = {}
        for place, sample in carried:
            if place in refused:
                continue
            try:
                item = omf.item(sample)
            except (DataError, OverflowError, ValueError) as error:
                refused[place] = str(error)
                continue
            name = self._name(sample.tag)
            places.setdefault(name, []).append(place)
            items.setdefault(name, []).append(item)
        for name, found in places.items():
            yield omf.Part(name, found, items[name])

    def _name(self, tag: str) -> str:
        return point_name(self._spec.point_prefix + tag)

    # ---- messages ---------------------------------------------------------------------------

    async def _contain(
        self, samples: Iterable[tuple[int, Sample]], refused: dict[int, str]
    ) -> None:
        """Send the containers of tags that were not met yet."""
        wanted: dict[str, dict[str, Any]] = {}
        users: dict[str, list[int]] = {}
        for place, sample in samples:
            name = self._name(sample.tag)
            if name in self._made:
                continue
            users.setdefault(name, []).append(place)
            if name not in wanted:
                try:
                    wanted[name] = self._container(name, sample)
                except DataError as error:
                    refused[place] = str(error)
        names = list(wanted)
        for start in range(0, len(names), _CONTAINERS):
            some = names[start : start + _CONTAINERS]
            what = f"send {len(some)} OMF containers"
            answer = await self._send("container", [wanted[name] for name in some], what)
            for index, name in enumerate(some):
                refusal = answer.get(index) or answer.get(None)
                if refusal is None:
                    self._remember(name)
                    continue
                refused |= dict.fromkeys(users[name], f"{name}: {refusal.words}")
        for name in users.keys() - wanted.keys():
            refused |= dict.fromkeys(users[name], f"'{name}' is no name of a PI point")

    def _container(self, name: str, sample: Sample) -> dict[str, Any]:
        tag = self._about.get(sample.tag)
        text = isinstance(sample.value, str) or (tag is not None and tag.type == "str")
        description = tag.description if tag is not None else ""
        return omf.container(name, text=text, description=description)

    def _remember(self, name: str) -> None:
        if len(self._made) >= _MOST_REMEMBERED:
            self._made.clear()
        self._made.add(name)

    async def _deliver(self, parts: list[omf.Part]) -> dict[int, str]:
        """Send messages; one that is refused is taken apart until the value at fault is alone."""
        messages = [part.message() for part in parts]
        values = sum(len(part.places) for part in parts)
        found = await self._send("data", messages, f"write {values} values by OMF")
        refused: dict[int, str] = {}
        again: list[omf.Part] = []
        for index, part in enumerate(parts):
            refusal = found.get(index) or found.get(None)
            if refusal is None:
                continue
            if refusal.status == HTTPStatus.NOT_FOUND:
                self._made.discard(part.container)
                raise Busy(f"{self.name}: {part.container} has just gone: {refusal.words}")
            if len(part.places) == 1 and (None not in found or len(parts) == 1):
                refused[part.places[0]] = f"{part.container}: {refusal.words}"
            else:
                again += part.halves() if len(part.places) > 1 else (part,)
        for part in again:
            refused |= await self._deliver([part])
        return refused

    async def _send(
        self, kind: omf.MessageType, messages: list[dict[str, Any]], what: str
    ) -> dict[int | None, omf.Refusal]:
        """One request; index of each message that PI refused for good -> why.

        Raises:
            Busy: it could not do it just now. AccessDenied: the account may do none of it.
        """
        answer = await self._api.send_omf(omf.headers(kind), msgspec.json.encode(messages), what)
        found = omf.refusals(answer.json(dict[str, Any])) if answer.body else {}
        for refusal in found.values():
            if refusal.passing:
                raise Busy(f"{self.name}: {what}: {refusal.words}")
        if found and all(refusal.status in DENIED for refusal in found.values()):
            raise AccessDenied(
                f"{self.name}: {what}: {next(iter(found.values())).words}",
                hint="the account needs the rights to write to AF's OMF database and to points",
            )
        return found
