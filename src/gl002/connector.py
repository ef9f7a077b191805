"""The connector contract: a session with one endpoint, and what the flow may ask of it.

An author writes `_open`, `_shut` and the verbs of the system, each wrapped in `_call`. Connecting
on first use, time-outs, retry, error mapping, state and pool places are done once, in
`gl002.session`; here is what a connector offers on top.
"""

from __future__ import annotations

import enum
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Generic, Literal, NamedTuple, TypeVar

import msgspec

from gl002.action import Action, ActionForm, Receipt
from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.settings import Settings
from gl002.context import Context
from gl002.errors import DataError, GL002Error, Unsupported
from gl002.model import Batch, Sample, Value
from gl002.pool import ConnectionPool
from gl002.session import Session, State
from gl002.sink import Sink
from gl002.source import Source
from gl002.trend import Bucket, reduced

__all__ = ["Capability", "Connector", "Drift", "Found", "Health", "Instance", "State", "first_of"]

C = TypeVar("C", bound=Settings)
R = TypeVar("R")

_MOST_SAID = 1000  # mistakes of a user that are told once and not again


class Capability(enum.Flag):
    """What a connector can do; the contract suite runs the tests of each."""

    READ = enum.auto()
    WRITE = enum.auto()
    STREAM = enum.auto()
    HISTORY = enum.auto()
    BROWSE = enum.auto()
    STORE = enum.auto()
    ACT = enum.auto()


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Answer of `check`: one cheap round trip.

    Attributes:
        ok: whether the other side answered as it should.
        detail: a phrase for people: server name and version, or what went wrong.
        latency: of the round trip, seconds.
        notes: further findings, such as 'certificate expires in 12 days'.
    """

    ok: bool
    detail: str
    latency: float = 0.0
    notes: tuple[str, ...] = ()


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One thing met while browsing.

    Attributes:
        address: what to write into the configuration to read it.
        name: its name on the other side.
        path: names from the start of the browse, '/' between them.
        type: the other side's data type, '' for a folder.
        unit: engineering unit where the other side knows one.
        description: the other side's own words.
        writable: whether the other side lets us write it.
        low: of the range that the other side shows it in, in its unit; None where unknown.
        high: likewise.
        history: what records it there; '' where unknown or nothing.
    """

    address: str
    name: str
    path: str = ""
    type: str = ""
    unit: str = ""
    description: str = ""
    writable: bool = False
    low: float | None = None
    high: float | None = None
    history: str = ""


