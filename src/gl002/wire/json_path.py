"""Paths into JSON: the part of RFC 9535 that names places, without its searches.

`$` is the whole, `.name` and `['any name']` a member, `[0]` and `[-1]` an element from the start or
the end, `.*` and `[*]` every member or element. Descendants (`..`), slices and filters are refused:
what they find depends on more than the path, and a hostile payload could make them take for ever.

>>> list(Path("$.flue['o2'][*]").find({"flue": {"o2": [3.1, 3.2]}}))
[(('0',), 3.1), (('1',), 3.2)]
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeAlias

from gl002.errors import ConfigError

Found: TypeAlias = tuple[tuple[str, ...], Any]
"""What the wildcards of the path stand for, and the value."""

_STEP = re.compile(
    r"""
      \.(?P<name>[^\W\d]\w*) | \.(?P<each>\*) | \[\s*(?P<every>\*)\s*\]
    | \[\s*(?P<index>0|-?[1-9]\d{0,8})\s*\]
    | \[\s*'(?P<single>(?:[^'\\\x00-\x1f]|\\.)*)'\s*\]
    | \[\s*"(?P<double>(?:[^"\\\x00-\x1f]|\\.)*)"\s*\]
    """,
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)")
_PLAIN = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "/": "/", "\\": "\\",
          "'": "'", '"': '"'}  # fmt: skip
_HINT = "'$.flue.o2', \"$.data['steam flow']\", '$.list[0]', '$.metrics[*].value'"
_MOST_STEPS = 32
_EVERY = None


class Path:
    """One path.

    Args:
        text: as above.

    Attributes:
        text: as given.
        wildcards: how many steps stand for every member or element.

    Raises:
        ConfigError: it is none, or searches.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._steps: list[str | int | None] = []
        if not text.startswith("$"):
            raise ConfigError(f"'{text}' is no path: it does not begin with '$'", hint=_HINT)
        at = 1
        while at < len(text):
            step = _STEP.match(text, at)
            if step is None or len(self._steps) == _MOST_STEPS:
                raise ConfigError(
                    f"'{text}' is no path from '{text[at:][:20]}' on",
                    hint=f"members, elements and '*' only: {_HINT}",
                )
            self._steps.append(_meant(text, step))
            at = step.end()
        self.wildcards = self._steps.count(_EVERY)

    def find(self, value: Any) -> Iterator[Found]:
        """What lies there, in the order of the JSON; nothing where the path leads nowhere."""
        found: Iterator[Found] = iter([((), value)])
        for step in self._steps:
            found = _onward(found, step)
        return found

    def __repr__(self) -> str:
        return f"Path({self.text!r})"


def _meant(text: str, step: re.Match[str]) -> str | int | None:
    if step["each"] or step["every"]:
        return _EVERY
    if step["index"] is not None:
        return int(step["index"])
    if step["name"] is not None:
        return step["name"]
    quoted = step["single"] if step["single"] is not None else step["double"]
    return _ESCAPE.sub(lambda match: _unescaped(text, match), quoted)


def _unescaped(text: str, match: re.Match[str]) -> str:
    code = match[1]
    if len(code) > 1:
        return chr(int(code[1:], 16))
    if code not in _PLAIN:
        raise ConfigError(f"'{text}' is no path: '\\{code}' is no escape", hint=_HINT)
    return _PLAIN[code]


def _onward(found: Iterator[Found], step: str | int | None) -> Iterator[Found]:
    """One step further from each place."""
    for stars, value in found:
        if step is _EVERY:
            for name, item in _all(value):
                yield (*stars, name), item
        elif isinstance(step, str):
            if isinstance(value, dict) and step in value:
                yield stars, value[step]
        elif isinstance(value, list) and -len(value) <= step < len(value):
            yield stars, value[step]


def _all(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(i), item) for i, item in enumerate(value))
