"""Ignition (Inductive Automation): live tags over its OPC UA server, history from its database.

    from gl002.integrations.historians import IgnitionConnector

    ignition = IgnitionConnector({
        "url": "opc.tcp://gateway.local:62541", "username": "opcuauser", "password": "...",
        "database": {"url": "postgresql://gl002:...@db.local/ignition"},
    })
    value = ignition.read_tag("[default]Boiler1/SteamFlow")
    day = ignition.read_history("Boiler1/SteamFlow", "2025-01-01", "2025-01-02")

A tag is its path, '[default]Boiler1/SteamFlow'; without a provider that of the configuration. Which
of the ways serves a call is not the caller's matter: current values and writes go over OPC UA, the
past comes from the database, units and ranges from the HTTP API; where only some of them are
configured, what they can is there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, ClassVar

import msgspec

from gl002.bridge import Blocking, blocking, iterating, plain
from gl002.config.flow import InputSettings
from gl002.connector import Capability, Drift, Found, Health, State
from gl002.context import Context
from gl002.errors import GL002Error, TagNotFound, Unsupported
from gl002.model import Batch, Sample, Value, is_bad
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.source import Source
from gl002.transport.following import FollowingSource, FollowInput
from gl002.transport.ignition.gateway import Gateway, with_configuration
from gl002.transport.ignition.history import TagHistory
from gl002.transport.ignition.settings import IgnitionConfig, IgnitionInput
from gl002.transport.narrow import in_order, paged
from gl002.transport.opc_ua.client import OpcUaClient
from gl002.transport.opc_ua.nodes import Point
from gl002.wire import ignition as wire
from gl002.wire.ignition_tags import Described
from gl002.wire.instants import instant
from gl002.wire.opc_ua import Node, looks_like_node


class AsyncIgnitionConnector(OpcUaClient):
    """One Ignition gateway: its OPC UA server, the database of its tag history, its HTTP API."""

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
        api = self.config.api
        self._gateway = None if api is None else Gateway(
            api, name=f"{self.name}.api", pool=pool, context=self.context
        )  # fmt: skip
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
        return super().state if self._live else self._instead().state

    def _instead(self) -> TagHistory | Gateway:
        """What is connected to where there is no OPC UA server."""
        if self._past is None and self._gateway is not None:
            return self._gateway
        return self._history_of()

    def endpoints(self) -> Sequence[Endpoint]:
        """The OPC UA server; where there is none the database, or else the HTTP API."""
        if self._live:
            return super().endpoints()
        c = self.config
        if c.database is not None:
            return [Endpoint(c.database.host, c.database.port)]
        return [] if c.api is None else [c.api.endpoint]

    async def connect(self) -> None:
        """Open the session with the OPC UA server; the others are reached when they are asked.

        Raises:
            ConnectFailed: nothing there (retryable), or one of its kinds: AuthFailed, NotAllowed.
            MissingDependency: the driver is not installed.
        """
        if self._live:
            await super().connect()
        else:
            await self._instead().connect()

    def _others(self) -> list[TagHistory | Gateway]:
        """What is configured besides the OPC UA server."""
        return [other for other in (self._past, self._gateway) if other is not None]

    async def close(self) -> None:
        """Close all; safe at any time, any number of times; never raises."""
        try:
            await super().close()
        finally:
            for other in self._others():
                await other.close()

    def try_at_once(self) -> None:
        """Somebody has seen to what a person must: each way tries a refused password at once."""
        super().try_at_once()
        for other in self._others():
            other.try_at_once()

    def set_timeout(self, milliseconds: float) -> None:
        """Limit every further request, of each way, to this many milliseconds."""
        super().set_timeout(milliseconds)
        for other in self._others():
            other.set_timeout(milliseconds)

    async def check(self) -> Health:
        """One cheap round trip to each; answers instead of raising."""
        found = [await super().check()] if self._live else []
        found += [await other.check() for other in self._others()]
        return Health(
            ok=all(health.ok for health in found),
            detail="; ".join(health.detail for health in found),
            latency=sum(health.latency for health in found),
            notes=tuple(note for health in found for note in health.notes),
        )

    def _history_of(self) -> TagHistory:
        if self._past is None:
            hint = "add 'database', of the historian"
            raise Unsupported(f"{self.name}: no database is configured", hint=hint)
        return self._past

    def _server(self) -> None:
        if not self._live:
            hint = "add 'url', opc.tcp://..."
            raise Unsupported(f"{self.name}: no OPC UA server is configured", hint=hint)

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
        paths = [tag for tag in tags if wire.key_of(tag) is not None]
        return in_order(tags, await self._history_of().before(paths))

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
        """Tags below a folder, level by level, with unit and range where the HTTP API knows them.

        Without an OPC UA server those of the history, and without a database those of the API.

        Args:
            address: path of a folder, 'Boiler1'; '' for the provider's.
            depth: levels; of the OPC UA server.
        """
        about = await self._described(address)
        if self._live:
            async for found in self._browse_server(address, depth):
                yield self._with(found, about)
        elif self._past is not None:
            async for found in self._browse_history(address):
                yield self._with(found, about)
        else:
            provider, folder = wire.within(address, self.config.provider)
            for tag in about.values():
                if not folder or f"{tag.path}/".lower().startswith(f"{folder}/".lower()):
                    shown = self._shown(provider, tag.path)
                    name = tag.path.rpartition("/")[2]
                    yield self._with(Found(address=shown, name=name, path=tag.path), about)

    async def _browse_server(self, address: str, depth: int) -> AsyncIterator[Found]:
        node = address if looks_like_node(address) else self._folder(address)
        async for found in super().browse(node, depth=depth):
            _, separator, text = found.address.partition(f"ns={self.config.namespace};s=[")
            provider, _, path = text.partition("]")
            if separator:
                yield msgspec.structs.replace(found, address=self._shown(provider, path))
            else:
                yield found

    async def _described(self, address: str) -> dict[str, Described]:
        """What the HTTP API says of the tags of a provider; nothing where it is only a help."""
        if self._gateway is None or looks_like_node(address):
            return {}
        provider, _ = wire.within(address, self.config.provider)
        try:
            return await self._gateway.tags(provider)
        except GL002Error as error:
            if not self._live and self._past is None:
                raise
            self.log.warning("%s; units and ranges are not known", error)
            return {}

    def _with(self, found: Found, about: Mapping[str, Described]) -> Found:
        """A tag with what the configuration says of it, where the OPC UA server says nothing."""
        key = wire.key_of(found.address)
        return found if key is None else with_configuration(found, about.get(key))

    def entry_of(self, found: Found) -> Mapping[str, str]:
        """The entry of `data_mapping` that reads a tag over OPC UA: node, type, unit."""
        self._server()
        return super().entry_of(self._as_node(found))

    async def drift(self, found: Sequence[Found]) -> Sequence[Drift]:
        """New tags, mapped ones that are gone, other types and units."""
        self._server()
        return await super().drift([self._as_node(thing) for thing in found])

    def _as_node(self, found: Found) -> Found:
        if wire.key_of(found.address) is None:
            return found
        return msgspec.structs.replace(found, address=str(self._point(found.address).node))

    def _folder(self, address: str) -> str:
        provider, folder = wire.within(address, self.config.provider)
        return f"ns={self.config.namespace};s=[{provider}]{folder}"

    async def _browse_history(self, address: str) -> AsyncIterator[Found]:
        """Tags of the history in a folder, or of a provider, or of all where no folder is given."""
        provider, folder = wire.within(address, self.config.provider)
        for path, entry in await self._history_of().living():
            shown = self._shown(path.provider, path.path)
            of_it = not address or path.provider.lower() == provider.lower()
            if of_it and (not folder or f"{path.key}/".startswith(f"{folder.lower()}/")):
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
