"""Fields of a document with places to be filled in: '{title:.40}', '{value}', '{time}'.

    filled({"point": "EFF_1", "value": "{value}"}, {"value": 84.2})  # {..., 'value': 84.2}

A text that is one place and nothing else takes the value as it is, a number stays a number. Any
other text takes its places as text. '{{' and '}}' stand for braces.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from gl002.errors import DataError

_PLACE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")
_INSIDE = re.compile(r"([a-z_]+)(?::(0?\d{0,2}(?:\.\d{1,3})?[defgs%]?))?")
_MOST_DEEP = 10


def misfits(fields: Any, known: Collection[str], path: tuple[int | str, ...] = ()) -> Iterator[
    tuple[tuple[int | str, ...], str, str]
]:  # fmt: skip
    """What is wrong with the places in `fields`: where, what, and the word that was not known."""
    for place, text in _texts(fields, path):
        for match in _PLACE.finditer(text):
            if match[0] in {"{{", "}}"}:
                continue
            inside = _INSIDE.fullmatch(match[1] or "")
            if inside is None:
                said = f"'{match[0]}' is no place: '{{name}}' or '{{name:.40}}', '{{{{' for a brace"
                yield place, said, ""
            elif inside[1] not in known:
                yield place, f"there is no '{{{inside[1]}}}' to fill in", inside[1]


def places(fields: Any) -> set[tuple[int | str, ...]]:
    """Paths of the texts that have something to fill in."""
    return {
        path
        for path, text in _texts(fields, ())
        if any(m[0] not in {"{{", "}}"} for m in _PLACE.finditer(text))
    }


def filled(fields: Any, values: Mapping[str, Any]) -> Any:
    """The fields with every place filled in.

    Raises:
        DataError: a value does not fit the form asked for, `{title:.2f}`.
    """
    return _mapped(fields, lambda text: _filled(text, values))


def _filled(text: str, values: Mapping[str, Any]) -> Any:
    whole = _PLACE.fullmatch(text)
    if whole is not None and whole[1] is not None:
        name, _, form = whole[1].partition(":")
        return _formed(values[name], form) if form else values[name]
    return _PLACE.sub(lambda match: _part(match, values), text)


def _part(match: re.Match[str], values: Mapping[str, Any]) -> str:
    if match[1] is None:
        return match[0][0]
    name, _, form = match[1].partition(":")
    return _formed(values[name], form)


def _formed(value: Any, form: str) -> str:
    plain = "" if value is None else value
    if isinstance(plain, float) and not form:
        form = ".6g"
    try:
        return format(plain, form)
    except (ValueError, TypeError):
        raise DataError(f"{value!r} cannot be written as '{form}'") from None


def _mapped(node: Any, change: Callable[[str], Any]) -> Any:
    if isinstance(node, str):
        return change(node)
    if isinstance(node, Mapping):
        return {key: _mapped(value, change) for key, value in node.items()}
    return [_mapped(value, change) for value in node] if isinstance(node, list) else node


def _texts(
    node: Any, path: tuple[int | str, ...]
) -> Iterator[tuple[tuple[int | str, ...], str]]:  # fmt: skip
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, Mapping):
        for key, value in node.items():
            yield from _texts(value, (*path, key))
    elif isinstance(node, list):
        for i, value in enumerate(node):
            yield from _texts(value, (*path, i))
