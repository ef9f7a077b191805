"""Publish requests of one session, and the notifications they bring (OPC 10000-4, 5.14.5).

A server sends a notification only as the answer to a publish request, so some are always under
way. They are the session's, not a subscription's: whatever comes is handed to the inbox of the
subscription it belongs to. While an inbox is full no further request is sent, and the server
queues, up to the size that was agreed for each node.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

from gl002.model import Value
from gl002.transport.opc_ua.values import nanoseconds, single, unpacked
from gl002.wire.opc_ua import Change, Published, decode_publish

_AHEAD = 8  # messages an inbox holds before the server has to wait
_MOST_REQUESTS = 10  # publish requests under way
PUNCTUAL = 0.25
"""Seconds a time-out is late at most where it was not we who stood still."""


class Inbox:
    """Messages of one subscription that have come and are not yet taken.

    Args:
        subscription: its id.
        patience: seconds without any message, keep-alives included, after which it counts as dead.
    """

    def __init__(self, subscription: int, patience: float) -> None:
        self.subscription = subscription
        self.patience = patience
        self.room = asyncio.Event()
        self.room.set()
        self._messages: deque[Published] = deque()
        self._news = asyncio.Event()
        self._heard = time.monotonic()
        self._failure: BaseException | None = None

    def put(self, published: Published) -> None:
        """Add what came."""
        self._heard = time.monotonic()
        self._messages.append(published)
        self._news.set()
        if len(self._messages) >= _AHEAD:
            self.room.clear()

    def fail(self, error: BaseException) -> None:
        """Nothing more will come; `take` raises this after what is still there."""
        self._failure = self._failure or error
        self._news.set()

    @property
    def waiting(self) -> bool:
        """Whether `take` would answer at once."""
        return bool(self._messages) or self._failure is not None

    async def take(self) -> Published:
        """The next message.

        Raises:
            TimeoutError: nothing came for as long as `patience`.
            Exception: why nothing more can come.
        """
        while not self._messages:
            if self._failure is not None:
                raise self._failure
            self._news.clear()
            deadline = self._heard + self.patience
            try:
                async with asyncio.timeout(deadline - time.monotonic()):
                    await self._news.wait()
            except TimeoutError:
                if time.monotonic() - deadline < PUNCTUAL:
                    raise
                self._heard = time.monotonic()  # what came meanwhile is still to be read
        message = self._messages.popleft()
        if not self.room.is_set():
            self._heard = time.monotonic()  # until now the server was not asked for more
            self.room.set()
        return message


class Publisher:
    """Keeps publish requests under way while there are subscriptions.

    Attributes:
        heard: when the last answer came, by the monotonic clock.
    """

    def __init__(self, client: Any) -> None:
        self.heard = 0.0
        self._client = client
        self._inboxes: dict[int, Inbox] = {}
        self._received: list[Any] = []  # acknowledgements to send with the next request
        self._requests: set[asyncio.Task[None]] = set()

    @property
    def active(self) -> bool:
        """Whether there is a subscription."""
        return bool(self._inboxes)

    def add(self, inbox: Inbox) -> None:
        """Hand on the messages of a subscription from now on."""
        self._inboxes[inbox.subscription] = inbox
        while len(self._requests) < min(len(self._inboxes) + 1, _MOST_REQUESTS):
            task = asyncio.create_task(self._keep_asking(), name="gl002-opc_ua-publish")
            self._requests.add(task)
            task.add_done_callback(self._requests.discard)

    def remove(self, inbox: Inbox) -> None:
        """Forget a subscription; requests without any are answered by the server and end."""
        self._inboxes.pop(inbox.subscription, None)
        inbox.room.set()

    async def close(self) -> None:
        """End every request; the subscriptions get nothing more."""
        for inbox in self._inboxes.values():
            inbox.fail(ConnectionError("the session was closed"))
        requests = list(self._requests)
        for task in requests:
            task.cancel()
        if requests:
            await asyncio.wait(requests)

    async def _keep_asking(self) -> None:
        from asyncua.ua.uaerrors import BadNoSubscription, BadTooManyPublishRequests

        while self._inboxes:
            for inbox in list(self._inboxes.values()):
                await inbox.room.wait()
            meant = list(self._inboxes.values())
            try:
                self._hand_on(await self._ask())
            except BadTooManyPublishRequests as error:
                if len(self._requests) > 1:
                    return
                self._fail(meant, error)
            except BadNoSubscription as error:
                self._fail(meant, error)
            except Exception as error:  # noqa: BLE001 (the subscriptions tell it to their readers)
                self._fail(list(self._inboxes.values()), error)

    def _fail(self, inboxes: list[Inbox], error: Exception) -> None:
        for inbox in inboxes:
            inbox.fail(error)
            if self._inboxes.get(inbox.subscription) is inbox:
                del self._inboxes[inbox.subscription]

    def _hand_on(self, published: Published) -> None:
        from asyncua import ua

        self.heard = time.monotonic()
        if not published.keep_alive:
            self._received.append(
                ua.SubscriptionAcknowledgement(published.subscription, published.sequence)
            )
        inbox = self._inboxes.get(published.subscription)
        if inbox is not None:
            inbox.put(published)

    async def _ask(self) -> Published:
        from asyncua import ua

        if self._client.uaclient.protocol is None:
            raise ConnectionError("the connection is closed")
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = self._received
        self._received = []
        answer = await self._client.uaclient.protocol.send_request(request, timeout=0)
        return decode_publish(bytes(answer)) or _decode_by_driver(answer)


def _decode_by_driver(answer: Any) -> Published:
    """What the fast decoder leaves: arrays, times, structures, diagnostics."""
    from asyncua import ua
    from asyncua.ua.ua_binary import struct_from_binary

    response = struct_from_binary(ua.PublishResponse, answer)
    response.ResponseHeader.ServiceResult.check()
    message = response.Parameters.NotificationMessage
    changes: list[Change] = []
    events: list[tuple[int, list[object]]] = []
    status = None
    for part in message.NotificationData or ():
        if isinstance(part, ua.DataChangeNotification):
            changes += [(item.ClientHandle, *_single(item.Value)) for item in part.MonitoredItems]
        elif isinstance(part, ua.EventNotificationList):
            events += [
                (event.ClientHandle, [_field(v) for v in event.EventFields or ()])
                for event in part.Events
            ]
        elif isinstance(part, ua.StatusChangeNotification):
            status = part.Status.value
    return Published(
        subscription=response.Parameters.SubscriptionId,
        sequence=message.SequenceNumber,
        time=nanoseconds(message.PublishTime),
        changes=changes,
        status=status,
        keep_alive=not message.NotificationData,
        events=events,
    )


def _field(variant: Any) -> object:
    return variant.Value if variant is not None else None


def _single(data: Any) -> tuple[Value, int, int, int]:
    value, status, source, server = unpacked(data)
    return *single(value, status), source, server
