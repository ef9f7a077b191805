"""Ignition's tag export as JSON: what a gateway's configuration says about each tag.

Sources: Ignition User Manual 8.3, "Tag Properties" (names of the properties), "Exporting and
Importing Tags", "UDT Parameters" (a property bound to a parameter). The export of a provider is
`{"name": "", "tagType": "Provider", "tags": [...]}`; folders and instances have `tags` again;
definitions of user-defined types are below the folder `_types_`. A property that has its default
is left out, and one of a type's member that an instance does not override, too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec

from gl002.errors import RequestFailed

Node: TypeAlias = Mapping[str, Any]

_TYPES = "_types_"
_DEEPEST = 30  # levels of folders and types
_MOST = 200_000  # tags
_PARAMETER = re.compile(r"\{([^{}]+)\}")
_LONGEST = 500  # characters of a text


class Described(msgspec.Struct, frozen=True, kw_only=True):
    """What the configuration says about a tag.

    Attributes:
        path: without the provider.
        type: Ignition's name: 'Float8', 'Int4', 'Boolean', 'String'.
        unit: as written there; '' where none is.
        low: of the engineering range; None where it was left as it comes.
        high: likewise.
        description: its documentation, else its tooltip.
        history: the provider that records it; '' where it is not recorded.
    """

    path: str
    type: str = ""
    unit: str = ""
    low: float | None = None
    high: float | None = None
    description: str = ""
    history: str = ""


def described(document: bytes) -> dict[str, Described]:
    """All tags of an export of a provider, by path in lower case.

    Raises:
        RequestFailed: it is none, or too large to be one of a boiler house.
    """
    try:
        root = msgspec.json.decode(document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        root = None
    if not isinstance(root, dict) or not isinstance(root.get("tags"), list):
        raise RequestFailed("an answer that is no export of tags")
    children = _children(root)
    types = {
        path.lower(): node
        for folder in children
        if folder.get("name") == _TYPES
        for path, node in _definitions(_children(folder), "", _DEEPEST)
    }
    walk = _Walk(types)
    outside = [n for n in children if n.get("name") != _TYPES]
    return {tag.path.lower(): tag for tag in walk.tags(outside, "", {}, frozenset())}


def _children(node: Node) -> list[Node]:
    inner = node.get("tags")
    named = inner if isinstance(inner, list) else []
    return [n for n in named if isinstance(n, dict) and isinstance(n.get("name"), str)]


def _definitions(nodes: Sequence[Node], above: str, left: int) -> Iterator[tuple[str, Node]]:
    for node in nodes if left else ():
        path = f"{above}/{node['name']}" if above else node["name"]
        if node.get("tagType") == "UdtType":
            yield path, node
        else:
            yield from _definitions(_children(node), path, left - 1)


class _Walk:
    """Through the tags, with types put in where instances of them are; no type within itself."""

    def __init__(self, types: Mapping[str, Node]) -> None:
        self._types = types
        self._met = 0

    def tags(
        self, nodes: Sequence[Node], above: str, parameters: Mapping[str, str], of: frozenset[str]
    ) -> Iterator[Described]:
        """The tags of some nodes; `of` are the types that they are members of."""
        for node in nodes if above.count("/") < _DEEPEST else ():
            self._met += 1
            if self._met > _MOST:
                raise RequestFailed(f"an export of more than {_MOST} tags and folders")
            path = f"{above}/{node['name']}" if above else node["name"]
            if node.get("tagType") == "UdtInstance":
                whole, types = self._with_type(node, of)
                inner = {**parameters, **_parameters(whole)}
                yield from self.tags(_children(whole), path, inner, types)
            elif node.get("tagType") == "AtomicTag":
                yield _described(node, path, parameters)
            else:
                yield from self.tags(_children(node), path, parameters, of)

    def _with_type(self, node: Node, of: frozenset[str]) -> tuple[Node, frozenset[str]]:
        """A node with what its type and that type's parents say where it says nothing itself."""
        name = node.get("typeId")
        key = name.strip("/").lower() if isinstance(name, str) else ""
        base = None if key in of else self._types.get(key)
        if base is None:
            return node, of
        whole, types = self._with_type(base, of | {key})
        return _over(whole, node), types


def _over(base: Node, node: Node) -> Node:
    """A node of a type under one of an instance."""
    both = {**base, **node}
    own = {n["name"].lower(): n for n in _children(node)}
    below = {n["name"].lower(): n for n in _children(base)}
    both["tags"] = [_over(n, own.get(key, {})) for key, n in below.items()] + [
        n for key, n in own.items() if key not in below
    ]
    parameters = [n.get("parameters") for n in (base, node)]
    both["parameters"] = {
        k: v for some in parameters if isinstance(some, dict) for k, v in some.items()
    }
    return both


def _parameters(node: Node) -> dict[str, str]:
    given = node.get("parameters")
    values = given.items() if isinstance(given, dict) else ()
    plain = ((k, v.get("value") if isinstance(v, dict) else v) for k, v in values)
    return {k: str(v) for k, v in plain if isinstance(v, str | int | float)}


def _described(node: Node, path: str, parameters: Mapping[str, str]) -> Described:
    def text(name: str) -> str:
        return _text(node.get(name), parameters)

    recorded = node.get("historyEnabled") is True
    return Described(
        path=path,
        type=text("dataType"),
        unit=text("engUnit"),
        low=_number(node.get("engLow"), parameters),
        high=_number(node.get("engHigh"), parameters),
        description=text("documentation") or text("tooltip"),
        history=(text("historyProvider") or "as configured") if recorded else "",
    )


def _text(value: object, parameters: Mapping[str, str]) -> str:
    """A text, or that of a binding to parameters; '' for what is neither, or not known here."""
    if isinstance(value, str):
        return value[:_LONGEST]
    bound = value.get("binding") if isinstance(value, dict) else None
    if not isinstance(bound, str) or value.get("bindType") != "parameter":  # type: ignore[attr-defined]
        return ""
    if any(name not in parameters for name in _PARAMETER.findall(bound)):
        return ""
    return _PARAMETER.sub(lambda match: parameters[match[1]], bound)[:_LONGEST]


def _number(value: object, parameters: Mapping[str, str]) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | dict):
        return None
    try:
        number = float(_text(value, parameters) if isinstance(value, dict) else value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None
