"""Sparkplug B payloads taken apart. What is no payload is refused; what is no value is none.

Source: Eclipse Sparkplug Specification 3.0.0, chapter 6 (Payloads).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gl002.errors import DataError
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

LARGEST = 1 << 20
"""Bytes of a payload that are read; more is refused."""
_MOST_METRICS = 10_000
_DEEPEST = 4  # templates within templates
_NS_PER_MS = 1_000_000
_PYTHON: Mapping[int, tuple[type, ...]] = {
    **dict.fromkeys(INTEGERS, (int,)),
    **dict.fromkeys((DataType.FLOAT, DataType.DOUBLE), (float,)),
    **dict.fromkeys((DataType.STRING, DataType.TEXT, DataType.UUID), (str,)),
    **dict.fromkeys((DataType.BYTES, DataType.FILE), (bytes,)),
    DataType.BOOLEAN: (bool,),
}
_NAMED = frozenset(DataType) - {DataType.UNKNOWN}


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
    if isinstance(value, int) and datatype in INTEGERS:
        _, bits, signed = INTEGERS[datatype]
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
