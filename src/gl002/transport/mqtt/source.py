"""Topics as a source: messages become samples, and are acknowledged when these are durable.

What the flow keeps with each batch (`position`) are the messages last delivered, by packet
identifier and content. After a crash between the store's fsync and the acknowledgement the broker
sends them again, and they are acknowledged without being delivered twice. With QoS 2 they stay in
it until the broker has released them, which it is told to have done when the position says so.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from gl002.model import Batch, Sample, Tag, TagTable, now_ns
from gl002.source import Source
from gl002.transport.met import MetTags
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.route import Route
from gl002.transport.mqtt.wishes import Wishes

log = logging.getLogger("gl002.mqtt")


class Reads(Protocol):
    """What makes samples of messages."""

    @property
    def filters(self) -> tuple[str, ...]:
        """The topic filters subscribed to."""

    @property
    def units(self) -> Mapping[str, str]:
        """Units of tags, where the messages tell them."""

    def samples(
        self, topic: str, payload: bytes, *, retained: bool, received: int
    ) -> tuple[list[Sample], str]:
        """The samples of one message, and what was wrong with it."""


class HoldsBack(Protocol):
    """A reader that may keep the samples of a message until those before it have come."""

    def waits(self, now: int) -> float | None:
        """Seconds until `late` has something to do; None where nothing is held."""

    def late(self, now: int) -> Iterable[tuple[str, list[Sample], str]]:
        """What has waited in vain: topic, samples, and what was wrong with the message."""


class MQTTSource(Source):
    """One entry of `data_flow.input`.

    Args:
        name: connector instance.
        inbox: where its messages arrive.
        decoder: what reads them.
        subscribe: connects if need be and subscribes; called when the stream starts.
        leave: lets the broker know, if it can, that these topics are not wanted here any more.
        tags: where the tags it meets are declared.
        max_tags: tags it delivers; the samples of others are counted in `skipped`.
        remembered: messages it knows again when the broker repeats them.
        answer: says to the other side what a message has made necessary; called after each take.
        wishes: offers as proposals what the messages desire, before they are acknowledged.
        holds: the decoder, where it holds messages back.
    """

    acknowledges = True

    def __init__(
        self,
        name: str,
        inbox: Inbox,
        decoder: Reads,
        *,
        subscribe: Callable[[], Awaitable[None]],
        leave: Callable[[], Awaitable[None]],
        tags: TagTable,
        max_tags: int,
        remembered: int,
        answer: Callable[[], Awaitable[None]] | None = None,
        wishes: Wishes | None = None,
        holds: HoldsBack | None = None,
    ) -> None:
        self.name = name
        self._holds = holds
        self._wishes = wishes
        self._answer = answer
        self._inbox = inbox
        self._route = Route(inbox, decoder.filters, remembered, lasting=True)
        self._decoder = decoder
        self._subscribe = subscribe
        self._leave = leave
        self._met = MetTags(name, max_tags, tags, log)
        self._position = b""
        self._trouble = False
        inbox.add(self._route)

    def tags(self) -> Sequence[Tag]:
        """The tags met so far; topics tell no others before they are published to."""
        return self._met.tags()

    async def batches(self) -> AsyncIterator[Batch]:
        """What has arrived since the last batch. Asking for the next acknowledges the last.

        A batch may be empty: then only the position is new, and is to be kept all the same.
        """
        subscribing = asyncio.ensure_future(self._subscribe())
        try:
            while True:
                messages = await self._next(subscribing)
                batch = [sample for message in messages for sample in self._samples(message)]
                batch += self._late()
                if self._answer is not None:
                    await self._answer()
                if self._wishes is not None:
                    await self._wishes.take(batch)
                if batch or self._route.forgets:
                    self._position, self.exact = self._route.position(), self._route.exact
                    yield batch
                self._route.all_done()
        finally:
            subscribing.cancel()
            self._route.put_back()
            if self._wishes is not None:
                await self._wishes.close()

    async def _next(self, subscribing: asyncio.Future[None]) -> Sequence[Message]:
        """What has arrived; also before the broker has agreed to the subscription.

        A broker that has kept our session sends its backlog first and the answer behind it.
        """
        if subscribing.done():
            subscribing.result()
            waits = self._holds.waits(now_ns()) if self._holds is not None else None
            return await self._route.take(within=waits)
        taking = asyncio.ensure_future(self._route.take(through_outages=True))
        try:
            both: set[asyncio.Future[Any]] = {subscribing, taking}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            return taking.result() if taking.done() else ()
        finally:
            taking.cancel()

    def position(self) -> bytes:
        """The messages that may come again, 8 bytes each, with those of the batch just yielded."""
        return self._position

    def resume(self, position: bytes) -> None:
        """Know these messages again, unless the broker has already started a new session."""
        self._route.resume(position)

    async def retire(self) -> None:
        """Leave what is waiting to another input of these topics; what none wants is given up."""
        self._inbox.retire(self._route)
        await self._leave()

    # ---- messages ---------------------------------------------------------------------------

    def _late(self) -> Batch:
        """What was held back and need not wait any longer."""
        batch: Batch = []
        for topic, samples, trouble in self._holds.late(now_ns()) if self._holds else ():
            self._note(topic, trouble)
            batch += [sample for sample in samples if self._admit(sample.tag, topic)]
        return batch

    def _samples(self, message: Message) -> list[Sample]:
        samples, trouble = self._decoder.samples(
            message.topic,
            message.payload,
            retained=message.retain,
            received=message.received,
        )
        self._note(message.topic, trouble)
        return [sample for sample in samples if self._admit(sample.tag, message.topic)]

    def _note(self, topic: str, trouble: str) -> None:
        """One line when messages become unreadable, one when they are readable again."""
        if trouble and not self._trouble:
            log.warning("%s: '%s' cannot be read: %s", self.name, topic, trouble)
        elif not trouble and self._trouble:
            log.info("%s: messages can be read again ('%s')", self.name, topic)
        self._trouble = bool(trouble)

    def _admit(self, name: str, topic: str) -> bool:
        admitted = self._met.admit(name, topic, self._decoder.units.get(name, ""))
        self.skipped += not admitted
        return admitted
