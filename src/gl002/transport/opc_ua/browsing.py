"""What is in a server's address space (OPC 10000-4, 5.9)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, NamedTuple

from gl002.connector import Found
from gl002.errors import RequestFailed, UnitError
from gl002.transport.opc_ua.failures import of_status
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.values import plain
from gl002.units import from_unece, unit
from gl002.wire.opc_ua import Node

OBJECTS = Node(0, "i", 85)
"""The folder below which a server keeps what it is there for."""

_SERVER_OBJECT = 2253  # ns=0;i=: the server's own diagnostics
_HIERARCHICAL, _HAS_PROPERTY = 33, 46  # ns=0;i=: types of references
_OBJECT, _VARIABLE = 1, 2  # node classes
_RESULT_MASK = 1 | 4 | 8  # reference type, node class, browse name
_NODES_AT_ONCE = 100  # so that a server needs few continuation points
_REFERENCES_AT_ONCE = 1000
_MOST_REFERENCES = 100_000  # of one node; no end is not believed
_CURRENT_WRITE = 2  # of the access level (OPC 10000-3, 8.57)


class TooMany(RequestFailed):
    """More nodes than a walk may meet."""


class Met(NamedTuple):
    """A node met on a walk.

    Attributes:
        node_id: the driver's.
        name: browse name without its namespace.
        path: names from the start of the walk, '/' between them.
        is_variable: whether it has a value.
    """

    node_id: Any
    name: str
    path: str
    is_variable: bool


def as_node(node_id: Any) -> Node:
    """The driver's node id as ours, by index."""
    kind = {"String": "s", "Guid": "g", "ByteString": "b"}.get(node_id.NodeIdType.name, "i")
    identifier = node_id.Identifier
    if kind in {"g", "b"}:
        identifier = node_id.to_string().partition(f"{kind}=")[2]
    return Node(node_id.NamespaceIndex, kind, identifier)


async def walk(session: Session, start: Any, *, depth: int, at_most: int) -> AsyncIterator[Met]:
    """Objects and variables below `start`, level by level, each once; no properties.

    Args:
        session: where to look.
        start: the driver's node id.
        depth: levels to go down.
        at_most: nodes, after which no end is believed.

    Raises:
        TagNotFound: there is no such node to start from.
        TooMany: there are more; raised behind the last of those that were allowed.
    """
    level = [Met(start, "", "", is_variable=False)]
    seen = {start}
    for depth_now in range(depth):
        below: list[Met] = []
        step = min(session.limits.browse, _NODES_AT_ONCE)
        for first in range(0, len(level), step):
            piece = level[first : first + step]
            async for met in _children(session, piece, must_exist=depth_now == 0):
                if met.node_id in seen:
                    continue
                if len(seen) > at_most:
                    raise TooMany(
                        f"browse {as_node(start)}: more than {at_most:,} nodes lie below it",
                        hint="browse a node further down, or fewer levels",
                    )
                seen.add(met.node_id)
                below.append(met)
                yield met
        level = below


async def _children(
    session: Session, parents: Sequence[Met], *, must_exist: bool
) -> AsyncIterator[Met]:
    """Everything below the parents, in their order; nodes that may not be browsed have nothing."""
    from asyncua import ua

    answers = await _browse(session, parents)
    for parent, answer in zip(parents, answers, strict=True):
        result = answer
        if result.StatusCode.value == ua.StatusCodes.BadNoContinuationPoints and len(parents) > 1:
            (result,) = await _browse(session, [parent])
        if must_exist and result.StatusCode.is_bad():
            raise of_status(result.StatusCode.value, f"browse {as_node(parent.node_id)}")
        references = list(result.References or ())
        while result.ContinuationPoint:
            enough = len(references) >= _MOST_REFERENCES
            following = ua.BrowseNextParameters(
                ReleaseContinuationPoints=enough, ContinuationPoints=[result.ContinuationPoint]
            )
            further = await session.ask(session.client.uaclient.session.browse_next(following))
            if enough:
                raise TooMany(
                    f"browse {as_node(parent.node_id)}: more than {_MOST_REFERENCES:,} nodes lie "
                    "directly below it",
                    hint="browse another node; those below this one are read by their node ids",
                )
            (result,) = further
            if result.StatusCode.is_bad():  # the rest will not come: half a list is no list
                raise of_status(result.StatusCode.value, f"browse {as_node(parent.node_id)}")
            references += result.References or ()
        for met in _met(references, parent):
            yield met


