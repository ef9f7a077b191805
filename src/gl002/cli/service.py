"""A gateway as a service in this process: with its dashboard, until it is told to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

from gl002.cli.output import say
from gl002.config.load import load
from gl002.errors import ConfigError, GL002Error
from gl002.flow.gateway import Gateway

_FORCE_AFTER = 2  # signals


def run_until_stopped(main: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine on the fastest loop there is."""
    factory = None
    if find_spec("uvloop") is not None:
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main)


async def serve(
    gateway: Gateway,
    *,
    beside: Callable[[], Awaitable[None]] | None = None,
    announce: Callable[[str], None] = say,
) -> None:
    """Run the gateway and its dashboard until SIGINT or SIGTERM; a second signal does not wait.

    SIGHUP makes it read its configuration again.

    Args:
        gateway: built, not running.
        beside: runs at the same time, such as a live table; is cancelled at the end, and its
            own end stops the gateway.
        announce: told the dashboard's URL.
    """
    loop = asyncio.get_running_loop()
    running = asyncio.ensure_future(gateway.run())
    signals = _Signals(gateway, running)
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, signals.received)
    loop.add_signal_handler(signal.SIGHUP, signals.reload)
    helpers = [asyncio.ensure_future(work) for work in _beside(gateway, announce)]
    if beside is not None:
        helpers.append(asyncio.ensure_future(beside()))
        helpers[-1].add_done_callback(lambda _: gateway.stop())
    try:
        await running
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.remove_signal_handler(number)
        for helper in helpers:
            helper.cancel()
        outcomes = await asyncio.gather(*helpers, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome


class _Signals:
    """The first signal to stop stops the gateway in good order, the second at once."""

    def __init__(self, gateway: Gateway, running: asyncio.Future[None]) -> None:
        self._gateway = gateway
        self._running = running
        self._count = 0
        self._reloading: set[asyncio.Task[None]] = set()

    def reload(self) -> None:
        task = asyncio.create_task(_read_again(self._gateway), name="gl002-reload")
        self._reloading.add(task)
        task.add_done_callback(self._reloading.discard)

    def received(self) -> None:
        self._count += 1
        if self._count < _FORCE_AFTER:
            say("stopping: what is accepted is being delivered; once more to stop at once")
            self._gateway.stop()
        else:
            self._running.cancel()


async def _read_again(gateway: Gateway) -> None:
    """Take up the configuration as it is in its file now, or say why not."""
    try:
        config = await asyncio.to_thread(load, gateway.config.file)
    except ConfigError as error:
        gateway.refuse_reload(error)
        return
    with suppress(GL002Error):  # in the log and in the status
        await gateway.reload(config)


def _beside(gateway: Gateway, announce: Callable[[str], None]) -> list[Awaitable[None]]:
    settings = gateway.config.sections.web
    if not settings.enabled:
        return []
    if find_spec("fastapi") is None:
        say('no dashboard: pip install "gl002[web]"')
        return []
    from gl002.web.server import keep_serving

    return [_reported(keep_serving(gateway, settings, ready=announce))]


async def _reported(work: Awaitable[None]) -> None:
    """A dashboard that can never start is said, and harms nothing else."""
    from gl002.errors import GL002Error

    try:
        await work
    except GL002Error as error:
        say(f"no dashboard: {error}")
