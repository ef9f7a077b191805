"""OPC UA on the wire, the pure part: node ids as people write them, and notifications in bulk.

>>> parse_node("nsu=urn:boiler;s=FT101.PV")
Node(namespace='urn:boiler', kind='s', identifier='FT101.PV')

Everything else of the protocol is the driver's. Values are decoded here because they are the hot
path: a thousand in a message, where the driver makes five objects of each and cuts its times to
microseconds. What is unusual is left to the driver: then the functions say None.
"""

from __future__ import annotations

import re
import struct
import uuid
from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import unquote

from gl002.model import Value

# ---- node ids ---------------------------------------------------------------------------------

_NODE = re.compile(r"^(?:ns=(?P<index>\d{1,5});|nsu=(?P<uri>[^;]+);)?(?P<kind>[isgb])=(?P<id>.+)$")
_LARGEST_INDEX = 0xFFFF
_LARGEST_NUMBER = 0xFFFF_FFFF


class Node(NamedTuple):
    """A node id as configured (OPC 10000-6, 5.3.1.10 and 5.3.1.11).

    Attributes:
        namespace: index, or URI, which is resolved anew on every session.
        kind: 'i' number, 's' text, 'g' GUID, 'b' base64 of bytes.
        identifier: in the spelling of its kind; a number for 'i'.
    """

    namespace: int | str
    kind: str
    identifier: int | str

    def __str__(self) -> str:
        if isinstance(self.namespace, str):
            uri = self.namespace.replace("%", "%25").replace(";", "%3B")
            return f"nsu={uri};{self.kind}={self.identifier}"
        index = f"ns={self.namespace};" if self.namespace else ""
        return f"{index}{self.kind}={self.identifier}"


def looks_like_node(text: str) -> bool:
    """Whether the text is meant as a node id and not as a name."""
    return _NODE.match(text) is not None


@lru_cache(maxsize=10_000)
def parse_node(text: str) -> Node:
    """Read 'ns=2;s=FT101.PV', 'nsu=urn:boiler;s=FT101.PV' or 'i=2258'.

    Raises:
        ValueError: it is no node id; says how one looks.
    """
    match = _NODE.match(text)
    if match is None:
        raise ValueError(
            f"'{text}' is no node id: expected 'ns=2;s=Name', 'nsu=urn:of:server;s=Name' or 'i=85'"
        )
    namespace = unquote(match["uri"]) if match["uri"] else int(match["index"] or 0)
    if isinstance(namespace, int) and namespace > _LARGEST_INDEX:
        raise ValueError(f"'{text}': a namespace index is at most {_LARGEST_INDEX}")
    return Node(namespace, match["kind"], _identifier(text, match["kind"], match["id"]))


def _identifier(text: str, kind: str, identifier: str) -> int | str:
    if kind == "i":
        if not (identifier.isascii() and identifier.isdigit()) or int(identifier) > _LARGEST_NUMBER:
            raise ValueError(f"'{text}': after i= comes a number up to {_LARGEST_NUMBER}")
        return int(identifier)
    if kind == "g":
        try:
            return str(uuid.UUID(identifier))
        except ValueError:
            raise ValueError(f"'{text}': after g= comes a GUID") from None
    return identifier


# ---- time and status --------------------------------------------------------------------------

_TICKS_TO_1970: Final = 116_444_736_000_000_000  # from 1601-01-01, 100 ns each (Part 6, 5.2.2.5)
_OVERFLOW: Final = 0x0480  # InfoType DataValue and its Overflow bit (Part 4, 7.39.2)
_WITHOUT_INFO: Final = 0xFFFF_0000


def ticks_to_ns(ticks: int) -> int:
    """A DateTime as nanoseconds since 1970 UTC; 0 where the server gave none."""
    return (ticks - _TICKS_TO_1970) * 100 if ticks > 0 else 0


def ns_to_ticks(nanoseconds: int) -> int:
    """Nanoseconds since 1970 UTC as a DateTime."""
    return nanoseconds // 100 + _TICKS_TO_1970


def overflowed(status: int) -> bool:
    """Whether the server had to throw away values between the last one and this one."""
    return status & _OVERFLOW == _OVERFLOW


def without_overflow(status: int) -> int:
    """The status without its info bits."""
    return status & _WITHOUT_INFO


# ---- answers ----------------------------------------------------------------------------------

Stamped: TypeAlias = tuple[Value, int, int, int]
"""Value, status code, source time, server time (ns; 0: not given)."""
Change: TypeAlias = tuple[int, Value, int, int, int]
"""Handle of the monitored item, value, status code, source time, server time (ns; 0: not given)."""


