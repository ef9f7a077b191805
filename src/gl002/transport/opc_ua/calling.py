"""Calling a method of a server, its arguments in the types it declares (OPC 10000-4, 5.12.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from gl002.errors import DataError, TagNotFound
from gl002.model import Value, is_bad
from gl002.transport.opc_ua.events import Condition
from gl002.transport.opc_ua.failures import of_status, status_name
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.values import Plain, plain
from gl002.transport.opc_ua.writing import coerced

Argument: TypeAlias = Value | Sequence[Value]
"""A scalar, or a list for an array."""

_HAS_COMPONENT, _HAS_PROPERTY = 47, 46  # ns=0;i=: types of references
_METHOD = 4  # node class
_ACKNOWLEDGE = 9111  # ns=0;i=: the method, of the acknowledgeable condition type


async def call(
    session: Session,
    owner: Any,
    method: Any,
    arguments: Sequence[Value | Sequence[Value]],
    what: str,
) -> list[Plain]:
    """Call a method once; what it returns.

    Args:
        session: where.
        owner: the driver's node id of the object it is called on.
        method: the driver's node id of the method, or its browse name.
        arguments: one for each the method declares, lists for arrays.
        what: for messages.

    Raises:
        TagNotFound: the object has no such method.
        DataError: too many or too few arguments, or one that does not fit; nothing was sent.
        RequestFailed: the server refused, or the method failed; and why.
    """
    from asyncua import ua

    if isinstance(method, str):
        method = await _named(session, owner, method, what)
    declared = await _declared(session, method)
    if len(declared) != len(arguments):
        names = ", ".join(str(argument.Name) for argument in declared) or "nothing"
        raise DataError(f"{what} takes {len(declared)} arguments ({names}), not {len(arguments)}")
    request = ua.CallMethodRequest(
        ObjectId=owner,
        MethodId=method,
        InputArguments=[
            await _variant(session, argument, value, what)
            for argument, value in zip(declared, arguments, strict=True)
        ],
    )
    (result,) = await session.ask(session.client.uaclient.session.call([request]))
    status = int(result.StatusCode.value)
    if is_bad(status):
        wrong = [
            f"{argument.Name}: {status_name(code.value)}"
            for argument, code in zip(declared, result.InputArgumentResults or (), strict=False)
            if code.is_bad()
        ]
        raise of_status(status, f"{what}{' (' + ', '.join(wrong) + ')' if wrong else ''}")
    return [plain(variant.Value) for variant in result.OutputArguments or ()]


async def acknowledge(session: Session, condition: Condition, comment: str, what: str) -> None:
    """Acknowledge a condition, with a comment that the server keeps (OPC 10000-9, 5.7.3).

    Raises:
        RequestFailed: the server refused, and why.
    """
    from asyncua import ua

    request = ua.CallMethodRequest(
        ObjectId=condition.node,
        MethodId=ua.NodeId(_ACKNOWLEDGE),
        InputArguments=[
            ua.Variant(condition.event_id, ua.VariantType.ByteString),
            ua.Variant(ua.LocalizedText(comment), ua.VariantType.LocalizedText),
        ],
    )
    (result,) = await session.ask(session.client.uaclient.session.call([request]))
    if result.StatusCode.is_bad():
        raise of_status(int(result.StatusCode.value), what)


async def _named(session: Session, owner: Any, name: str, what: str) -> Any:
    """The method of an object by its browse name."""
    from asyncua import ua

    parameters = ua.BrowseParameters(RequestedMaxReferencesPerNode=0)
    parameters.NodesToBrowse = [
        ua.BrowseDescription(
            NodeId=owner,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(_HAS_COMPONENT),
            IncludeSubtypes=True,
            NodeClassMask=_METHOD,
            ResultMask=ua.BrowseResultMask.BrowseName,
        )
    ]
    (result,) = await session.ask(session.client.uaclient.session.browse(parameters))
    if result.StatusCode.is_bad():
        raise of_status(result.StatusCode.value, what)
    methods = {str(each.BrowseName.Name): each.NodeId for each in result.References or ()}
    if name not in methods:
        raise TagNotFound(
            f"{what}: the object has no such method; it has: {', '.join(methods) or 'none'}"
        )
    there = methods[name]
    return ua.NodeId(there.Identifier, there.NamespaceIndex, there.NodeIdType)


async def _declared(session: Session, method: Any) -> Sequence[Any]:
    """The driver's Argument of each input; a method without that property takes none."""
    from asyncua import ua

    element = ua.RelativePathElement(
        ReferenceTypeId=ua.NodeId(_HAS_PROPERTY),
        IsInverse=False,
        IncludeSubtypes=True,
        TargetName=ua.QualifiedName("InputArguments", 0),
    )
    path = ua.BrowsePath(StartingNode=method, RelativePath=ua.RelativePath([element]))
    service = session.client.uaclient.session
    (answer,) = await session.ask(service.translate_browsepaths_to_nodeids([path]))
    if answer.StatusCode.is_bad() or not answer.Targets:
        return ()
    (value,) = await session.read([answer.Targets[0].TargetId], ua.AttributeIds.Value)
    return (value.Value.Value if value.Value is not None else None) or ()


async def _variant(session: Session, argument: Any, value: Any, what: str) -> Any:
    from asyncua import ua
    from asyncua.common.ua_utils import data_type_to_variant_type

    kind = await data_type_to_variant_type(session.client.get_node(argument.DataType))
    where = f"{what}: {argument.Name}"
    if argument.ValueRank > 0:
        if not isinstance(value, list | tuple):
            raise DataError(f"{where} takes a list of {kind.name}, not {value!r}")
        items = [coerced(item, kind.name, where) for item in value]
        return ua.Variant(items, kind, is_array=True)
    return ua.Variant(coerced(value, kind.name, where), kind)
