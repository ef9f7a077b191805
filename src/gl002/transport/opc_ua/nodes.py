"""Which node is meant: by node id, by a name of `data_mapping`, or by its browse name."""

from __future__ import annotations

import difflib
import logging
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value, is_bad
from gl002.transport.opc_ua.browsing import (
    OBJECTS,
    Met,
    TooMany,
    as_node,
    known_unit,
    units_of,
    walk,
)
from gl002.transport.opc_ua.mapping import by_uri
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.values import Readout, plain, single
from gl002.wire.opc_ua import Node

_DEEPEST = 20  # levels below Objects
log = logging.getLogger("gl002.opc_ua")

_MOST_NODES = 50_000  # met before a search by name is given up
_MOST_CANDIDATES = 5  # named in a message
_FIRST_OF_OTHERS = 2  # namespaces 0 and 1 are OPC UA's and the server's own, on every server


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A tag and where its values come from.

    Attributes:
        tag: what its samples are called.
        text: what the user wrote.
        node: the node; None where it is to be found by its browse name, `text`.
        scaling: multiplied first.
        offset: added then.
        unit: after that; '' takes the server's.
        type: data type the node must have; '' takes any.
        description: a plain phrase.
        deadband: changes the server need not report; None: it reports all.
    """

    tag: str
    text: str
    node: Node | None = None
    scaling: float = 1.0
    offset: float = 0.0
    unit: str = ""
    type: str = ""
    description: str = ""
    deadband: Deadband | None = None

    @property
    def is_scaled(self) -> bool:
        """Whether values change between node and tag."""
        return self.scaling != 1.0 or self.offset != 0.0

    def scaled(self, value: Value) -> Value:
        """A node's value as the tag's. Text and truth values are not scaled."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        return value * self.scaling + self.offset if self.is_scaled else value

    def unscaled(self, value: Value) -> Value:
        """A tag's value as the node's; a whole number where only rounding makes it none."""
        if isinstance(value, bool) or not isinstance(value, int | float):
            return value
        if not self.is_scaled:
            return value
        exact = (value - self.offset) / self.scaling
        whole = round(exact) if math.isfinite(exact) else exact
        return whole if math.isclose(exact, whole, rel_tol=1e-12) else exact

    def samples(self, values: Iterable[Readout]) -> Batch:
        """Values of the node as samples of the tag; one without any time is left out."""
        batch: Batch = []
        for value, status, source, server in values:
            shown, quality = single(value, status)
            if source or server:
                scaled = None if is_bad(quality) else self.scaled(shown)
                batch.append(Sample(self.tag, scaled, source or server, quality))
        return batch

    def as_tag(self, source: str, unit: str = "") -> Tag:
        """What is known about the tag; `unit` is the server's, for one that names none itself."""
        return Tag(
            name=self.tag,
            unit=self.unit or unit,
            source=source,
            address=str(self.node or self.text),
            description=self.description,
        )


class Deadband(NamedTuple):
    """Changes that are too small to report (OPC 10000-8, 6.2).

    Attributes:
        size: in the node's own unit, or in percent of its range.
        percent: whether it is.
    """

    size: float
    percent: bool = False

    def filter(self) -> Any:
        """As the driver's filter of changes; the status is always reported."""
        from asyncua import ua

        kind = ua.DeadbandType.Percent if self.percent else ua.DeadbandType.Absolute
        return ua.DataChangeFilter(
            Trigger=ua.DataChangeTrigger.StatusValue, DeadbandType=kind, DeadbandValue=self.size
        )


class Missing(NamedTuple):
    """Why a point has no node on this server."""

    reason: str
    status: int = int(Quality.BAD_NODE_ID_UNKNOWN)


Resolved: TypeAlias = Any | Missing
"""The driver's node id, or why there is none."""


