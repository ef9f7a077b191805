"""Topics as a destination: samples become messages, and count when the broker has confirmed them.

A batch may be delivered twice, after a lost connection. Each message has an id that depends on
nothing but its samples, so whoever reads them can drop repeats. A batch that comes again longer
than it was is cut where it was cut before, so that what repeats is known.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import NamedTuple

from gl002.errors import ConfigError, DataError, PartialWrite
from gl002.model import Batch, TagTable
from gl002.sink import Sink
from gl002.wire.mqtt_topic import Template
from gl002.wire.sample_message import packed, single
from gl002.wire.sample_topic import per_sample, topic_of

_MOST_MESSAGES = 500  # delivered within one time-out, and
_MOST_BYTES = 4 * 1024 * 1024


class Outgoing(NamedTuple):
    """A message to publish, and which samples of the batch are in it."""

    topic: str
    payload: bytes
    indices: range


Publish = Callable[[Sequence[Outgoing]], Awaitable[Sequence[DataError | None]]]
"""Publishes messages; for each None, or why the broker will never take it."""


class MQTTSink(Sink):
    """One entry of `data_flow.output`.

    Args:
        name: connector instance.
        topic: of the messages; one for each sample if it differs from sample to sample.
        publish: delivers messages.
        gateway: its name, for the messages.
        tags: their units and sources.
        largest: bytes of a message.
    """

    def __init__(
        self,
        name: str,
        topic: Template,
        publish: Publish,
        *,
        gateway: str,
        tags: TagTable,
        largest: int,
    ) -> None:
        self.name = name
        self._topic = topic
        self._publish = publish
        self._gateway = gateway
        self._tags = tags
        self._largest = largest
        self._tried: list[Batch] = []  # consecutive, of the last attempt; its outcome is unknown
        self._too_long = f"longer than max_payload, {largest} bytes"

    async def write(self, batch: Batch) -> None:
        """Publish the batch; returns when the broker has confirmed every message.

        Raises:
            PartialWrite: samples that no message can hold or the broker will never take.
            GL002Error: nothing counts as delivered.
        """
        refused: dict[int, str] = {}
        messages = self._per_sample if per_sample(self._topic) else self._per_batch
        for part in _portions(messages(batch, refused)):
            outcomes = await self._publish(part)
            for message, error in zip(part, outcomes, strict=True):
                if error is not None:
                    refused |= dict.fromkeys(message.indices, str(error))
        self._tried = []
        if refused:
            raise PartialWrite(f"{self.name}: {len(refused)} samples refused", refused)

    def _per_sample(self, batch: Batch, refused: dict[int, str]) -> Iterator[Outgoing]:
        for i, sample in enumerate(batch):
            try:
                topic = topic_of(self._topic, sample, gateway=self._gateway, tags=self._tags)
                payload = single(sample, gateway=self._gateway, tags=self._tags)
            except (ConfigError, DataError) as error:
                refused[i] = str(error)
            else:
                if len(payload) > self._largest:
                    refused[i] = self._too_long
                    continue
                yield Outgoing(topic, payload, range(i, i + 1))

    def _per_batch(self, batch: Batch, refused: dict[int, str]) -> Iterator[Outgoing]:
        if not batch:
            return
        topic = topic_of(self._topic, batch[0], gateway=self._gateway, tags=self._tags)
        self._tried, start = self._as_before(batch), 0
        for piece in self._tried:
            for payload, indices in packed(
                piece, gateway=self._gateway, tags=self._tags, largest=self._largest
            ):
                places = range(start + indices.start, start + indices.stop)
                if payload:
                    yield Outgoing(topic, payload, places)
                else:
                    refused |= dict.fromkeys(places, self._too_long)
            start += len(piece)

    def _as_before(self, batch: Batch) -> list[Batch]:
        """The batch in the pieces it was last tried in, and what has been added since."""
        pieces, left = [], list(batch)
        for piece in self._tried:
            if left[: len(piece)] != piece:
                break
            pieces.append(piece)
            left = left[len(piece) :]
        return [*pieces, left] if left else pieces


def _portions(messages: Iterator[Outgoing]) -> Iterator[list[Outgoing]]:
    """Messages in portions that can be confirmed within one time-out."""
    portion: list[Outgoing] = []
    size = 0
    for message in messages:
        if portion and (len(portion) >= _MOST_MESSAGES or size >= _MOST_BYTES):
            yield portion
            portion, size = [], 0
        portion.append(message)
        size += len(message.payload)
    if portion:
        yield portion
