"""Requests over MQTT whose answers come on other topics, known by a token in them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from gl002.errors import Busy
from gl002.transport.mqtt.message import Message
from gl002.transport.mqtt.session import MQTTSession
from gl002.transport.mqtt.subscription import Subscription


class Replies:
    """Who waits for which answer.

    Args:
        filters: topic filters under which answers come.
        token: of an answer, None where it has none; may raise what a bad payload raises.
        service: what answers, for messages.
        hint: what to look at when it is silent.

    Attributes:
        subscription: to the filters; None before the first request.
    """

    def __init__(
        self,
        filters: Sequence[str],
        token: Callable[[Message], str | None],
        *,
        service: str,
        hint: str,
    ) -> None:
        self.filters = tuple(filters)
        self.subscription: Subscription | None = None
        self._token = token
        self._service = service
        self._hint = hint
        self._waiting: dict[str, asyncio.Future[Message]] = {}

    @contextmanager
    def expected(self, token: str) -> Iterator[asyncio.Future[Message]]:
        """The future answer to a request with this token."""
        answer: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[token] = answer
        try:
            yield answer
        finally:
            del self._waiting[token]

    def arrived(self, message: Message) -> None:
        """An answer came; one that nobody waits for, such as that to another client, is none."""
        answer = self._waiting.get(self._token(message) or "")
        if answer is not None and not answer.done():
            answer.set_result(message)

    async def received(
        self, answer: asyncio.Future[Message], session: MQTTSession, *, within: float
    ) -> Message:
        """Wait for an answer as long as the connection lives.

        Args:
            answer: as `expected` gave it.
            session: that the request went over; the broker has taken it.
            within: seconds that are left.

        Raises:
            Busy: none came in time, though the broker took the request.
            ConnectFailed: the connection was lost; whether the request was carried out is unknown.
        """
        lost = asyncio.ensure_future(session.until_lost())
        lost.add_done_callback(lambda task: task.cancelled() or task.exception())
        try:
            both: set[asyncio.Future[Any]] = {answer, lost}
            await asyncio.wait(both, timeout=within, return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
            if lost.done():
                lost.result()
        finally:
            lost.cancel()
        raise Busy(f"{self._service} has not answered in time", hint=self._hint)
