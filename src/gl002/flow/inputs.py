"""The inputs of a configuration: what each depends on, and which stay when it is read again.

A part is one intake with everything it was made from as its key. When a configuration is read
again, parts with the same key go on as they are: their sources keep their sessions, subscriptions
and place in the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from gl002.config.flow import InputSettings
from gl002.config.load import GatewayConfig, Sections
from gl002.config.problems import InvalidConfig, Problem, located
from gl002.config.sections import CalculatedSettings
from gl002.connector import Connector
from gl002.errors import ConfigError, UnitError
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import boiler_sources
from gl002.flow.calculate import Calculation
from gl002.flow.causes import Cause
from gl002.flow.hub import Hub
from gl002.flow.intake import Intake
from gl002.model import Tag, TagTable
from gl002.source import Source
from gl002.units import conversion

_LIVE = frozenset({"tags", "calculated", "boilers", "tariffs", "headers"})
"""Sections that a running gateway takes up."""


class Part(NamedTuple):
    """One input, and what it was made from; equal keys make equal inputs."""

    key: tuple[Any, ...]
    intake: Intake


class _Wanted(NamedTuple):
    """Inputs to be had, and how to make them where they are not there yet."""

    key: tuple[Any, ...]
    make: Callable[[], Iterable[Source]]


def needs_restart(old: GatewayConfig, new: GatewayConfig) -> list[str]:
    """What differs between two configurations that a running gateway cannot take up, in words."""
    found = [
        f"'{section}'"
        for section in Sections.model_fields
        if section not in _LIVE and getattr(old.sections, section) != getattr(new.sections, section)
    ]
    if old.outputs != new.outputs:
        found.append("'integrations.data_flow.output'")
    if old.state_dir != new.state_dir:
        found.append("the state folder")
    if any(b - a for a, b in zip(_causing(old), _causing(new), strict=False)):
        found.append("'boilers' or 'headers', whose advice 'actions' listens to")
    used = {name for name, _ in (*new.outputs, *new.actions)}
    changed = sorted(
        name for name in used if old.connections.get(name) != new.connections.get(name)
    )
    return found + [f"the connection '{name}', which an output uses" for name in changed]


def _causing(config: GatewayConfig) -> list[frozenset[str]]:
    """The tags that each action listens to: the outbox is told of them at its start only."""
    boilers, headers = list(config.sections.boilers), list(config.sections.headers)
    return [Cause.of(name, each, boilers, headers).tags for name, each in config.actions]


class InputBuilder:
    """Makes the inputs of a configuration.

    Args:
        config: a checked configuration.
        connectors: its connections.
        hub: live values, for what is calculated from them.
        table: where tags are declared.
        history: the historian, where one is needed.
        intake: makes the intake of a source under a name.
    """

    def __init__(
        self,
        config: GatewayConfig,
        connectors: Mapping[str, Connector[Any]],
        *,
        hub: Hub,
        table: TagTable,
        history: Callable[[], Connector[Any]],
        intake: Callable[[str, Source], Intake],
    ) -> None:
        self._config = config
        self._connectors = connectors
        self._hub = hub
        self._table = table
        self._history = history
        self._intake = intake

    def build(self, before: Sequence[Part] = ()) -> list[Part]:
        """Every input in the order of the configuration; those of `before` that fit stay.

        Raises:
            ConfigError: two inputs deliver the same tag, or one cannot be made.
        """
        staying = _by_key(before)
        kept = [(want, staying(want.key)) for want in self._wanted()]
        names = {part.intake.name for _, parts in kept for part in parts}
        parts: list[Part] = []
        for want, there in kept:
            parts += there or [self._part(want.key, s, names) for s in want.make()]
        self._check(parts)
        return parts

    def _part(self, key: tuple[Any, ...], source: Source, names: set[str]) -> Part:
        """A new input; its place in the store is kept under a name no other has."""
        name, count = source.name, 1
        while name in names:
            count += 1
            name = f"{source.name}#{count}"
        names.add(name)
        for tag in source.tags():
            self._table.declare(tag)
        return Part(key, self._intake(name, source))

    def _wanted(self) -> Iterator[_Wanted]:
        sections = self._config.sections
        for name, spec in self._config.inputs:
            connector = self._connectors[name]
            yield _Wanted(("input", connector, spec), partial(_source, connector, spec))
        for name, calculated in sections.calculated.items():
            make = partial(_calculation, name, calculated, self._hub)
            yield _Wanted(("calculated", name, calculated), make)
        key = "boilers", sections.boilers, sections.tariffs, sections.headers
        yield _Wanted(key, self._boilers)

    def _boilers(self) -> Iterable[Source]:
        config = self._config
        return boiler_sources(
            config.sections, self._hub, self._table, config.state_dir, self._history
        )

    def _check(self, parts: Iterable[Part]) -> None:
        """Refuse before it runs what could only give bad values."""
        owner: dict[str, str] = {}
        for part in parts:
            for tag in part.intake.source.tags():
                other = owner.setdefault(tag.name, part.intake.name)
                if other != part.intake.name:
                    raise ConfigError(
                        f"the tag '{tag.name}' comes from {other} and from {part.intake.name}",
                        hint="give one of the inputs a 'prefix:'",
                    )
        wrong: list[Problem] = []
        for name, declared in self._config.sections.tags.items():
            came_in = declared.source_unit or self._table.source_unit(name)
            try:
                if came_in and declared.unit:
                    conversion(came_in, declared.unit)
            except UnitError as error:
                wrong.append(Problem(("tags", name), str(error)))
        for name, settings in self._config.sections.boilers.items():
            wrong += Bindings(name, settings, self._table).misfits()
        if wrong:
            marks = self._config.marks
            raise InvalidConfig(located(p, marks, (), None) if marks else p for p in wrong)


def _source(connector: Connector[Any], spec: InputSettings) -> list[Source]:
    return [connector.source(spec)]


def _calculation(name: str, settings: CalculatedSettings, hub: Hub) -> list[Source]:
    return [Calculation(name, settings, hub)]


def described(config: GatewayConfig) -> list[Tag]:
    """What a configuration says about its tags, for the tag table."""
    return [
        Tag(
            name=name,
            unit=tag.unit,
            description=tag.description,
            type=tag.type,
            low=tag.range.low,
            high=tag.range.high,
        )
        for name, tag in config.sections.tags.items()
    ]


def _by_key(parts: Iterable[Part]) -> Callable[[tuple[Any, ...]], list[Part]]:
    """Takes the parts of a key out of those that are there; each is given once."""
    groups: list[tuple[tuple[Any, ...], list[Part]]] = []
    for part in parts:
        if groups and part.key is groups[-1][0]:  # several sources of one group
            groups[-1][1].append(part)
        else:
            groups.append((part.key, [part]))

    def take(key: tuple[Any, ...]) -> list[Part]:
        for place, (there, found) in enumerate(groups):
            if there == key:
                del groups[place]
                return found
        return []

    return take
