"""What registers probably hold: types and byte order, weighed from a few readings of them.

A device maker's list may be lost, or wrong. What lies in the registers is then weighed by how
*short* it can be told: each way to cut the registers into values has a length in bits (minimum
description length; Rissanen, Automatica 14, 1978), and the shortest one is proposed.

- A measured float has an exponent near 0 in its right byte order, and a wild one in the others.
- From one reading to the next a value moves little in its right type and order; cut wrongly, it
  jumps.
- A device uses one byte order throughout, so all its values vote on it together.

Scale and offset leave no trace in the registers. They are found only where a person has seen a
value, on the device's display for instance: `seen`. Not every question has an answer: 5 is the same
register as int16 and as uint16, and 0 is 0 in every type.

    >>> guess([(0x2666, 0x43F2), (0x8CCD, 0x43F2)]).order  # 484.3, 485.1
    'CDAB'
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

from gl002.errors import DataError
from gl002.model import Value
from gl002.wire.modbus import BYTE_ORDERS, ByteOrder, DataType, Decoder, Format

Readings: TypeAlias = Sequence[Sequence[int]]
"""The same registers, read several times."""

_WORD = 16  # bits
_IMPOSSIBLE = 1e9
_WILD = 25.0  # bits that a number nobody would measure costs more
_FOREIGN = 8.0  # bits that a single register in another order than the device's costs
_UNUSUAL = 8.0  # bits that a long integer costs whose number needs no long type, or nearly fills it
_STAYS, _MOVES = 0.2, 2.8  # bits to say that a value is the same as before, or is not
_TOLERANCE = 0.01  # of what a display showed: it rounds, and the value has moved since
_SEEN = 40.0  # bits that agreeing with a person is worth
_TYPE_COST: dict[DataType, float] = {
    "uint16": 1.5, "int16": 2, "float32": 2, "uint32": 1.5, "int32": 3, "float64": 8, "uint64": 6,
    "int64": 8, "bcd16": 6, "bcd32": 6,
}  # fmt: skip
"""How rare a type is among devices, in bits."""
_SMALLEST, _LARGEST = -10, 23  # binary exponents of what plants measure: 0.001 to 8 million
_BITS_OF_MANTISSA = {"float32": 23, "float64": 52}
_JUMP = 0.5  # a relative change that is no longer a movement of the same value
_LEAST_CHANGE = 2e-6  # ... and one that is less than any instrument resolves
_SMALL_STEP = 64  # of an integer, which may well be a jump of a small one
_ODD = 5.0  # bits for a change as no instrument makes it
_COUNTERS = {"uint32", "uint64"}  # what is long is mostly long because it counts up
_SHORTEST_TEXT, _LONGEST_TEXT = 2, 16  # registers
_SWAPPED: dict[ByteOrder, ByteOrder] = {"BADC": "ABCD", "DCBA": "ABCD"}
_HIGH_PRICE, _OFF_BY_ONE = 6.0, 4.0  # bits: to agree with a person, and to doubt the number
_SCALES = (1.0, 0.1, 0.01, 10.0, 0.001, 100.0)
_OFFSETS = (0.0, -40.0, -50.0, -100.0, -200.0)
_SCALINGS = [
    (i + (5.0 if offset else 0.0), (offset, scale))
    for offset in _OFFSETS
    for i, scale in enumerate(_SCALES)
]
"""Bits that a scale and an offset cost, the usual ones little."""


class Field(NamedTuple):
    """One value that was found.

    Attributes:
        start: its first register, counted from the first one read.
        form: type, byte order, scale and offset that are proposed.
        values: in the readings, with scale and offset.
        margin: bits that telling all the registers would take more without this value.
        evidence: why, in words.
        shift: registers between where a person saw the value and where it was found.
        agrees: whether a person saw this value.
    """

    start: int
    form: Format
    values: list[Value]
    margin: float
    evidence: str
    shift: int = 0
    agrees: bool = False


class Guess(NamedTuple):
    """What was found in a run of registers.

    Attributes:
        order: byte order of the device.
        margin: bits by which it is shorter than the next best order; 0 where nothing tells.
        total: bits that all of it takes.
        fields: in the order of the registers.
    """

    order: ByteOrder
    margin: float
    total: float
    fields: list[Field]


class _Choice(NamedTuple):
    """A way to read the registers at one place."""

    form: Format
    cost: float
    shift: int = 0
    agrees: bool = False


def guess(readings: Readings, seen: Mapping[int, float] | None = None) -> Guess:
    """The shortest way to tell what the registers hold.

    Args:
        readings: the same registers, read several times, some time apart: one reading tells the
            floats, several tell much more.
        seen: register, counted from the first one read -> the value a person saw there.

    Raises:
        DataError: no reading, or readings of different length.
    """
    if not readings or len({len(reading) for reading in readings}) != 1:
        raise DataError("at least one reading is needed, and all of the same registers")
    raw = [b"".join(word.to_bytes(2, "big") for word in reading) for reading in readings]
    found = _shortest(raw, {}, {})
    if not seen:
        return found
    agreeing = _shortest(raw, seen, {})
    count = sum(field.agrees for field in agreeing.fields)
    price = agreeing.total + count * _SEEN - found.total
    if count == len(seen) and price <= count * _HIGH_PRICE:
        return agreeing
    return _shortest(raw, seen, seen)  # the list may be off by one register


def _shortest(
    raw: Sequence[bytes], seen: Mapping[int, float], beside: Mapping[int, float]
) -> Guess:
    """The shortest cut of all.

    Args:
        raw: the readings.
        seen: values a person saw at their registers.
        beside: those that may also lie one register further on or back.
    """
    cuts = {order: _Cut(raw, order, seen, beside) for order in BYTE_ORDERS}
    ranked = sorted(cuts.values(), key=lambda cut: cut.total)
    best = ranked[0]
    fields = [best.field(start, choice) for start, choice in best.chosen()]
    return Guess(best.order, ranked[1].total - best.total, best.total, fields)


class _Cut:
    """The shortest way to cut the registers under one byte order (dynamic programming)."""

    def __init__(
        self,
        raw: Sequence[bytes],
        order: ByteOrder,
        seen: Mapping[int, float],
        beside: Mapping[int, float],
    ) -> None:
        self.order = order
        self._raw = raw
        self._wanted = ((0, seen), (1, beside), (-1, beside))
        self._size = len(raw[0]) // 2
        self._choices = [list(self._at(start)) for start in range(self._size)]
        self._after = [0.0] * (self._size + 1)  # shortest way to tell what begins there
        self._before = [0.0] + [math.inf] * self._size  # ... what ends there
        self._taken: list[_Choice] = []
        for start in reversed(range(self._size)):
            cost, choice = min(
                ((c.cost + self._after[start + c.form.registers], c) for c in self._choices[start]),
                key=lambda pair: pair[0],
            )
            self._after[start] = cost
            self._taken.append(choice)
        self._taken.reverse()
        for start, choices in enumerate(self._choices):
            for c in choices:
                end = start + c.form.registers
                self._before[end] = min(self._before[end], self._before[start] + c.cost)

    @property
    def total(self) -> float:
        """Bits that all registers take."""
        return self._after[0]

    def chosen(self) -> Iterator[tuple[int, _Choice]]:
        """The values of the shortest cut."""
        start = 0
        while start < self._size:
            yield start, self._taken[start]
            start += self._taken[start].form.registers

    def field(self, start: int, choice: _Choice) -> Field:
        """A chosen value with its evidence."""
        values = self._values(start, choice.form)
        words = ["agrees with what was seen"] if choice.agrees else []
        words.append(_moves(values))
        if any(values) and (other := _otherwise(self._raw, start, choice.form)):
            words.append(other)
        margin = self._margin(start, values)
        evidence = "; ".join(words)
        return Field(start, choice.form, values, margin, evidence, choice.shift, choice.agrees)

    def _margin(self, start: int, values: list[Value]) -> float:
        """How much longer all registers are without this value."""
        others = (
            self._before[here] + c.cost + self._after[here + c.form.registers]
            for here in range(max(0, start - _LONGEST_TEXT), start + 1)
            for c in self._choices[here]
            if here + c.form.registers > start
            and not (here == start and self._values(here, c.form) == values)
        )
        return min(others, default=self.total + _SEEN) - self.total

    def _values(self, start: int, form: Format) -> list[Value]:
        decoder = Decoder([(0, form)], form.registers)
        at = slice(2 * start, 2 * (start + form.registers))
        return [decoder.values(reading[at])[0] for reading in self._raw]

    # ---- what may lie at a place ------------------------------------------------------------

    def _at(self, start: int) -> Iterator[_Choice]:
        for form in _forms(self.order):
            if start + form.registers <= self._size:
                cost = self._cost(start, form)
                if cost < _IMPOSSIBLE:
                    yield self._with_seen(start, form, cost)
        for length in range(_SHORTEST_TEXT, min(_LONGEST_TEXT, self._size - start) + 1):
            form = Format(data_type="string", byte_order=self.order, length=length)
            cost = self._text_cost(start, form)
            if cost < _IMPOSSIBLE:
                yield _Choice(form, cost)

    def _cost(self, start: int, form: Format) -> float:
        values = self._values(start, form)
        numbers = [v for v in values if isinstance(v, int | float) and v == v]  # noqa: PLR0124 (NaN)
        if len(numbers) != len(values):
            return _IMPOSSIBLE
        foreign = 0.0 if form.byte_order == self.order else _FOREIGN
        first = _TYPE_COST[form.data_type] + foreign + _length(form, numbers[0])
        return first + sum(
            _step(form, before, after) for before, after in itertools.pairwise(numbers)
        )

    def _text_cost(self, start: int, form: Format) -> float:
        at = slice(2 * start, 2 * (start + form.length))
        texts = {reading[at] for reading in self._raw}
        if len(texts) != 1:
            return _IMPOSSIBLE
        text = texts.pop()
        if self.order in _SWAPPED:
            text = bytes(text[i ^ 1] for i in range(len(text)))
        body = text.rstrip(b"\0")
        letters = sum(chr(c).isalnum() or c in b" -_./:" for c in body)
        if len(body) <= len(text) - 4 or any(not 32 <= c < 127 for c in body) or not letters:  # noqa: PLR2004 (printable; no two empty registers at the end)
            return _IMPOSSIBLE
        others = len(body) - letters
        padding = len(text) - len(body)
        return 6 + 5.5 * letters + 7.5 * others + padding + _STAYS * (len(self._raw) - 1)

    def _with_seen(self, start: int, form: Format, cost: float) -> _Choice:
        """The same, worth more where it agrees with a person, with the scale that makes it so."""
        for shift, seen in self._wanted:
            wanted = seen.get(start - shift)
            if wanted is None:
                continue
            values = self._values(start, form)
            for steps, (offset, scale) in _SCALINGS:
                if form.data_type.startswith("float") and (scale, offset) != (1.0, 0.0):
                    break
                if any(_same(float(v) * scale + offset, wanted) for v in values):  # type: ignore[arg-type]  # numbers, see _cost
                    scaled = Format(
                        data_type=form.data_type, byte_order=form.byte_order, scale=scale,
                        offset=offset,
                    )  # fmt: skip
                    price = cost - _SEEN + steps + (_OFF_BY_ONE if shift else 0.0)
                    return _Choice(scaled, price, shift, agrees=True)
        return _Choice(form, cost)


@cache
def _forms(order: ByteOrder) -> tuple[Format, ...]:
    """What may lie there under a byte order; single registers may keep the usual one."""
    found = [Format(data_type=kind, byte_order=order) for kind in _TYPE_COST]
    usual = _SWAPPED.get(order)
    if usual is not None:
        found += [Format(data_type=kind, byte_order=usual) for kind in ("uint16", "int16")]
    return tuple(found)


def _same(value: float, wanted: float) -> bool:
    """Whether a display may have shown this."""
    return abs(value - wanted) <= max(_TOLERANCE * abs(wanted), 1e-9)


# ---- lengths in bits ----------------------------------------------------------------------------


def _length(form: Format, value: float) -> float:
    """Bits to tell a value of this type out of the blue."""
    if form.data_type.startswith("float"):
        return _float_length(value, _BITS_OF_MANTISSA[form.data_type])
    width = _WORD * form.registers
    if value == 0:
        return 2.0 * form.registers
    bits = min(math.log2(width) + math.log2(abs(value) + 1), width + 1)
    if form.data_type.startswith("int"):
        bits += 1.5 if value < 0 else 0.5
    unusual = form.registers > 1 and not 2 ** (width // 2 + 1) <= abs(value) < 2 ** (width - 4)
    return bits + (_UNUSUAL if unusual else 0.0)


def _float_length(value: float, mantissa: int) -> float:
    if value == 0:
        return mantissa / 4
    if math.isinf(value):
        return _WILD + mantissa
    fraction, exponent = math.frexp(abs(value))
    outside = max(_SMALLEST - exponent, exponent - _LARGEST, 0)
    digits = int(fraction * 2 ** (mantissa + 1))
    zeros = (digits & -digits).bit_length() - 1
    sign = 3.0 if value < 0 else 0.2
    return sign + 5 + min(2.0 * outside, _WILD) + min(mantissa, mantissa - zeros + 3)


def _step(form: Format, before: float, after: float) -> float:
    """Bits to tell the next value when the one before is known."""
    if before == after:
        return _STAYS
    if form.data_type.startswith("float"):
        if math.isinf(before) or math.isinf(after):
            return _WILD + _WORD * form.registers
        mantissa = _BITS_OF_MANTISSA[form.data_type]
        change = abs(after - before) / max(abs(after), abs(before))
        if change > _JUMP:
            return _MOVES + _float_length(after, mantissa)
        odd = _ODD if change < _LEAST_CHANGE else 0.0
        return _MOVES + 3 + odd + max(0.0, mantissa + math.log2(change))
    moved = math.log2(_WORD) + math.log2(abs(after - before) + 1)
    if form.data_type in _COUNTERS:
        moved += -1 if after > before else 2
    if abs(after - before) > max(_SMALL_STEP, _JUMP * max(abs(after), abs(before))):
        moved += _ODD
    return _MOVES + min(moved, _WORD * form.registers)


# ---- in words -----------------------------------------------------------------------------------


def _moves(values: Sequence[Value]) -> str:
    """How the value behaved."""
    if isinstance(values[0], str):
        return "printable text, always the same"
    numbers = [float(v) for v in values if isinstance(v, int | float)]
    low, high = min(numbers), max(numbers)
    if len(numbers) == 1:
        return "one reading"
    if low == high:
        return "always 0: nothing can be told" if low == 0 else f"steady in {len(numbers)} readings"
    return f"moves from {low:.6g} to {high:.6g} in {len(numbers)} readings"


def _otherwise(raw: Sequence[bytes], start: int, form: Format) -> str | None:
    """What the value would be in the other word order."""
    if form.registers == 1 or form.data_type == "string":
        return None
    other: ByteOrder = {"ABCD": "CDAB", "CDAB": "ABCD", "BADC": "DCBA", "DCBA": "BADC"}[  # type: ignore[assignment]  # all four
        form.byte_order
    ]
    at = slice(2 * start, 2 * (start + form.registers))
    value = Decoder(
        [(0, Format(data_type=form.data_type, byte_order=other))], form.registers
    ).values(raw[0][at])[0]
    if not isinstance(value, int | float) or isinstance(value, bool):
        return f"no number as {other}"
    return f"would be {value:.3g} as {other}"
