"""The section `actions:`: what makes a work order or a document in a business system.

actions:
- destination: oracle
action: create_work_order
on: {advice: boiler1.soot_blowing}
fields: {asset_number: BOILER-001, description: '{title}'}
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Protocol, get_args

from pydantic import Field, ValidationError, model_validator

from gl002.action import ActionForm
from gl002.boiler.recommend.kinds import Kind
from gl002.config.blocks import ActionRetrySettings
from gl002.config.problems import Path, near, problems_of
from gl002.config.settings import Seconds, Settings
from gl002.wire.field_template import filled, misfits, places

__all__ = ["ActionSettings", "TriggerSettings", "advised", "places_of", "problems_in"]

_DAY = 86_400.0
OUTBOX = "outbox"
"""Name of the outbox among the outputs, and of its place in the store."""

_OF_ADVICE: Mapping[str, Any] = {
    "id": "boiler1.soot_blowing", "boiler": "boiler1", "kind": "soot_blowing",
    "title": "Blow soot", "text": "Blow soot. It saves 1 % of the fuel.", "reasons": "A reason.",
    "time": "2026-01-01T00:00:00+00:00", "expires": "2026-01-02T00:00:00+00:00",
    "fuel_pct": 1.0, "money_per_year": 1.0, "confidence": 0.9,
}  # fmt: skip
_OF_A_TAG: Mapping[str, Any] = {
    "tag": "boiler1.efficiency", "value": 1.0, "unit": "%", "text": "boiler1.efficiency is 1 %",
    "time": "2026-01-01T00:00:00+00:00",
}  # fmt: skip


class TriggerSettings(Settings):
    """What makes an action: a recommendation, or the passing of time with a good value."""

    advice: str | None = Field(
        None,
        description="'boiler1.soot_blowing': one action each time this is recommended anew; '*' "
        "stands for any characters.",
    )
    tag: str | None = Field(None, description="One action in each `every`, from a good value.")
    every: Seconds | None = Field(
        None, ge=60, le=366 * _DAY, description="For `tag`: '1h' gives one in each hour (UTC)."
    )
    again_after: Seconds = Field(
        7 * _DAY,
        gt=0,
        description="For `advice`: a recommendation that was gone for so long counts as a new one.",
    )

    @model_validator(mode="after")
    def _one_cause(self) -> TriggerSettings:
        if (self.advice is None) == (self.tag is None):
            raise ValueError("give either 'advice' or 'tag'")
        if (self.tag is None) != (self.every is None):
            raise ValueError("'tag' and 'every' belong together: {tag: boiler1.flow, every: 1h}")
        if "again_after" in self.model_fields_set and self.advice is None:
            raise ValueError("'again_after' belongs to 'advice'")
        return self


class ActionSettings(Settings):
    """One thing to do in a business system, once for each cause."""

    destination: str = Field(description="Connection that does it: 'sap', 'oracle.plant2'.")
    action: str = Field(description="What to do, in the words of that connector.")
    on: TriggerSettings = Field(description="What makes it.")
    name: str = Field(
        "", max_length=60, description="Tells two actions apart that are else made by the same."
    )
    approval: bool = Field(True, description="Wait until a person approves: gl002 outbox approve.")
    dry_run: bool = Field(False, description="Only show what would be sent; nothing is made.")
    expires: Seconds = Field(
        7 * _DAY,
        gt=0,
        description="For `tag`: not done any more so long after. Advice says itself how long it "
        "holds.",
    )
    fields: dict[str, Any] = Field(
        default={}, description="What the action takes, '{title}' or '{value}' filled in."
    )
    retry_policy: ActionRetrySettings = Field(
        ActionRetrySettings(),
        description="How a failed try is repeated; before each, the document is looked for.",
    )

    @property
    def cause(self) -> tuple[str, ...]:
        """Which actions are the same but for their fields."""
        on = self.on
        return (self.action, on.advice or "", on.tag or "", str(on.every), self.name)


class Destination(Protocol):
    """What is asked of a connection here: `gl002.config.load.Connection`."""

    @property
    def name(self) -> str:
        """As configured."""

    @property
    def kind(self) -> Any:
        """Its class."""


def places_of(on: TriggerSettings) -> Mapping[str, Any]:
    """What may be filled in, with an example of each."""
    return _OF_A_TAG if on.advice is None else _OF_ADVICE


def advised(pattern: str, boilers: Iterable[str], headers: Iterable[str]) -> list[tuple[str, str]]:
    """Boiler or header, and kind of advice, that a pattern such as 'boiler1.*' means.

    The advice on an instrument has a third word, which is no part of the pattern here.
    """
    shared = "load_allocation"
    able = [(name, kind) for name in boilers for kind in get_args(Kind) if kind != shared]
    able += [(name, shared) for name in headers]
    return [(n, k) for n, k in able if _means(pattern, n, k)]


def _means(pattern: str, name: str, kind: str) -> bool:
    whole = f"{name}.{kind}"
    if kind == "instrument" and pattern.startswith(f"{whole}."):
        return True
    return fnmatch.fnmatchcase(whole, pattern)


def problems_in(
    actions: Iterable[ActionSettings],
    connections: Mapping[str, Destination],
    able: tuple[Iterable[str], Iterable[str]],
    why_absent: Callable[[str], str],
) -> Iterator[tuple[Path, str, str]]:
    """What is wrong with the section as a whole: path, message, hint.

    Args:
        actions: each is right by itself.
        connections: by name.
        able: boilers and headers that are advised on.
        why_absent: the hint where there is no such connection.
    """
    known: dict[tuple[str, ...], int] = {}
    for i, action in enumerate(actions):
        base: Path = ("actions", i)
        meant = meant_by(action.destination, connections)
        if len(meant) != 1:
            yield _none_or_several(action.destination, meant, base, why_absent)
            continue
        yield from _of_one(action, meant[0], base)
        pattern = action.on.advice
        if pattern is not None and not advised(pattern, *able):
            words = [f"{name}.{kind}" for name, kind in advised("*", *able)]
            hint = near(pattern, words) or "add 'boilers:' with 'advice:'"
            yield (*base, "on", "advice"), f"nobody advises on '{pattern}'", hint
        first = known.setdefault((meant[0].name, *action.cause), i)
        if first != i:
            said = f"actions[{first}] does the same for the same cause"
            yield base, said, "give one of them a 'name:', or another 'on:'"


def meant_by(destination: str, connections: Mapping[str, Destination]) -> list[Destination]:
    """The connections that a destination names: by name, or all of a kind."""
    if destination in connections:
        return [connections[destination]]
    return [c for c in connections.values() if c.kind.kind == destination]


def _none_or_several(
    wanted: str, meant: list[Destination], base: Path, why_absent: Callable[[str], str]
) -> tuple[Path, str, str]:
    path = (*base, "destination")
    if not meant:
        return path, f"no connection '{wanted}'", why_absent(wanted)
    names = ", ".join(c.name for c in meant)
    return (
        path,
        f"'{wanted}' means several connections, and it is to be done once",
        f"one of {names}",
    )


def _of_one(
    action: ActionSettings, there: Destination, base: Path
) -> Iterator[tuple[Path, str, str]]:
    offered: Mapping[str, type[ActionForm]] = there.kind.actions
    if not offered:
        said = f"{there.name} performs no actions"
        yield (*base, "destination"), said, "it takes samples: data_flow.output"
        return
    if action.action not in offered:
        said = f"{there.name} has no action '{action.action}'"
        yield (*base, "action"), said, f"it offers: {', '.join(sorted(offered))}"
        return
    wrong = False
    examples = places_of(action.on)
    for path, said, word in misfits(action.fields, examples):
        wrong = True
        yield (*base, "fields", *path), said, near(word, examples) if word else ""
    if not wrong:
        yield from _of_form(action, offered[action.action], examples, (*base, "fields"))


def _of_form(
    action: ActionSettings, form: type[ActionForm], examples: Mapping[str, Any], base: Path
) -> Iterator[tuple[Path, str, str]]:
    """What the connector's own form says of the fields, as far as they are known by now."""
    open_ = places(action.fields)
    try:
        form.model_validate(filled(action.fields, examples))
    except ValidationError as error:
        for problem in problems_of(error, form):
            if open_ and (not problem.path or any(_touch(problem.path, path) for path in open_)):
                continue  # of an example, not of what will stand there
            yield (*base, *problem.path), problem.message, problem.hint


def _touch(one: Path, other: Path) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]
