"""A subscription that outlives sessions: values keep coming whatever the server does."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Self, TypeAlias

from gl002.errors import GL002Error, Untrusted
from gl002.model import Batch, Sample
from gl002.retry import RetryPolicy
from gl002.transport.opc_ua.events import EventSource
from gl002.transport.opc_ua.source import OpcUaSource

Callback: TypeAlias = Callable[[Sample], Awaitable[object] | object]
"""Called with each sample, in order. A plain one must not block; a coroutine is awaited."""

_RECONNECT = RetryPolicy(max_attempts=None, first=0.25, most=2.0)
_NEEDS_A_HUMAN = 15.0  # seconds between tries where trying again rarely helps

log = logging.getLogger("gl002.opc_ua")


class Subscription:
    """Feeds a callback until it is closed; made by `OPCUAConnector.subscribe`.

    While there is no session the callback gets nothing; then it gets the current values. An error
    that the callback raises is logged and changes nothing for the values after it.
    """

    def __init__(
        self,
        source: OpcUaSource | EventSource,
        callback: Callback,
        on_close: Callable[[Subscription], None],
    ) -> None:
        self._source = source
        self._callback = callback
        self._on_close = on_close
        self._task: asyncio.Task[None] | None = None
        self._closed = False

    @property
    def active(self) -> bool:
        """Whether values may still come."""
        return self._task is not None and not self._closed

    async def start(self) -> None:
        """Subscribe, and keep it so.

        Raises:
            GL002Error: the first attempt failed; nothing was started.
        """
        await self._source.start()
        self._task = asyncio.create_task(
            self._keep(), name=f"gl002-{self._source.name}-subscription"
        )

    async def close(self) -> None:
        """End it; safe to call twice. A callback under way is cancelled."""
        self._closed = True
        task, self._task = self._task, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()
            await asyncio.wait([task])
        await self._source.close()
        self._on_close(self)

    async def unsubscribe(self) -> None:
        """The same as `close`."""
        await self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _keep(self) -> None:
        delays = _RECONNECT.delays()
        while not self._closed:  # a callback may close it
            try:
                async with self._source.open() as batches:
                    async for batch in batches:
                        delays = _RECONNECT.delays()
                        await self._deliver(batch)
                        if self._closed:
                            return
            except GL002Error as error:
                wait = _wait_after(error, delays)
                log.debug("%s: %s; again in %.1f s", self._source.name, error, wait)
                await asyncio.sleep(wait)

    async def _deliver(self, batch: Batch) -> None:
        for sample in batch:
            if self._closed:
                return
            try:
                result = self._callback(sample)
                if inspect.isawaitable(result):
                    await result
            except Exception:
                log.exception("%s: the callback failed for %s", self._source.name, sample.tag)


def _wait_after(error: GL002Error, delays: Iterator[float]) -> float:
    if isinstance(error, Untrusted):  # it is trusted here, and then values are waited for
        return _RECONNECT.most
    return next(delays) if RetryPolicy.worth_it(error) else _NEEDS_A_HUMAN
