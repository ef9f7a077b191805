"""BACnet services: requests as bytes, and what their answers say (ANSI/ASHRAE 135, clause 21).

Only the part of a message that belongs to the service: what is around it (APDU, network layer,
BACnet/IP) is the driver's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

from gl002.wire import bacnet as b
from gl002.wire import bacnet_encode as e
from gl002.wire.bacnet import Built, Context, Date, Datum, Item, Malformed, ObjectId, Reader, Time

# Service choices of confirmed requests (21, BACnetConfirmedServiceChoice)
CONFIRMED_COV, SUBSCRIBE_COV, READ, READ_MULTIPLE, WRITE, READ_RANGE = 1, 5, 12, 14, 15, 26
# ... and of unconfirmed ones
I_AM, UNCONFIRMED_COV, WHO_IS = 0, 2, 8

PRESENT_VALUE: Final = 85
STATUS_FLAGS: Final = 111
_VALUE_IN_WRITE = 3
_PRIORITY_IN_WRITE = 4
_MOST_PER_ANSWER: Final = 100_000  # items; far beyond what an answer can hold


class Ask(NamedTuple):
    """One property of one object, or one element of it.

    Attributes:
        object: whose.
        property: its number.
        element: index in an array; 0 is the number of elements.
    """

    object: ObjectId
    property: int
    element: int | None = None


class Refused(NamedTuple):
    """An error in place of a value: class and code, as numbers."""

    error_class: int
    code: int


Answer: TypeAlias = tuple[Item, ...] | Refused


class IAm(NamedTuple):
    """What a device says of itself.

    Attributes:
        device: its instance.
        max_apdu: octets of the longest message it takes.
        segmentation: BACnetSegmentation: 0 both ways, 1 sends, 2 receives, 3 none.
        vendor: its maker's number.
    """

    device: int
    max_apdu: int
    segmentation: int
    vendor: int


class Notification(NamedTuple):
    """A change of value that a device reports.

    Attributes:
        process: number that the subscriber chose.
        device: instance of the sender.
        object: what has changed.
        remaining: seconds until the subscription ends; 0 for one without end.
        values: property -> value.
    """

    process: int
    device: int
    object: ObjectId
    remaining: int
    values: dict[int, tuple[Item, ...]]


class LogRecord(NamedTuple):
    """One entry of a trend log.

    Attributes:
        date, time: local to the device.
        value: None for an entry that is no value: a change of clock, an error, log status.
        flags: the object's status flags then, where the log keeps them.
        event: what an entry is that is no value.
    """

    date: Date
    time: Time
    value: Datum | None
    flags: tuple[bool, ...] | None
    event: str = ""


class Range(NamedTuple):
    """A part of a trend log.

    Attributes:
        records: as they lie in it.
        last: whether the newest record of the log is among them.
        first: sequence number of the first record, 0 where none is given.
    """

    records: list[LogRecord]
    last: bool
    first: int


# ---- requests ---------------------------------------------------------------------------------


def who_is(low: int | None = None, high: int | None = None) -> bytes:
    """Ask who is there, all or those with an instance from `low` to `high`."""
    if low is None or high is None:
        return b""
    return e.context_unsigned(0, low) + e.context_unsigned(1, high)


def read(ask: Ask) -> bytes:
    """ReadProperty (15.5)."""
    return e.context_object(0, ask.object) + _reference(ask, 1)


def read_multiple(asks: Sequence[Ask]) -> bytes:
    """ReadPropertyMultiple (15.7); what is asked of one object in a row shares its heading."""
    parts: list[bytes] = []
    before: ObjectId | None = None
    for ask in asks:
        if ask.object != before:
            if before is not None:
                parts.append(e.closing(1))
            parts += [e.context_object(0, ask.object), e.opening(1)]
            before = ask.object
        parts.append(_reference(ask, 0))
    return b"".join(parts) + (e.closing(1) if parts else b"")


def write(ask: Ask, value: Datum, priority: int | None) -> bytes:
    """WriteProperty (15.9).

    Raises:
        ValueError: the value is not of the type its tag says.
    """
    parts = [e.context_object(0, ask.object), _reference(ask, 1), e.opening(_VALUE_IN_WRITE)]
    parts += [e.application(value.tag, value.value), e.closing(_VALUE_IN_WRITE)]
    if priority is not None:
        parts.append(e.context_unsigned(_PRIORITY_IN_WRITE, priority))
    return b"".join(parts)


def subscribe(process: int, target: ObjectId, *, confirmed: bool, lifetime: int) -> bytes:
    """SubscribeCOV (13.14): report changes of an object for `lifetime` seconds."""
    return (
        e.context_unsigned(0, process)
        + e.context_object(1, target)
        + e.context(2, bytes([confirmed]))
        + e.context_unsigned(3, lifetime)
    )


def unsubscribe(process: int, target: ObjectId) -> bytes:
    """SubscribeCOV without its last two parameters ends a subscription."""
    return e.context_unsigned(0, process) + e.context_object(1, target)


def read_range_by_time(ask: Ask, date: Date, time: Time, count: int) -> bytes:
    """ReadRange (15.8): at most `count` records after a moment."""
    return (
        read(ask)
        + e.opening(7)
        + e.application(b.DATE, date)
        + e.application(b.TIME, time)
        + e.application(b.SIGNED, count)
        + e.closing(7)
    )


def read_range_by_sequence(ask: Ask, first: int, count: int) -> bytes:
    """ReadRange (15.8): at most `count` records from a sequence number on."""
    return (
        read(ask)
        + e.opening(6)
        + e.application(b.UNSIGNED, first)
        + e.application(b.SIGNED, count)
        + e.closing(6)
    )


def _reference(ask: Ask, first: int) -> bytes:
    """Property and index, with two context tags from `first` on."""
    index = b"" if ask.element is None else e.context_unsigned(first + 1, ask.element)
    return e.context_unsigned(first, ask.property) + index


# ---- answers ----------------------------------------------------------------------------------


def read_answer(ask: Ask, data: bytes) -> tuple[Item, ...]:
    """The value in the answer to `read`.

    Raises:
        Malformed: it is no answer to this question.
    """
    reader = Reader(data)
    found = _asked(reader, reader.context_object(0), 1)
    _same(ask, found)
    reader.opening(3)
    value = reader.within(3)
    reader.finish()
    return value


def read_multiple_answer(asks: Sequence[Ask], data: bytes) -> list[Answer]:
    """What the answer to `read_multiple` says, in the order of `asks`.

    Raises:
        Malformed: it is no answer to these questions.
    """
    reader = Reader(data)
    found = [*_results(reader)]
    if len(found) != len(asks):
        raise Malformed(f"{len(asks)} values asked for, {len(found)} in the answer")
    for ask, (answered, answer) in zip(asks, found, strict=True):
        # an error about an element may leave out which
        refused = isinstance(answer, Refused) and answered.element is None
        _same(ask._replace(element=None) if refused else ask, answered)
    return [answer for _, answer in found]


def _results(reader: Reader) -> Iterator[tuple[Ask, Answer]]:
    while not reader.done:
        owner = reader.context_object(0)
        reader.opening(1)
        while not reader.closes(1):
            ask = _asked(reader, owner, 2)
            if reader.opens(4):
                yield ask, reader.within(4)
            else:
                reader.opening(5)
                yield ask, _error(reader)
                if not reader.closes(5):
                    raise Malformed("an error of more than class and code")


def error(data: bytes) -> Refused:
    """Class and code of an error message."""
    return _error(Reader(data))


def _error(reader: Reader) -> Refused:
    error_class, code = reader.of(b.ENUMERATED), reader.of(b.ENUMERATED)
    assert isinstance(error_class, int)
    assert isinstance(code, int)
    return Refused(error_class, code)


def _asked(reader: Reader, owner: ObjectId, first: int) -> Ask:
    number = reader.context_unsigned(first)
    index = reader.context_unsigned(first + 1) if reader.has_context(first + 1) else None
    return Ask(owner, number, index)


def _same(asked: Ask, answered: Ask) -> None:
    """An answer names what it is about; a device asked for 'whatever you are' names itself."""
    wildcard = asked.object.instance == b.NO_INSTANCE and asked.object.type == answered.object.type
    if asked != answered and not (wildcard and asked[1:] == answered[1:]):
        raise Malformed(f"asked for {asked}, answered {answered}")


def i_am(data: bytes) -> IAm:
    """What a device says of itself."""
    reader = Reader(data)
    who = reader.of(b.OBJECT)
    numbers = [reader.of(tag) for tag in (b.UNSIGNED, b.ENUMERATED, b.UNSIGNED)]
    assert isinstance(who, ObjectId)
    if who.type != 8 or who.instance == b.NO_INSTANCE:  # noqa: PLR2004 (12.11: device)
        raise Malformed("an I-Am that names no device")
    return IAm(who.instance, *(int(n) for n in numbers))  # type: ignore[arg-type]


def notification(data: bytes) -> Notification:
    """A change of value that a device reports."""
    reader = Reader(data)
    process = reader.context_unsigned(0)
    device, target = reader.context_object(1), reader.context_object(2)
    remaining = reader.context_unsigned(3)
    values: dict[int, tuple[Item, ...]] = {}
    reader.opening(4)
    while not reader.closes(4):
        ask = _asked(reader, target, 0)
        reader.opening(2)
        values[ask.property] = reader.within(2)
        if reader.has_context(3):
            reader.context_unsigned(3)
    reader.finish()
    return Notification(process, device.instance, target, remaining, values)


# ---- trend logs -------------------------------------------------------------------------------


def range_answer(ask: Ask, data: bytes) -> Range:
    """A part of a trend log.

    Raises:
        Malformed: it is no answer to this question.
    """
    reader = Reader(data)
    _same(ask, _asked(reader, reader.context_object(0), 1))
    flags = b.bits(reader.context(3))
    count = reader.context_unsigned(4)
    reader.opening(5)
    records = [*_records(reader)]
    if len(records) != count:
        raise Malformed(f"{count} records announced, {len(records)} there")
    first = reader.context_unsigned(6) if reader.has_context(6) else 0
    reader.finish()
    return Range(records, last=len(flags) > 1 and flags[1], first=first)  # FIRST, LAST, MORE_ITEMS


def _records(reader: Reader) -> Iterator[LogRecord]:
    while not reader.closes(5):
        reader.opening(0)
        date, time = reader.of(b.DATE), reader.of(b.TIME)
        if not reader.closes(0):
            raise Malformed("a moment of more than date and time")
        assert isinstance(date, Date)
        assert isinstance(time, Time)
        reader.opening(1)
        value, event = _logged(reader.within(1))
        flags = b.bits(reader.context(2)) if reader.has_context(2) else None
        yield LogRecord(date, time, value, flags, event)


_LOGGED: Final = {2: b.REAL, 3: b.ENUMERATED, 4: b.UNSIGNED, 5: b.SIGNED, 6: b.BITS, 7: b.NULL}


def _logged(items: tuple[Item, ...]) -> tuple[Datum | None, str]:
    """A value of a record, or what else it is (BACnetLogRecord.logDatum)."""
    if len(items) != 1:
        raise Malformed("a record with several values")
    match items[0]:
        case Context(0, data):
            return None, _log_status(b.bits(data))
        case Context(1, data):
            return Datum(b.BOOLEAN, b.boolean(data)), ""
        case Context(9, data):
            return None, f"the clock was changed by {b.primitive(b.REAL, data)!r} s"
        case Context(number, data) if number in _LOGGED:
            return Datum(_LOGGED[number], b.primitive(_LOGGED[number], data)), ""
        case Built(8, (Datum(_, error_class), Datum(_, code))):
            return None, f"error {error_class!r}:{code!r}"
        case Built(10, (Datum() as datum,)):
            return datum, ""
    raise Malformed("a record of a kind that does not exist")


def _log_status(flags: tuple[bool, ...]) -> str:
    names = ("logging disabled", "buffer purged", "logging interrupted")
    return ", ".join(name for name, flag in zip(names, flags, strict=False) if flag) or "logging"


def reference_of(items: Sequence[Item]) -> Ask:
    """A BACnetDeviceObjectPropertyReference: what a trend log records."""
    match items:
        case (Context(0, owner), Context(1, number), *rest):
            index = next((c.data for c in rest if isinstance(c, Context) and c.number == 2), None)  # noqa: PLR2004
            return Ask(
                b.object_id(owner),
                int.from_bytes(number, "big"),
                None if index is None else int.from_bytes(index, "big"),
            )
    raise Malformed("no reference to a property")
