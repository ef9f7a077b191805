"""What is wrong in a configuration: all findings at once, each with its place and a way out."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeAlias

from pydantic import BaseModel, ValidationError

from gl002.errors import ConfigError

_LONGEST_SHOWN = 60  # characters of a wrong value in a message
_CREDENTIALS = re.compile(r"//.*@")  # of a URL

Path: TypeAlias = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """A place in a file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding.

    Attributes:
        path: keys and list positions from the top of the configuration.
        message: what was expected and what was found; never the value of a secret.
        hint: what to do, '' where the message says it all.
        mark: the place in the file, None for a configuration given as a dict.
        at_key: the key itself is at fault, not its value.
    """

    path: Path
    message: str
    hint: str = ""
    mark: Mark | None = None
    at_key: bool = False

    def __str__(self) -> str:
        place = f"{self.mark}: " if self.mark else ""
        key = f"{dotted(self.path)}: " if self.path else ""
        hint = f"\n    hint: {self.hint}" if self.hint else ""
        return f"{place}{key}{self.message}{hint}"


class InvalidConfig(ConfigError):
    """A configuration with problems; `problems` holds them for programs, the message for people."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(
            problems, key=lambda p: (p.mark.line if p.mark else 0, dotted(p.path))
        )
        super().__init__("\n".join(str(problem) for problem in self.problems))

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.problems,))


def dotted(path: Path) -> str:
    """A path as people write it: 'modbus.devices[0].port'."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{shortened(part)}" if text else shortened(part)
    return text


def shortened(text: str) -> str:
    """Text from a file for a message: not more of it than a person reads."""
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


def near(word: str, known: Iterable[str]) -> str:
    """A hint that names the closest known word, or all of them where none is close."""
    words = sorted(set(known))
    close = difflib.get_close_matches(shortened(word.lower()), words, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known here: {', '.join(words)}" if words else ""


class Marks(Protocol):
    """Where things stand in a file: `gl002.config.yaml.Document`."""

    @property
    def marks(self) -> Mapping[Path, Mark]:
        """Path -> place of the value."""

    @property
    def key_marks(self) -> Mapping[Path, Mark]:
        """Path -> place of the key."""


def located(problem: Problem, file: Marks, base: Path, model: type[BaseModel] | None) -> Problem:
    """The problem with its place in the file: its own, or that of the nearest block around it.

    Args:
        problem: its path is relative to the block checked against `model`.
        file: the places.
        base: path of that block in the file.
        model: what the block was checked against, to find values written in shorthand.
    """
    marks = file.key_marks if problem.at_key else file.marks
    for place in written_places(model, problem.path) if model else (problem.path,):
        if (*base, *place) in marks:
            return replace(problem, path=(*base, *place), mark=marks[(*base, *place)])
    path = (*base, *problem.path)
    around = next(path[:cut] for cut in range(len(path), -1, -1) if path[:cut] in file.marks)
    return replace(problem, path=path, mark=file.marks[around])


def problems_of(
    error: ValidationError, model: type[BaseModel], *, also_known: Iterable[str] = ()
) -> Iterator[Problem]:
    """Findings of pydantic in our words.

    Args:
        error: what pydantic raised.
        model: what was checked against.
        also_known: keys of the top block that are handled elsewhere, for suggestions.
    """
    for item in error.errors(include_url=False):
        unknown_key = item["type"] == "extra_forbidden"
        path = _without_markers(model, item["loc"][:-1] if unknown_key else item["loc"])
        if unknown_key:
            path = (*path, item["loc"][-1])
            known = keys_of(model_at(model, path[:-1])) | (
                set(also_known) if len(path) == 1 else set()
            )
            hint = near(str(path[-1]), known)
            message = f"unknown key '{shortened(str(path[-1]))}'"
            yield Problem(path, message, hint, at_key=True)
        else:
            yield Problem(path, _message(item))


def _message(item: Mapping[str, Any]) -> str:
    kind = item["type"]
    if kind == "missing":
        return "is missing"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    block = kind in {"model_type", "dict_type"}
    text = "input should be a block" if block else str(item["msg"])
    text = (text[0].lower() + text[1:]).replace("input should be", "expected")
    value = item["input"]
    if isinstance(value, str | int | float | bool | None) and len(repr(value)) <= _LONGEST_SHOWN:
        return f"{text}, found {_CREDENTIALS.sub('//***@', repr(value))}"
    return text


def keys_of(model: type[BaseModel] | None) -> frozenset[str]:
    """Every key that may stand in a block of this model, shorthand included."""
    if model is None:
        return frozenset()
    return frozenset(model.model_fields) | frozenset(getattr(model, "shorthand", ()))


def model_at(model: type[BaseModel] | None, path: Path) -> type[BaseModel] | None:
    """The model of the block that `path` leads to, None where it leads to no block."""
    for part in path:
        if model is None:
            return None
        field = model.model_fields.get(str(part))
        if field is not None:
            model = _model_in(field.annotation)
    return model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The first model inside a type such as `list[Device] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


def _without_markers(model: type[BaseModel], loc: Path) -> Path:
    """A path without the names pydantic adds for the branches of a union."""
    path: list[int | str] = []
    here: type[BaseModel] | None = model
    for part in loc:
        is_key = here is not None and part in here.model_fields
        if isinstance(part, str) and not is_key and _is_marker(part, here):
            continue
        path.append(part)
        here = model_at(here, (part,))
    return tuple(path)


def _is_marker(part: str, here: type[BaseModel] | None) -> bool:
    named_like_model = here is not None and part == here.__name__
    return named_like_model or part.partition("[")[0] in _UNION_MARKERS


_UNION_MARKERS = {
    "str", "int", "float", "bool", "list", "dict", "tagged-union",
    "literal", "constrained-str",
    "function-before", "function-after", "function-wrap", "function-plain",
}  # fmt: skip


def written_places(model: type[BaseModel], path: Path) -> Iterator[Path]:
    """Where a value at the canonical `path` may stand in the file: there, or at a shorthand."""
    yield path
    canonical = ".".join(str(part) for part in path)
    for key, place in getattr(model, "shorthand", {}).items():
        if canonical == place or canonical.startswith(f"{place}."):
            yield (key, *path[place.count(".") + 1 :])
    inner = model_at(model, path[:1])
    if len(path) > 1 and inner is not None:
        skip = 2 if isinstance(path[1], int) else 1
        for rest in written_places(inner, path[skip:]):
            yield (*path[:skip], *rest)
