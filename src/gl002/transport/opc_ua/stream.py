"""One subscription on one session: monitored items, and the messages about them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Self

from gl002.errors import ConnectFailed
from gl002.transport.opc_ua.failures import status_name
from gl002.transport.opc_ua.publishing import Inbox
from gl002.transport.opc_ua.session import Session
from gl002.transport.opc_ua.settings import SubscriptionSettings
from gl002.wire.opc_ua import Published

_SLACK = 1.0  # seconds a message may be late beyond two keep-alives
_FAREWELL = 0.5  # seconds to tell the server that we are done
_LAST_SEQUENCE = 0xFFFF_FFFF  # after it comes 1 (OPC 10000-4, 7.38)


class Item(NamedTuple):
    """What to watch.

    Attributes:
        node: the driver's node id.
        filter: the driver's: which changes to report, or which fields of events.
        events: whether to watch for its events instead of its value.
    """

    node: Any
    filter: Any = None
    events: bool = False


class Stream:
    """A subscription that lives as long as its session.

    Attributes:
        interval: seconds between two messages, as the server agreed.
        subscription: the server's id of it.
    """

    def __init__(self, session: Session, settings: SubscriptionSettings, granted: Any) -> None:
        self.interval = float(granted.RevisedPublishingInterval) / 1000
        self._session = session
        self._settings = settings
        self._sequence = 0
        self._items: dict[int, int] = {}  # handle -> the server's id of what watches it
        silence = 2 * self.interval * int(granted.RevisedMaxKeepAliveCount)
        self.subscription = int(granted.SubscriptionId)
        self._inbox = Inbox(self.subscription, silence + _SLACK)
        session.publisher.add(self._inbox)

    @classmethod
    async def open(cls, session: Session, settings: SubscriptionSettings) -> Self:
        """Create the subscription; it has no items yet."""
        from asyncua import ua
        from asyncua.ua.ua_binary import struct_from_binary

        request = ua.CreateSubscriptionRequest()
        request.Parameters = ua.CreateSubscriptionParameters(
            RequestedPublishingInterval=settings.publishing_interval,
            RequestedLifetimeCount=settings.lifetime_count,
            RequestedMaxKeepAliveCount=settings.keepalive_count,
            MaxNotificationsPerPublish=settings.max_notifications,
            PublishingEnabled=True,
            Priority=settings.priority,
        )
        # not the driver's create_subscription: it would start publishing by itself
        answer = await session.ask(session.client.uaclient.protocol.send_request(request))
        response = struct_from_binary(ua.CreateSubscriptionResponse, answer)
        response.ResponseHeader.ServiceResult.check()
        return cls(session, settings, response.Parameters)

    async def add(self, items: Mapping[int, Item]) -> dict[int, int]:
        """Watch nodes, by the handle their values come with.

        Returns:
            Handle -> status code of those the server refused; the others are unharmed.
        """
        handles = list(items)
        results = await self._session.in_pieces(
            handles,
            self._session.limits.monitor,
            lambda piece: self._create({handle: items[handle] for handle in piece}),
        )
        refused = {}
        for handle, result in zip(handles, results, strict=True):
            if result.StatusCode.is_bad():
                refused[handle] = int(result.StatusCode.value)
            else:
                self._items[handle] = int(result.MonitoredItemId)
        return refused

    async def remove(self, handles: Iterable[int]) -> None:
        """Watch these no longer; nothing happens for one that is not watched."""
        from asyncua import ua

        items = [self._items.pop(handle) for handle in handles if handle in self._items]
        service = self._session.client.uaclient.session
        await self._session.in_pieces(
            items,
            self._session.limits.monitor,
            lambda piece: service.delete_monitored_items(
                ua.DeleteMonitoredItemsParameters(
                    SubscriptionId=self.subscription, MonitoredItemIds=list(piece)
                )
            ),
        )

    async def _create(self, items: Mapping[int, Item]) -> list[Any]:
        from asyncua import ua

        sampling = self._settings.sampling_interval
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = self.subscription
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        parameters.ItemsToCreate = [
            ua.MonitoredItemCreateRequest(
                ItemToMonitor=ua.ReadValueId(
                    NodeId=item.node,
                    AttributeId=ua.AttributeIds.EventNotifier
                    if item.events
                    else ua.AttributeIds.Value,
                ),
                MonitoringMode=ua.MonitoringMode.Reporting,
                RequestedParameters=ua.MonitoringParameters(
                    ClientHandle=handle,
                    SamplingInterval=-1 if sampling is None else sampling,  # -1: as it publishes
                    Filter=item.filter,
                    QueueSize=self._settings.queue_size,
                    DiscardOldest=True,
                ),
            )
            for handle, item in items.items()
        ]
        return list(await self._session.client.uaclient.session.create_monitored_items(parameters))

    @property
    def waiting(self) -> bool:
        """Whether a message has come that was not taken yet, or none can come any more."""
        return self._inbox.waiting

    async def take(self) -> tuple[Published, int]:
        """The next message, keep-alives included, and how many were lost before it.

        Raises:
            ConnectFailed: the server ended the subscription, or is silent for two keep-alives.
        """
        where = self._session.where
        try:
            message = await self._inbox.take()
        except TimeoutError:
            raise ConnectFailed(
                f"{where}: no notification for {self._inbox.patience:g} s",
                hint="the server promised a sign of life in half that time",
            ) from None
        if message.status is not None and message.status >> 31:
            raise ConnectFailed(
                f"{where}: the server ended the subscription: {status_name(message.status)}"
            )
        return message, self._lost_before(message)

    def _lost_before(self, message: Published) -> int:
        """Messages are numbered without gaps; a keep-alive has the number of the next one."""
        expected = self._sequence % _LAST_SEQUENCE + 1
        lost = (message.sequence - expected) % _LAST_SEQUENCE if self._sequence else 0
        self._sequence = message.sequence - 1 if message.keep_alive else message.sequence
        return lost

    async def close(self) -> None:
        """End the subscription, politely where the session still stands; never raises."""
        self._session.publisher.remove(self._inbox)
        if self._session.failure is not None:
            return
        try:
            async with asyncio.timeout(_FAREWELL):
                await self._session.client.uaclient.delete_subscriptions([self.subscription])
        except Exception:  # noqa: BLE001, S110 (it ends with the session at the latest)
            pass
