"""Writing a node in its own data type, which is asked for and never guessed."""

from __future__ import annotations

import math
from typing import Any

from gl002.errors import DataError, RequestFailed
from gl002.model import Value
from gl002.transport.opc_ua.failures import of_status
from gl002.transport.opc_ua.session import Session
from gl002.wire.opc_ua import Node

_WHOLE = {
    "SByte": (-(2**7), 2**7 - 1), "Byte": (0, 2**8 - 1),
    "Int16": (-(2**15), 2**15 - 1), "UInt16": (0, 2**16 - 1),
    "Int32": (-(2**31), 2**31 - 1), "UInt32": (0, 2**32 - 1),
    "Int64": (-(2**63), 2**63 - 1), "UInt64": (0, 2**64 - 1),
}  # fmt: skip
_LARGEST_SINGLE = 3.4028234663852886e38  # IEEE 754 binary32


async def variant_for(session: Session, node_id: Any, value: Value, what: Node) -> Any:
    """The value as a variant of the node's data type.

    Raises:
        DataError: the type cannot hold it; nothing was sent.
        TagNotFound: there is no such node.
    """
    from asyncua import ua

    kind = await _type_of(session, node_id, what)
    return ua.Variant(coerced(value, kind.name, str(what)), kind)


async def _type_of(session: Session, node_id: Any, what: Node) -> Any:
    """The built-in type that carries the node's values, asked for once a session."""
    from asyncua import ua
    from asyncua.common.ua_utils import data_type_to_variant_type

    known = session.types.get(node_id)
    if known is not None:
        return known
    (declared,) = await session.read([node_id], ua.AttributeIds.DataType)
    if declared.StatusCode is not None and declared.StatusCode.is_bad():
        raise of_status(declared.StatusCode.value, f"data type of {what}")
    kind = await data_type_to_variant_type(session.client.get_node(declared.Value.Value))
    if kind is ua.VariantType.Variant:  # declared as any number: take what it holds now
        (current,) = await session.read([node_id], ua.AttributeIds.Value)
        if current.Value is None or current.Value.Value is None:
            raise RequestFailed(f"{what} has no data type of its own and holds no value")
        kind = current.Value.VariantType
    session.types[node_id] = kind
    return kind


def coerced(value: Value, kind: str, what: str) -> Value:
    """The value as the built-in type `kind` holds it, exactly (single precision rounds).

    Raises:
        DataError: it does not fit; says why.
    """
    if kind == "Boolean":
        if isinstance(value, bool) or value in (0, 1):
            return bool(value)
    elif kind == "String":
        if isinstance(value, str):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if kind in _WHOLE:
            return _whole(value, kind, what)
        if kind in {"Float", "Double"}:
            return _real(value, kind, what)
    raise DataError(f"{what} takes {kind}, not {value!r}")


def _whole(value: float, kind: str, what: str) -> int:
    if not math.isfinite(value) or value != int(value):
        raise DataError(f"{what} takes {kind}, which has no fractions: not {value!r}")
    low, high = _WHOLE[kind]
    if not low <= value <= high:
        raise DataError(f"{what} takes {kind}, {low} to {high}: not {value!r}")
    return int(value)


def _real(value: float, kind: str, what: str) -> float:
    if not math.isfinite(value):
        raise DataError(f"{what}: {value!r} is no value to set anything to")
    if kind == "Float" and abs(value) > _LARGEST_SINGLE:
        raise DataError(f"{what} takes Float, too small for {value!r}")
    return float(value)