class Published(NamedTuple):
    """One answer to a publish request (OPC 10000-4, 5.14.5).

    Attributes:
        subscription: its id; 0 where the session has none.
        sequence: number of the message; a keep-alive carries that of the next one.
        time: when the server sent it, ns since 1970 UTC by the server's clock.
        changes: new values, oldest first per item; empty for a keep-alive.
        status: of the subscription itself where it changed, such as its end; else None.
        keep_alive: whether there was nothing to tell.
        events: handle of the monitored item, and the fields it asked for.
    """

    subscription: int
    sequence: int
    time: int
    changes: list[Change]
    status: int | None
    keep_alive: bool
    events: Sequence[tuple[int, Sequence[object]]] = ()


_HEADER = struct.Struct("<4sqIIBi")  # type, time, handle, result, diagnostics, string table
_PUBLISH_RESPONSE = b"\x01\x00\x3d\x03"  # ns=0;i=829
_READ_RESPONSE = b"\x01\x00\x7a\x02"  # ns=0;i=634
_HISTORY_RESPONSE = b"\x01\x00\x9b\x02"  # ns=0;i=667
_HISTORY_DATA = b"\x01\x00\x92\x02\x01"  # ns=0;i=658, body in bytes
_DATA_CHANGE = b"\x01\x00\x2b\x03\x01"  # ns=0;i=811, body in bytes
_STATUS_CHANGE = b"\x01\x00\x34\x03\x01"  # ns=0;i=820, body in bytes
_NO_EXTENSION = b"\x00\x00\x00"
_U32, _I32 = struct.Struct("<I"), struct.Struct("<i")
_I64 = struct.Struct("<q")
_MESSAGE = struct.Struct("<?Iqi")  # more notifications, sequence number, time, how many parts
_STRING = 12
_LETTERS = {
    1: "?",
    2: "b",
    3: "B",
    4: "h",
    5: "H",
    6: "i",
    7: "I",
    8: "q",
    9: "Q",
    10: "f",
    11: "d",
}
_SCALARS = {code: struct.Struct(f"<{letter}") for code, letter in _LETTERS.items()}
_VALUE, _STATUS, _SOURCE, _SERVER, _SOURCE_PICO, _SERVER_PICO = 1, 2, 4, 8, 16, 32
_ALL = 63


def _usual_layouts() -> dict[int, tuple[struct.Struct, bool]]:
    """Mask and type byte -> how an item with both times lies in memory, and if it has a status.

    Servers leave a good status out, or not; some send picoseconds, which are not used.
    """
    table = {}
    for mask in range(_ALL + 1):
        if not mask & _VALUE or not mask & _SOURCE or not mask & _SERVER:
            continue
        source = "q2x" if mask & _SOURCE_PICO else "q"
        server = "q2x" if mask & _SERVER_PICO else "q"
        status = "I" if mask & _STATUS else ""
        for code, letter in _LETTERS.items():
            layout = struct.Struct(f"<I2x{letter}{status}{source}{server}")
            table[mask << 8 | code] = (layout, bool(status))
    return table


_USUAL = _usual_layouts()


def decode_publish(data: bytes) -> Published | None:
    """A PublishResponse; None where it holds anything but data changes of plain scalars."""
    try:
        return _publish(data)
    except (struct.error, IndexError, UnicodeDecodeError):
        return None


def decode_read(data: bytes) -> list[Stamped] | None:
    """The values of a ReadResponse; None where one is anything but a plain scalar."""
    try:
        at = _after_header(data, _READ_RESPONSE)
        return _data_values(data, at) if at else None
    except (struct.error, IndexError, UnicodeDecodeError):
        return None


class Recorded(NamedTuple):
    """What a server says about the history of one node (OPC 10000-4, 5.10.3).

    Attributes:
        status: status code; good also where there is nothing.
        continuation: for asking on; b'' where that was all.
        values: in the order of the request.
    """

    status: int
    continuation: bytes
    values: list[Stamped]


def decode_history(data: bytes) -> list[Recorded] | None:
    """The results of a HistoryReadResponse; None where one holds anything but plain scalars."""
    try:
        at = _after_header(data, _HISTORY_RESPONSE)
        return _histories(data, at) if at else None
    except (struct.error, IndexError, UnicodeDecodeError):
        return None


