"""Values in Modbus registers: every data type and byte order, both ways, and whole blocks at once.

Modbus itself knows only 16-bit registers, high byte first (MODBUS Application Protocol V1.1b3,
section 4.2). How larger values lie in them is the device maker's choice, written here with the
letters of the field: A is the most significant byte of the value, and the letters stand in the
order in which the bytes arrive.

    order   2 bytes   4 bytes   8 bytes
    ABCD    A B       A B C D   A B C D E F G H    high word first: the usual order
    CDAB    A B       C D A B   G H E F C D A B    low word first ('word swap')
    BADC    B A       B A D C   B A D C F E H G    high word first, bytes of each word swapped
    DCBA    B A       D C B A   H G F E D C B A    low byte first ('little endian')

    >>> Format(data_type="float32", byte_order="CDAB").decode(bytes.fromhex("0000 42c8"))
    100.0
    >>> Format(data_type="int16", scale=0.1).encode(-12.5).hex()
    'ff83'
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import msgspec

from gl002.errors import DataError
from gl002.model import Value

DataType: TypeAlias = Literal[
    "bool", "int16", "uint16", "int32", "uint32", "int64", "uint64",
    "float16", "float32", "float64", "bcd16", "bcd32", "bcd64", "string",
]  # fmt: skip
ByteOrder: TypeAlias = Literal["ABCD", "CDAB", "BADC", "DCBA"]
BYTE_ORDERS: tuple[ByteOrder, ...] = get_args(ByteOrder)

# struct letter of each type; BCD digits are taken apart from an unsigned integer
_LETTERS = {
    "bool": "H", "int16": "h", "uint16": "H", "int32": "i", "uint32": "I", "int64": "q",
    "uint64": "Q", "float16": "e", "float32": "f", "float64": "d",
    "bcd16": "H", "bcd32": "I", "bcd64": "Q",
}  # fmt: skip
_SWAPPED = {"BADC", "CDAB"}  # become plain big or little endian when each word's bytes are swapped
_LITTLE = {"CDAB", "DCBA"}
_MOST_STRING_REGISTERS = 125


class Mask(NamedTuple):
    """A change of some bits of one register, the n-th of the value: which stay, which are set."""

    register: int
    and_mask: int
    or_mask: int


class Format(msgspec.Struct, frozen=True, kw_only=True):
    """How one value lies in registers, and what to make of it.

    Attributes:
        data_type: what the bytes mean; bool is any 16-bit register that is not 0.
        byte_order: see the table at the top of the module. Of a string only the bytes within a
            register are swapped (BADC, DCBA); its registers never change places.
        length: registers of a string; 0 for all other types.
        bit: take only this bit of an unsigned integer, 0 is the lowest; None takes the number.
        bits: how many bits from `bit` up: 1 makes a bool, more make an unsigned integer.
        scale: multiplied to a number after it was read.
        offset: added after that.

    Raises:
        DataError: attributes that do not go together.
    """

    data_type: DataType = "uint16"
    byte_order: ByteOrder = "ABCD"
    length: int = 0
    bit: int | None = None
    bits: int = 1
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        """Check what no type can say."""
        for wrong, reason in self._contradictions():
            if wrong:
                raise DataError(reason)

    def _contradictions(self) -> list[tuple[bool, str]]:
        text, kind = self.data_type == "string", self.data_type
        end = 0 if self.bit is None else self.bit + self.bits
        return [
            (text != bool(self.length), "a string needs its length in registers, nothing else has"),
            (not 0 <= self.length <= _MOST_STRING_REGISTERS, "a string has 1 to 125 registers"),
            (
                self.bit is not None and not kind.startswith("uint"),
                f"bits can be taken from unsigned integers only, not from {kind}",
            ),
            (
                self.bit is not None and (self.bit < 0 or self.bits < 1),
                "bit must be 0 or more and bits 1 or more",
            ),
            (end > 16 * self.registers, f"bit {end - 1} is beyond the end of {kind}"),
            (self.bit is None and self.bits != 1, "bits needs bit, the lowest one of them"),
            (
                (self.scale, self.offset) != (1.0, 0.0) and not self._is_number,
                f"scale and offset are for numbers, not for {self._noun}",
            ),
            (
                not (math.isfinite(self.scale) and math.isfinite(self.offset)) or self.scale == 0,
                "scale must be a number other than 0, and offset a number",
            ),
        ]

    @property
    def _is_number(self) -> bool:
        return self.data_type not in {"bool", "string"} and self.bit is None

    @property
    def _noun(self) -> str:
        return "bit fields" if self.bit is not None else f"{self.data_type}s"

    @property
    def registers(self) -> int:
        """How many registers the value takes."""
        if self.data_type == "string":
            return self.length
        return struct.calcsize(_LETTERS[self.data_type]) // 2

    def decode(self, raw: bytes) -> Value:
        """The value in `raw`, exactly `registers` x 2 bytes as they came over the wire.

        Raises:
            DataError: no such value: a BCD digit above 9, text that is no UTF-8.
        """
        [value] = Decoder([(0, self)], self.registers).values(raw)
        if value is None:
            raise DataError(f"{raw.hex(' ')} is no {self.data_type}")
        return value

    def encode(self, value: Value) -> bytes:
        """The bytes that hold `value`, ready to be written.

        A number is rounded to the nearest step the register can hold where `scale` makes steps.

        Raises:
            DataError: the register cannot hold it: wrong type, out of range, NaN, a fraction in
                an unscaled integer. Bit fields cannot be encoded on their own: see `mask`.
        """
        if self.bit is not None:
            raise DataError("a bit field cannot be written without the rest of its register")
        if self.data_type == "string":
            return self._encode_text(value)
        raw = self._raw_bool if self.data_type == "bool" else self._raw_number
        try:
            packed = struct.pack(self._code(), raw(value))
        except (struct.error, OverflowError):
            raise DataError(f"{value!r} is out of the range of {self._described()}") from None
        return swapped(packed) if self.byte_order in _SWAPPED else packed

    def mask(self, value: Value) -> Mask:
        """What puts `value` into a bit field and leaves its neighbours as they are.

        Source: MODBUS Application Protocol V1.1b3, section 6.16: the register becomes
        (old AND and_mask) OR (or_mask AND NOT and_mask). One request changes one register, so a
        field that lies across two cannot be written without a moment in which it is half old.

        Raises:
            DataError: not a bit field, one across two registers, or a value that does not fit.
        """
        if self.bit is None:
            raise DataError("only a bit field has a mask")
        number = self._raw_bool(value) if self.bits == 1 else value
        if isinstance(number, bool) or not isinstance(number, int) or number >> self.bits:
            raise DataError(f"{value!r} does not fit into {self.bits} bits")
        field = (1 << self.bits) - 1 << self.bit
        plain = Format(data_type=self.data_type, byte_order=self.byte_order)
        touched, wanted = plain.encode(field), plain.encode(number << self.bit)
        words = [i for i in range(self.registers) if any(touched[2 * i : 2 * i + 2])]
        if len(words) != 1:
            raise DataError(
                f"bits {self.bit} to {self.bit + self.bits - 1} lie across two registers",
                hint="write them as two fields",
            )
        at = slice(2 * words[0], 2 * words[0] + 2)
        and_mask = ~int.from_bytes(touched[at], "big") & 0xFFFF
        return Mask(words[0], and_mask, int.from_bytes(wanted[at], "big"))

    def _code(self) -> str:
        return ("<" if self.byte_order in _LITTLE else ">") + _LETTERS[self.data_type]

    def _described(self) -> str:
        scaled = f" x {self.scale:g}" if self.scale != 1 else ""
        shifted = f" {self.offset:+g}" if self.offset else ""
        return f"{self.data_type}{scaled}{shifted}"

    def _raw_bool(self, value: Value) -> int:
        if value not in (0, 1) or isinstance(value, float):
            raise DataError(f"{value!r} is neither true nor false")
        return int(value)

    def _raw_number(self, value: Value) -> int | float:
        """The number in the register for a value in its unit."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{value!r} is no number")
        if isinstance(value, float) and not math.isfinite(value):
            raise DataError(f"{value} cannot be written")
        raw: int | float = value
        if (self.scale, self.offset) != (1.0, 0.0):
            divisor = _divisor(self.scale)
            moved = value - self.offset
            raw = moved * divisor if divisor else moved / self.scale
        if self.data_type.startswith("float"):
            return raw
        return self._whole(raw, value)

    def _whole(self, raw: float, value: float) -> int:
        if self.scale == 1 and raw != int(raw):
            raise DataError(f"{value} is no whole number, and {self._described()} holds no other")
        whole = round(raw)
        if not self.data_type.startswith("bcd"):
            return whole
        digits = str(whole)
        if whole < 0 or len(digits) > 4 * self.registers:
            raise DataError(f"{value} is out of the range of {self._described()}")
        return int(digits, 16)

    def _encode_text(self, value: Value) -> bytes:
        if not isinstance(value, str):
            raise DataError(f"{value!r} is no text")
        text = value.encode()
        if len(text) > 2 * self.length:
            raise DataError(f"{value!r} is longer than {2 * self.length} bytes")
        padded = text.ljust(2 * self.length, b"\0")
        return swapped(padded) if self.byte_order in {"BADC", "DCBA"} else padded


