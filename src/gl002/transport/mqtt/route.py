"""One reader's messages, in order, and what it was done with."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.window import Memory
from gl002.wire.mqtt_topic import matches

if TYPE_CHECKING:
    from gl002.transport.mqtt.inbox import Inbox


class Route:
    """One reader's messages.

    With QoS 2 there is more to deal with than messages: when the broker releases one, the reader
    of a lasting memory makes it durable that it is forgotten, and only then is the broker told.
    Else its identifier, used for the next message, could be taken for the last one after a crash.

    Args:
        inbox: it belongs to.
        filters: topic filters of the messages it wants.
        remembered: messages it knows again when they are repeated.
        lasting: its reader keeps `position` with what it has done, also over a crash.

    Attributes:
        inherited: it has taken the place of another reader on this connection, whose position
            tells of the session that there is now.
    """

    def __init__(
        self, inbox: Inbox, filters: Sequence[str], remembered: int, *, lasting: bool = False
    ) -> None:
        self.filters = tuple(filters)
        self.memory = Memory(remembered)
        self._inbox = inbox
        self._lasting = lasting
        self.inherited = False
        self._began = False  # a lasting memory is complete only when its reader begins
        self._waiting: deque[Message] = deque()
        self._again: set[int] = set()  # of those waiting
        self._released: set[int] = set()
        self._taken: list[Message] = []
        self._forgetting: set[int] = set()  # released, and taken together with the messages
        self._window = self.memory.window  # of the broker that what was taken came from
        self._changed = asyncio.Event()

    def wants(self, topic: str) -> bool:
        """Whether one of its filters covers the topic."""
        return any(matches(pattern, topic) for pattern in self.filters)

    @property
    def began(self) -> bool:
        """Whether its reader has begun."""
        return self._began

    # ---- what the inbox tells ---------------------------------------------------------------

    def put(self, message: Message) -> None:
        """A message has arrived."""
        self._waiting.append(message)
        self._changed.set()

    def inherit(self, messages: Sequence[Message], known: Iterable[int]) -> None:
        """What another reader leaves, older than all that is waiting.

        Args:
            messages: that it was not done with.
            known: packet identifiers that it may have been done with, or may not.
        """
        self.inherited = True
        self._waiting.extendleft(reversed(messages))
        self._again |= {*known}
        self._changed.set()

    def release(self, packet_id: int) -> bool:
        """The broker will not send this message with QoS 2 again; whether that takes a while."""
        window = self.memory.window
        if self._lasting and (window.holds(packet_id) or not self._began):
            self._released.add(packet_id)
            self._changed.set()
            return True
        window.release([packet_id])
        return False

    def ended(self) -> list[Message]:
        """The connection has ended: drop what the broker will send again, and return it."""
        self._changed.set()
        self._released.clear()
        self.inherited = False
        self._again.clear()
        dropped = [message for message in self._waiting if message.qos]
        self._waiting = deque(message for message in self._waiting if not message.qos)
        return dropped

    def left(self) -> list[Message]:
        """The reader goes: everything it was not done with."""
        left, self._taken = [*self._taken, *self._waiting], []
        self._waiting.clear()
        return left

    # ---- what the reader does ---------------------------------------------------------------

    def resume(self, position: bytes) -> None:
        """Know again what was done before, unless the broker has started a new session since."""
        self.memory.load(position)
        if self._inbox.connected:
            self._inbox.meet(self)

    async def take(
        self, *, through_outages: bool = False, within: float | None = None
    ) -> list[Message]:
        """All messages waiting. They are `done` or `put_back` before the next call.

        None at all where there is only something to forget, which `position` tells.

        Args:
            through_outages: wait for the next connection where the last one has ended.
            within: seconds after which to return without any; None waits for ever.

        Raises:
            GL002Error: nothing is waiting, and the connection has ended.
        """
        self._began = True
        while True:
            repeated: list[Message] = []
            self._window = self.memory.window
            while self._waiting:
                message = self._waiting.popleft()
                known = self._window.knows(message, again=message.packet_id in self._again)
                (repeated if known else self._taken).append(message)
            self._again.clear()
            self._inbox.done(repeated)
            self._forgetting |= self._released
            self._released.clear()
            if self._taken or self._forgetting:
                return self._taken
            if not through_outages:
                self._inbox.check()
            self._changed.clear()
            try:
                async with asyncio.timeout(within):
                    await self._changed.wait()
            except TimeoutError:
                return self._taken

    @property
    def forgets(self) -> bool:
        """Whether something that is to be forgotten was taken."""
        return bool(self._forgetting)

    @property
    def exact(self) -> bool:
        """Whether what was taken makes a difference to what is known of messages with QoS 2."""
        return self.forgets or any(message.qos > 1 for message in self._taken)

    def position(self) -> bytes:
        """What is remembered when all that was taken is dealt with, for `resume`."""
        return self.memory.to_bytes(self._window, self._taken, self._forgetting)

    def done(self, message: Message) -> None:
        """This one is dealt with for good: acknowledge it, and know it again."""
        if message in self._taken:  # else the reader went meanwhile
            self._taken.remove(message)
            self._window.add(message)
            self._inbox.done([message])

    def all_done(self) -> None:
        """All that was taken is dealt with for good."""
        done, self._taken = self._taken, []
        forgotten, self._forgetting = self._forgetting, set()
        self._window.release(forgotten)
        for message in done:
            self._window.add(message)
        self._inbox.done(done)
        self._inbox.forgotten(self, forgotten)

    def put_back(self) -> None:
        """What was taken was not dealt with: it comes again, now or on the next connection."""
        back, self._taken = self._taken, []
        self._waiting.extendleft(reversed(self._inbox.still_open(back)))
        self._released |= self._inbox.still_releasing(self, self._forgetting)
        self._forgetting = set()
