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

from collections.abc import Mapping, Sequence
from functools import partial, wraps
from typing import Any

from gl002.bridge import Blocking, blocking, iterating, on_callback_thread, plain, portal
from gl002.connector import Found
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, RequestFailed, RequestTimeout, TagNotFound
from gl002.model import Value
from gl002.pool import ConnectionPool
from gl002.session import before_sending
from gl002.transport.opc_ua.calling import Argument, acknowledge, call
from gl002.transport.opc_ua.client import OpcUaClient
from gl002.transport.opc_ua.events import SERVER, EventSource, conditions
from gl002.transport.opc_ua.settings import OpcUaConfig
from gl002.transport.opc_ua.source import OpcUaSource
from gl002.transport.opc_ua.subscription import Callback, Subscription
from gl002.transport.opc_ua.values import Plain
from gl002.wire.opc_ua import looks_like_node


class OPCUAConnector(OpcUaClient):
    """A session with one OPC UA server."""

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
        await self.write(node, value)

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
        with before_sending():
            session = await self._current()
            owner: Any = await self._node(session, self._point(node))
            found: Any = method
            if looks_like_node(method):
                found = await self._node(session, self._point(method))
        return await call(session, owner, found, arguments, f"{self.name}: {node} {method}")

    async def acknowledge(self, alarm: str, comment: str) -> None:
        """Acknowledge an alarm at the server; audited as a write, and never repeated by itself.

        Args:
            alarm: as it is told, 'Boiler1.PressureAlarm'.
            comment: who has seen it and what they do about it; the server keeps it.

        Raises:
            TagNotFound: the server tells of no such alarm now; names those of which it does.
            RequestFailed: it is acknowledged already, or the server refused.
        """
        request = partial(self._acknowledge_now, alarm, comment)
        await self._write_to_plant(request, address=f"{alarm} Acknowledge()", value=comment)

    async def _acknowledge_now(self, alarm: str, comment: str) -> None:
        with before_sending():
            session = await self._current()
            server = self._directory.node_id(session, SERVER)
            found = await conditions(session, self.config.subscription, server)
            if alarm not in found:
                raise TagNotFound(
                    f"{self.name}: the server tells of no alarm '{alarm}' now",
                    hint=f"it tells of: {', '.join(sorted(found)) or 'none'}",
                )
            if found[alarm].event.acked:
                raise RequestFailed(f"{self.name}: alarm '{alarm}' is acknowledged already")
        await acknowledge(session, found[alarm], comment, f"{self.name}: acknowledge {alarm}")

    # ---- browsing ---------------------------------------------------------------------------

    async def browse_nodes(self, node: str = "") -> list[Found]:
        """What lies directly below a node; below the Objects folder where none is given."""
        return [found async for found in self.browse(node)]

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
    try_at_once = plain(OPCUAConnector.try_at_once)
    read = blocking(OPCUAConnector.read)
    read_value = blocking(OPCUAConnector.read_value)
    read_values = blocking(OPCUAConnector.read_values)
    read_values_batch = blocking(OPCUAConnector.read_values_batch)
    history = iterating(OPCUAConnector.history)
    write = blocking(OPCUAConnector.write)
    write_value = blocking(OPCUAConnector.write_value)
    write_values = blocking(OPCUAConnector.write_values)
    call_method = blocking(OPCUAConnector.call_method)
    acknowledge = blocking(OPCUAConnector.acknowledge)
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
