"""A configuration for what a browse found, to be reviewed: one line a tag."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gl002.connector import Connector, Found

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*")
_WORDS = {"null", "true", "false", "yes", "no", "on", "off"}  # that some YAML reads as something
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_NAME = re.compile(r"[^\w.]+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff]+")
_LONGEST = 120  # characters of a description


def tag_names(found: Sequence[Found]) -> list[str]:
    """A tag name for each: its path in lower case, 'boiler1.steam_flow'.

    From the whole path, so that a node that is added elsewhere later does not rename it; things
    of the same path are numbered.
    """
    seen: dict[str, int] = {}
    names = []
    for thing in found:
        name = ".".join(filter(None, map(_word, (thing.path or thing.name).split("/")))) or "tag"
        seen[name] = seen.get(name, 0) + 1
        names.append(name if seen[name] == 1 else f"{name}_{seen[name]}")
    return names


def _word(text: str) -> str:
    return _NO_NAME.sub("_", _HUMP.sub("_", text)).strip("_.").lower()


def as_yaml(connector: Connector[Any], settings: Mapping[str, Any], found: Sequence[Found]) -> str:
    """An `integrations.yaml` that reads everything that was found.

    Args:
        connector: where it was found; connected.
        settings: what to say about the connection, such as its URL.
        found: in the order of the browse; what cannot be read as one value is left out.
    """
    readable = [(entry, thing) for thing in found if (entry := connector.entry_of(thing))]
    names = tag_names([thing for _, thing in readable])
    entries = [(name, *each) for name, each in zip(names, readable, strict=True)]
    lines = [
        f"# {len(entries)} values as the server describes them. Delete what is not needed, correct",
        "# names and units, then: gl002 check FILE --online; later gl002 browse TARGET --diff FILE",
        "integrations:",
        f"  enabled: [{connector.kind}]",
        f"  {connector.kind}:",
        *(f"    {key}: {_quoted(str(value))}" for key, value in settings.items()),
        f"    {connector.entries_key}:{'' if entries else ' {}'}",
        *_lines(entries),
        "  data_flow:",
        "    input:",
        f"      - source: {connector.kind}",
    ]
    return "\n".join(lines) + "\n"


def _lines(entries: Sequence[tuple[str, Mapping[str, str], Found]]) -> Iterator[str]:
    folder = None
    for name, entry, thing in entries:
        above = (thing.path or thing.name).rpartition("/")[0]
        if above != folder:
            folder = above
            yield f"      # {_clean(above) or 'at the top'}"
        inside = ", ".join(f"{key}: {_quoted(text)}" for key, text in entry.items())
        note = "; ".join(_notes(entry, thing))
        yield f"      {_key(name)}: {{{inside}}}" + (f"  # {note}" if note else "")


def _notes(entry: Mapping[str, str], thing: Found) -> Iterator[str]:
    """What a reviewer should know and no setting says."""
    if thing.writable:
        yield "can be written"
    if thing.unit and not entry.get("unit"):
        yield f"unknown unit: {_clean(thing.unit)}"
    if thing.low is not None or thing.high is not None:
        yield f"shown from {_end(thing.low)} to {_end(thing.high)} {_clean(thing.unit)}".rstrip()
    if thing.history:
        yield f"recorded by {_clean(thing.history)}"


def _end(number: float | None) -> str:
    return "?" if number is None else f"{number:g}"


def _key(name: str) -> str:
    return name if _PLAIN.fullmatch(name) and name not in _WORDS else _quoted(name)


def _quoted(text: str) -> str:
    """In single quotes, where YAML knows one escape only (YAML 1.2.2, 7.3.2)."""
    return "'" + _clean(text).replace("'", "''") + "'"


def _clean(text: str) -> str:
    """One line without control characters."""
    return _CONTROL.sub(" ", text)