Post: TypeAlias = Callable[[Any], Value]
Placed: TypeAlias = tuple[int, Format]
"""A format and how many registers into the block its value begins."""


class Decoder:
    """Decodes all values of a block in a few calls: what a poll does thousands of times a second.

    The formats are compiled once into as few `struct` formats as their byte orders and overlaps
    allow; reading then costs one unpack for each and one call for each value that is scaled.

    Args:
        fields: the values in the block, in the order wanted; they may overlap.
        registers: length of the block.

    Attributes:
        fallible: whether any value can turn out to be none (BCD, text).
    """

    def __init__(self, fields: Sequence[Placed], registers: int) -> None:
        self._size = 2 * registers
        self._groups = list(_grouped(fields, registers))
        self._posts = [(i, post) for i, (_, form) in enumerate(fields) if (post := _post(form))]
        self._count = len(fields)
        self._in_order = len(self._groups) == 1 and self._groups[0].in_order
        self.fallible = any(f.data_type.startswith(("bcd", "string")) for _, f in fields)

    def values(self, payload: bytes) -> list[Value]:
        """The values in the order of `fields`; None where the bytes are no such value.

        Raises:
            DataError: the payload is not as long as the block.
        """
        if len(payload) != self._size:
            raise DataError(f"{len(payload)} bytes where {self._size} are needed")
        if self._in_order:
            values: list[Any] = list(self._groups[0].unpack(payload))
        else:
            values = [None] * self._count
            for group in self._groups:
                for i, value in zip(group.indexes, group.unpack(payload), strict=True):
                    values[i] = value
        for i, post in self._posts:
            values[i] = post(values[i])
        return values


