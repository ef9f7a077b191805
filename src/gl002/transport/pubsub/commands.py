"""Messages of a subscription as proposals for writes: a person decides, nobody else can.

    {"point": "b1.o2_setpoint", "value": 3.1, "unit": "%", "reason": "...", "expires_s": 600}

What became of each is published, if a topic for answers is named: once when it is kept or refused,
and once when somebody has decided.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

import msgspec

from gl002.errors import DataError, GL002Error
from gl002.model import Quality, Sample
from gl002.proposal import Answer, Proposal, Proposals
from gl002.wire.mqtt_payload import sample_of
from gl002.wire.pubsub import Message, Received

log = logging.getLogger("gl002.gcp")

_LONGEST = 200
_MOST_FOLLOWED = 100  # proposals whose end is waited for; the queue keeps no more either


class Commands:
    """Offers what messages ask for, and tells what became of it.

    Args:
        name: of the connection.
        proposals: where to offer.
        tell: publishes an answer; None where nobody is told.
    """

    def __init__(
        self,
        name: str,
        proposals: Proposals,
        tell: Callable[[Message], Awaitable[object]] | None,
    ) -> None:
        self._name = name
        self._proposals = proposals
        self._tell = tell
        self._following: dict[str, asyncio.Task[None]] = {}

    async def take(self, message: Received, prefix: str) -> tuple[list[Sample], str]:
        """Offer what one message asks for; on disk when it returns. As samples, and what is wrong.

        Raises:
            GL002Error: it could not be kept: the message must come again.
        """
        asker = message.attributes.get("asker", "")[:_LONGEST] or "a message of Pub/Sub"
        try:
            proposal = Proposal.asked(message.json(), id=message.id, origin=self._name, asker=asker)
        except DataError as error:
            await self._say(
                Answer(id=message.id, point="", state="refused", reason=str(error.args[0]))
            )
            return [], str(error)
        answer = await self._proposals.offer(proposal)
        await self._say(answer)
        if not answer.final:
            self._follow(proposal)
        if not answer.accepted:
            log.warning("%s: %s: %s", self._name, proposal.point[:_LONGEST], answer.reason)
            return [], ""
        wished = sample_of(prefix + proposal.point, proposal.value, message.time, Quality.GOOD)
        return [wished], ""

    async def close(self) -> None:
        """Wait for no outcome any more; what is decided then is told to whoever asks again."""
        tasks = list(self._following.values())
        self._following.clear()
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def _follow(self, proposal: Proposal) -> None:
        """Tell its end, too, when it has one."""
        if self._tell is None or proposal.id in self._following:
            return
        if len(self._following) >= _MOST_FOLLOWED:
            log.warning("%s: the end of '%s' will not be told", self._name, proposal.id)
            return
        self._following[proposal.id] = asyncio.create_task(
            self._until_decided(proposal), name=f"gl002-{self._name}-command"
        )

    async def _until_decided(self, proposal: Proposal) -> None:
        try:
            await self._say(await self._proposals.outcome(proposal))
        except GL002Error as error:
            log.warning("%s: what became of '%s': %s", self._name, proposal.id, error)
        finally:
            self._following.pop(proposal.id, None)

    async def _say(self, answer: Answer) -> None:
        """Publish an answer; a proposal stands whether or not that works."""
        if self._tell is None:
            return
        identity = f"{answer.id}:{answer.state}"[:_LONGEST]
        try:
            await self._tell(
                Message(data=msgspec.json.encode(answer.told()), attributes={"id": identity})
            )
        except (GL002Error, DataError) as error:
            log.warning("%s: an answer could not be told: %s", self._name, error)
