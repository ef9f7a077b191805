"""Samples into PI: many points in one request, each sample with an answer of its own.

A sample is identified by its point and its time, to the resolution of the archive; the update
option Replace makes a repetition harmless. Points are looked for once, and made where that is
allowed. What PI refuses of a batch is named; the rest is in the archive.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, NamedTuple, TypeAlias

import msgspec

from gl002.errors import AccessDenied, Busy, DataError, PartialWrite, RequestFailed
from gl002.model import Batch, Sample, Tag
from gl002.sink import Sink
from gl002.transport.http.answer import Answer
from gl002.transport.pi_web_api.api import PIWebAPI
from gl002.transport.pi_web_api.settings import BufferOption, PIOutput, UpdateOption
from gl002.transport.pi_web_api.streams import DENIED, About, Streams, Unknown
from gl002.wire.pi_batch import Sub
from gl002.wire.pi_path import point_name
from gl002.wire.pi_time import tick
from gl002.wire.pi_values import as_item

log = logging.getLogger("gl002.pi_system")

_LARGEST = 1_000_000  # bytes of a request; PI Web API takes 4 MB by default
_ERRORS = 400
_MOST_REFUSED = 5  # that a message quotes


class Entry(NamedTuple):
    """One sample on its way.

    Attributes:
        place: in the batch.
        path: of its stream.
        time: as the archive counts it.
        item: as PI Web API takes it.
    """

    place: int
    path: str
    time: int
    item: Mapping[str, Any]


Refused: TypeAlias = dict[int, str]
"""Place in the batch -> why PI refused it."""


class _Refusal(NamedTuple):
    status: int
    words: str


class Writer:
    """Writes values of many streams at once.

    Args:
        api: to ask.
        streams: finds them.
        update: what happens to a value at a time that has one.
        buffer: whether PI Web API may put it into a buffer first.
    """

    def __init__(
        self,
        api: PIWebAPI,
        streams: Streams,
        *,
        update: UpdateOption = "Replace",
        buffer: BufferOption = "DoNotBuffer",
    ) -> None:
        self._api = api
        self._streams = streams
        self._query = [("updateOption", update), ("bufferOption", buffer)]

    async def write(
        self, entries: Sequence[Entry], web_ids: Mapping[str, str], *, repeatable: bool
    ) -> Refused:
        """Write, in as few requests as the size of a request allows.

        Args:
            entries: what to write.
            web_ids: path -> WebID of its stream.
            repeatable: whether a second attempt does no harm.

        Raises:
            Busy: PI could not do it just now, or a point has just gone.
            AccessDenied: the account may not write any of it.
        """
        refused: dict[int, _Refusal] = {}
        for some in _requests(entries):
            by_path: dict[str, list[Entry]] = {}
            for entry in some:
                by_path.setdefault(entry.path, []).append(entry)
            body = [
                {"WebId": web_ids[path], "Items": [e.item for e in of]}
                for path, of in by_path.items()
            ]
            answer = await self._api.post(
                "streamsets/recorded", self._query, body,
                what=f"write {len(some)} values", repeatable=repeatable,
            )  # fmt: skip
            refused |= self._judged(answer, by_path)
        if len(refused) == len(entries):
            _check_rights(self._api.name, refused.values(), "DataSecurity: write")
        return {place: refusal.words for place, refusal in refused.items()}

    def _judged(
        self, answer: Answer, by_path: Mapping[str, Sequence[Entry]]
    ) -> dict[int, _Refusal]:
        """What was refused; nothing where all was done."""
        if answer.status != HTTPStatus.MULTI_STATUS:
            return {}
        content = answer.json(dict[str, Any])
        sets = content.get("Items")
        if not isinstance(sets, list) or len(sets) != len(by_path):
            raise RequestFailed(f"{self._api.name}: an answer for other points than were written")
        refused: dict[int, _Refusal] = {}
        for (path, entries), one in zip(by_path.items(), sets, strict=True):
            statuses = one.get("Items") if isinstance(one, dict) else None
            if not isinstance(statuses, list) or len(statuses) != len(entries):
                raise RequestFailed(f"{self._api.name}: {path}: an answer for other values")
            for entry, status in zip(entries, statuses, strict=True):
                if (refusal := self._refusal(path, status)) is not None:
                    refused[entry.place] = refusal
        return refused

    def _refusal(self, path: str, status: object) -> _Refusal | None:
        """Why PI refused a value, None where it did not."""
        if not isinstance(status, dict) or not isinstance(status.get("Substatus"), int):
            raise RequestFailed(f"{self._api.name}: {path}: an answer without a status")
        number, words = status["Substatus"], str(status.get("Message") or "")
        if number < _ERRORS:
            return None
        if number == HTTPStatus.NOT_FOUND:
            self._streams.forget(path)
            raise Busy(f"{self._api.name}: {path} has just gone: {words}")
        if number >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise Busy(f"{self._api.name}: {path}: {number} {words}")
        return _Refusal(number, words or f"status {number}")


def _check_rights(name: str, refusals: Iterable[_Refusal], needed: str) -> None:
    """That not all was refused because the account has not the right: a person must act.

    Raises:
        AccessDenied: it was.
    """
    some = list(refusals)
    if some and all(refusal.status in DENIED for refusal in some):
        raise AccessDenied(
            f"{name}: PI refuses it to this account: {some[0].words}",
            hint=f"give its PI identity the right: {needed}",
        )


def _requests(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """The entries, as many at a time as fit into a request."""
    some: list[Entry] = []
    size = 0
    for entry in entries:
        length = len(msgspec.json.encode(entry.item)) + 1
        if some and size + length > _LARGEST:
            yield some
            some, size = [], 0
        some.append(entry)
        size += length
    if some:
        yield some


class PISink(Sink):
    """One output to a PI System.

    Attributes:
        merged: samples whose place another of the same tag took, at a time that the archive
            cannot tell from theirs.
    """

    def __init__(
        self, api: PIWebAPI, streams: Streams, spec: PIOutput, about: Mapping[str, Tag]
    ) -> None:
        self.name = api.name
        self.merged = 0
        self._api = api
        self._streams = streams
        self._spec = spec
        self._about = about
        self._writer = Writer(api, streams, update=spec.update, buffer=spec.buffer)

    async def prepare(self) -> None:
        """Connect. Points are looked for when their first sample comes."""
        await self._api.connect()

    async def write(self, batch: Batch) -> None:
        """Write the batch; a value at the same time is replaced, so that twice does no harm."""
        refused: Refused = {}
        entries = [e for i, s in enumerate(batch) if (e := await self._entry(i, s, refused))]
        entries = self._merged(entries)
        web_ids = await self._points(entries, batch, refused)
        ready = [entry for entry in entries if entry.path in web_ids]
        refused |= await self._writer.write(ready, web_ids, repeatable=False)  # the flow repeats it
        if refused:
            some = list(dict.fromkeys(refused.values()))[:_MOST_REFUSED]
            message = f"{self.name}: {len(refused)} samples refused: {'; '.join(some)}"
            raise PartialWrite(message, refused)

    async def _entry(self, index: int, sample: Sample, refused: Refused) -> Entry | None:
        try:
            item = as_item(sample)
        except (DataError, OverflowError, ValueError) as error:
            refused[index] = str(error)
            return None
        return Entry(index, await self._path(sample.tag), tick(sample.time), item)

    async def _path(self, tag: str) -> str:
        return await self._api.point_path(point_name(self._spec.point_prefix + tag))

    def _merged(self, entries: Sequence[Entry]) -> list[Entry]:
        """Of those of one point at one time the last."""
        last: dict[tuple[str, int], Entry] = {}
        for entry in entries:
            key = entry.path.lower(), entry.time
            if key in last and last[key].item != entry.item:
                self._note_merged(entry.path)
            last[key] = entry
        return list(last.values())

    def _note_merged(self, path: str) -> None:
        if not self.merged:
            log.warning("%s: %s: samples at one time for PI: it keeps the later", self.name, path)
        self.merged += 1

    async def _points(
        self, entries: Sequence[Entry], batch: Batch, refused: Refused
    ) -> dict[str, str]:
        """Path -> WebID of the points that are there, or have been made."""
        first = {entry.path: batch[entry.place] for entry in reversed(entries)}
        found = await self._streams.about(first)
        missing = [path for path, about in found.items() if isinstance(about, Unknown)]
        reasons = {
            path: about.reason for path, about in found.items() if isinstance(about, Unknown)
        }
        if missing and self._spec.create_points:
            reasons = await self._create({path: first[path] for path in missing})
            found = await self._streams.about(p for p in first if p not in reasons)
            for path, about in found.items():
                if isinstance(about, Unknown):  # there is one, and this account does not see it
                    reasons[path] = f"the point {path} is there or was made: {about.reason}"
        for entry in entries:
            if entry.path in reasons:
                refused[entry.place] = reasons[entry.path]
        return {path: about.web_id for path, about in found.items() if isinstance(about, About)}

    async def _create(self, wanted: Mapping[str, Sample]) -> dict[str, str]:
        """Make points; path -> why of those that could not be made."""
        server = await self._api.data_server_web_id()
        requests = [
            Sub(f"dataservers/{server}/points", method="POST", body=self._definition(path, sample))
            for path, sample in wanted.items()
        ]
        answers = await self._api.batch(requests, f"create {len(requests)} points")
        refused: dict[str, _Refusal] = {}
        for path, answer in zip(wanted, answers, strict=True):
            if answer.passing:
                raise Busy(f"{self.name}: create {path}: {answer.words}")
            if not answer.ok and answer.status != HTTPStatus.CONFLICT:  # another made it meanwhile
                words = f"the point {path} cannot be made: {answer.words}"
                refused[path] = _Refusal(answer.status, words)
        if len(refused) == len(wanted):
            _check_rights(self.name, refused.values(), "table PIPOINT: write")
        else:
            log.info("%s: made %d points", self.name, len(wanted) - len(refused))
        return {path: refusal.words for path, refusal in refused.items()}

    def _definition(self, path: str, sample: Sample) -> dict[str, Any]:
        tag = self._about.get(sample.tag)
        text = isinstance(sample.value, str) or (tag is not None and tag.type == "str")
        return {
            "Name": path.rpartition("\\")[2],
            "PointClass": "classic",
            "PointType": "String" if text else "Float64",
            "Descriptor": tag.description if tag is not None else "",
            "EngineeringUnits": tag.unit if tag is not None else "",
            "Step": text or isinstance(sample.value, bool | int),
            "Future": False,
        }
