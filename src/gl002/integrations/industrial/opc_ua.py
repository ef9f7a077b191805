"""OPC UA servers: subscribe, read, write, browse, history.

    from gl002.integrations.industrial import OPCUAConnector

    opc = OPCUAConnector({"url": "opc.tcp://192.168.1.100:4840", "security": "SignAndEncrypt"})
    await opc.connect()
    values = await opc.read_values(["ns=2;s=Boiler1.Efficiency", "ns=2;s=Boiler1.FuelFlow"])
    subscription = await opc.subscribe(["ns=2;s=Boiler1.SteamFlow"], callback=print)
    await opc.write_value("ns=2;s=Boiler1.SetPoint", 485.0)

A node is given by its node id, by its name in `data_mapping`, or by its browse name where that is
unique. Values under a name of `data_mapping` are scaled, those under a node id are as they are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial, wraps
from typing import Any, TypeVar

from gl002.bridge import Blocking, blocking, iterating, on_callback_thread, plain, portal
from gl002.config.flow import InputSettings
from gl002.connector import Capability, Found
from gl002.context import Context
from gl002.errors import ConfigError, ConnectFailed, GL002Error, RequestTimeout, TagNotFound
from gl002.model import Batch, Sample, Value, is_bad, now_ns
from gl002.pool import ConnectionPool
from gl002.transport.opc_ua.browsing import OBJECTS, Met, as_node, described, walk
from gl002.transport.opc_ua.calling import Argument, call
from gl002.transport.opc_ua.connection import Connection
from gl002.transport.opc_ua.events import SERVER, EventSource
from gl002.transport.opc_ua.failures import of_status
from gl002.transport.opc_ua.history import recorded
from gl002.transport.opc_ua.nodes import Missing, Point, declare
from gl002.transport.opc_ua.settings import OpcUaConfig, OpcUaInput
from gl002.transport.opc_ua.source import OpcUaSource, Sessions
from gl002.transport.opc_ua.subscription import Callback, Subscription
from gl002.transport.opc_ua.values import Plain, Reading, single
from gl002.transport.opc_ua.writing import variant_for
from gl002.wire.opc_ua import looks_like_node

R = TypeVar("R")

_PORT = 4840
_DESCRIBED_AT_ONCE = 200  # nodes of a browse
_MOST_FOUND = 100_000


class OPCUAConnector(Connection):
    """A session with one OPC UA server."""

    can = (
        Capability.READ
        | Capability.WRITE
        | Capability.STREAM
        | Capability.BROWSE
        | Capability.HISTORY
    )
    Input = OpcUaInput

    def __init__(
        self,
        config: OpcUaConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._subscriptions: set[Subscription] = set()

    async def close(self) -> None:
        """Close the session and every subscription; safe at any time, never raises."""
        for subscription in list(self._subscriptions):
            await subscription.close()
        await super().close()

    # ---- reading ----------------------------------------------------------------------------

    async def read_value(self, node: str) -> Plain:
        """The current value of one node; None where its quality is bad.

        Args:
            node: node id, name of `data_mapping`, or browse name.

        Raises:
            TagNotFound: there is no such node.
        """
        (reading,) = await self._readings([node])
        if reading.missing:
            raise TagNotFound(f"{self.name}: {reading.missing}")
        return reading.value

    async def read_values(self, nodes: Sequence[str]) -> list[Plain]:
        """The current values in the order of `nodes`; None where one is bad or does not exist."""
        return [reading.value for reading in await self._readings(nodes)]

    async def read_values_batch(self, nodes: Sequence[str]) -> list[Plain]:
        """The same as `read_values`: as few requests as the server's limits allow."""
        return await self.read_values(nodes)

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Current samples in the order of `tags`; one that cannot be read is a bad sample."""
        now = now_ns()
        samples = []
        for tag, reading in zip(tags, await self._readings(tags, declaring=True), strict=True):
            value, status = single(reading.value, reading.status)
            samples.append(Sample(tag, value, reading.time or now, status))
        return samples

    async def _readings(self, texts: Sequence[str], *, declaring: bool = False) -> list[Reading]:
        read = partial(self._read_now, [self._point(text) for text in texts], declaring=declaring)
        return await self._call(read, what=f"read {len(texts)} nodes")

    async def _read_now(self, points: Sequence[Point], *, declaring: bool) -> list[Reading]:
        session = await self._current()
        nodes = await self._directory.resolve(session, points)
        if declaring:
            await declare(session, self.context.tags, self.name, points, nodes)
        for missing in (node for node in nodes if isinstance(node, Missing)):
            self.log.debug("%s: %s", self.name, missing.reason)
        answers = iter(await session.read_values([n for n in nodes if not isinstance(n, Missing)]))
        return [
            Reading(None, node.status, 0, node.reason)
            if isinstance(node, Missing)
            else Reading.of(next(answers), point.scaled, point.text)
            for point, node in zip(points, nodes, strict=True)
        ]

    async def history(self, tags: Sequence[str], start: int, end: int) -> AsyncIterator[Batch]:
        """What the server has recorded, start <= time < end (ns UTC), oldest first of each tag.

        In batches of one tag, a thousand samples or fewer each; the batches of different tags take
        turns. Values are as in `read`.

        Raises:
            TagNotFound: there is no such node; after the others have been delivered.
            Unsupported: the server keeps no history of one; after the others, too.
        """
        points = [self._point(tag) for tag in dict.fromkeys(tags)]
        session, what = await self._current(), f"history of {len(points)} nodes"
        resolve = partial(self._directory.resolve, session, points)
        nodes = dict(enumerate(await self._ask(session, resolve, what)))
        missing = [node.reason for node in nodes.values() if isinstance(node, Missing)]
        failed: list[GL002Error] = [TagNotFound(f"{self.name}: {reason}") for reason in missing]
        there = {at: node for at, node in nodes.items() if not isinstance(node, Missing)}
        async with aclosing(recorded(session, there, start, end)) as pages:
            while page := await self._ask(session, partial(anext, pages, None), what):
                if page.status:
                    where = f"{self.name}: history of {points[page.handle].text}"
                    failed.append(of_status(page.status, where))
                elif page.values:
                    yield points[page.handle].samples(page.values)
        if failed:
            raise failed[0]

    # ---- writing ----------------------------------------------------------------------------

    async def write_value(self, node: str, value: Value) -> None:
        """Write one value, in the node's own data type; audited, and never repeated by itself.

        Args:
            node: node id, name of `data_mapping` (its scaling is undone), or browse name.
            value: must fit the type exactly; 485.0 fits an Int16, 485.5 does not.

        Raises:
            DataError: the value does not fit the node's type; nothing was sent.
            TagNotFound: there is no such node.
            RequestFailed: the server refused, and why.
        """
        request = partial(self._write_now, self._point(node), value)
        await self._write_to_plant(request, address=node, value=value)

    async def write_values(self, values: Mapping[str, Value]) -> dict[str, GL002Error | None]:
        """Write several nodes one after the other; what became of each: None where it was written.

        One that is refused keeps none of the others from being written. Each is audited.

        Raises:
            ConnectFailed: the session was lost; what comes after it was not written.
        """
        outcome: dict[str, GL002Error | None] = {}
        for node, value in values.items():
            try:
                await self.write_value(node, value)
            except (ConnectFailed, RequestTimeout):
                raise
            except GL002Error as error:
                outcome[node] = error
            else:
                outcome[node] = None
        return outcome

    async def write(self, tag: str, value: Value) -> None:
        """The same as `write_value`, for those who write whatever the connector."""
        await self.write_value(tag, value)

    async def _write_now(self, point: Point, value: Value) -> None:
        session = await self._current()
        node_id = await self._node(session, point)
        what = point.node or as_node(node_id)
        variant = await variant_for(session, node_id, point.unscaled(value), what)
        status = await session.write(node_id, variant)
        if is_bad(status):
            raise of_status(status, f"{self.name}: write {point.text}")

    async def call_method(self, node: str, method: str, *arguments: Argument) -> list[Plain]:
        """Call a method of an object; audited as a write, and never repeated by itself.

        Args:
            node: node id of the object.
            method: browse name of the method, or its node id.
            arguments: what the method declares, each in the type it declares; lists for arrays.

        Returns:
            What it answers, in its order.

        Raises:
            DataError: an argument is missing, too many, or does not fit; nothing was sent.
            TagNotFound: there is no such object or method.
            RequestFailed: the server refused or the method failed, and why.
        """
        request = partial(self._call_now, node, method, arguments)
        return await self._write_to_plant(
            request, address=f"{node} {method}()", value=list(arguments)
        )

    async def _call_now(self, node: str, method: str, arguments: Sequence[Argument]) -> list[Plain]:
        session = await self._current()
        owner: Any = await self._node(session, self._point(node))
        found: Any = method
        if looks_like_node(method):
            found = await self._node(session, self._point(method))
        return await call(session, owner, found, arguments, f"{self.name}: {node} {method}")

    # ---- browsing ---------------------------------------------------------------------------

    async def browse_nodes(self, node: str = "") -> list[Found]:
        """What lies directly below a node; below the Objects folder where none is given."""
        return [found async for found in self.browse(node)]

    async def browse(self, address: str = "", *, depth: int = 1) -> AsyncIterator[Found]:
        """Objects and variables below a node, level by level, each once."""
        session, what = await self._current(), f"browse {address or OBJECTS}"
        point = self._point(address) if address else Point(tag="", text="", node=OBJECTS)
        start = await self._ask(session, partial(self._node, session, point), what)
        nodes = walk(session, start, depth=depth, at_most=_MOST_FOUND)
        while met := await self._ask(session, partial(_some, nodes), what):
            for found in await self._ask(session, partial(described, session, met), what):
                yield found

    # ---- streaming --------------------------------------------------------------------------

    async def subscribe(self, nodes: Sequence[str], callback: Callback) -> Subscription:
        """Call `callback(sample)` with every change of the nodes, from their current values on.

        It goes on over lost sessions and restarts of the server until the subscription or the
        connector is closed. A node the server does not have gives a sample with that status.

        Args:
            nodes: node ids, names of `data_mapping`, or browse names.
            callback: plain, which must not block, or a coroutine function, which is awaited.

        Raises:
            TagNotFound: a browse name that no node, or more than one, has.
            GL002Error: there is no session now.
        """
        return await self._kept(self._source([self._point(node) for node in nodes]), callback)

    async def subscribe_events(
        self, callback: Callback, nodes: Sequence[str] = ("server",)
    ) -> Subscription:
        """Call `callback(sample)` with every alarm, condition and other event of some objects.

        An event comes as a few samples: 'Boiler1.PressureAlarm.active', '.acked', '.retain',
        '.message', '.severity'. First come the conditions of interest now. Lives as `subscribe`.

        Args:
            callback: as that of `subscribe`.
            nodes: node ids of the objects; 'server' for the events of the whole server.

        Raises:
            TagNotFound: there is no such object.
            GL002Error: there is no session now, or the object tells no events.
        """
        return await self._kept(self._events(nodes), callback)

    async def _kept(self, source: OpcUaSource | EventSource, callback: Callback) -> Subscription:
        await self._call(self._ping, what="subscribe")
        subscription = Subscription(source, callback, self._subscriptions.discard)
        self._subscriptions.add(subscription)
        try:
            await subscription.start()
        except BaseException:
            self._subscriptions.discard(subscription)
            raise
        return subscription

    def source(self, spec: InputSettings) -> OpcUaSource | EventSource:
        """One entry of `data_flow.input` as a stream."""
        if isinstance(spec, OpcUaInput) and spec.events is not None:
            return self._events(spec.events, spec.prefix)
        wanted = spec.tags if isinstance(spec, OpcUaInput) else None
        names = list(self.config.data_mapping) if wanted is None else wanted
        if not names:
            raise ConfigError(
                f"{self.name}: nothing to subscribe to",
                hint="list 'tags' in the input, or nodes in data_mapping",
            )
        return self._source([self._point(name, spec.prefix) for name in dict.fromkeys(names)])

    def _source(self, points: Sequence[Point]) -> OpcUaSource:
        return OpcUaSource(self._sessions(), points, self.config.subscription)

    def _events(self, nodes: Sequence[str], prefix: str = "") -> EventSource:
        meant = {node: SERVER if node == "server" else self._point(node).node for node in nodes}
        points = [Point(tag=prefix, text=text, node=node) for text, node in meant.items()]
        return EventSource(self._sessions(), points, self.config.subscription)

    def _sessions(self) -> Sessions:
        return Sessions(
            name=self.name,
            directory=self._directory,
            tags=self.context.tags,
            current=self._current,
            ask=self._ask,
        )


async def _some(nodes: AsyncIterator[Met]) -> list[Met]:
    """The next nodes of a walk, none at its end."""
    met: list[Met] = []
    while len(met) < _DESCRIBED_AT_ONCE and (one := await anext(nodes, None)) is not None:
        met.append(one)
    return met


class SyncSubscription(Blocking[Subscription]):
    """The blocking face of `Subscription`: same calls, without `await`."""

    close = blocking(Subscription.close)
    unsubscribe = blocking(Subscription.unsubscribe)

    @property
    def active(self) -> bool:
        """Whether values may still come."""
        return self.aio.active


class SyncOPCUAConnector(Blocking[OPCUAConnector]):
    """The blocking face of `OPCUAConnector`: same calls, without `await`.

    Callbacks run on a thread of their own, one at a time, and may call the connector.
    """

    def __init__(
        self,
        config: OpcUaConfig | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(OPCUAConnector(config, name=name, pool=pool, context=context))

    connect = blocking(OPCUAConnector.connect)
    close = blocking(OPCUAConnector.close)
    check = blocking(OPCUAConnector.check)
    set_timeout = plain(OPCUAConnector.set_timeout)
    read = blocking(OPCUAConnector.read)
    read_value = blocking(OPCUAConnector.read_value)
    read_values = blocking(OPCUAConnector.read_values)
    read_values_batch = blocking(OPCUAConnector.read_values_batch)
    history = iterating(OPCUAConnector.history)
    write = blocking(OPCUAConnector.write)
    write_value = blocking(OPCUAConnector.write_value)
    write_values = blocking(OPCUAConnector.write_values)
    call_method = blocking(OPCUAConnector.call_method)
    browse = iterating(OPCUAConnector.browse)
    browse_nodes = blocking(OPCUAConnector.browse_nodes)

    @wraps(OPCUAConnector.subscribe)
    def subscribe(  # noqa: D102 (the twin's)
        self, nodes: Sequence[str], callback: Callback
    ) -> SyncSubscription:
        subscribing = self.aio.subscribe(nodes, on_callback_thread(callback))
        return SyncSubscription(portal().run(subscribing))

    @wraps(OPCUAConnector.subscribe_events)
    def subscribe_events(  # noqa: D102 (the twin's)
        self, callback: Callback, nodes: Sequence[str] = ("server",)
    ) -> SyncSubscription:
        subscribing = self.aio.subscribe_events(on_callback_thread(callback), nodes)
        return SyncSubscription(portal().run(subscribing))
