"""A callback that gets the messages of some topics, one after the other."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.route import Route

log = logging.getLogger("gl002.mqtt")

_PATIENCE = 1.0  # seconds a cancelled callback may take to end


class Subscription:
    """Hands messages to a callback and acknowledges each when the callback has returned.

    A callback that raises has had its message: the error is logged, and the next one follows.

    Args:
        route: whose messages.
        callback: plain or coroutine function; a plain one holds up the event loop while it runs.
        qos: to subscribe with.
        then: called each time it has been subscribed, also after an outage.

    Attributes:
        session: number of the connection it is subscribed on.
    """

    def __init__(
        self,
        route: Route,
        callback: Callable[[Message], Any],
        qos: int,
        then: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.route = route
        self.qos = qos
        self.then = then
        self.session = 0
        self._callback = callback
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to hand over."""
        self._task = asyncio.create_task(self._hand_over(), name="gl002-mqtt-callback")

    async def end(self) -> None:
        """Hand over no more; a callback may end its own subscription."""
        self._ended = True
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task], timeout=_PATIENCE)

    async def _hand_over(self) -> None:
        while not self._ended:
            for message in list(await self.route.take(through_outages=True)):
                await self._hand(message)
                self.route.done(message)
                if self._ended:
                    return

    async def _hand(self, message: Message) -> None:
        try:
            outcome = self._callback(message)
            if inspect.isawaitable(outcome):
                await outcome
        except Exception:
            log.exception("the callback for '%s' raised", message.topic)