class _Group:
    """Values of a block that one `struct` format can take: same byte order, no overlap."""

    def __init__(self, code: str, indexes: Sequence[int], *, swap: bool) -> None:
        self._struct = struct.Struct(code)
        self._swap = swap
        self.indexes = indexes
        self.in_order = list(indexes) == list(range(len(indexes)))

    def unpack(self, payload: bytes) -> tuple[Any, ...]:
        return self._struct.unpack(swapped(payload) if self._swap else payload)


def swapped(payload: bytes) -> bytes:
    """The two bytes of each register exchanged."""
    exchanged = bytearray(payload)
    exchanged[0::2], exchanged[1::2] = payload[1::2], payload[0::2]
    return bytes(exchanged)


def _grouped(fields: Sequence[Placed], registers: int) -> Iterator[_Group]:
    """The fields dealt out so that each group has one byte order and no two overlapping values."""
    open_groups: dict[tuple[bool, str], list[_Layer]] = {}
    for i, (start, form) in sorted(enumerate(fields), key=lambda item: item[1][0]):
        text = form.data_type == "string"
        swap = form.byte_order in ({"BADC", "DCBA"} if text else _SWAPPED)
        endian = "<" if form.byte_order in _LITTLE and not text else ">"
        letter = f"{2 * form.length}s" if text else _LETTERS[form.data_type]
        layers = open_groups.setdefault((swap, endian), [])
        layer = next((x for x in layers if x.end <= start), None)
        if layer is None:
            layer = _Layer(endian)
            layers.append(layer)
        layer.add(i, start, form.registers, letter)
    for (swap, _), layers in open_groups.items():
        for layer in layers:
            yield _Group(layer.closed(registers), layer.indexes, swap=swap)


class _Layer:
    """A `struct` format under construction, with padding where no value is wanted."""

    def __init__(self, endian: str) -> None:
        self._code = endian
        self.end = 0
        self.indexes: list[int] = []

    def add(self, index: int, start: int, registers: int, letter: str) -> None:
        self._code += f"{2 * (start - self.end)}x{letter}"
        self.end = start + registers
        self.indexes.append(index)

    def closed(self, registers: int) -> str:
        return f"{self._code}{2 * (registers - self.end)}x"


def _post(form: Format) -> Post | None:
    """What remains to be done to a number after it was unpacked; None for nothing."""
    if form.bit is not None:
        return _bit_field(form.bit, form.bits)
    if form.data_type == "string":
        return _text
    if form.data_type == "bool":
        return bool
    linear = _linear(form.scale, form.offset)
    if form.data_type.startswith("bcd"):
        return _bcd(linear)
    return linear


def _bit_field(bit: int, bits: int) -> Post:
    if bits == 1:
        return lambda number: bool(number >> bit & 1)
    field = (1 << bits) - 1
    return lambda number: int(number >> bit & field)


def _linear(scale: float, offset: float) -> Post | None:
    """The scaling of a number; 0.1 divides by 10, so that 3 gives 0.3, not 0.30000000000000004."""
    divisor = _divisor(scale)
    if divisor:
        if offset:
            return lambda number: number / divisor + offset
        return lambda number: number / divisor
    if offset:
        return lambda number: number * scale + offset
    return None if scale == 1 else lambda number: number * scale


def _divisor(scale: float) -> int:
    """The whole number n where scale is 1/n, 0 where there is none."""
    n = round(1 / scale) if abs(scale) < 1 else 0
    return n if n and 1 / n == scale else 0


def _bcd(linear: Post | None) -> Post:
    def number(packed: int) -> Value:
        digits = f"{packed:x}"
        if not digits.isdecimal():
            return None
        return linear(int(digits)) if linear else int(digits)

    return number


def _text(raw: bytes) -> str | None:
    """Text up to the first NUL, without trailing blanks."""
    try:
        return raw.partition(b"\0")[0].rstrip(b" ").decode()
    except UnicodeDecodeError:
        return None
