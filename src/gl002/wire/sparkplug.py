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
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from gl002.errors import DataError
from gl002.model import to_ns
from gl002.wire.sparkplug_schema import messages
from gl002.wire.sparkplug_types import DataSet, DataType, Metric, Payload, Property, Template

__all__ = [
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

LARGEST = 1 << 20
"""Bytes of a payload that are read; more is refused."""
_MOST_METRICS = 10_000
_DEEPEST = 4  # templates within templates
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


def encode(payload: Payload) -> bytes:
    """The bytes of a message.

    Raises:
        DataError: a value does not fit its type.
        MissingDependency: the package 'protobuf' is not installed.
    """
    message = messages()["Payload"]()
    try:
        _put_payload(message, payload)
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
        if datatype in _INTEGERS:
            field, bits, signed = _INTEGERS[datatype]
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


_INTEGERS: Mapping[int, tuple[str, int, bool]] = {
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
_PYTHON: Mapping[int, tuple[type, ...]] = {
    **dict.fromkeys(_INTEGERS, (int,)),
    **dict.fromkeys((DataType.FLOAT, DataType.DOUBLE), (float,)),
    **dict.fromkeys((DataType.STRING, DataType.TEXT, DataType.UUID), (str,)),
    **dict.fromkeys((DataType.BYTES, DataType.FILE), (bytes,)),
    DataType.BOOLEAN: (bool,),
}
_NAMED = frozenset(DataType) - {DataType.UNKNOWN}
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


# ---- decoding -----------------------------------------------------------------------------------


def decode(data: bytes) -> Payload:
    """A message taken apart.

    Raises:
        DataError: no Sparkplug payload, larger than 1 MiB, with more than 10,000 metrics, or with
            templates nested deeper than 4 levels.
        MissingDependency: the package 'protobuf' is not installed.
    """
    if len(data) > LARGEST:
        raise DataError(f"{len(data)} bytes of Sparkplug: at most {LARGEST} are read")
    message = messages()["Payload"]()
    from google.protobuf.message import DecodeError

    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise DataError(f"no Sparkplug payload: {error}") from None
    if len(message.metrics) > _MOST_METRICS:
        raise DataError(f"{len(message.metrics)} metrics: at most {_MOST_METRICS} are read")
    _check_fields(message)
    return Payload(
        metrics=[_metric(item, 0) for item in message.metrics],
        time=_time(message),
        seq=message.seq if message.HasField("seq") else None,
        uuid=_text(message.uuid),
        body=message.body,
    )


def _check_fields(message: Any) -> None:
    """Refuse fields of ours in a form they do not have: the decoder passes over them in silence.

    Fields that the specification does not know may be there; it lets others extend its messages.
    """
    from google.protobuf.unknown_fields import UnknownFieldSet

    parts: Any = UnknownFieldSet(message)  # untyped in the stubs
    for part in parts:
        if part.field_number in message.DESCRIPTOR.fields_by_number:
            name = message.DESCRIPTOR.fields_by_number[part.field_number].name
            raise DataError(f"no Sparkplug payload: its field '{name}' has another form")


def _text(value: Any) -> str:
    """Text of a message, which the decoder leaves as bytes where it is no UTF-8."""
    if not isinstance(value, str):
        raise DataError("no Sparkplug payload: a text in it is no UTF-8")
    return value


def _time(message: Any) -> int | None:
    return message.timestamp * _NS_PER_MS if message.HasField("timestamp") else None


def _metric(message: Any, depth: int) -> Metric:
    _check_fields(message)
    return Metric(
        name=_text(message.name),
        value=None if message.is_null else _value(message, message.datatype, depth),
        datatype=message.datatype,
        time=_time(message),
        alias=message.alias if message.HasField("alias") else None,
        is_historical=message.is_historical,
        is_transient=message.is_transient,
        properties=_properties(message.properties, depth),
    )


def _value(message: Any, datatype: int, depth: int) -> Any:
    """The value of the one-of, read as its type says; None where there is none, or no such one."""
    field = message.WhichOneof("value")
    if field is None:
        return None
    value = getattr(message, field)
    if field in _NESTED:
        return _NESTED[field](value, depth + 1)
    return as_type(value, datatype) if datatype in _NAMED else value


def as_type(value: Any, datatype: int) -> Any:
    """A value as it came in its field, as the type says; None where it is none of that type.

    A type we do not know makes nothing of it: whether a whole number has a sign is not to be seen.
    """
    if not isinstance(value, _PYTHON.get(datatype, ())) or isinstance(value, bool) != (
        datatype == DataType.BOOLEAN
    ):
        return None
    if isinstance(value, int) and datatype in _INTEGERS:
        _, bits, signed = _INTEGERS[datatype]
        return _whole(value, bits, signed=signed)
    return value


def _whole(value: int, bits: int, *, signed: bool) -> int | None:
    """A whole number from its two's complement; some senders fill 8 bits of the field, some 32.

    None where what is above its bits is neither nothing nor its sign.
    """
    if value < 0:  # read as its type already
        return value
    low, high = value & ((1 << bits) - 1), value >> bits
    negative = signed and bool(low >> (bits - 1))
    if high and not (negative and high in {(1 << 32 - bits) - 1, (1 << 64 - bits) - 1}):
        return None
    return low - (1 << bits) if negative else low


def _dataset(message: Any, _depth: int) -> DataSet:
    types = list(message.types)
    return DataSet(
        columns=[_text(name) for name in message.columns],
        types=types,
        rows=[
            [_value(item, datatype, 0) for item, datatype in zip(row.elements, types, strict=False)]
            for row in message.rows
        ],
    )


def _template(message: Any, depth: int) -> Template:
    if depth > _DEEPEST:
        raise DataError(f"Sparkplug templates nested deeper than {_DEEPEST} levels")
    return Template(
        metrics=[_metric(item, depth) for item in message.metrics],
        version=_text(message.version),
        reference=_text(message.template_ref),
        is_definition=message.is_definition,
        parameters={
            _text(p.name): Property(_value(p, p.type, depth), p.type) for p in message.parameters
        },
    )


def _properties(message: Any, depth: int) -> dict[str, Property]:
    if depth > _DEEPEST:
        raise DataError(f"Sparkplug properties nested deeper than {_DEEPEST} levels")
    for part in (message, *message.values):
        _check_fields(part)
    return {
        _text(name): Property(None if item.is_null else _value(item, item.type, depth), item.type)
        for name, item in zip(message.keys, message.values, strict=False)
    }


def _property_sets(message: Any, depth: int) -> list[dict[str, Property]]:
    return [_properties(item, depth) for item in message.propertyset]


_NESTED: Mapping[str, Callable[[Any, int], Any]] = {
    "dataset_value": _dataset,
    "template_value": _template,
    "propertyset_value": _properties,
    "propertysets_value": _property_sets,
}
