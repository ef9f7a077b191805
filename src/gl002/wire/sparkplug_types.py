"""What a Sparkplug B message is made of: payload, metrics, data sets, templates, properties.

Source: Eclipse Sparkplug Specification 3.0.0, chapter 6 (Payloads).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, TypeAlias

import msgspec

Scalar: TypeAlias = bool | int | float | str | bytes | None


class DataType(IntEnum):
    """Types of metrics (section 6.4.16)."""

    UNKNOWN = 0
    INT8 = 1
    INT16 = 2
    INT32 = 3
    INT64 = 4
    UINT8 = 5
    UINT16 = 6
    UINT32 = 7
    UINT64 = 8
    FLOAT = 9
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATETIME = 13
    TEXT = 14
    UUID = 15
    DATASET = 16
    BYTES = 17
    FILE = 18
    TEMPLATE = 19
    PROPERTYSET = 20
    PROPERTYSETLIST = 21


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """A table as the value of one metric."""

    columns: Sequence[str]
    types: Sequence[int]
    rows: Sequence[Sequence[Scalar]]


class Property(msgspec.Struct, frozen=True):
    """One property of a metric: its value and type; sets of properties are mappings."""

    value: Any
    datatype: int


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A group of metrics as the value of one: a definition, or an instance of one."""

    metrics: Sequence[Metric] = ()
    version: str = ""
    reference: str = ""
    is_definition: bool = False
    parameters: Mapping[str, Property] = {}


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    """One metric.

    Attributes:
        name: '' where the alias stands for it.
        value: in Python's type; milliseconds since 1970 UTC for DATETIME; None for null.
        datatype: a `DataType`; other numbers are kept as they came.
        time: of the value, nanoseconds UTC; None where the payload's time holds.
        alias: the number a birth message gave it.
        is_historical: not to be taken for the value now.
        is_transient: not to be stored.
        properties: by name.
    """

    name: str = ""
    value: Scalar | DataSet | Template = None
    datatype: int = DataType.UNKNOWN
    time: int | None = None
    alias: int | None = None
    is_historical: bool = False
    is_transient: bool = False
    properties: Mapping[str, Property] = {}


class Payload(msgspec.Struct, frozen=True, kw_only=True):
    """One message.

    Attributes:
        metrics: in order.
        time: it was sent, nanoseconds UTC; sent in milliseconds.
        seq: 0 to 255, one more with each message of an edge node.
        uuid: names the schema of `body`.
        body: bytes of another format.
    """

    metrics: Sequence[Metric] = ()
    time: int | None = None
    seq: int | None = None
    uuid: str = ""
    body: bytes = b""


INTEGERS: Mapping[int, tuple[str, int, bool]] = {
    DataType.INT8: ("int_value", 8, True),
    DataType.INT16: ("int_value", 16, True),
    DataType.INT32: ("int_value", 32, True),
    DataType.UINT8: ("int_value", 8, False),
    DataType.UINT16: ("int_value", 16, False),
    # In the wider field, where the readers in Java and JavaScript look for it.
    DataType.UINT32: ("long_value", 32, False),
    DataType.INT64: ("long_value", 64, True),
    DataType.UINT64: ("long_value", 64, False),
    DataType.DATETIME: ("long_value", 64, False),
}
"""Types of whole numbers: the field they are sent in, their bits, whether they have a sign."""