class Directory:
    """Finds nodes, and remembers between sessions what must not change its meaning.

    A namespace index holds only within a session (OPC 10000-3, 8.2.2): a node configured by index
    is found again by the URI that the index had when this connector first connected.
    """

    def __init__(self) -> None:
        self._uris: dict[int, str] = {}
        self._found: dict[str, tuple[str, Node]] = {}  # text -> browse name and node by URI
        self._index: list[Met] | None = None
        self._index_of: Session | None = None

    async def resolve(self, session: Session, points: Sequence[Point]) -> list[Resolved]:
        """The node of each point, in their order."""
        for index, uri in enumerate(session.namespaces):
            self._uris.setdefault(index, uri)
        await self._confirm(session, points)
        return [await self._one(session, point) for point in points]

    async def resolve_again(self, session: Session, points: Sequence[Point]) -> list[Resolved]:
        """As `resolve`, looking anew for what was not there."""
        self._index = None
        return await self.resolve(session, points)

    async def _one(self, session: Session, point: Point) -> Resolved:
        if point.node is not None:
            return self.node_id(session, point.node)
        if point.text not in self._found:
            met = self._named(point.text, await self._variables(session))
            if isinstance(met, Missing):
                return met
            node = by_uri(as_node(met.node_id), session.namespaces)
            self._found[point.text] = (met.name, node)
        return self.node_id(session, self._found[point.text][1])

    def node_id(self, session: Session, node: Node) -> Resolved:
        """The driver's node id of a node on this session."""
        from asyncua import ua

        index = self._index_now(session, node.namespace)
        if isinstance(index, Missing):
            return index
        if node.kind in {"i", "s"}:
            return ua.NodeId(node.identifier, index)
        return ua.NodeId.from_string(str(node._replace(namespace=index)))

    def _index_now(self, session: Session, namespace: int | str) -> int | Missing:
        uri = namespace
        if isinstance(namespace, int):
            if namespace < _FIRST_OF_OTHERS or namespace not in self._uris:
                return namespace
            uri = self._uris[namespace]
        if uri in session.namespaces:
            return session.namespaces.index(str(uri))
        return Missing(
            f"the server has no namespace '{uri}'; it has: {', '.join(session.namespaces)}"
        )

    # ---- by browse name ---------------------------------------------------------------------

    async def _confirm(self, session: Session, points: Sequence[Point]) -> None:
        """Forget what was found by name on an earlier session and is called otherwise now."""
        from asyncua import ua

        if self._index_of is session:
            return
        texts = [p.text for p in points if p.node is None and p.text in self._found]
        ids = {text: self.node_id(session, self._found[text][1]) for text in texts}
        there = {text: node_id for text, node_id in ids.items() if not isinstance(node_id, Missing)}
        names = await session.read(list(there.values()), ua.AttributeIds.BrowseName)
        now = {
            text: str(plain(name.Value.Value if name.Value is not None else None) or "")
            for text, name in zip(there, names, strict=True)
        }
        for text in texts:
            if now.get(text) != self._found[text][0]:
                del self._found[text]

    async def _variables(self, session: Session) -> list[Met]:
        """Every variable of the server, walked through once a session."""
        if self._index is None or self._index_of is not session:
            start, found = self.node_id(session, OBJECTS), list[Met]()
            try:
                async for met in walk(session, start, depth=_DEEPEST, at_most=_MOST_NODES):
                    if met.is_variable:
                        found.append(met)
            except TooMany as error:
                log.warning(
                    "%s: %s; names are looked for among those met before: where a name is not "
                    "found, or may be that of several, give its node id",
                    session.where, error.args[0],
                )  # fmt: skip
            self._index, self._index_of = found, session
        return self._index

    @staticmethod
    def _named(text: str, variables: Sequence[Met]) -> Met | Missing:
        """The one variable of that name: as written, else whatever its case and underscores."""
        exact = [met for met in variables if met.name == text]
        alike = exact or [met for met in variables if _folded(met.name) == _folded(text)]
        if len(alike) == 1:
            return alike[0]
        if alike:
            return Missing(f"{len(alike)} nodes are called '{text}': {_listed(alike)}")
        close = difflib.get_close_matches(
            _folded(text), {_folded(met.name) for met in variables}, n=_MOST_CANDIDATES
        )
        near = [met for met in variables if _folded(met.name) in close]
        hint = f"; similar: {_listed(near)}" if near else ""
        if "=" in text:
            hint = "; if a node id is meant: 'ns=2;s=Name', 'nsu=urn:of:server;s=Name' or 'i=85'"
        return Missing(f"no node is called '{text}'{hint}")


async def declare(
    session: Session,
    tags: TagTable,
    source: str,
    points: Sequence[Point],
    nodes: Sequence[Resolved],
) -> None:
    """Put the points into the tag table, with the server's unit where none is configured.

    The server is asked once for each tag. The unit of a scaled value is not the server's.
    """
    asked = {
        point: node
        for point, node in zip(points, nodes, strict=True)
        if not (point.unit or point.is_scaled or point.tag in tags or isinstance(node, Missing))
    }
    answers = await units_of(session, list(asked.values()))
    units = dict(zip(asked, map(known_unit, answers), strict=True))
    for point in points:
        tags.declare(point.as_tag(source, units.get(point, "")))


def _folded(name: str) -> str:
    return name.replace("_", "").casefold()


def _listed(nodes: Sequence[Met]) -> str:
    shown = [f"{as_node(met.node_id)} ({met.path})" for met in nodes[:_MOST_CANDIDATES]]
    more = [f"{len(nodes) - len(shown)} more"] if len(nodes) > len(shown) else []
    return ", ".join(shown + more)
