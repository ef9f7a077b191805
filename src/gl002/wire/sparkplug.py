"""Sparkplug B payloads: metrics with types, times and properties in protocol buffers.

Source: Eclipse Sparkplug Specification 3.0.0, chapter 6 (Payloads); the field numbers are those of
section 6.3 (`gl002.wire.sparkplug_schema`).

    payload = encode(Payload(metrics=[metric("efficiency", 85.4)], time=now_ns(), seq=0))
    decode(payload).metrics[0].value

Data sets and templates are taken apart; the array types (22 to 34) come as their bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gl002.errors import DataError
from gl002.model import to_ns
from gl002.wire.sparkplug_decode import LARGEST, as_type, decode
from gl002.wire.sparkplug_schema import messages
from gl002.wire.sparkplug_types import (
    INTEGERS,
    DataSet,
    DataType,
    Metric,
    Payload,
    Property,
    Template,
)

__all__ = [
    "LARGEST",
    "DataSet",
    "DataType",
    "Metric",
    "Payload",
    "Property",
    "Template",
    "as_type",
    "decode",
    "encode",
    "metric",
    "type_of",
]

_NS_PER_MS = 1_000_000


def type_of(value: object) -> DataType:
    """The type a Python value is sent as; whole numbers are INT64, so that it never changes.

    Raises:
        DataError: there is none.
    """
    if isinstance(value, bool):
        return DataType.BOOLEAN
    if isinstance(value, int):
        return DataType.INT64 if value < 1 << 63 else DataType.UINT64
    for python_type, datatype in _OTHER_TYPES:
        if isinstance(value, python_type):
            return datatype
    if value is None:
        raise DataError("a metric without a value needs a datatype")
    raise DataError(f"no Sparkplug type holds a {type(value).__name__}")


_OTHER_TYPES: tuple[tuple[type, DataType], ...] = (
    (float, DataType.DOUBLE),
    (str, DataType.STRING),
    (datetime, DataType.DATETIME),
    (bytes, DataType.BYTES),
    (DataSet, DataType.DATASET),
    (Template, DataType.TEMPLATE),
)


def metric(
    name: str, value: Any, *, datatype: int | None = None, time: int | None = None
) -> Metric:
    """A metric with the type that fits its value, or the one given.

    Raises:
        DataError: no type fits.
    """
    return Metric(
        name=name,
        value=value,
        datatype=type_of(value) if datatype is None else datatype,
        time=time,
    )


# ---- encoding -----------------------------------------------------------------------------------


def encode(payload: Payload, *, types: bool = True) -> bytes:
    """The bytes of a message.

    Args:
        payload: what it says.
        types: whether each metric's type goes with it; data and commands should leave it out
            (section 6.4.6).

    Raises:
        DataError: a value does not fit its type.
        MissingDependency: the package 'protobuf' is not installed.
    """
    message = messages()["Payload"]()
    try:
        _put_payload(message, payload)
        for item in () if types else message.metrics:
            item.ClearField("datatype")
    except DataError:
        raise
    except (TypeError, ValueError) as error:
        raise DataError(f"no Sparkplug payload: {error}") from None
    return bytes(message.SerializeToString())


def _put_payload(message: Any, payload: Payload) -> None:
    if payload.time is not None:
        message.timestamp = payload.time // _NS_PER_MS
    if payload.seq is not None:
        message.seq = payload.seq
    if payload.uuid:
        message.uuid = payload.uuid
    if payload.body:
        message.body = payload.body
    for item in payload.metrics:
        _put_metric(message.metrics.add(), item)


def _put_metric(message: Any, item: Metric) -> None:
    if item.name:
        message.name = item.name
    if item.alias is not None:
        message.alias = item.alias
    if item.time is not None:
        message.timestamp = item.time // _NS_PER_MS
    if item.is_historical:
        message.is_historical = True
    if item.is_transient:
        message.is_transient = True
    message.datatype = item.datatype
    if item.value is None:
        message.is_null = True
    else:
        _put(message, item.value, item.datatype, item.name or f"alias {item.alias}")
    for name, value in item.properties.items():
        _put_property(message.properties, name, value)


def _put(message: Any, value: Any, datatype: int, name: str) -> None:
    """Set the field of the one-of that the type is sent in (section 6.4.16)."""
    try:
        if datatype in INTEGERS:
            field, bits, signed = INTEGERS[datatype]
            setattr(message, field, _unsigned(value, bits, signed=signed))
        elif datatype == DataType.DATASET:
            _put_dataset(message.dataset_value, value)
        elif datatype == DataType.TEMPLATE:
            _put_template(message.template_value, value)
        else:
            setattr(message, _FIELDS[datatype], _checked(value, datatype))
    except DataError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, struct.error, OverflowError):
        shown = DataType(datatype).name if datatype in set(DataType) else datatype
        raise DataError(f"{name}: {str(value)[:60]!r} cannot be sent as {shown}") from None


_FIELDS: Mapping[int, str] = {
    DataType.FLOAT: "float_value",
    DataType.DOUBLE: "double_value",
    DataType.BOOLEAN: "boolean_value",
    DataType.STRING: "string_value",
    DataType.TEXT: "string_value",
    DataType.UUID: "string_value",
    DataType.BYTES: "bytes_value",
    DataType.FILE: "bytes_value",
}


def _unsigned(value: Any, bits: int, *, signed: bool) -> int:
    """A whole number as the field holds it: two's complement in 32 or 64 bits."""
    if isinstance(value, datetime):
        value = to_ns(value) // _NS_PER_MS
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    lowest, highest = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    if not lowest <= value <= highest:
        raise OverflowError
    return value & ((1 << max(bits, 32)) - 1)


def _checked(value: Any, datatype: int) -> Any:
    """The value, if it is of the type; a number for FLOAT must fit into 32 bits."""
    wanted = {"boolean_value": bool, "string_value": str}.get(_FIELDS[datatype])
    if wanted is not None and not isinstance(value, wanted):
        raise TypeError
    if datatype in {DataType.FLOAT, DataType.DOUBLE}:
        if isinstance(value, bool | str):
            raise TypeError
        value = float(value)
        if datatype == DataType.FLOAT and math.isfinite(value):
            struct.pack("<f", value)
    return value


def _put_property(message: Any, name: str, item: Property) -> None:
    message.keys.append(name)
    value = message.values.add(type=item.datatype)
    if item.value is None:
        value.is_null = True
    elif item.datatype == DataType.PROPERTYSET:
        for inner, inner_item in item.value.items():
            _put_property(value.propertyset_value, inner, inner_item)
    else:
        _put(value, item.value, item.datatype, name)


def _put_dataset(message: Any, value: DataSet) -> None:
    message.num_of_columns = len(value.columns)
    message.columns.extend(value.columns)
    message.types.extend(value.types)
    for row in value.rows:
        if len(row) != len(value.columns):
            raise ValueError
        elements = message.rows.add().elements
        for item, datatype in zip(row, value.types, strict=True):
            element = elements.add()
            if item is not None:
                _put(element, item, datatype, "data set")


def _put_template(message: Any, value: Template) -> None:
    message.is_definition = value.is_definition
    if value.version:
        message.version = value.version
    if value.reference:
        message.template_ref = value.reference
    for item in value.metrics:
        _put_metric(message.metrics.add(), item)
    for name, parameter in value.parameters.items():
        _put(
            message.parameters.add(name=name, type=parameter.datatype),
            parameter.value,
            parameter.datatype,
            name,
        )
