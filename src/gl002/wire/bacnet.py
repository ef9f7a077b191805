"""BACnet values as bytes: tags, primitive values and what is built of them.

A value is a tag and its contents (ANSI/ASHRAE 135, clause 20.2). An application tag says the type
of a primitive value, a context tag only its place in a service; opening and closing tags enclose
what is built of others. Everything here is strict: what is not exactly an encoding is `Malformed`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

NULL, BOOLEAN, UNSIGNED, SIGNED, REAL, DOUBLE = range(6)
OCTETS, TEXT, BITS, ENUMERATED, DATE, TIME, OBJECT = range(6, 13)
"""Application tags (20.2.1.4)."""

TYPE_NAMES: Final = (
    "null", "boolean", "unsigned", "signed", "real", "double", "octet string", "character string",
    "bit string", "enumerated", "date", "time", "object identifier",
)  # fmt: skip

ANY: Final = 255
"""In a date or time: not specified."""

_OPENING, _CLOSING = 6, 7
_CONTEXT: Final = 0x08
_EXTENDED: Final = 15  # tag number in the next octet
_MOST_NESTED: Final = 8
_LARGEST_INTEGER: Final = 8  # octets
_CHARACTER_SETS: Final = {0: "utf-8", 3: "utf-32-be", 4: "utf-16-be", 5: "latin-1"}  # 20.2.9
INSTANCE_BITS: Final = 22
NO_INSTANCE: Final = (1 << INSTANCE_BITS) - 1
"""Instance that stands for none; of a device object: whatever device you are (12.11)."""


class Malformed(ValueError):
    """What came is no BACnet encoding of what was asked for."""


class ObjectId(NamedTuple):
    """Type and instance of an object, as numbers."""

    type: int
    instance: int


class Date(NamedTuple):
    """A date; `ANY` where not specified. The year is the full one."""

    year: int
    month: int
    day: int
    weekday: int = ANY


class Time(NamedTuple):
    """A time of day; `ANY` where not specified."""

    hour: int
    minute: int
    second: int
    hundredths: int = 0


Primitive: TypeAlias = (
    bool | int | float | str | bytes | tuple[bool, ...] | ObjectId | Date | Time | None
)


class Datum(NamedTuple):
    """A primitive value with its application tag."""

    tag: int
    value: Primitive


class Context(NamedTuple):
    """A primitive whose type its place says."""

    number: int
    data: bytes


class Built(NamedTuple):
    """What stands between an opening and a closing tag."""

    number: int
    items: tuple[Item, ...]


Item: TypeAlias = Datum | Context | Built

_BAD_UTF = "text that is not in its character set"


class Reader:
    """Takes values off an encoding, front to back.

    Args:
        data: the whole encoding.
    """

    __slots__ = ("_at", "_data", "_end")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0
        self._end = len(data)

    @property
    def done(self) -> bool:
        """Whether nothing is left."""
        return self._at >= self._end

    def finish(self) -> None:
        """Say that this must have been all.

        Raises:
            Malformed: something is left.
        """
        if not self.done:
            raise Malformed(f"{self._end - self._at} octets too many")

    def primitive(self) -> Datum:
        """The next value, which must be a primitive with an application tag."""
        number, kind, length = self._tag()
        if kind:
            raise Malformed("a context tag where an application tag belongs")
        return self._datum(number, length)

    def of(self, tag: int) -> Primitive:
        """The next value, which must have this application tag."""
        datum = self.primitive()
        if datum.tag != tag:
            raise Malformed(f"{TYPE_NAMES[datum.tag]} where {TYPE_NAMES[tag]} belongs")
        return datum.value

    def has_context(self, number: int) -> bool:
        """Whether a primitive with this context tag comes next; takes nothing."""
        return not self.done and self._peek() == (number, _CONTEXT)

    def context(self, number: int) -> bytes:
        """Contents of the next value, a primitive with this context tag."""
        found, kind, length = self._tag()
        if kind != _CONTEXT or found != number:
            raise Malformed(f"context tag {number} is missing")
        return self._take(length)

    def context_unsigned(self, number: int) -> int:
        """The next value, an unsigned number with this context tag."""
        return _unsigned(self.context(number))

    def context_object(self, number: int) -> ObjectId:
        """The next value, an object identifier with this context tag."""
        return object_id(self.context(number))

    def opens(self, number: int) -> bool:
        """Whether this opening tag comes next; takes it then."""
        if self.done:
            return False
        start = self._at
        found, kind, _ = self._tag()
        if kind == _OPENING and found == number:
            return True
        self._at = start
        return False

    def opening(self, number: int) -> None:
        """Take this opening tag.

        Raises:
            Malformed: it does not come next.
        """
        if not self.opens(number):
            raise Malformed(f"opening tag {number} is missing")

    def closes(self, number: int) -> bool:
        """Whether this closing tag comes next; takes it then."""
        if self.done:
            raise Malformed(f"closing tag {number} is missing")
        start = self._at
        found, kind, _ = self._tag()
        if kind == _CLOSING and found == number:
            return True
        self._at = start
        return False

    def within(self, number: int) -> tuple[Item, ...]:
        """Everything up to this closing tag, and that tag."""
        return tuple(self._items(number, 0))

    def _items(self, number: int, depth: int) -> Iterator[Item]:
        if depth > _MOST_NESTED:
            raise Malformed("nested too deep")
        while not self.closes(number):
            found, kind, length = self._tag()
            if kind == _OPENING:
                yield Built(found, tuple(self._items(found, depth + 1)))
            elif kind == _CLOSING:
                raise Malformed(f"closing tag {found} without its opening tag")
            elif kind:
                yield Context(found, self._take(length))
            else:
                yield self._datum(found, length)

    def _peek(self) -> tuple[int, int]:
        start = self._at
        found, kind, _ = self._tag()
        self._at = start
        return found, kind

    def _tag(self) -> tuple[int, int, int]:
        """Number, kind (0, context, opening, closing) and length; of a boolean its value."""
        data, at = self._data, self._at
        if at >= self._end:
            raise Malformed("the data ends where a tag belongs")
        first = data[at]
        at += 1
        number, length = first >> 4, first & 7
        if number == _EXTENDED:
            number, at = self._octet(at)
        if first & _CONTEXT and length >= _OPENING:
            self._at = at
            return number, length, 0
        if length == 5:  # noqa: PLR2004 (20.2.1.3.1: the length follows)
            length, at = self._length(at)
        elif length > 5:  # noqa: PLR2004
            raise Malformed("a tag with a length that does not exist")
        self._at = at
        return number, first & _CONTEXT, length

    def _octet(self, at: int) -> tuple[int, int]:
        if at >= self._end:
            raise Malformed("the data ends within a tag")
        return self._data[at], at + 1

    def _length(self, at: int) -> tuple[int, int]:
        length, at = self._octet(at)
        size = {254: 2, 255: 4}.get(length, 0)
        if not size:
            return length, at
        return int.from_bytes(self._data[at : at + size], "big"), at + size

    def _take(self, length: int) -> bytes:
        end = self._at + length
        if end > self._end:
            raise Malformed(f"{length} octets announced, {self._end - self._at} there")
        data = self._data[self._at : end]
        self._at = end
        return data

    def _datum(self, tag: int, length: int) -> Datum:
        if tag == REAL and length == 4:  # noqa: PLR2004 (the most frequent one)
            return Datum(REAL, struct.unpack(">f", self._take(4))[0])
        if tag == BOOLEAN:
            if length > 1:
                raise Malformed("a boolean that is neither")
            return Datum(BOOLEAN, bool(length))
        return Datum(tag, primitive(tag, self._take(length)))


def primitive(tag: int, data: bytes) -> Primitive:
    """The value of a primitive from its contents.

    Raises:
        Malformed: no such type, or these are no contents of it.
    """
    try:
        decode = _DECODERS[tag]
    except KeyError:
        raise Malformed(f"application tag {tag} does not exist") from None
    return decode(data)


def _null(data: bytes) -> None:
    _exactly(data, 0)


def boolean(data: bytes) -> bool:
    """A boolean with a context tag: one octet."""
    _exactly(data, 1)
    if data[0] > 1:
        raise Malformed("a boolean that is neither")
    return data[0] == 1


def _unsigned(data: bytes) -> int:
    if not 1 <= len(data) <= _LARGEST_INTEGER:
        raise Malformed(f"a number of {len(data)} octets")
    return int.from_bytes(data, "big")


def _signed(data: bytes) -> int:
    _unsigned(data)
    return int.from_bytes(data, "big", signed=True)


def _real(data: bytes) -> float:
    _exactly(data, 4)
    return float(struct.unpack(">f", data)[0])


def _double(data: bytes) -> float:
    _exactly(data, 8)
    return float(struct.unpack(">d", data)[0])


def _text(data: bytes) -> str:
    if not data:
        raise Malformed("text without its character set")
    encoding = _CHARACTER_SETS.get(data[0])
    if encoding is None:
        raise Malformed(f"text in character set {data[0]}, which we cannot read")
    try:
        return data[1:].decode(encoding)
    except UnicodeDecodeError:
        if encoding == "utf-8":  # older devices say ANSI X3.4 and mean their own code page
            return data[1:].decode("latin-1")
        raise Malformed(_BAD_UTF) from None


def bits(data: bytes) -> tuple[bool, ...]:
    """A bit string, bit 0 first."""
    if not data or data[0] > 7 or (len(data) == 1 and data[0]):  # noqa: PLR2004 (unused bits)
        raise Malformed("no bit string")
    count = (len(data) - 1) * 8 - data[0]
    return tuple(bool(data[1 + i // 8] & (0x80 >> i % 8)) for i in range(count))


def _date(data: bytes) -> Date:
    _exactly(data, 4)
    year, month, day, weekday = data
    return Date(year if year == ANY else year + 1900, month, day, weekday)


def _time(data: bytes) -> Time:
    _exactly(data, 4)
    return Time(*data)


def object_id(data: bytes) -> ObjectId:
    """An object identifier from its four octets."""
    _exactly(data, 4)
    number = int.from_bytes(data, "big")
    return ObjectId(number >> INSTANCE_BITS, number & NO_INSTANCE)


def _exactly(data: bytes, length: int) -> None:
    if len(data) != length:
        raise Malformed(f"{len(data)} octets where {length} belong")


_DECODERS: Final[Mapping[int, Callable[[bytes], Primitive]]] = {
    NULL: _null, UNSIGNED: _unsigned, SIGNED: _signed, REAL: _real, DOUBLE: _double,
    OCTETS: bytes, TEXT: _text, BITS: bits, ENUMERATED: _unsigned, DATE: _date, TIME: _time,
    OBJECT: object_id,
}  # fmt: skip
