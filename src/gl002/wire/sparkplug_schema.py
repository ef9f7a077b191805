"""The messages of Sparkplug B in protocol buffers, built from the public field numbers.

Source: Eclipse Sparkplug Specification 3.0.0, section 6.3. On the wire there are numbers only, so
the names of the messages are ours and lie side by side instead of inside each other.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

from gl002.errors import MissingDependency

_VALUES = "long_value:uint64 float_value:float double_value:double boolean_value:bool"

# 'name:type' with numbers counting up; '*' repeats; what stands in brackets is the one-of 'value'.
_MESSAGES: Mapping[str, str] = {
    "Payload": "timestamp:uint64 metrics:*Metric seq:uint64 uuid:string body:bytes",
    "Metric": (
        "name:string alias:uint64 timestamp:uint64 datatype:uint32 is_historical:bool "
        "is_transient:bool is_null:bool metadata:MetaData properties:PropertySet "
        f"[int_value:uint32 {_VALUES} string_value:string bytes_value:bytes "
        "dataset_value:DataSet template_value:Template]"
    ),
    "MetaData": (
        "is_multi_part:bool content_type:string size:uint64 seq:uint64 file_name:string "
        "file_type:string md5:string description:string"
    ),
    "PropertySet": "keys:*string values:*PropertyValue",
    "PropertySetList": "propertyset:*PropertySet",
    "PropertyValue": (
        f"type:uint32 is_null:bool [int_value:uint32 {_VALUES} string_value:string "
        "propertyset_value:PropertySet propertysets_value:PropertySetList]"
    ),
    "DataSet": "num_of_columns:uint64 columns:*string types:*uint32 rows:*Row",
    "Row": "elements:*DataSetValue",
    "DataSetValue": f"[int_value:uint32 {_VALUES} string_value:string]",
    "Template": (
        "version:string metrics:*Metric parameters:*Parameter template_ref:string "
        "is_definition:bool"
    ),
    "Parameter": f"name:string type:uint32 [int_value:uint32 {_VALUES} string_value:string]",
}
_FIELD = re.compile(r"(\[?)(\w+):(\*?)(\w+)(\]?)")


@cache
def messages() -> Mapping[str, Any]:
    """Message classes by name.

    Raises:
        MissingDependency: the package 'protobuf' is not installed, or only its slow form in
            Python, which has no limits against hostile input.
    """
    try:
        from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
        from google.protobuf.internal import api_implementation
    except ModuleNotFoundError:
        raise MissingDependency(
            "the driver 'protobuf' is not installed", hint='pip install "gl002[mqtt]"'
        ) from None
    if api_implementation.Type() != "upb":
        raise MissingDependency(
            f"'protobuf' runs as '{api_implementation.Type()}', not compiled",
            hint="unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION, or install a wheel",
        )
    file = descriptor_pb2.FileDescriptorProto(name="gl002/sparkplug_b.proto", package="gl002")
    for name, fields in _MESSAGES.items():
        _add_fields(file.message_type.add(name=name), fields)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"gl002.{name}"))
        for name in _MESSAGES
    }


def _add_fields(message: Any, fields: str) -> None:
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto as Field

    inside = False
    for number, match in enumerate(_FIELD.finditer(fields), start=1):
        opens, name, repeated, kind, closes = match.groups()
        field = message.field.add(name=name, number=number)
        field.label = Field.LABEL_REPEATED if repeated else Field.LABEL_OPTIONAL
        if kind in _MESSAGES:
            field.type, field.type_name = Field.TYPE_MESSAGE, f".gl002.{kind}"
        else:
            field.type = Field.Type.Value(f"TYPE_{kind.upper()}")
        if opens:
            inside = True
            message.oneof_decl.add(name="value")
        if inside:
            field.oneof_index = 0
        inside = inside and not closes
