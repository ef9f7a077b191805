"""YAML with line numbers, and nothing that surprises or harms.

YAML 1.2 scalars (so `no` is the word 'no' and 010 is ten), duplicate keys are errors, no tags of
its own, no merge keys, bounded size, depth and aliases: a file can only be data. PyYAML gives the
events, its C parser where it is there; what they mean is decided here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any, NamedTuple

import yaml
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from gl002.config.problems import InvalidConfig, Mark, Path, Problem, shortened

MAX_CHARACTERS = 1 << 20
_MAX_VALUES = 100_000
_MAX_DEPTH = 20
_MOST_PROBLEMS = 50
_MOST_BITS = 1024  # of a whole number, as of the largest float; Python writes no longer ones

_NO_FILE = (
    "name the file, as in 'gl002 check FILE' or 'gl002 advise -c FILE', or start from that of the "
    "demo: gl002 demo --print-config > integrations.yaml"
)

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CORE = "tag:yaml.org,2002:"
_SCALARS = {  # YAML 1.2.2, 10.3.2, without .inf and .nan, which no setting takes
    "null": re.compile(r"~|null|Null|NULL|"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+"),
    "float": re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"),
}
_KINDS = {"null": "null", "bool": "true or false", "int": "whole number", "float": "number"}
_HINTS = {
    "mapping values are not allowed": "put text that holds ': ' in quotes",
    "unexpected end of stream": "a quote or bracket is not closed",
}


def text_of(file: File) -> str:
    """What is in a file, as far as the parser accepts it.

    Raises:
        InvalidConfig: it cannot be read, or is no UTF-8 text.
    """
    try:
        with file.open("rb") as binary:
            data = binary.read(4 * MAX_CHARACTERS)  # bytes of so many characters, at most
        return data.decode()
    except OSError as error:
        hint = _NO_FILE if isinstance(error, FileNotFoundError) else ""
        raise InvalidConfig([Problem((), f"{file}: {error.strerror}", hint)]) from None
    except UnicodeDecodeError as error:
        before = error.object[: error.start]
        line, column = before.count(b"\n") + 1, len(before) - before.rfind(b"\n")
        mark = Mark(str(file), line, column)
        raise InvalidConfig([Problem((), "is no UTF-8 text", "", mark)]) from None


class _Anchor(NamedTuple):
    value: Any
    size: int  # values it stands for
    depth: int  # levels inside it


class _WrongKey(NamedTuple):
    at: Path
    message: str


class Document:
    """A parsed file.

    Attributes:
        data: the content as dicts, lists and scalars; None for an empty file.
        marks: path -> place of the value.
        key_marks: path -> place of the key the value belongs to.

    Raises:
        ConfigError: no YAML, or more than data; lists the places.
    """

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.marks: dict[Path, Mark] = {(): Mark(file, 1, 1)}
        self.key_marks: dict[Path, Mark] = {}
        self._problems: list[Problem] = []
        self._values = self._deepest = 0
        self._anchors: dict[str, _Anchor | None] = {}
        if len(text) > MAX_CHARACTERS:
            self._stop((), f"is longer than {MAX_CHARACTERS} characters", self.marks[()])
        self._events = self._read(text.removeprefix("\ufeff"))
        self.data: Any = self._document()
        if self._problems:
            raise InvalidConfig(self._problems)

    # ---- events -----------------------------------------------------------------------------

    def _read(self, text: str) -> Iterator[Event]:
        try:
            yield from yaml.parse(text, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            place = error.problem_mark or error.context_mark
            line, column = (place.line, place.column) if place else (0, 0)
            self._no_yaml(text, line, column, str(error.problem))
        except yaml.reader.ReaderError as error:
            before = text[: error.position]
            line, column = before.count("\n"), len(before) - before.rfind("\n") - 1
            code = error.character if isinstance(error.character, int) else ord(error.character)
            self._no_yaml(text, line, column, f"the character U+{code:04X} is not allowed")

    def _no_yaml(self, text: str, line: int, column: int, why: str) -> None:
        lines = text.split("\n")
        if line >= len(lines):  # behind the end, where the last line has none
            line, column = len(lines) - 1, len(lines[-1])
        hint = next((hint for words, hint in _HINTS.items() if words in why), "")
        if "\t" in lines[line][: column + 1]:
            hint = "use spaces, not tabs"
        mark = Mark(self.file, line + 1, column + 1)
        self._stop((), f"no valid YAML: {why}", mark, hint)

    def _stop(self, path: Path, message: str, mark: Mark, hint: str = "") -> None:
        """Give up: what follows makes no sense."""
        raise InvalidConfig([*self._problems, Problem(path, message, hint, mark)])

    def _report(self, path: Path, message: str, mark: Mark) -> None:
        self._problems.append(Problem(path, message, "", mark))
        if len(self._problems) == _MOST_PROBLEMS:
            self._stop(path, "and so on: no more problems are listed", mark)

    def _place(self, event: Event) -> Mark:
        start = event.start_mark
        assert start is not None
        return Mark(self.file, start.line + 1, start.column + 1)

    # ---- values -----------------------------------------------------------------------------

    def _document(self) -> Any:
        documents = (event for event in self._events if isinstance(event, DocumentStartEvent))
        if next(documents, None) is None:
            return None
        data = self._value(next(self._events), ())
        second = next(documents, None)
        if second is not None:
            self._stop((), "there is a second document; one file is one", self._place(second))
        return data

    def _value(self, event: Event, path: Path) -> Any:
        assert isinstance(event, NodeEvent)
        mark = self.marks[path] = self._place(event)
        self._count(1, path, mark)
        if isinstance(event, AliasEvent):
            return self._alias(str(event.anchor), path, mark)
        before = self._values
        above, self._deepest = self._deepest, len(path)
        if event.anchor:
            self._anchors[event.anchor] = None
        if isinstance(event, ScalarEvent):
            value = self._scalar(event, path, mark)
        else:
            value = self._collection(event, path, mark)
        if event.anchor:
            depth = self._deepest - len(path)
            self._anchors[event.anchor] = _Anchor(value, self._values - before, depth)
        self._deepest = max(self._deepest, above)
        return value

    def _count(self, values: int, path: Path, mark: Mark) -> None:
        self._values += values
        if self._values > _MAX_VALUES:
            self._stop(path[:3], f"more than {_MAX_VALUES} values", mark)

    def _alias(self, name: str, path: Path, mark: Mark) -> Any:
        anchor = self._anchors.get(name)
        if anchor is None:
            inside = "stands inside what it refers to" if name in self._anchors else "is unknown"
            self._report(path, f"the alias *{shortened(name)} {inside}", mark)
            return None
        self._count(anchor.size, path, mark)
        self._deepest = max(self._deepest, len(path) + anchor.depth)
        if self._deepest > _MAX_DEPTH:
            self._too_deep(path, mark)
        return anchor.value

    def _collection(self, event: NodeEvent, path: Path, mark: Mark) -> Any:
        if len(path) >= _MAX_DEPTH:
            self._too_deep(path, mark)
        assert isinstance(event, SequenceStartEvent | MappingStartEvent)
        sequence = isinstance(event, SequenceStartEvent)
        if event.tag not in {None, "!", f"{_CORE}{'seq' if sequence else 'map'}"}:
            self._report(path, f"the tag {_shown(event.tag)} is not supported", mark)
        return self._sequence(path) if sequence else self._mapping(path)

    def _too_deep(self, path: Path, mark: Mark) -> None:
        self._stop(path[:3], f"nested deeper than {_MAX_DEPTH} levels", mark)

    def _sequence(self, path: Path) -> list[Any]:
        items: list[Any] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            items.append(self._value(event, (*path, len(items))))
        return items

    def _mapping(self, path: Path) -> dict[str, Any]:
        block: dict[str, Any] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            mark = self._place(event)
            wrong = self._wrong_key(event, block, path)
            if wrong:
                self._report((*path, *wrong.at), wrong.message, mark)
                if not isinstance(event, ScalarEvent):
                    self._value(event, (*path, "?"))
                self._value(next(self._events), (*path, "?"))
                continue
            assert isinstance(event, ScalarEvent)
            place: Path = (*path, str(event.value))
            self.key_marks[place] = mark
            block[str(event.value)] = self._value(next(self._events), place)
        return block

    def _wrong_key(self, event: Event, block: dict[str, Any], path: Path) -> _WrongKey | None:
        if not isinstance(event, ScalarEvent):
            return _WrongKey((), "keys must be plain text")
        key = str(event.value)
        if key == "<<":
            return _WrongKey((), "merge keys are not supported: write the block out")
        if key in block:
            first = self.key_marks[(*path, key)].line
            return _WrongKey((key,), f"stands twice; first in line {first}")
        return None

    def _scalar(self, event: ScalarEvent, path: Path, mark: Mark) -> Any:
        text = str(event.value)
        tag = event.tag
        if tag is None and not event.style:
            kind = next((k for k, form in _SCALARS.items() if form.fullmatch(text)), "str")
        else:
            kind = "str" if tag in {None, "!"} else str(tag).removeprefix(_CORE)
        if kind != "str" and kind not in _SCALARS:
            self._report(path, f"the tag {_shown(tag)} is not supported", mark)
            return None
        if "\0" in text:
            self._report(path, "has a NUL character in it, which no name or path can have", mark)
            return None
        try:
            return _typed(kind, text)
        except ValueError:
            self._report(path, f"is no {_KINDS[kind]}, or one too long", mark)
            return None


def _typed(kind: str, text: str) -> Any:
    """A scalar's value.

    Raises:
        ValueError: the text is none of its kind.
    """
    if kind == "str":
        return text
    if not _SCALARS[kind].fullmatch(text):
        raise ValueError(text)
    if kind == "int":
        number = int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
        if number.bit_length() > _MOST_BITS:
            raise ValueError(text)
        return number
    if kind == "float":
        return float(text)
    return text.lower() == "true" if kind == "bool" else None


def _shown(tag: object) -> str:
    """A tag as it is written in the file."""
    text = shortened(str(tag))
    return f"!!{text.removeprefix(_CORE)}" if text.startswith(_CORE) else text
