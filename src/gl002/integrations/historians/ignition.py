"""Ignition (Inductive Automation): live tags over its OPC UA server, history from its database.

    from gl002.integrations.historians import IgnitionConnector

    ignition = IgnitionConnector({
        "url": "opc.tcp://gateway.local:62541", "username": "opcuauser", "password": "...",
        "database": {"url": "postgresql://gl002:...@db.local/ignition"},
    })
    value = ignition.read_tag("[default]Boiler1/SteamFlow")
    day = ignition.read_history("Boiler1/SteamFlow", "2025-01-01", "2025-01-02")

A tag is its path, '[default]Boiler1/SteamFlow'; without a provider that of the configuration. Which
of the two ways serves a call is not the caller's matter: current values and writes go over OPC UA,
the past comes from the database; where only one of them is configured, what it can is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings
from gl002.connector import Capability, Found, Health, State
from gl002.context import Context
from gl002.errors import TagNotFound, Unsupported
from gl002.model import Batch, Sample, Value, is_bad
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.source import Source
from gl002.transport.following import FollowingSource, FollowInput
from gl002.transport.ignition.history import TagHistory
from gl002.transport.ignition.settings import IgnitionConfig, IgnitionInput
from gl002.transport.narrow import in_order, paged
from gl002.transport.opc_ua.client import OpcUaClient
from gl002.transport.opc_ua.nodes import Point
from gl002.wire import ignition as wire
from gl002.wire.instants import instant
from gl002.wire.opc_ua import Node, looks_like_node


class AsyncIgnitionConnector(OpcUaClient):
    """One Ignition gateway: its OPC UA server, and the database of its tag history."""

    kind = "ignition"
    can = (
        Capability.READ | Capability.WRITE | Capability.STREAM
        | Capability.HISTORY | Capability.BROWSE
    )  # fmt: skip
    Config = IgnitionConfig
    Input = IgnitionInput
    environment: ClassVar = {"GL002_IGNITION_SERVER": "url"}
    config: IgnitionConfig

    def __init__(
        self,
        config: IgnitionConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        database = self.config.database
        self._past = None if database is None else TagHistory(
            database, name=self.name, kind=self.kind, provider=self.config.provider,
            context=self.context, pool=pool, log=self.log,
        )  # fmt: skip

    @classmethod
    def settings_of(cls, url: str) -> Mapping[str, Any]:
        """'ignition://host:port' is its OPC UA server."""
        return {"url": f"opc.tcp{url[url.index(':') :]}"}

    # ---- life -------------------------------------------------------------------------------

    @property
    def _live(self) -> bool:
        """Whether there is an OPC UA server."""
        return self.config.server is not None

    @property
    def state(self) -> State:
        """Where the session stands: that with the OPC UA server, or with the database alone."""
        return super().state if self._live else self._history_of().state

    def endpoints(self) -> Sequence[Endpoint]:
        """The OPC UA server, or the database where there is none."""
        if self._live:
            return super().endpoints()
        database = self.config.database
        return [] if database is None else [Endpoint(database.host, database.port)]

    async def connect(self) -> None:
        """Open the session with the OPC UA server; the database is reached when it is asked.

        Raises:
            ConnectFailed: nothing there (retryable), or one of its kinds: AuthFailed, NotAllowed.
            MissingDependency: the driver is not installed.
        """
        if self._live:
            await super().connect()
        else:
            await self._history_of().connect()

    async def close(self) -> None:
        """Close both; safe at any time, any number of times; never raises."""
        await super().close()
        if self._past is not None:
            await self._past.close()

    def set_timeout(self, milliseconds: float) -> None:
        """Limit every further request, of either way, to this many milliseconds."""
        super().set_timeout(milliseconds)
        if self._past is not None:
            self._past.set_timeout(milliseconds)

    async def check(self) -> Health:
        """One cheap round trip to each; answers instead of raising."""
        if not self._live:
            return await self._history_of().check()
        health = await super().check()
        if self._past is None:
            return health
        past = await self._past.check()
        return Health(
            ok=health.ok and past.ok, detail=f"{health.detail}; {past.detail}",
            latency=health.latency + past.latency, notes=health.notes,
        )  # fmt: skip

    def _history_of(self) -> TagHistory:
        if self._past is None:
            raise Unsupported(
                f"{self.name}: no database is configured", hint="add 'database', of the historian"
            )
        return self._past

    def _server(self) -> None:
        if not self._live:
            raise Unsupported(
                f"{self.name}: no OPC UA server is configured", hint="add 'url', opc.tcp://..."
            )

    # ---- which tag --------------------------------------------------------------------------

    def _point(self, text: str, prefix: str = "") -> Point:
        if text in self.config.data_mapping or looks_like_node(text):
            return super()._point(text, prefix)
        path = wire.parse(text, self.config.provider)
        return Point(tag=prefix + text, text=text, node=Node(self.config.namespace, "s", str(path)))

    def _shown(self, provider: str, path: str) -> str:
        """A tag as people write it: without the provider that goes without saying."""
        own = provider.lower() == self.config.provider.lower()
        return path if own else f"[{provider}]{path}"

    # ---- now --------------------------------------------------------------------------------

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Current samples in the order of `tags`; one that cannot be read is a bad sample."""
        if self._live:
            return await super().read(tags)
        return in_order(tags, await self._history_of().before(tags))

    async def read_tag(self, tag: str) -> Value:
        """The current value of a tag; None where its quality is bad.

        Raises:
            TagNotFound: Ignition has no such tag.
        """
        if self._live:
            (reading,) = await self._readings([tag])
            if reading.missing:
                raise TagNotFound(f"{self.name}: {reading.missing}")
        (sample,) = await self.read([tag])
        return None if is_bad(sample.quality) else sample.value

    async def read_tags(self, tags: Sequence[str]) -> list[Value]:
        """The current values in the order of `tags`; None where one is bad or is not there."""
        return [None if is_bad(s.quality) else s.value for s in await self.read(tags)]

    async def write(self, tag: str, value: Value) -> None:
        """Write a tag over OPC UA, in its own type; audited, and never repeated by itself.

        Raises:
            DataError: the value does not fit the tag's type; nothing was sent.
            TagNotFound: Ignition has no such tag.
            RequestFailed: it refused, and why.
            Unsupported: no OPC UA server is configured.
        """
        self._server()
        await super().write(tag, value)

    async def write_tag(self, tag: str, value: Value) -> None:
        """The same as `write`."""
        await self.write(tag, value)

    # ---- the past ---------------------------------------------------------------------------

    def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """Recorded samples with start <= time < end (nanoseconds UTC), tag by tag, oldest first.

        Over every life of a tag and every partition. Ignition keeps milliseconds.
        """
        return paged(self._history_of().page, tags, start, end)

    async def read_history(
        self,
        tag: str,
        start: int | datetime | str,
        end: int | datetime | str,
        *,
        seed: bool = False,
        gaps: bool = False,
    ) -> list[Sample]:
        """Recorded values of a tag with start <= time < end, oldest first.

        Args:
            tag: its path.
            start: nanoseconds UTC, a datetime or ISO text; local time where it has no zone.
            end: the same.
            seed: also the last value before the start, with its own time, if the tag's group was
                executed all the time since: what the tag was at the start.
            gaps: also a sample without a value wherever the tag's group stopped being executed:
                from there on the value before it is not known to have held.

        Raises:
            Unsupported: no database is configured.
        """
        past = self._history_of()
        first, last = instant(start), instant(end)
        samples = [s async for batch in self.history([tag], first, last) for s in batch]
        if gaps:
            samples += await past.gaps(tag, first, last)
            samples.sort(key=lambda s: s.time)
        if seed:
            before = (await past.before([tag], first)).get(tag)
            if before is not None and not await past.gaps(tag, before.time, first):
                samples.insert(0, before)
        return samples

    # ---- for the flow -----------------------------------------------------------------------

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """Tags below a folder, level by level; without an OPC UA server those of the history.

        Args:
            address: path of a folder, 'Boiler1'; '' for the provider's.
            depth: levels.
        """
        if not self._live:
            async for found in self._browse_history(address):
                yield found
            return
        node = address if looks_like_node(address) else self._folder(address)
        async for found in super().browse(node, depth=depth):
            _, separator, text = found.address.partition(f"ns={self.config.namespace};s=")
            if separator:
                provider, _, path = text.removeprefix("[").partition("]")
                shown = self._shown(provider, path) if text.startswith("[") else found.address
                yield Found(
                    address=shown, name=found.name, path=found.path, type=found.type,
                    unit=found.unit, description=found.description, writable=found.writable,
                )  # fmt: skip
            else:
                yield found

    def _folder(self, address: str) -> str:
        path = f"[{self.config.provider}]"
        if address and address != path:
            path = str(wire.parse(address, self.config.provider))
        return f"ns={self.config.namespace};s={path}"

    async def _browse_history(self, address: str) -> AsyncIterator[Found]:
        for path, entry in await self._history_of().living():
            shown = self._shown(path.provider, path.path)
            if shown.lower().startswith(address.lower()):
                yield Found(
                    address=shown, name=path.path.rpartition("/")[2], path=path.path,
                    type=entry.type or "",
                )  # fmt: skip

    def source(self, spec: InputSettings) -> Source:
        """One entry of `data_flow.input`: subscribed over OPC UA, else followed in the history."""
        assert isinstance(spec, IgnitionInput)
        if self._live:
            return super().source(spec)
        past = self._history_of()

        async def newest(tags: Sequence[str]) -> Iterable[Sample]:
            return (await past.before(tags)).values()

        follow = FollowInput(
            source=spec.source, prefix=spec.prefix, tags=spec.tags, interval=spec.interval,
            lookback=spec.lookback, from_start=spec.from_start,
        )  # fmt: skip
        return FollowingSource(
            self.name, follow, browse=partial(self._browse_history, ""), newest=newest,
            pages=past.pages, about=self.context.tags,
        )  # fmt: skip


class IgnitionConnector(Blocking[AsyncIgnitionConnector]):
    """An Ignition gateway for scripts and notebooks; every call waits for its result."""

    def __init__(
        self,
        config: IgnitionConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncIgnitionConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncIgnitionConnector.connect)
    close = blocking(AsyncIgnitionConnector.close)
    check = blocking(AsyncIgnitionConnector.check)
    set_timeout = plain(AsyncIgnitionConnector.set_timeout)
    try_at_once = plain(AsyncIgnitionConnector.try_at_once)
    read = blocking(AsyncIgnitionConnector.read)
    read_tag = blocking(AsyncIgnitionConnector.read_tag)
    read_tags = blocking(AsyncIgnitionConnector.read_tags)
    write = blocking(AsyncIgnitionConnector.write)
    write_tag = blocking(AsyncIgnitionConnector.write_tag)
    history = iterating(AsyncIgnitionConnector.history)
    read_history = blocking(AsyncIgnitionConnector.read_history)
    browse = iterating(AsyncIgnitionConnector.browse)