def _histories(data: bytes, at: int) -> list[Recorded] | None:
    (count,) = _I32.unpack_from(data, at)
    at += 4
    results: list[Recorded] = []
    for _ in range(count):
        (status,) = _U32.unpack_from(data, at)
        (length,) = _I32.unpack_from(data, at + 4)
        at += 8
        continuation = data[at : at + max(0, length)]
        at += max(0, length)
        values: list[Stamped] | None = []
        if data[at : at + 3] == _NO_EXTENSION:
            at += 3
        elif data[at : at + 5] == _HISTORY_DATA:
            (length,) = _I32.unpack_from(data, at + 5)
            values = _data_values(data, at + 9)
            at += 9 + length
        else:
            return None
        if values is None or at > len(data):
            return None
        results.append(Recorded(status, continuation, values))
    return results


def _after_header(data: bytes, wanted: bytes) -> int:
    """Where the body of a good answer of that kind begins; 0 for anything else."""
    kind, _, _, result, diagnostics, strings = _HEADER.unpack_from(data, 0)
    at = _HEADER.size
    usual = kind == wanted and not result and not diagnostics and strings <= 0
    return at + 3 if usual and data[at : at + 3] == _NO_EXTENSION else 0


def _publish(data: bytes) -> Published | None:
    at = _after_header(data, _PUBLISH_RESPONSE)
    if not at:
        return None
    (subscription,) = _U32.unpack_from(data, at)
    (available,) = _I32.unpack_from(data, at + 4)
    at += 8 + 4 * max(0, available)
    _, sequence, time, parts = _MESSAGE.unpack_from(data, at)
    at += _MESSAGE.size
    changes: list[Change] = []
    status = None
    for _ in range(max(0, parts)):
        kind, body = data[at : at + 5], at + 9
        (length,) = _I32.unpack_from(data, at + 5)
        at = body + length
        if length < 0 or at > len(data):
            return None
        if kind == _DATA_CHANGE:
            if not _items(data, body, changes):
                return None
        elif kind == _STATUS_CHANGE:
            (status,) = _U32.unpack_from(data, body)
        else:
            return None
    return Published(subscription, sequence, ticks_to_ns(time), changes, status, parts <= 0)


def _items(data: bytes, at: int, changes: list[Change]) -> bool:
    """Append the items of one DataChangeNotification; False where one is unusual."""
    (count,) = _I32.unpack_from(data, at)
    at += 4
    epoch, usual, append = _TICKS_TO_1970, _USUAL, changes.append
    for _ in range(count):
        known = usual.get(data[at + 4] << 8 | data[at + 5])
        if known is None:
            (handle,) = _U32.unpack_from(data, at)
            stamped, at = _data_value(data, at + 4)
            if stamped is None:
                return False
            append((handle, *stamped))
            continue
        layout, has_status = known
        status = 0
        if has_status:
            handle, value, status, source, server = layout.unpack_from(data, at)
        else:
            handle, value, source, server = layout.unpack_from(data, at)
        at += layout.size
        source = (source - epoch) * 100 if source > 0 else 0
        server = (server - epoch) * 100 if server > 0 else 0
        append((handle, value, status, source, server))
    return True


def _data_values(data: bytes, at: int) -> list[Stamped] | None:
    (count,) = _I32.unpack_from(data, at)
    at += 4
    values: list[Stamped] = []
    for _ in range(count):
        stamped, at = _data_value(data, at)
        if stamped is None:
            return None
        values.append(stamped)
    return values


def _data_value(data: bytes, at: int) -> tuple[Stamped | None, int]:
    """A DataValue (Part 6, 5.2.2.17) and where it ends; None where it is unusual."""
    mask = data[at]
    if mask > _ALL:
        return None, 0
    value, at = _value(data, at + 1) if mask & _VALUE else (None, at + 1)
    if not at:
        return None, 0
    status = source = server = 0
    if mask & _STATUS:
        (status,) = _U32.unpack_from(data, at)
        at += 4
    if mask & _SOURCE:
        (source,) = _I64.unpack_from(data, at)
        at += 8
    if mask & _SOURCE_PICO:
        at += 2
    if mask & _SERVER:
        (server,) = _I64.unpack_from(data, at)
        at += 8
    if mask & _SERVER_PICO:
        at += 2
    return (value, status, ticks_to_ns(source), ticks_to_ns(server)), at


def _value(data: bytes, at: int) -> tuple[Value, int]:
    """A variant (Part 6, 5.2.2.16) and where it ends; 0 for anything but a scalar or text."""
    scalar = _SCALARS.get(data[at])
    if scalar is not None:
        (value,) = scalar.unpack_from(data, at + 1)
        return value, at + 1 + scalar.size
    if data[at] == 0:
        return None, at + 1
    if data[at] != _STRING:
        return None, 0
    (length,) = _I32.unpack_from(data, at + 1)
    start = at + 5
    if length < 0:
        return None, start
    if start + length > len(data):
        return None, 0
    return data[start : start + length].decode(), start + length
