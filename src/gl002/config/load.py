"""`integrations.yaml` as a whole: read, fill in, check every part, report all problems at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path as File
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import Field, ValidationError, model_validator

from gl002.config.actions import OUTBOX, ActionSettings, meant_by, problems_in
from gl002.config.boilers import BoilerSettings, HeaderSettings
from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.problems import (
    InvalidConfig,
    Marks,
    Path,
    Problem,
    located,
    near,
    problems_of,
)
from gl002.config.references import UNKNOWN, filled_in, store_references, without_values
from gl002.config.secrets import SecretsSettings
from gl002.config.sections import (
    CalculatedSettings,
    GatewaySettings,
    LedgerSettings,
    NetworkSettings,
    StoreSettings,
    TagSettings,
    WebSettings,
    WritesSettings,
)
from gl002.config.settings import Settings
from gl002.config.tariffs import TariffSettings
from gl002.config.yaml import Document, text_of
from gl002.context import default_state_dir
from gl002.errors import ConfigError
from gl002.registry import AnyConnector, connector, hint_for, kinds

if TYPE_CHECKING:
    from gl002.transport.secrets.stores import SecretStores

S = TypeVar("S", bound=Settings)

EMBEDDED = "sqlite"
"""The kind that stores what no output takes: a file, so that one machine needs no server."""


class Sections(Settings):
    """Everything in the file that is no connector."""

    gateway: GatewaySettings = Field(GatewaySettings(), description="The gateway itself.")
    network: NetworkSettings = Field(NetworkSettings(), description="What may be reached.")
    secrets: SecretsSettings = Field(SecretsSettings(), description="Where secrets are kept.")
    store: StoreSettings = Field(StoreSettings(), description="The durable store.")
    ledger: LedgerSettings = Field(LedgerSettings(), description="What was delivered, by hour.")
    tags: dict[str, TagSettings] = Field(default={}, description="Units, limits, deadbands by tag.")
    calculated: dict[str, CalculatedSettings] = Field(default={}, description="Tags from tags.")
    boilers: dict[str, BoilerSettings] = Field(default={}, description="Live efficiency by boiler.")
    tariffs: dict[str, TariffSettings] = Field(default={}, description="Prices by fuel.")
    headers: dict[str, HeaderSettings] = Field(default={}, description="Boilers by header.")
    actions: list[ActionSettings] = Field(
        default=[], description="Work orders and documents in business systems: the outbox."
    )
    writes: WritesSettings = Field(WritesSettings(), description="Writes to the plant.")
    web: WebSettings = Field(WebSettings(), description="Dashboard and local API.")

    @model_validator(mode="after")
    def _names_exist(self) -> Sections:
        for header, settings in self.headers.items():
            for name in settings.boilers:
                if name not in self.boilers:
                    raise ValueError(f"headers.{header}: there is no boiler '{name}' in 'boilers'")
        for name, boiler in self.boilers.items():
            if boiler.tariff and boiler.tariff not in self.tariffs:
                raise ValueError(f"boilers.{name}: there is no '{boiler.tariff}' in 'tariffs'")
        return self


@dataclass(frozen=True, slots=True)
class Connection:
    """One configured connector.

    Attributes:
        name: 'opc_ua.primary', or the kind where there is only one.
        kind: its class.
        settings: checked.
        place: of its block in the file.
    """

    name: str
    kind: AnyConnector
    settings: Settings
    place: Path = field(default=(), compare=False)


@dataclass(slots=True)
class GatewayConfig:
    """A checked configuration.

    Attributes:
        file: where it was read, for messages and relative paths.
        connections: by name.
        inputs: connection name and what to read there.
        outputs: connection name and what to write there.
        actions: connection name and what to do there.
        sections: everything else.
        secrets: the secret stores, where one is named.
        marks: where things stand in the file.
    """

    file: File
    sections: Sections = field(default_factory=Sections)
    connections: dict[str, Connection] = field(default_factory=dict)
    inputs: list[tuple[str, InputSettings]] = field(default_factory=list)
    outputs: list[tuple[str, OutputSettings]] = field(default_factory=list)
    actions: list[tuple[str, ActionSettings]] = field(default_factory=list)
    secrets: SecretStores | None = None
    marks: Marks | None = field(default=None, repr=False, compare=False)

    @property
    def state_dir(self) -> File:
        """Where this gateway keeps what must survive it."""
        given = self.sections.gateway.state_dir
        return default_state_dir() if given is None else self.file.parent / File(given).expanduser()


def load(path: File | str, environ: Mapping[str, str] | None = None) -> GatewayConfig:
    """Read and check a file.

    Args:
        path: an `integrations.yaml`.
        environ: environment variables; the process's own where absent.

    Raises:
        ConfigError: lists all problems, each with file, line and column.
    """
    document = Document(text_of(File(path)), str(path))
    return _Loading(document, os.environ if environ is None else environ).result()


class _Loading:
    """One pass over a file, collecting problems on the way."""

    def __init__(self, document: Document, environ: Mapping[str, str]) -> None:
        self._document = document
        self._environ = environ
        self._problems: list[Problem] = []
        self._config = GatewayConfig(File(document.file), marks=document)
        self._broken: set[str] = set()  # kinds and connections whose own problems are reported

    def result(self) -> GatewayConfig:
        data = self._document.data
        if not isinstance(data, dict):
            self._report((), "expected a block with the key 'integrations'")
            raise InvalidConfig(self._problems)
        missing: list[Problem] = []
        folder = self._config.file.parent
        if any(store_references(data)):
            from gl002.transport.secrets.stores import opened

            self._config.secrets = opened(data, self._environ, folder)
        data = filled_in(data, self._environ, folder, missing, stores=self._config.secrets)
        self._problems += [located(p, self._document, (), None) for p in missing]
        filled = dict(data)
        integrations = data.pop("integrations", None)
        self._config.sections = (
            self._checked(Sections, data, (), extra=("integrations",)) or Sections()
        )
        if isinstance(integrations, dict):
            self._connections(integrations)
            self._data_flow(integrations.get("data_flow") or {})
            self._actions(self._config.sections)
            self._writes(self._config.sections.writes)
        else:
            self._report((), "the block 'integrations' is missing")
        if self._problems:
            found = self._without_echoes(missing)
            raise InvalidConfig(without_values(found, self._document.data, filled))
        return self._config

    def _without_echoes(self, missing: list[Problem]) -> Iterator[Problem]:
        """Leave out what a value that could not be filled in made wrong elsewhere."""
        causes = {(p.path, p.message) for p in missing}
        unfilled = {p.path for p in missing}
        for problem in self._problems:
            echo = problem.path in unfilled or UNKNOWN in problem.message
            if not echo or (problem.path, problem.message) in causes:
                yield problem

    # ---- connectors -------------------------------------------------------------------------

    def _connections(self, integrations: dict[str, Any]) -> None:
        enabled = integrations.get("enabled", [])
        if not isinstance(enabled, list):
            self._report(("integrations", "enabled"), "expected a list of connector kinds")
            enabled = []
        for i, kind in enumerate(enabled):
            place: Path = ("integrations", "enabled", i)
            if kind not in kinds():
                hint = hint_for(str(kind))
                self._report(place, f"there is no connector '{kind}'", hint)
            elif kind in enabled[:i]:
                self._report(place, f"'{kind}' is enabled already")
            else:
                self._connections_of(kind, integrations.get(kind), place)
        for kind in kinds():
            if kind in integrations and kind not in enabled:
                self._check_idle(kind, integrations[kind])
        for key in integrations.keys() - {"enabled", "data_flow"} - set(kinds()):
            hint = near(key, [*kinds(), "enabled", "data_flow"])
            self._report(("integrations", key), f"unknown key '{key}'", hint, at_key=True)

    def _connections_of(self, kind: str, block: Any, enabled: Path) -> None:
        path: Path = ("integrations", kind)
        cls = connector(kind)
        if block is None:
            block = self._from_environment(cls, enabled)
        elif not isinstance(block, dict):
            self._report(path, "expected a block")
            block = None
        if block is None:
            self._broken.add(kind)
            return
        for name, inner, settings in cls.instances(block):
            if name in self._config.connections:
                self._report((*path, *inner), f"there are two connections named '{name}'")
            place = (*path, *inner)
            checked = self._checked(cls.Config, settings, place)
            if checked is None:
                self._broken |= {kind, name}
            else:
                self._config.connections[name] = Connection(name, cls, checked, place)

    def _check_idle(self, kind: str, block: Any) -> None:
        """A block that is not enabled is not used; what is wrong with it is said all the same."""
        cls = connector(kind)
        for _, inner, settings in cls.instances(block) if isinstance(block, dict) else ():
            self._checked(cls.Config, settings, ("integrations", kind, *inner))

    def _from_environment(self, cls: AnyConnector, enabled: Path) -> dict[str, Any] | None:
        """Stands in for a block that is not there."""
        block = {
            key: self._environ[v] for v, key in cls.environment.items() if self._environ.get(v)
        }
        if not block and cls.environment:
            variables = " or ".join(cls.environment)
            self._report(
                enabled,
                f"'{cls.kind}' is enabled but has no block, and {variables} is not set",
                f"add a block '{cls.kind}:' or set {variables}",
            )
            return None
        return block

    # ---- data flow --------------------------------------------------------------------------

    def _data_flow(self, flow: Any) -> None:
        path: Path = ("integrations", "data_flow")
        if not isinstance(flow, dict):
            self._report(path, "expected a block with the keys 'input' and 'output'")
            return
        for key in flow.keys() - {"input", "output"}:
            hint = near(key, ["input", "output"])
            self._report((*path, key), f"unknown key '{key}'", hint, at_key=True)
        for place, name, cls, entry in self._entries(flow, "input", "source"):
            if cls.Input is None:
                self._report(place, f"{name} can be no input", "it only takes values")
            elif reading := self._checked(cls.Input, entry, place):
                self._config.inputs.append((name, reading))
        for place, name, cls, entry in self._entries(flow, "output", "destination"):
            if cls.Output is None:
                self._report(place, f"{name} can be no output", "it only gives values")
            elif writing := self._checked(cls.Output, entry, place):
                self._output(name, writing, place)
        if not flow.get("output"):
            self._store_on_this_machine()

    def _entries(
        self, flow: dict[str, Any], key: str, naming: str
    ) -> Iterator[tuple[Path, str, AnyConnector, dict[str, Any]]]:
        """Each entry once for every connection it means."""
        entries = flow.get(key) or []
        base: Path = ("integrations", "data_flow", key)
        if not isinstance(entries, list):
            self._report(base, f"expected a list of entries that begin with '- {naming}:'")
            return
        for i, entry in enumerate(entries):
            path = (*base, i)
            wanted = entry.get(naming) if isinstance(entry, dict) else None
            if not isinstance(wanted, str):
                self._report_unnamed(path, entry, naming)
                continue
            meant = [
                c for c in self._config.connections.values() if wanted in {c.name, c.kind.kind}
            ]
            if not meant and wanted not in self._broken:
                self._report((*path, naming), f"no connection '{wanted}'", self._why_absent(wanted))
            for connection in meant:
                yield path, connection.name, connection.kind, entry

    def _report_unnamed(self, path: Path, entry: Any, naming: str) -> None:
        others = entry.keys() - {naming} if isinstance(entry, dict) else ()
        if typo := get_close_matches(naming, others, n=1):
            hint = f"did you mean '{naming}'?"
            self._report((*path, typo[0]), f"unknown key '{typo[0]}'", hint, at_key=True)
        else:
            self._report(path, f"'{naming}' is missing", f"- {naming}: opc_ua")

    def _why_absent(self, wanted: str) -> str:
        if wanted in kinds():
            return f"add '{wanted}' to integrations.enabled"
        return near(wanted, [*self._config.connections, *kinds()])

    def _store_on_this_machine(self) -> None:
        cls = connector(EMBEDDED)
        if EMBEDDED not in self._config.connections and cls.Output is not None:
            self._config.connections[EMBEDDED] = Connection(EMBEDDED, cls, cls.Config.parse({}))
        if cls.Output is not None:
            self._config.outputs.append((EMBEDDED, cls.Output.parse({"destination": EMBEDDED})))

    def _output(self, connection: str, settings: OutputSettings, place: Path) -> None:
        name = settings.name or connection
        if name in (other.name or theirs for theirs, other in self._config.outputs):
            self._report(
                place,
                f"there is another output named '{name}'",
                "give one of them a 'name:'; it keeps its place in the store under it",
            )
        self._config.outputs.append((connection, settings))

    def _actions(self, sections: Sections) -> None:
        connections, broken = self._config.connections, self._broken
        boilers = [name for name, b in sections.boilers.items() if b.advice is not None]
        able = (boilers, list(sections.headers))
        for path, said, hint in problems_in(sections.actions, connections, able, self._why_absent):
            if sections.actions[int(path[1])].destination not in broken:
                self._report(path, said, hint)
        for action in sections.actions:
            for connection in meant_by(action.destination, connections)[:1]:
                self._config.actions.append((connection.name, action))
        if sections.actions and OUTBOX in (o.name or name for name, o in self._config.outputs):
            self._report(("actions",), f"an output is named '{OUTBOX}' already", "give it another")

    def _writes(self, writes: WritesSettings) -> None:
        """Points have names of their own; they and proposals name connections that there are."""
        for i, point in enumerate(writes.points):
            if any(point.id == other.id for other in writes.points[:i]):
                said = f"there is another point '{point.id}'"
                self._report(("writes", "points", i, "id"), said, "only one set of limits can hold")
        kinds_ = {c.kind.kind for c in self._config.connections.values()}
        for path, name in writes.connections():
            may_be_kind = path[0] == "proposals"
            known = self._config.connections.keys() | (kinds_ if may_be_kind else set())
            if name not in known and name not in self._broken:
                self._report(("writes", *path), f"no connection '{name}'", self._why_absent(name))

    # ---- findings ---------------------------------------------------------------------------

    def _checked(
        self, model: type[S], data: Any, base: Path, *, extra: tuple[str, ...] = ()
    ) -> S | None:
        try:
            return model.model_validate(data)
        except ValidationError as error:
            for problem in problems_of(error, model, also_known=extra):
                self._problems.append(located(problem, self._document, base, model))
        except ConfigError as error:
            self._report(base, str(error.args[0]), error.hint)
        return None

    def _report(self, path: Path, message: str, hint: str = "", *, at_key: bool = False) -> None:
        problem = Problem(path, message, hint, at_key=at_key)
        self._problems.append(located(problem, self._document, (), None))
