"""Values as the driver knows them, and as samples carry them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from gl002.model import Quality, Value, is_bad, to_ns

NO_NODE = {0x8033_0000, 0x8034_0000}
"""Status codes of a node that is not there: BadNodeIdInvalid, BadNodeIdUnknown."""

Plain: TypeAlias = Value | list[Value]
"""What `read_value` gives: a scalar, or a list of them for an array."""


Readout: TypeAlias = tuple[Plain, int, int, int]
"""Value, status code, source time, server time (ns; 0: not given)."""


def unpacked(data: Any) -> Readout:
    """Value, status code, source time and server time (ns, 0: not given) of a DataValue."""
    variant = data.Value
    status = data.StatusCode.value if data.StatusCode is not None else 0
    # asyncua 2.1 takes the source's picoseconds for the start of the server's time
    server = data.ServerTimestamp if data.SourcePicoseconds is None else None
    return (
        plain(variant.Value) if variant is not None else None,
        int(status),
        nanoseconds(data.SourceTimestamp),
        nanoseconds(server),
    )


def plain(value: Any) -> Plain:
    """A value without the driver's types: numbers and text as they are, all else as its text."""
    if isinstance(value, list | tuple):
        return [_scalar(item) for item in value]
    return _scalar(value)


def _scalar(value: Any) -> Value:
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    for text in ("Text", "Name"):  # LocalizedText, QualifiedName
        if hasattr(value, text):
            return str(getattr(value, text) or "")
    return str(value.to_string() if hasattr(value, "to_string") else value)  # NodeId; structures


class Reading(NamedTuple):
    """One value that was read, as the user wants it.

    Attributes:
        value: scaled; None where it is bad.
        status: OPC UA status code.
        time: ns since 1970 UTC, the source's or else the server's; 0 where there is none.
        missing: why there is no such node; '' where there is one.
    """

    value: Plain
    status: int
    time: int
    missing: str = ""

    @classmethod
    def of(cls, readout: Readout, scaled: Callable[[Value], Value], name: str) -> Reading:
        """From what was read.

        Args:
            readout: of the node.
            scaled: what becomes of each number.
            name: of the node, for the message.
        """
        value, status, source, server = readout
        time = source or server
        if is_bad(status):
            unknown = status & 0xFFFF_0000 in NO_NODE
            return cls(None, status, time, f"the server has no node {name}" if unknown else "")
        value = [scaled(item) for item in value] if isinstance(value, list) else scaled(value)
        return cls(value, status, time)


def single(value: Plain, status: int) -> tuple[Value, int]:
    """For a sample, which holds one value: an array or a structure is a mismatch of types."""
    if isinstance(value, list):
        return None, int(Quality.BAD_TYPE_MISMATCH)
    return value, status


def nanoseconds(moment: datetime | None) -> int:
    """Since 1970 UTC; 0 where there is none. The driver gives the year 1601 for none."""
    return to_ns(moment) if moment is not None and moment.year > 1601 else 0  # noqa: PLR2004 (so)
