"""Bytes of Oracle's two-task protocol (TTC): integers, text, numbers, dates.

Oracle publishes no description of it; what is here follows the source of Oracle's own driver,
python-oracledb (UPL 1.0 or Apache-2.0), which is also the only client.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

VARCHAR, NUMBER, DATE = 1, 2, 12
TIMESTAMP, CHAR = 180, 96
_LONG, _SHORTEST_LONG, _NULL = 254, 253, 255


class Reader:
    """What the client sent."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def raw(self, count: int) -> bytes:
        if self.left < count:
            raise EOFError("a message that ends too soon")
        self._at += count
        return self._data[self._at - count : self._at]

    def u1(self) -> int:
        return self.raw(1)[0]

    def number(self) -> int:
        """ub2, ub4 and ub8 in universal form: a length, and that many bytes."""
        return int.from_bytes(self.raw(self.u1() & 0x7F), "big")

    def data(self) -> bytes | None:
        """Bytes behind a length; in chunks where they are long."""
        length = self.u1()
        if length in {0, _NULL}:
            return None
        if length != _LONG:
            return self.raw(length)
        chunks = b""
        while (size := self.number()) != 0:
            chunks += self.raw(size)
        return chunks

    def counted(self) -> bytes:
        """Bytes with two lengths."""
        return (self.data() or b"") if self.number() else b""

    def value(self, kind: int) -> Any:
        data = self.data()
        if data is None:
            return None
        if kind == NUMBER:
            return decode_number(data)
        if kind in {DATE, TIMESTAMP}:
            century, year, month, day, hour, minute, second = data[:7]
            return datetime(  # noqa: DTZ001 (a DATE has no zone)
                (century - 100) * 100 + year - 100, month, day, hour - 1, minute - 1, second - 1
            )
        return data.decode()


class Writer(bytearray):
    """What goes to the client."""

    def u1(self, *values: int) -> Writer:
        self.extend(values)
        return self

    def number(self, *values: int) -> Writer:
        for value in values:
            size = (value.bit_length() + 7) // 8
            self.append(size)
            self.extend(value.to_bytes(size, "big"))
        return self

    def data(self, data: bytes | None) -> Writer:
        if not data:
            self.append(0)
        elif len(data) < _SHORTEST_LONG:
            self.append(len(data))
            self.extend(data)
        else:
            self.append(_LONG)
            for at in range(0, len(data), 32767):
                chunk = data[at : at + 32767]
                self.number(len(chunk))
                self.extend(chunk)
            self.append(0)
        return self

    def counted(self, text: str) -> Writer:
        data = text.encode()
        self.number(len(data))
        return self.data(data) if data else self

    def value(self, value: Any) -> Writer:
        if value is None:
            return self.data(None)
        if isinstance(value, str):
            return self.data(value.encode())
        if isinstance(value, datetime):
            v = value
            return self.data(
                bytes(
                    (
                        v.year // 100 + 100,
                        v.year % 100 + 100,
                        v.month,
                        v.day,
                        v.hour + 1,
                        v.minute + 1,
                        v.second + 1,
                    )
                )
            )
        return self.data(encode_number(Decimal(str(value))))


def encode_number(value: Decimal) -> bytes:
    """NUMBER: an exponent and digits of base 100, both offset; the sign in the first byte."""
    if value == 0:
        return b"\x80"
    sign, digits, exponent = value.normalize().as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    if exponent % 2:
        text, exponent = text + "0", exponent - 1
    if len(text) % 2:
        text = "0" + text
    pairs = [int(text[n : n + 2]) for n in range(0, len(text), 2)]
    power = exponent // 2 + len(pairs) - 1
    while pairs and pairs[-1] == 0:
        pairs.pop()
    if sign:
        tail = b"\x66" if len(pairs) < 20 else b""
        return bytes((62 - power, *(101 - p for p in pairs))) + tail
    return bytes((power + 193, *(p + 1 for p in pairs)))


def decode_number(data: bytes) -> Decimal | int:
    if data == b"\x80":
        return 0
    positive = data[0] & 0x80
    if positive:
        power, pairs = data[0] - 193, [b - 1 for b in data[1:]]
    else:
        body = data[1:-1] if data[-1] == 0x66 else data[1:]
        power, pairs = 62 - data[0], [101 - b for b in body]
    value = Decimal(0)
    for place, pair in enumerate(pairs):
        value += Decimal(pair).scaleb(2 * (power - place))
    value = value if positive else -value
    return int(value) if value == value.to_integral_value() else value
