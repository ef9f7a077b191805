"""The gateway: everything a configuration describes, built, run and stopped together."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import resource
import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, Self

import msgspec

from gl002 import __version__
from gl002.config.load import GatewayConfig
from gl002.connector import Capability, Connector
from gl002.context import Context
from gl002.errors import ConfigError, UnitError, Unsupported
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import boiler_sources
from gl002.flow.calculate import Calculation
from gl002.flow.causes import Cause
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery, OutputStatus
from gl002.flow.hub import Hub
from gl002.flow.intake import InputStatus, Intake
from gl002.flow.ledger import Ledger
from gl002.flow.outbox import Outbox, OutboxStatus, outbox_docket
from gl002.flow.steps import Steps
from gl002.flow.store import Store, StoreStats
from gl002.model import Tag, now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from gl002.trend import Bucket
from gl002.units import conversion

log = logging.getLogger("gl002.gateway")

_FAULT_PAUSE = 5.0  # seconds before a part that failed by a fault of ours is started again
_CLOSE_TIMEOUT = 10.0
_LAG_INTERVAL = 0.5


class GatewayStatus(msgspec.Struct, frozen=True, kw_only=True):
    """State of a running gateway for people and metrics.

    Attributes:
        name: of the gateway.
        version: of this package.
        time: now, nanoseconds UTC.
        uptime: seconds since start.
        lag: how late the event loop ran its last timer, seconds.
        memory: largest resident size so far, bytes.
        faults: parts that had to be started again because of a fault of ours.
        writes: mode of `writes`.
        inputs: in the order of the configuration, calculated ones last.
        outputs: in the order of the configuration.
        store: the durable store.
        outbox: work orders and documents; None where no `actions` are configured.
    """

    name: str
    version: str
    time: int
    uptime: float
    lag: float
    memory: int
    faults: int
    writes: str
    inputs: list[InputStatus]
    outputs: list[OutputStatus]
    store: StoreStats
    outbox: OutboxStatus | None = None


class Gateway:
    """A configuration made to run. The constructor does no input or output.

    Args:
        config: a checked configuration.

    Attributes:
        config: as given.
        context: what its connectors share: network, audit, tag table.
        connectors: by name.
        store: the durable store.
        letters: dead letters.
        ledger: what was to be delivered, and what was.
        hub: live values.
        outbox: work orders and documents; None where no `actions` are configured.

    Raises:
        ConfigError: two inputs deliver the same tag, or a part cannot be built.
    """

    def __init__(self, config: GatewayConfig) -> None:
        self.config = config
        sections, state_dir = config.sections, config.state_dir
        self.context = Context(
            network=Network(sections.network.allow),
            audit=Audit(state_dir / "audit.jsonl"),
            state_dir=state_dir,
            name=sections.gateway.name,
        )
        for name, tag in sections.tags.items():
            described = Tag(name=name, unit=tag.unit, description=tag.description, type=tag.type)
            self.context.tags.configure(described)
        self.hub = Hub()
        self.store = Store(state_dir / "store", sections.store)
        self.letters = DeadLetters(state_dir / "deadletters.sqlite")
        self.ledger = Ledger(state_dir / "ledger.sqlite", sections.ledger)
        self.connectors: dict[str, Connector[Any]] = {
            name: connection.kind(connection.settings, name=name, context=self.context)
            for name, connection in config.connections.items()
        }
        self._steps = Steps(sections.tags, self.context.tags)
        self._inputs = [self._intake(name, source) for name, source in self._sources()]
        self._check_units()
        self._outputs = [
            self._delivery(output.name or name, self.connectors[name].sink(output), output)
            for name, output in config.outputs
        ]
        self.outbox = self._outbox()
        self._stop = asyncio.Event()
        self._running = asyncio.Event()
        self._started = time.monotonic()
        self._lag = 0.0
        self._faults = 0

    @classmethod
    def from_config(cls, config: GatewayConfig) -> Self:
        """The same as calling the class."""
        return cls(config)

    # ---- building ---------------------------------------------------------------------------

    def _sources(self) -> Iterator[tuple[str, Source]]:
        """Every source with the name its place in the store is kept under."""
        owner: dict[str, str] = {}
        names: dict[str, int] = {}
        for source in self._configured_sources():
            names[source.name] = names.get(source.name, 0) + 1
            count = names[source.name]
            name = source.name if count == 1 else f"{source.name}#{count}"
            for tag in source.tags():
                other = owner.setdefault(tag.name, name)
                if other != name:
                    raise ConfigError(
                        f"the tag '{tag.name}' comes from {other} and from {name}",
                        hint="give one of the inputs a 'prefix:'",
                    )
                self.context.tags.declare(tag)
            yield name, source

    def _configured_sources(self) -> Iterator[Source]:
        sections = self.config.sections
        for name, spec in self.config.inputs:
            yield self.connectors[name].source(spec)
        for name, calculated in sections.calculated.items():
            yield Calculation(name, calculated, self.hub)
        yield from boiler_sources(
            sections, self.hub, self.context.tags, self.config.state_dir, self.history
        )

    def history(self) -> Connector[Any]:
        """The historian, where one is needed.

        Raises:
            ConfigError: no output keeps a history.
        """
        if self.historian is None:
            raise ConfigError(
                "no output keeps a history that can be read back",
                hint="add 'sqlite' to integrations.enabled and to data_flow.output",
            )
        return self.historian

    def _check_units(self) -> None:
        """Refuse before it runs what could only give bad values."""
        wrong = []
        for name, declared in self.config.sections.tags.items():
            came_in = declared.source_unit or self.context.tags.source_unit(name)
            try:
                if came_in and declared.unit:
                    conversion(came_in, declared.unit)
            except UnitError as error:
                wrong.append(f"tags.{name}: {error}")
        for name, settings in self.config.sections.boilers.items():
            wrong += Bindings(name, settings, self.context.tags).misfits()
        if wrong:
            raise ConfigError("\n".join(wrong))

    def _intake(self, name: str, source: Source) -> Intake:
        return Intake(
            name, source, steps=self._steps, store=self.store, letters=self.letters, hub=self.hub
        )

    def _delivery(self, name: str, sink: Any, settings: Any) -> Delivery:
        return Delivery(
            name, sink, settings, store=self.store, letters=self.letters, hub=self.hub,
            ledger=self.ledger,
        )  # fmt: skip

    def _outbox(self) -> Outbox | None:
        """The outbox, which takes from the store like any output."""
        if not self.config.actions:
            return None
        sections = self.config.sections
        boilers, headers = list(sections.boilers), list(sections.headers)
        causes = [Cause.of(name, each, boilers, headers) for name, each in self.config.actions]
        docket = outbox_docket(self.config.state_dir)
        outbox = Outbox(causes, self.connectors, docket, self.context.audit)
        sink = outbox.sink(sections.gateway.name, self.context.tags)
        self._outputs.append(self._delivery(sink.name, sink, outbox.intake()))
        return outbox

    # ---- running ----------------------------------------------------------------------------

    def stop(self) -> None:
        """End `run`: inputs first, then what is accepted is delivered within `gateway.drain`."""
        self._stop.set()

    async def started(self) -> None:
        """Return when `run` has opened the store: from then on there is a status."""
        await self._running.wait()

    async def run(self) -> None:
        """Run until `stop` or cancelled.

        Raises:
            StoreInUse: another gateway runs on the same state folder.
            WriteRefused: the audit file cannot be written.
        """
        self._started = time.monotonic()
        await self._announce()
        patterns = {output.name: output.tags for output in self._outputs}
        await self.store.open(list(patterns))
        await self.ledger.open(patterns, self.store)
        self._running.set()
        outputs = [self._keep_running(o.run, o.name) for o in self._outputs]
        if self.outbox is not None:
            outputs.append(self._keep_running(self.outbox.run, "outbox"))
        inputs = [self._keep_running(i.run, i.name) for i in self._inputs]
        inputs.append(asyncio.create_task(self._watch_lag(), name="gl002-lag"))
        ledger = self._keep_running(self.ledger.run, "ledger")
        try:
            await self._stop.wait()
        finally:
            await _cancelled(inputs)
            for output in self._outputs:
                output.drain()
            if self.outbox is not None:
                self.outbox.drain()
            if outputs:
                await asyncio.wait(outputs, timeout=self.config.sections.gateway.drain)
            await _cancelled([*outputs, ledger])
            await self._close()

    async def _announce(self) -> None:
        try:
            digest = hashlib.sha256(self.config.file.read_bytes()).hexdigest()
        except OSError:
            digest = None
        await self.context.audit.record(
            "config.load", str(self.config.file), sha256=digest, version=__version__
        )

    def _keep_running(self, run: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[None]:
        """A task that outlives faults of ours: one part going wrong never stops the others."""

        async def keep() -> None:
            while True:
                try:
                    return await run()
                except Exception:
                    log.exception("%s: a fault in the gateway; starting this part again", name)
                    self._faults += 1
                await asyncio.sleep(_FAULT_PAUSE)

        return asyncio.create_task(keep(), name=f"gl002-{name}")

    async def _watch_lag(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LAG_INTERVAL)
            self._lag = max(0.0, time.monotonic() - before - _LAG_INTERVAL)

    async def _close(self) -> None:
        closing = [asyncio.create_task(c.close()) for c in self.connectors.values()]
        if closing:
            await asyncio.wait(closing, timeout=_CLOSE_TIMEOUT)
        await self.ledger.close()
        await self.store.close()
        self.context.audit.note("stop", str(self.config.file))
        await asyncio.to_thread(self.context.audit.close)

    @property
    def historian(self) -> Connector[Any] | None:
        """The first output that keeps a history, for trends; None where none does."""
        outputs = (self.connectors[name] for name, _ in self.config.outputs)
        return next((c for c in outputs if Capability.HISTORY in c.can), None)

    async def trend(self, tag: str, start: int, end: int, *, points: int = 2000) -> list[Bucket]:
        """What a tag did over a range, for a screen of `points` pixels; see `Connector.trend`.

        Empty where the tag has no samples there. What is not delivered yet is not in it.

        Raises:
            Unsupported: no output keeps a history.
            ValueError: there is no range, or no point.
            GL002Error: the history cannot be read now.
        """
        if self.historian is None:
            raise Unsupported("no output keeps a history", hint="add '- destination: sqlite'")
        return await self.historian.trend(tag, start, end, points=points)

    def status(self) -> GatewayStatus:
        """The state now."""
        return GatewayStatus(
            name=self.config.sections.gateway.name,
            version=__version__,
            time=now_ns(),
            uptime=time.monotonic() - self._started,
            lag=self._lag,
            memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
            faults=self._faults,
            writes=self.config.sections.writes.mode,
            inputs=[i.status() for i in self._inputs],
            outputs=[o.status() for o in self._outputs],
            store=self.store.stats(),
            outbox=None if self.outbox is None else self.outbox.status(),
        )


async def _cancelled(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
