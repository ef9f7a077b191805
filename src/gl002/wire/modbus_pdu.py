"""Requests of the Modbus protocol as bytes, and what a reply to them must look like.

Source: MODBUS Application Protocol V1.1b3, sections 6 and 7. The frame around them (MBAP header,
CRC) is not known here. A reply is believed only when its function code, its length and what it
echoes fit the request: anything else is garbage, never a value.

    >>> request = read("holding", 0, 2)
    >>> payload(request, bytes.fromhex("03 04 4248 0000")).hex()
    '42480000'
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence

from gl002.wire.modbus_address import Table

MOST_REGISTERS, MOST_BITS = 125, 2000
"""Most that one request may read (sections 6.1 to 6.4)."""
MOST_REGISTERS_WRITTEN, MOST_BITS_WRITTEN = 123, 1968
"""Most that one request may write (sections 6.11, 6.12)."""
TABLE = 65536
"""Registers or bits of a table (section 4.4)."""
LONGEST = 253
"""Longest request or reply in bytes (section 4.1)."""

MOST_REGISTERS_EXCHANGED = 121
"""Most that function 23 may write beside what it reads (section 6.17)."""

_READ: dict[Table, int] = {"coil": 1, "discrete": 2, "holding": 3, "input": 4}
_WRITE_COIL, _WRITE_REGISTER, _WRITE_COILS, _WRITE_REGISTERS, _MASK_WRITE = 5, 6, 15, 16, 22
_READ_WRITE = 23
_ECHOED_HEAD = 5  # bytes a reply to functions 15 and 16 repeats
_BIT_READS = {1, 2}
_READS = {1, 2, 3, 4, _READ_WRITE}
_ONLY_READS = {1, 2, 3, 4}
_ERROR = 0x80  # added to the function code of an exception reply
_REFUSAL = 2  # bytes of an exception reply: function and reason

_EXCEPTIONS = {
    1: "illegal function", 2: "illegal data address", 3: "illegal data value",
    4: "device failure", 5: "acknowledged, still working", 6: "device busy", 7: "refused",
    8: "memory parity error", 10: "gateway path unavailable", 11: "gateway got no answer",
}  # fmt: skip


class Refusal(Exception):
    """An exception reply: the device understood and says no.

    Attributes:
        code: exception code (section 7).
    """

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code:02X}, {_EXCEPTIONS.get(code, 'unknown')}")
        self.code = code


class Garbage(Exception):
    """Bytes that are no reply to the request."""


def read(table: Table, address: int, count: int) -> bytes:
    """Read `count` registers or bits (functions 1 to 4)."""
    return struct.pack(">BHH", _READ[table], address, count)


def write_register(address: int, raw: bytes) -> bytes:
    """Write one holding register (function 6); `raw` is two bytes."""
    return struct.pack(">BH2s", _WRITE_REGISTER, address, raw)


def write_registers(address: int, raw: bytes) -> bytes:
    """Write holding registers (function 16); `raw` is two bytes for each."""
    return struct.pack(">BHHB", _WRITE_REGISTERS, address, len(raw) // 2, len(raw)) + raw


def write_coil(address: int, *, on: bool) -> bytes:
    """Switch one coil (function 5)."""
    return struct.pack(">BHH", _WRITE_COIL, address, 0xFF00 if on else 0)


def write_coils(address: int, values: Sequence[bool]) -> bytes:
    """Switch coils (function 15)."""
    packed = sum(1 << i for i, on in enumerate(values) if on)
    raw = packed.to_bytes((len(values) + 7) // 8, "little")
    return struct.pack(">BHHB", _WRITE_COILS, address, len(values), len(raw)) + raw


def mask_write(address: int, and_mask: int, or_mask: int) -> bytes:
    """Change some bits of a holding register, the others untouched (function 22)."""
    return struct.pack(">BHHH", _MASK_WRITE, address, and_mask, or_mask)


def read_write(address: int, count: int, write_address: int, raw: bytes) -> bytes:
    """Write holding registers, then read `count` others, in one request (function 23)."""
    head = struct.pack(
        ">BHHHHB", _READ_WRITE, address, count, write_address, len(raw) // 2, len(raw)
    )
    return head + raw


def writes(request: bytes) -> bool:
    """Whether a request changes something in the device."""
    return request[0] not in _ONLY_READS


def reply_size(request: bytes, function: int) -> int:
    """Bytes of a reply to `request` that begins with this function code.

    Raises:
        Garbage: no reply to it begins so.
    """
    asked = request[0]
    if function == asked | _ERROR:
        return _REFUSAL
    if function != asked:
        raise Garbage(f"function {function:02x} where {asked:02x} was asked")
    if asked in _READS:
        return 2 + _data_size(request)
    return _ECHOED_HEAD if asked in {_WRITE_COILS, _WRITE_REGISTERS} else len(request)


def size_of_reply(requests: Sequence[bytes], head: bytes) -> int | None:
    """Bytes of a reply to one of several requests; None: too early to say.

    Args:
        requests: what the unit may answer.
        head: the beginning of the reply, one byte at least.

    Raises:
        Garbage: a reply to none of them begins so.
    """
    sizes: set[int] = set()
    for request in requests:
        try:
            sizes.add(reply_size(request, head[0]))
        except Garbage as error:
            wrong = error
    if len(sizes) == 1:
        return sizes.pop()
    if not sizes:
        raise wrong
    if len(head) < _REFUSAL:
        return None
    told = 2 + head[1]  # only replies to reads differ in size, and these tell it
    if told not in sizes:
        raise Garbage(f"{head[1]} bytes of data where so many were not asked")
    return told


def fits(request: bytes, reply: bytes) -> bool:
    """Whether a reply could be one to this request, a refusal included."""
    try:
        payload(request, reply)
    except Refusal:
        return True
    except Garbage:
        return False
    return True


def refuses(reply: bytes) -> bool:
    """Whether it is an exception reply."""
    return bool(reply[0] & _ERROR)


def shape(request: bytes) -> bytes:
    """What all replies to a request have in common, refusals aside.

    Of two requests with different shapes no reply can be taken for one to the other.
    """
    if request[0] in _READS:
        return bytes([request[0], _data_size(request)])
    return request if request[0] not in {_WRITE_COILS, _WRITE_REGISTERS} else request[:_ECHOED_HEAD]


def fewer(request: bytes) -> Iterator[bytes]:
    """Reads of part of what a request touches, with replies of another shape."""
    function, start, count = struct.unpack_from(">BHH", request)
    if function in _ONLY_READS:
        less = count - (8 if function in _BIT_READS else 1)
        if less > 0:
            yield struct.pack(">BHH", function, start, less)
    else:
        table: Table = "coil" if function in {_WRITE_COIL, _WRITE_COILS} else "holding"
        yield read(table, start, 1)


def more(request: bytes) -> Iterator[tuple[Table, int, int]]:
    """What a read may touch beyond a request, so that its reply has another shape."""
    function, start, count = struct.unpack_from(">BHH", request)
    step = 8 if function in _BIT_READS else 1
    for table, code in _READ.items():
        if code == function and count + step <= (MOST_BITS if step > 1 else MOST_REGISTERS):
            for first in (start, start - step):
                if 0 <= first <= TABLE - count - step:
                    yield table, first, count + step


def payload(request: bytes, reply: bytes) -> bytes:
    """The data of a reply to `request`; b'' for a write that was carried out.

    Raises:
        Refusal: an exception reply.
        Garbage: not a reply to this request.
    """
    function = request[0]
    if reply[:1] != request[:1]:
        if len(reply) == _REFUSAL and reply[0] == function | _ERROR and reply[1]:
            raise Refusal(reply[1])
        raise Garbage(f"function {reply[:1].hex()} where {function:02x} was asked")
    if function in _READS:
        size = _data_size(request)
        if len(reply) != size + 2 or reply[1] != size:
            raise Garbage(f"{len(reply) - 2} bytes of data where {size} were asked")
        return reply[2:]
    echo = request if function not in {_WRITE_COILS, _WRITE_REGISTERS} else request[:_ECHOED_HEAD]
    if reply != echo:
        raise Garbage("the reply does not repeat what was to be written")
    return b""


def _data_size(request: bytes) -> int:
    count = request[3] << 8 | request[4]
    return (count + 7) // 8 if request[0] in _BIT_READS else 2 * count


def bits(raw: bytes, count: int) -> list[bool]:
    """The first `count` bits of the data of a reply; the lowest bit of the first byte leads."""
    return [bool(raw[i >> 3] >> (i & 7) & 1) for i in range(count)]