class Drift(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between the configuration and what is there.

    Attributes:
        what: it is new there, gone from there, or has changed.
        tag: its name in the configuration; for what is new, its path there.
        detail: a phrase for people.
    """

    what: Literal["new", "gone", "changed"]
    tag: str
    detail: str


class Instance(NamedTuple):
    """One connection of a kind: its name, where in the block it stands, its settings."""

    name: str
    path: tuple[int | str, ...]
    settings: Mapping[str, Any]


class Connector(Session, Generic[C]):
    """A session with one endpoint. Async; blocking twins come from `gl002.bridge`.

    The constructor does no input or output; the first request connects. What connecting, closing,
    time-outs and retries promise is `gl002.session`.

    Args:
        config: the connector's own settings, in any of the forms the guide shows.
        name: instance name in logs and status, 'opc_ua.primary'; the kind by default.
        pool: a shared limit on open connections.
        context: what the gateway shares with its connectors; made on the spot for scripts.

    Raises:
        ConfigError: names every problem of `config` with its key.
    """

    kind: ClassVar[str]
    """File stem, key in `integrations.yaml`, extra, docs page: all the same word."""
    can: ClassVar[Capability]
    Config: ClassVar[type[Settings]]
    Input: ClassVar[type[InputSettings] | None] = None
    """Form of an entry of `data_flow.input`; None where the connector is no source."""
    Output: ClassVar[type[OutputSettings] | None] = None
    """Form of an entry of `data_flow.output`; None where the connector is no sink."""
    actions: ClassVar[Mapping[str, type[ActionForm]]] = {}
    """Name of each action the outbox may ask for -> form of its fields."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Variables that stand in for a missing block: name -> key of `Config`."""
    relinquishes: ClassVar[bool] = False
    """Whether `write` of None takes back what was commanded, so that what else is there holds."""
    entries_key: ClassVar[str] = ""
    """Key of `Config` that gives names to what a browse finds; '' where there is none."""
    list_of_instances: ClassVar[str] = ""
    """Key of a list in the block whose entries may be connections of their own."""

    def __init__(
        self,
        config: C | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        self.config: C = self._settings(config)
        super().__init__(
            name=name or self.kind,
            log=logging.getLogger(f"gl002.{self.kind}"),
            context=context or Context.standalone(),
            pool=pool,
            timeout=self.config.request_timeout(),
            retry=self.config.retry(),
        )
        self._said: set[str] = set()
        for endpoint in self.endpoints():
            self.context.network.name(endpoint)

    def _say_once(self, text: str, hint: str = "") -> None:
        """A line in the log for a mistake that shows again with each request."""
        if text not in self._said and len(self._said) < _MOST_SAID:
            self._said.add(text)
            self.log.warning("%s: %s%s", self.name, text, f" ({hint})" if hint else "")

    @classmethod
    def _settings(cls, config: C | Mapping[str, Any]) -> C:
        settings = config if isinstance(config, Settings) else cls.Config.parse(config, cls.kind)
        if not isinstance(settings, cls.Config):
            raise TypeError(f"{cls.__name__} takes {cls.Config.__name__}")
        return settings  # type: ignore[return-value]  # Config is C by construction

    @classmethod
    def instances(cls, block: Mapping[str, Any]) -> list[Instance]:
        """Split the block of `integrations.yaml` into connections.

        A block whose keys are none of the settings' own keys, and whose values are all blocks,
        holds one connection per key ('primary', 'backup'); any other block is one connection.
        """
        known = cls.Config.keys()
        if block and all(isinstance(v, Mapping) and k not in known for k, v in block.items()):
            return [Instance(f"{cls.kind}.{name}", (name,), v) for name, v in block.items()]
        return [Instance(cls.kind, (), block)]

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """Settings for a URL of the command line; kinds whose key is no `url` override it."""
        return {"url": url}

    # ---- writing to a plant -----------------------------------------------------------------

    async def _write_to_plant(
        self, request: Callable[[], Awaitable[R]], *, address: str, value: object
    ) -> R:
        """Write to a plant: on the audit file before it is sent, and again with its outcome.

        No audit entry, no write. Never repeated by itself. The outcome is 'ok', 'failed', or
        'unknown' where it was sent and no answer says what became of it (`maybe_done`); what the
        request does before it sends stands in `gl002.session.before_sending`.
        """
        entry = await self.context.audit.record("write", f"{self.name} {address}", after=value)
        outcome = "unknown: interrupted"
        try:
            result = await self._call(request, what=f"write {address}", repeatable=False)
            outcome = "ok"
        except GL002Error as error:
            outcome = f"{'unknown' if error.maybe_done else 'failed'}: {error}"
            raise
        finally:
            self.context.audit.note(
                "write.result", f"{self.name} {address}", result=outcome, of=entry
            )
        return result

    # ---- what the flow asks -----------------------------------------------------------------

    async def check(self) -> Health:
        """One cheap round trip; answers instead of raising."""
        start = time.perf_counter()
        try:
            detail = await self._call(self._ping, what="check")
        except GL002Error as error:
            return Health(ok=False, detail=str(error), latency=time.perf_counter() - start)
        return Health(ok=True, detail=detail, latency=time.perf_counter() - start)

    async def _ping(self) -> str:
        """One round trip; returns a phrase about the other side. Being connected is enough."""
        return "connected"

    def warnings(self, inputs: Sequence[InputSettings]) -> Sequence[str]:
        """What a person should know before this configuration runs; found without a connection.

        Args:
            inputs: the entries of `data_flow.input` that name this connection.
        """
        return ()

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Read current values in the order of `tags`; a tag that fails is a BAD sample.

        Raises:
            DataError: `tags` is a lone text; `check_several` says so.
        """
        raise Unsupported(f"{self.name} cannot be read")

    async def write(self, tag: str, value: Value) -> None:
        """Write one value to the plant; audited. Unattended callers go through `gl002.writes`."""
        raise Unsupported(f"{self.name} cannot be written")

    def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """What lies below `address`, `depth` levels deep."""
        raise Unsupported(f"{self.name} cannot be browsed")

    def entry_of(self, found: Found) -> Mapping[str, str]:
        """What to write below `entries_key` to read a thing that was found; while connected.

        Empty where it is not one value.
        """
        raise Unsupported(f"{self.name} cannot propose a configuration")

    async def drift(self, found: Sequence[Found]) -> Sequence[Drift]:
        """How what was found differs from the entries of the configuration."""
        raise Unsupported(f"{self.name} cannot be compared with its configuration")

    def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """Recorded samples with start <= time < end (nanoseconds UTC), oldest first per tag."""
        raise Unsupported(f"{self.name} keeps no history")

    async def trend(self, tag: str, start: int, end: int, *, points: int = 2000) -> list[Bucket]:
        """A tag over a range (nanoseconds UTC) in about `points` stretches, oldest first.

        Lowest and highest value of each stretch are kept. Here from the samples, one by one;
        connectors whose other side can do it override it.

        Raises:
            ValueError: there is no range, or no point.
        """
        found: dict[int, Bucket] = {}
        async for batch in self.history([tag], start, end):
            for bucket in reduced(batch, start, end, points=points):
                known = found.get(bucket.start)
                found[bucket.start] = bucket if known is None else known.joined(bucket)
        return [found[begin] for begin in sorted(found)]

    def source(self, spec: InputSettings) -> Source:
        """One entry of `data_flow.input` as a stream."""
        raise Unsupported(f"{self.name} is not a source")

    def keeps(self, spec: OutputSettings) -> None:
        """An output of the configuration writes here: it is read back from where that writes.

        Told once for each output, before anything is read. Nothing to do where there is only one
        place. What the settings of the connection name goes before it.
        """

    def sink(self, spec: OutputSettings) -> Sink:
        """One entry of `data_flow.output` as a destination."""
        raise Unsupported(f"{self.name} is not a destination")

    # ---- what the outbox asks ---------------------------------------------------------------

    async def rehearse(self, action: Action) -> str:
        """What `perform` would send, for a person to approve; nothing is changed over there.

        Raises:
            DataError: the fields do not make such an action; names the field.
        """
        raise Unsupported(f"{self.name} performs no actions")

    async def find(self, action: Action) -> Receipt | None:
        """The document an earlier try with this key made, or None. Asked before each new try."""
        raise Unsupported(f"{self.name} performs no actions")

    async def perform(self, action: Action) -> Receipt:
        """Do it, with `action.key` stored in the document, and return its number.

        Never repeated by itself: after an error that leaves open whether it was done (a time-out,
        a lost connection) the outbox asks `find` first.

        Raises:
            DataError: the other side refuses the fields; trying again would not help.
            GL002Error: as everywhere; `retryable` decides whether the outbox tries again.
        """
        raise Unsupported(f"{self.name} performs no actions")


async def first_of(iterator: AsyncIterator[R], count: int) -> list[R]:
    """At most `count` items of an async iterator; the iterator is closed."""
    items: list[R] = []
    try:
        async for item in iterator:
            items.append(item)
            if len(items) >= count:
                break
    finally:
        with suppress(AttributeError):
            await iterator.aclose()  # type: ignore[attr-defined]  # generators have it
    return items


def check_several(tags: Sequence[str], what: str = "tags") -> None:
    """See to it that a call got a list of tags: a lone text would be one of its letters.

    Raises:
        DataError: it is a text.
    """
    if isinstance(tags, str):
        raise DataError(f"{tags[:60]!r} is no list of {what}", hint=f"write [{tags[:60]!r}]")
