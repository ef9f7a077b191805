"""Where a tag comes from, what happens to it and where it goes, as the configuration has it.

Nothing is connected: a gateway that is only built knows all of this.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterator

import msgspec
from pydantic import BaseModel

from gl002.config.expression import Expression
from gl002.config.sections import CalculatedSettings, PointSettings, TagSettings
from gl002.flow.gateway import Gateway
from gl002.model import Tag
from gl002.units import Linear, conversion

_TOLD_BY_THEMSELVES = frozenset({"tags", "writes"})  # sections


class Passing(msgspec.Struct, frozen=True, kw_only=True):
    """An output, and whether it takes the tag.

    Attributes:
        output: its name.
        destination: the connection it writes to.
        takes: whether the tag passes its patterns.
        why: the patterns that decide, in words.
    """

    output: str
    destination: str
    takes: bool
    why: str


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """What a configuration means for one tag.

    Attributes:
        tag: its name.
        source: connection that delivers it; '' where its name is only known when it comes.
        address: what the other side calls it.
        description: a plain phrase.
        unit: of its values in the store; '' where unknown.
        steps: what happens to a value on its way to the store, in order, in words.
        used: places of the configuration that name it: 'boilers.boiler1.oxygen'.
        outputs: all of them.
        writes: how it may be written, in words.
    """

    tag: str
    source: str
    address: str
    description: str
    unit: str
    steps: list[str]
    used: list[str]
    outputs: list[Passing]
    writes: str


def explain(gateway: Gateway, name: str) -> Explanation:
    """Explain one tag of a gateway, which need not run."""
    tag = gateway.context.tags.get(name, Tag(name=name))
    settings = gateway.config.sections.tags.get(name)
    return Explanation(
        tag=name,
        source=tag.source,
        address=tag.address,
        description=tag.description,
        unit=tag.unit,
        steps=[] if settings is None else list(_steps(settings, _came_in(gateway, name, settings))),
        used=list(_used(gateway, name)),
        outputs=list(_outputs(gateway, name)),
        writes=_writes(gateway, tag),
    )


def _came_in(gateway: Gateway, name: str, settings: TagSettings) -> str:
    return settings.source_unit or gateway.context.tags.source_unit(name)


def _steps(settings: TagSettings, came_in: str) -> Iterator[str]:
    """In the order of `gl002.flow.steps`."""
    if settings.type is not None:
        yield f"a value that is no {settings.type} becomes bad, BadTypeMismatch"
    if (settings.scale, settings.offset) != (1.0, 0.0):
        yield f"scaled: {_line(Linear(settings.scale, settings.offset))}"
    if settings.unit and came_in and settings.unit != came_in:
        line = _line(conversion(came_in, settings.unit))
        yield f"converted from {came_in} to {settings.unit}: {line}"
    elif settings.unit and not came_in:
        yield f"taken as {settings.unit}, unless the server says another unit when it is there"
    low, high = settings.range.low, settings.range.high
    if low is not None or high is not None:
        ends = f"{'' if low is None else f'{low:g}'} to {'' if high is None else f'{high:g}'}"
        yield f"outside {ends.strip()} {settings.unit}".rstrip() + " it becomes uncertain"
    if (deadband := settings.deadband) is not None:
        by = [f"{deadband.absolute:g}"] if deadband.absolute else []
        by += [f"{deadband.percent:g} %"] if deadband.percent else []
        yield f"stored when it has moved by {' or '.join(by)}, or after {deadband.heartbeat:g} s"


def _line(line: Linear) -> str:
    return f"x {line.slope:.6g}" + (f" {line.offset:+.6g}" if line.offset else "")


def _used(gateway: Gateway, name: str) -> Iterator[str]:
    """Everything that listens to the tag."""
    sections = gateway.config.sections
    for section in type(sections).model_fields:
        if section not in _TOLD_BY_THEMSELVES:
            yield from _naming(getattr(sections, section), name, section)
    for connection, action in gateway.config.actions:
        if action.on.tag == name:
            yield f"actions of {connection}: {action.action}"


def _naming(part: object, name: str, path: str) -> Iterator[str]:
    """Paths of a section that name a tag, or calculate with it."""
    if isinstance(part, CalculatedSettings):
        if name in Expression(part.expression).tags:
            yield path
    elif isinstance(part, BaseModel):
        for field in type(part).model_fields:
            inner = path if field == "tag" else f"{path}.{field}"
            yield from _naming(getattr(part, field), name, inner)
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from _naming(value, name, f"{path}.{key}")
    elif isinstance(part, list | tuple):
        for place, value in enumerate(part):
            yield from _naming(value, name, f"{path}[{place}]")
    elif part == name:
        yield path


def _outputs(gateway: Gateway, name: str) -> Iterator[Passing]:
    for connection, output in gateway.config.outputs:
        patterns = output.tags
        fitting = [p for p in patterns or () if fnmatch.fnmatchcase(name, p)]
        if patterns is None:
            why = "takes every tag"
        elif fitting:
            why = f"takes {fitting[0]}"
        else:
            why = f"takes only {', '.join(patterns)}"
        yield Passing(
            output=output.name or connection, destination=connection,
            takes=patterns is None or bool(fitting), why=why,
        )  # fmt: skip


def _writes(gateway: Gateway, tag: Tag) -> str:
    writes = gateway.config.sections.writes
    point = next((p for p in writes.points if _same(p, tag)), None)
    if point is None:
        return "not allowed: no point of 'writes.points' has its address"
    limits = point.limits
    allowed = f"point {point.id}, {limits.min:g} to {limits.max:g} {point.unit}"
    if limits.max_step is not None:
        allowed += f", steps of {limits.max_step:g} at most"
    if point.permissives:
        allowed += f", while {', '.join(each.address for each in point.permissives)} allow it"
    if writes.mode == "off":
        return f"not allowed: writes are off ({allowed})"
    return f"{writes.mode}: {allowed}, every {limits.min_interval:g} s at most"


def _same(point: PointSettings, tag: Tag) -> bool:
    """Whether a point is what the tag is read from."""
    return point.connector == tag.source and point.address in {tag.address, tag.name}
