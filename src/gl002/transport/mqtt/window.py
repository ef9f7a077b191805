"""The messages a reader was last done with, by packet identifier and content."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from gl002.transport.mqtt.message import Message

_ID = 2  # bytes of a packet identifier
_DIGEST = len(Message(topic="", payload=b"").digest())
_ENTRY = _ID + _DIGEST
_COUNT = 2  # bytes of a number of entries: there are 65,535 packet identifiers
_HEAD = 1 + 3 * _COUNT  # bytes: whether identifiers are used again, and numbers of entries
_IDS = 0xFFFF
_BROKER = 4  # bytes that tell a broker from the others of one configuration
_ANY = bytes(_BROKER)  # the only one, wherever it is now
_MOST_BROKERS = 8  # whose messages are remembered
_NAMELESS = b"\x01"  # version of before: messages with QoS 1 of one broker, whichever it was
_NAMED = b"\x02"  # version: a section for each broker, its messages with QoS 2 and with QoS 1


class Window:
    """The messages of one broker last dealt with that it may send again.

    With QoS 1 a message is settled when the broker has answered something that was sent behind
    its acknowledgement: it will never be repeated. Until then it is remembered, however many there
    are: acknowledgements may lie unread before a broker that is busy sending, and mosquitto 2.0
    sends many thousands without waiting for them. Of those that are settled the latest are
    remembered all the same, for a broker that comes back from a copy of its data that is older.

    With QoS 2 a message is remembered until the broker releases its identifier (MQTT 5.0, section
    4.3.3). Until then whatever comes with the same identifier is the same message. One of another
    content all the same is new: that broker has lost its memory, and nothing is to be lost here.
    mosquitto 2.0, started again, sends what it had released as if it had not. So a released one
    is still known when it is flagged as a repeat, until the broker has worked through our last
    word on it; unless that broker uses identifiers again at once, where this could be another.

    There is at most one message of each kind for each of the 65,535 packet identifiers.

    Args:
        size: the receive maximum: how many with QoS 1 are remembered at least.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[int, bytes] = OrderedDict()
        self._unsettled: set[int] = set()
        self._unreleased: dict[int, bytes] = {}
        self._completed: dict[int, bytes] = {}
        self._reuses = False  # the broker has used an identifier again before all others
        self._newest = 0  # identifier of the last new message on this connection

    def begin(self) -> None:
        """A new connection of the same session: first comes again what was not acknowledged.

        What has not come again before the first new message is settled.
        """
        self._unsettled.clear()
        self._newest = 0

    def add(self, message: Message) -> None:
        """Remember a message; forgets the oldest with QoS 1 that are settled when full."""
        if message.qos > 1:
            self._unreleased[message.packet_id] = message.digest()
            self._completed.pop(message.packet_id, None)
        elif message.qos:
            self._remember(message.packet_id, message.digest())
            self._unsettled.add(message.packet_id)
            if not message.duplicate:  # else more may still be repeated
                self._shrink()

    def _remember(self, packet_id: int, digest: bytes) -> None:
        self._known.pop(packet_id, None)
        self._known[packet_id] = digest

    def _shrink(self) -> None:
        while len(self._known) > self._size and next(iter(self._known)) not in self._unsettled:
            self._known.popitem(last=False)

    def settle(self, packet_id: int) -> None:
        """The broker has worked through our last word on the message with this identifier."""
        self._unsettled.discard(packet_id)
        self._completed.pop(packet_id, None)

    def knows(self, message: Message, *, again: bool = False) -> bool:
        """Whether this is one of them, sent again; then it is among the latest once more.

        Args:
            message: that came.
            again: it may have been dealt with, whether it is flagged as a repeat or not.
        """
        if message.qos > 1:
            self.repeated(message)
            return self._unreleased.get(message.packet_id) == message.digest()
        repeated = again or message.duplicate
        known = self._known.get(message.packet_id) if repeated else None
        if known is None or known != message.digest():
            return False
        self._known.move_to_end(message.packet_id)
        self._unsettled.add(message.packet_id)
        return True

    def repeated(self, message: Message) -> None:
        """One with QoS 2 comes again; it may have been released, and is from now on as if not."""
        completed = self._completed.get(message.packet_id)
        if message.duplicate and not self._reuses and completed == message.digest():
            self._unreleased[message.packet_id] = self._completed.pop(message.packet_id)

    def replaced(self, message: Message) -> None:
        """The broker uses this identifier for a new message: it has our acknowledgement."""
        self.settle(message.packet_id)
        self._known.pop(message.packet_id, None)
        if message.qos == 1:
            self._unreleased.pop(message.packet_id, None)
        if self._newest and (message.packet_id - self._newest) % _IDS not in range(1, _IDS // 2):
            self._reuses = True
        self._newest = message.packet_id

    def holds(self, packet_id: int) -> bool:
        """Whether a message with QoS 2 is remembered under this identifier."""
        return packet_id in self._unreleased

    def release(self, packet_ids: Iterable[int]) -> None:
        """The broker will not send these messages with QoS 2 again; unknown ones do no harm."""
        for packet_id in packet_ids:
            if packet_id in self._unreleased:
                self._completed[packet_id] = self._unreleased.pop(packet_id)

    @property
    def completed(self) -> Iterable[int]:
        """What was released, and the broker may not have worked through our last word on it."""
        return self._completed.keys()

    def __len__(self) -> int:
        return len(self._known) + len(self._unreleased) + len(self._completed)

    def later(self, also: Sequence[Message], without: Iterable[int]) -> Window:
        """A copy as it will be: `without` released first, and then `also` added."""
        copy = Window(self._size)
        copy._known, copy._unsettled = self._known.copy(), self._unsettled.copy()
        copy._unreleased, copy._completed = self._unreleased.copy(), self._completed.copy()
        copy._reuses = self._reuses
        copy.release(without)
        for message in also:
            copy.add(message)
        return copy

    # ---- as bytes ---------------------------------------------------------------------------

    def to_bytes(self) -> bytes:
        """As bytes, 8 for each message; b'' where there is nothing to remember."""
        parts = [_packed(each) for each in (self._unreleased, self._completed, self._known)]
        if not any(parts) and not self._reuses:
            return b""
        numbers = [(len(part) // _ENTRY).to_bytes(_COUNT, "big") for part in parts]
        return b"".join([bytes([self._reuses]), *numbers, *parts])

    def load(self, data: memoryview) -> memoryview:
        """Take over what `to_bytes` gave; returns what stands behind it.

        Raises:
            ValueError: it ends too early.
        """
        if len(data) < _HEAD:
            raise ValueError("torn")
        self._reuses, rest = bool(data[0]), data[_HEAD:]
        kinds: list[dict[int, bytes]] = [self._unreleased, self._completed, self._known]
        for at, kind in zip(range(1, _HEAD, _COUNT), kinds, strict=True):
            size = _ENTRY * int.from_bytes(data[at : at + _COUNT], "big")
            if len(rest) < size:
                raise ValueError("torn")
            kind.update(_unpacked(rest[:size]))
            rest = rest[size:]
        return rest


class Memory:
    """What one reader was last done with, at each broker: identifiers are the broker's own.

    Args:
        size: as that of a `Window`.

    Attributes:
        window: of the broker that is connected, or was last.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self.window = Window(size)
        self._at = _ANY
        self._windows = OrderedDict({_ANY: self.window})

    def begin(self, broker: str, *, session_present: bool) -> None:
        """A connection is up; a broker without our session knows nothing any more.

        Args:
            broker: which of several, '' for the only one.
            session_present: it has our session.
        """
        self._at = _key(broker)
        window = self._windows.pop(self._at, None)
        if window is None:
            window = self._windows.pop(_ANY, None)
        if window is None or not session_present:
            window = Window(self._size)  # the old one is left to what was taken in that session
        window.begin()
        self._windows[self._at] = self.window = window
        while len(self._windows) > _MOST_BROKERS:
            self._windows.popitem(last=False)

    def to_bytes(
        self, window: Window, also: Sequence[Message] = (), without: Iterable[int] = ()
    ) -> bytes:
        """As bytes for the store, as it will be when `window` has come so far: 8 bytes each."""
        later, parts = window.later(also, without), [_NAMED]
        for key, one in self._windows.items():
            data = (later if one is window else one).to_bytes()
            if data:
                parts += [key, data]
        return b"".join(parts)

    def load(self, data: bytes) -> None:
        """Take over what `to_bytes` gave; anything else is ignored, which repeats at most."""
        try:
            found = list(self._read(data))
        except ValueError:
            return
        for key, window in found[-_MOST_BROKERS:]:
            at = self._at if key == _ANY else key
            if at in self._windows:
                self._windows[at].load(memoryview(window.to_bytes() or bytes(_HEAD)))
            else:
                self._windows[at] = window

    def _read(self, data: bytes) -> Iterator[tuple[bytes, Window]]:
        rest = memoryview(data)[1:]
        if data[:1] == _NAMELESS and len(data) % _ENTRY == 1:
            number = (len(rest) // _ENTRY).to_bytes(_COUNT, "big")
            rest = memoryview(_ANY + bytes(_HEAD - _COUNT) + number + rest)
        elif data[:1] != _NAMED:
            return
        while rest:
            key, window = bytes(rest[:_BROKER]), Window(self._size)
            rest = window.load(rest[_BROKER:])
            yield key, window


def _key(broker: str) -> bytes:
    if not broker:
        return _ANY
    return hashlib.blake2b(broker.encode(), digest_size=_BROKER).digest()


def _packed(entries: dict[int, bytes]) -> bytes:
    return b"".join(i.to_bytes(_ID, "big") + digest for i, digest in entries.items())


def _unpacked(data: memoryview) -> Iterator[tuple[int, bytes]]:
    for at in range(0, len(data), _ENTRY):
        yield int.from_bytes(data[at : at + _ID], "big"), bytes(data[at + _ID : at + _ENTRY])
