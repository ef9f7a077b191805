"""The messages a reader was last done with, by packet identifier and content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from gl002.transport.mqtt.message import Message

_ID = 2  # bytes of a packet identifier
_VERSION = b"\x01"


class Window:
    """The messages last dealt with whose acknowledgement the broker may not have worked through.

    A message is settled when the broker has answered something that was sent behind its
    acknowledgement: it will never be repeated. Until then it is remembered, however many there
    are: acknowledgements may lie unread before a broker that is busy sending, and mosquitto 2.0
    sends many thousands without waiting for them. Of those that are settled the latest are
    remembered all the same, for a broker that comes back from a copy of its data that is older.

    There is at most one message for each of the 65,535 packet identifiers.

    Args:
        size: the receive maximum: how many are remembered at least.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[int, bytes] = OrderedDict()
        self._unsettled: set[int] = set()

    def begin(self) -> None:
        """A new connection of the same session: first comes again what was not acknowledged.

        What has not come again before the first new message is settled.
        """
        self._unsettled.clear()

    def add(self, message: Message) -> None:
        """Remember a message; forgets the oldest that are settled when full."""
        if message.qos:
            self._remember(message.packet_id, message.digest())
            self._unsettled.add(message.packet_id)
            if not message.duplicate:  # else more may still be repeated
                self._shrink()

    def _remember(self, packet_id: int, digest: bytes) -> None:
        self.forget(packet_id)
        self._known[packet_id] = digest

    def _shrink(self) -> None:
        while len(self._known) > self._size and next(iter(self._known)) not in self._unsettled:
            self._known.popitem(last=False)

    def settle(self, packet_id: int) -> None:
        """The broker has worked through the acknowledgement of the message with this identifier."""
        self._unsettled.discard(packet_id)

    def knows(self, message: Message) -> bool:
        """Whether this is one of them, sent again; then it is among the latest once more."""
        known = self._known.get(message.packet_id) if message.duplicate else None
        if known is None or known != message.digest():
            return False
        self._known.move_to_end(message.packet_id)
        self._unsettled.add(message.packet_id)
        return True

    def forget(self, packet_id: int) -> None:
        """The broker uses this identifier for another message: it has our acknowledgement."""
        self._known.pop(packet_id, None)
        self._unsettled.discard(packet_id)

    def clear(self) -> None:
        """Forget all: the broker has started a new session."""
        self._known.clear()
        self.begin()

    def __len__(self) -> int:
        return len(self._known)

    def to_bytes(self, also: Sequence[Message] = ()) -> bytes:
        """As bytes for the store, with `also` as if they had been added: 8 bytes each."""
        before = self._known.copy(), self._unsettled.copy()
        try:
            for message in also:
                self.add(message)
            return _VERSION + b"".join(i.to_bytes(_ID, "big") + d for i, d in self._known.items())
        finally:
            self._known, self._unsettled = before

    def load(self, data: bytes) -> None:
        """Take over what `to_bytes` gave; anything else is ignored, which repeats at most."""
        entry = _ID + len(Message(topic="", payload=b"").digest())
        if data[:1] == _VERSION and len(data) % entry == 1:
            for at in range(1, len(data), entry):
                identifier = int.from_bytes(data[at : at + _ID], "big")
                self._remember(identifier, data[at + _ID : at + entry])