async def _browse(session: Session, parents: Sequence[Met]) -> list[Any]:
    from asyncua import ua

    parameters = ua.BrowseParameters(RequestedMaxReferencesPerNode=_REFERENCES_AT_ONCE)
    parameters.NodesToBrowse = [
        ua.BrowseDescription(
            NodeId=parent.node_id,
            BrowseDirection=ua.BrowseDirection.Forward,
            ReferenceTypeId=ua.NodeId(_HIERARCHICAL),
            IncludeSubtypes=True,
            NodeClassMask=_OBJECT | _VARIABLE,
            ResultMask=_RESULT_MASK,
        )
        for parent in parents
    ]
    return list(await session.ask(session.client.uaclient.session.browse(parameters)))


def _met(references: Iterable[Any], parent: Met) -> Iterable[Met]:
    from asyncua import ua

    not_wanted = ua.NodeId(_SERVER_OBJECT)
    for reference in references:
        if reference.ReferenceTypeId == ua.NodeId(_HAS_PROPERTY):
            continue
        there = reference.NodeId
        node_id = ua.NodeId(there.Identifier, there.NamespaceIndex, there.NodeIdType)
        if node_id == not_wanted or getattr(there, "ServerIndex", 0):
            continue
        name = str(reference.BrowseName.Name or "")
        path = f"{parent.path}/{name}" if parent.path else name
        yield Met(node_id, name, path, int(reference.NodeClass) == _VARIABLE)


# ---- what a node is ---------------------------------------------------------------------------


async def described(session: Session, nodes: Sequence[Met]) -> list[Found]:
    """The nodes for people: type ('Double[]' for an array), unit, description, access."""
    from asyncua import ua

    ids = [met.node_id for met in nodes if met.is_variable]
    attribute = ua.AttributeIds
    types = await session.read(ids, attribute.DataType)
    levels = await session.read(ids, attribute.UserAccessLevel)
    descriptions = await session.read([met.node_id for met in nodes], attribute.Description)
    ranks = await session.read(ids, attribute.ValueRank)
    names = await type_names(session, [_value(t) for t in types])
    units = await units_of(session, ids)
    shapes = ["[]" if int(_value(rank) or 0) > 0 else "" for rank in ranks]
    facts = iter(zip(map(str.__add__, names, shapes), levels, units, strict=True))
    found = []
    for met, description in zip(nodes, descriptions, strict=True):
        kind, level, measured_in = next(facts) if met.is_variable else ("", None, "")
        found.append(
            Found(
                address=str(as_node(met.node_id)),
                name=met.name,
                path=met.path,
                type=kind,
                unit=measured_in,
                description=str(plain(_value(description)) or ""),
                writable=bool(int(_value(level) or 0) & _CURRENT_WRITE) if level else False,
            )
        )
    return found


async def type_names(session: Session, types: Sequence[Any]) -> list[str]:
    """The names of data types; each type is asked for once."""
    from asyncua import ua

    different = list({node_id for node_id in types if node_id is not None})
    names = await session.read(different, ua.AttributeIds.BrowseName)
    by_id = {
        node_id: str(plain(_value(name)) or "")
        for node_id, name in zip(different, names, strict=True)
    }
    return [by_id.get(node_id, "") for node_id in types]


async def units_of(session: Session, nodes: Sequence[Any]) -> list[str]:
    """The engineering unit of each node, '' where it names none (OPC 10000-8, 5.6.3).

    In our spelling where we know the unit, else in the server's words.
    """
    from asyncua import ua

    path = ua.RelativePath(
        [
            ua.RelativePathElement(
                ReferenceTypeId=ua.NodeId(_HAS_PROPERTY),
                IsInverse=False,
                IncludeSubtypes=True,
                TargetName=ua.QualifiedName("EngineeringUnits", 0),
            )
        ]
    )
    paths = [ua.BrowsePath(StartingNode=node, RelativePath=path) for node in nodes]
    service = session.client.uaclient.session
    answers = await session.in_pieces(
        paths,
        session.limits.translate,
        lambda piece: service.translate_browsepaths_to_nodeids(list(piece)),
    )
    places = [
        a.Targets[0].TargetId if a.StatusCode.is_good() and a.Targets else None for a in answers
    ]
    there = [place for place in places if place is not None]
    values = iter(await session.read(there, ua.AttributeIds.Value))
    return [_unit(_value(next(values))) if place is not None else "" for place in places]


def _unit(information: Any) -> str:
    """An EUInformation in our spelling, else in its own words."""
    ours = from_unece(int(getattr(information, "UnitId", 0) or 0))
    text = str(plain(getattr(information, "DisplayName", None)) or "")
    return ours or known_unit(text) or text


def known_unit(text: str) -> str:
    """Our spelling of a unit, '' for one we do not know."""
    try:
        return unit(text).name if text else ""
    except UnitError:
        return ""


def _value(data: Any) -> Any:
    return data.Value.Value if data.Value is not None else None
