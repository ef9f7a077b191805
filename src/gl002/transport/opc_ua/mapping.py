"""What was found in a server as entries of `data_mapping`, and what differs from them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from gl002.connector import Drift, Found
from gl002.transport.opc_ua.browsing import known_unit
from gl002.transport.opc_ua.settings import MappingSettings
from gl002.wire.opc_ua import Node, looks_like_node, parse_node

_FIRST_OF_OTHERS = 2  # namespaces 0 and 1 are OPC UA's and the server's own, on every server


def by_uri(node: Node, namespaces: Sequence[str]) -> Node:
    """The node by the URI of its namespace, which is what holds over restarts of the server."""
    index = node.namespace
    if isinstance(index, int) and _FIRST_OF_OTHERS <= index < len(namespaces):
        return node._replace(namespace=namespaces[index])
    return node


def entry_of(found: Found, namespaces: Sequence[str]) -> dict[str, str]:
    """The entry of `data_mapping` that reads a variable.

    Its unit is the server's where we know it; one we do not know would convert to nothing. Empty
    for a folder, for an array, which is no single value, and for a node id of several lines.
    """
    if not found.type or found.type.endswith("[]") or not looks_like_node(found.address):
        return {}
    entry = {
        "node_id": str(by_uri(parse_node(found.address), namespaces)),
        "type": found.type,
        "unit": known_unit(found.unit),
        "description": found.description,
    }
    return {key: text for key, text in entry.items() if text}


def drift_of(
    found: Sequence[Found], configured: Mapping[str, tuple[MappingSettings, Found | None]]
) -> Iterator[Drift]:
    """What the server has and the mapping does not, or the other way, and what has changed.

    A unit is compared where both sides name one and the value is not scaled: after scaling it is
    in a unit of the site's choice.

    Args:
        found: what a browse met.
        configured: name -> its settings, and what its node is now; None where there is none.
    """
    mapped = {now.address for _, now in configured.values() if now is not None}
    for thing in found:
        if thing.type and thing.address not in mapped:
            detail = ", ".join(filter(None, (thing.address, thing.type, thing.unit)))
            yield Drift(what="new", tag=thing.path or thing.name, detail=detail)
    for name, (settings, now) in configured.items():
        if now is None:
            yield Drift(what="gone", tag=name, detail=settings.node_id)
            continue
        if settings.type and settings.type != now.type:
            yield Drift(what="changed", tag=name, detail=f"type {settings.type} -> {now.type}")
        scaled = settings.scaling != 1.0 or settings.offset != 0.0
        before = known_unit(settings.unit) or settings.unit
        if before and now.unit and not scaled and before != now.unit:
            yield Drift(what="changed", tag=name, detail=f"unit {before} -> {now.unit}")
