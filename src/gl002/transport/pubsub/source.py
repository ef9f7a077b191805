"""A pull subscription as a source: messages are acknowledged when their values are on disk.

What the flow keeps with each batch (`position`) are the messages last delivered. After a crash
between the store's fsync and the acknowledgement the service sends them again, and they are
acknowledged without being delivered twice. While a batch waits for the disk the service is put
off, so that it does not repeat what is not lost.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from gl002.errors import GL002Error
from gl002.model import Batch, Sample, Tag, TagTable
from gl002.source import Source
from gl002.transport.met import MetTags
from gl002.transport.pubsub.commands import Commands
from gl002.transport.pubsub.settings import GCPInput
from gl002.wire.mqtt_payload import Decoder
from gl002.wire.pubsub import Received

log = logging.getLogger("gl002.gcp")

_SOON = 4.0  # seconds until the first extension: the shortest deadline is 10 s
_MOST_KNOWN = 20_000  # messages that are known again
_DIGEST = 8  # bytes of one of them
_PAUSE = 0.5  # seconds between two pulls that bring nothing
_GOODBYE = 0.7  # seconds to hand back what is not on disk


class Subscription(NamedTuple):
    """What a source asks of its session.

    Attributes:
        pull: messages that wait.
        acknowledge: the messages of these ids are on disk here.
        postpone: they are not yet; the service is to wait so many seconds, 0 for none.
    """

    pull: Callable[[], Awaitable[Sequence[Received]]]
    acknowledge: Callable[[Sequence[str]], Awaitable[None]]
    postpone: Callable[[Sequence[str], int], Awaitable[None]]


class PubSubSource(Source):
    """One entry of `data_flow.input`.

    Args:
        name: connector instance.
        spec: what to read.
        subscription: where to pull.
        tags: where the tags it meets are declared.
        commands: offers the messages as proposals, where they ask for writes.
    """

    acknowledges = True

    def __init__(
        self,
        name: str,
        spec: GCPInput,
        subscription: Subscription,
        tags: TagTable,
        commands: Commands | None = None,
    ) -> None:
        self.name = name
        self._spec = spec
        self._there = subscription
        self._commands = commands
        self._decoder: Decoder = spec.decoder()
        self._met = MetTags(name, spec.max_tags, tags, log)
        self._known: OrderedDict[bytes, None] = OrderedDict()  # on disk, oldest first
        self._delivered: Sequence[bytes] = ()  # with the batch just yielded
        self._held: Sequence[str] = ()  # taken and not acknowledged
        self._trouble = False

    def tags(self) -> Sequence[Tag]:
        """The tags met so far; a subscription tells no others."""
        return self._met.tags()

    def position(self) -> bytes:
        """The messages of the last batch, 8 bytes each."""
        return b"".join(self._delivered)

    def resume(self, position: bytes) -> None:
        """Know these messages again."""
        for i in range(0, len(position), _DIGEST):
            self._known[position[i : i + _DIGEST]] = None

    async def batches(self) -> AsyncIterator[Batch]:
        """What a pull brings. Asking for the next batch acknowledges the last."""
        while True:
            began = time.monotonic()
            received = await self._there.pull()
            if not received:  # the service waits for a first message; whoever does not is not asked
                await asyncio.sleep(max(0.0, began + _PAUSE - time.monotonic()))  # without a pause
                continue
            self._held = [message.ack_id for message in received]
            fresh = self._unknown(received)
            async with self._put_off(self._held):  # answering commands takes its time, too
                batch = [s for message in fresh.values() for s in await self._samples(message)]
                if batch:
                    self._delivered = list(fresh)
                    yield batch
            self._remember(fresh)
            held, self._held = self._held, ()
            await self._there.acknowledge(held)

    async def close(self) -> None:
        """Hand back what is not on disk, so that it comes again at once."""
        held, self._held = self._held, ()
        if self._commands is not None:
            await self._commands.close()
        if held:
            with suppress(GL002Error, TimeoutError):
                async with asyncio.timeout(_GOODBYE):
                    await self._there.postpone(held, 0)

    @asynccontextmanager
    async def _put_off(self, ack_ids: Sequence[str]) -> AsyncIterator[None]:
        """Extend the deadline of messages while the block lasts."""
        extending = asyncio.create_task(
            _extend(self._there.postpone, ack_ids, self._spec.ack_deadline),
            name=f"gl002-{self.name}-deadline",
        )
        try:
            yield
        finally:
            extending.cancel()

    # ---- messages ---------------------------------------------------------------------------

    def _unknown(self, received: Sequence[Received]) -> dict[bytes, Received]:
        """Those that are not on disk yet, each once, by their digest."""
        digests = {_digest(message.id): message for message in received}
        return {digest: m for digest, m in digests.items() if digest not in self._known}

    def _remember(self, digests: dict[bytes, Received]) -> None:
        self._known.update(dict.fromkeys(digests))
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)

    async def _samples(self, message: Received) -> list[Sample]:
        if self._commands is not None:
            samples, trouble = await self._commands.take(message, self._spec.prefix or "desired.")
        else:
            samples, trouble = self._read(message)
        self._note(message, trouble)
        return [sample for sample in samples if self._admit(sample.tag)]

    def _read(self, message: Received) -> tuple[list[Sample], str]:
        short = self._spec.subscription.rpartition("/")[2]
        named = message.attributes.get(self._spec.name_attribute, "").replace("/", ".")
        return self._decoder.samples(
            named or short, message.data, retained=False, received=message.time
        )

    def _note(self, message: Received, trouble: str) -> None:
        """One line when messages become unreadable, one when they are readable again."""
        if trouble and not self._trouble:
            log.warning("%s: message %s cannot be read: %s", self.name, message.id, trouble)
        elif not trouble and self._trouble:
            log.info("%s: messages can be read again", self.name)
        self._trouble = bool(trouble)

    def _admit(self, name: str) -> bool:
        admitted = self._met.admit(name, self._spec.subscription)
        self.skipped += not admitted
        return admitted


async def _extend(
    postpone: Callable[[Sequence[str], int], Awaitable[None]], ack_ids: Sequence[str], seconds: int
) -> None:
    """Put the service off again and again, well before it repeats."""
    await asyncio.sleep(_SOON)
    while True:
        try:
            await postpone(ack_ids, seconds)
        except GL002Error as error:
            log.debug("the deadline of %d messages cannot be extended: %s", len(ack_ids), error)
        await asyncio.sleep(seconds / 2)


def _digest(message_id: str) -> bytes:
    return hashlib.blake2b(message_id.encode(), digest_size=_DIGEST).digest()
