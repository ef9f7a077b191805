"""The gateway: everything a configuration describes, built, run and stopped together."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from gl002 import __version__
from gl002.config.load import GatewayConfig
from gl002.connector import Capability, Connector
from gl002.context import Context
from gl002.errors import ConfigError, GL002Error, Unsupported
from gl002.flow.causes import Cause
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery
from gl002.flow.ending import closed, ended
from gl002.flow.hub import Hub
from gl002.flow.inputs import InputBuilder, Part, described, needs_restart
from gl002.flow.intake import Intake
from gl002.flow.ledger import Ledger
from gl002.flow.outbox import Outbox, outbox_docket
from gl002.flow.status import GatewayStatus, Loaded, resident_memory
from gl002.flow.steps import Steps
from gl002.flow.store import Store
from gl002.model import now_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.source import Source
from gl002.trend import Bucket
from gl002.writes.guard import WriteGuard
from gl002.writes.proposals import ProposalQueue, proposal_docket

log = logging.getLogger("gl002.gateway")

_FAULT_PAUSE = 5.0  # seconds before a part that failed by a fault of ours is started again
_LAG_INTERVAL = 0.5
_NO_CONNECTORS: Mapping[str, Connector[Any]] = MappingProxyType({})


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
        proposals: writes that somebody outside asks for.

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
        docket = proposal_docket(state_dir, sections.writes)
        self.proposals = ProposalQueue(sections.writes, docket, self.context.audit)
        self.context.proposals = self.proposals
        self.context.tags.configure_all(described(config))
        self.hub = Hub()
        self.store = Store(state_dir / "store", sections.store)
        self.letters = DeadLetters(state_dir / "deadletters.sqlite")
        self.ledger = Ledger(state_dir / "ledger.sqlite", sections.ledger)
        self.connectors = self._connected(config)
        self._steps = Steps(sections.tags, self.context.tags)
        self._parts = self._built(config, self.connectors)
        self._outputs = [
            self._delivery(output.name or name, self.connectors[name].sink(output), output)
            for name, output in config.outputs
        ]
        self.outbox = self._outbox()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._secrets: set[asyncio.Task[None]] = set()
        self._loaded = Loaded(time=now_ns())
        self._reloading = asyncio.Lock()
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

    def _connected(
        self, config: GatewayConfig, before: Mapping[str, Connector[Any]] = _NO_CONNECTORS
    ) -> dict[str, Connector[Any]]:
        """A connector for each connection; those of `before` whose settings are the same stay."""
        found = {}
        for name, connection in config.connections.items():
            there = before.get(name)
            if there is not None and self.config.connections.get(name) == connection:
                found[name] = there
            else:
                found[name] = connection.kind(connection.settings, name=name, context=self.context)
        for name, output in config.outputs:
            found[name].keeps(output)
        return found

    def _built(
        self,
        config: GatewayConfig,
        connectors: Mapping[str, Connector[Any]],
        before: Sequence[Part] = (),
    ) -> list[Part]:
        return InputBuilder(
            config, connectors, hub=self.hub, table=self.context.tags, history=self.history,
            intake=self._intake,
        ).build(before)  # fmt: skip

    def guard(self) -> WriteGuard:
        """The one door to the plant, with a memory on disk: make as many as needed."""
        return WriteGuard(self.config.sections.writes, self.connectors, self.context)

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
        self._take_in(self.inputs)
        self._watch_secrets()
        watch = asyncio.create_task(self._watch(), name="gl002-watch")
        proposals = self._keep_running(self.proposals.run, "proposals")
        ledger = self._keep_running(self.ledger.run, "ledger")
        try:
            await self._stop.wait()
        finally:
            self._stop.set()  # also where `run` is cancelled: a reload begins nothing any more
            await ended([watch, proposals, *self._tasks.values(), *self._secrets])
            for output in self._outputs:
                output.drain()
            if self.outbox is not None:
                self.outbox.drain()
            if outputs:
                await asyncio.wait(outputs, timeout=self.config.sections.gateway.drain)
            await ended([*outputs, ledger])
            await self._close()

    async def _announce(self, action: str = "config.load") -> None:
        try:
            digest = hashlib.sha256(self.config.file.read_bytes()).hexdigest()
        except OSError:
            digest = None
        await self.context.audit.record(
            action, str(self.config.file), sha256=digest, version=__version__
        )

    @property
    def inputs(self) -> list[Intake]:
        """In the order of the configuration, calculated ones last."""
        return [part.intake for part in self._parts]

    def _take_in(self, intakes: Iterable[Intake]) -> None:
        if self._stop.is_set():  # during a reload: nobody would end them
            return
        for intake in intakes:
            self._tasks[intake.name] = self._keep_running(intake.run, intake.name)

    def _watch_secrets(self) -> None:
        """Keep secrets of the configuration up to date, as long as a connector uses one."""
        if self.config.secrets is not None and not self._stop.is_set():
            task = self._keep_running(self.config.secrets.run, "secrets")
            self._secrets.add(task)
            task.add_done_callback(self._secrets.discard)

    # ---- another configuration --------------------------------------------------------------

    async def reload(self, config: GatewayConfig) -> Loaded:
        """Take up a changed configuration: only inputs that it changes are begun anew.

        What is the same goes on, its session with it. Outputs go on as they are.

        Args:
            config: checked, of the same file.

        Raises:
            ConfigError: it changes what a running gateway cannot take up, or makes no sense; all
                goes on as before, and the status says so.
        """
        await self._running.wait()  # `run` begins the inputs that are there when it has its store
        async with self._reloading:
            try:
                return await self._reload(config)
            except GL002Error as error:
                self.refuse_reload(error)
                raise
            except Exception as error:
                log.exception("a fault in the gateway while it read its configuration again")
                refusal = ConfigError(
                    f"the configuration cannot be taken up: {type(error).__name__}",
                    hint="the log of the gateway has the details; 'gl002 check' may say more",
                )
                self.refuse_reload(refusal)
                raise refusal from error

    def refuse_reload(self, error: GL002Error) -> None:
        """Let the status say why a changed configuration was not taken up."""
        log.error("the configuration is not taken up: %s", error)
        self._loaded = self._loaded.refused(error)

    async def _reload(self, config: GatewayConfig) -> Loaded:
        if self.config.secrets is not None:  # so that a new value there is no change of the file
            await self.config.secrets.refresh()
        if self._stop.is_set():
            raise ConfigError("the gateway is stopping", hint="start it again")
        if wanting := needs_restart(self.config, config):
            raise ConfigError(
                f"a running gateway cannot take up what changed in {', '.join(wanting)}",
                hint="stop it and start it again; nothing that was accepted is lost",
            )
        connectors = self._connected(config, self.connectors)
        with self.context.tags.tentative():
            self.context.tags.configure_all(described(config))
            parts = self._built(config, connectors, self._parts)
        self._steps.declare(config.sections.tags)  # with the table: a value meets both or neither
        before, self._parts = self._parts, parts
        going = [p.intake for p in before if p not in parts]
        coming = [p.intake for p in parts if p not in before]
        await ended([self._tasks[i.name] for i in going if i.name in self._tasks])
        for intake in going:  # not before they have ended: `run` waits for all that are there
            self._tasks.pop(intake.name, None)
            await intake.source.retire()
        idle = [c for name, c in self.connectors.items() if connectors.get(name) is not c]
        self.config, self.connectors = config, connectors
        for connector in connectors.values():
            connector.try_at_once()
        await closed(idle)
        gone = {tag for i in going for tag in i.seen}
        self.hub.forget(gone)
        self.context.tags.retire(gone - {tag for i in self.inputs for tag in i.seen})
        self._take_in(coming)
        self._watch_secrets()
        await self._announce("config.reload")
        self._loaded = Loaded(
            time=now_ns(), begun=len(coming), ended=len(going), kept=len(parts) - len(coming)
        )
        log.info("configuration taken up: %s", self._loaded.said)
        return self._loaded

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

    async def _watch(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(_LAG_INTERVAL)
            self._lag = max(0.0, time.monotonic() - before - _LAG_INTERVAL)
            self._forget_retired()

    def _forget_retired(self) -> None:
        """Tags that are no more, once no output has samples of them to deliver."""
        retired = self.context.tags.retired
        if retired and not any(self.store.pending(output.name) for output in self._outputs):
            retired.clear()

    async def _close(self) -> None:
        await closed(self.connectors.values())
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
            memory=resident_memory(),
            faults=self._faults,
            writes=self.config.sections.writes.mode,
            inputs=[i.status() for i in self.inputs],
            outputs=[o.status() for o in self._outputs],
            store=self.store.stats(),
            proposals=self.proposals.waiting,
            outbox=None if self.outbox is None else self.outbox.status(),
            loaded=self._loaded,
        )
