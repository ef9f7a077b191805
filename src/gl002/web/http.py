"""The HTTP server: uvicorn, told to leave signals, logging and the event loop to others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from gl002.flow.gateway import Gateway
from gl002.web.access import Access
from gl002.web.app import application
from gl002.web.connections import Connection
from gl002.web.permission import Sessions
from gl002.web.pulse import Pulse

log = logging.getLogger("gl002.web")

_BACKLOG: Final = 250  # connections taken in a row; fewer than there are places for
_HEADER_BYTES: Final = 16 * 1024
_GOODBYE: Final = 2  # seconds that requests under way may take when serving ends


async def serve_on(
    listener: socket.socket,
    gateway: Gateway,
    access: Access,
    ready: Callable[[str], None] | None,
) -> None:
    """Serve a gateway that has started, until cancelled.

    Args:
        listener: listens already.
        gateway: what is shown.
        access: what is said to those who want in.
        ready: told the address for a browser.
    """
    pulse = Pulse(gateway)
    sessions = Sessions(access.token, cookie=f"gl002_{listener.getsockname()[1]}")
    http = HttpServer(application(gateway, pulse, sessions))
    beating = asyncio.create_task(pulse.run(), name="gl002-pulse")
    serving = asyncio.create_task(http.serve([listener]), name="gl002-web")
    try:
        log.info("dashboard and API: %s", access.url)
        if ready is not None:
            ready(access.browser_url())  # whoever calls at once waits in the socket's queue
        await asyncio.wait([serving])  # not awaited itself: our end is not to cut it short
        serving.result()
    finally:
        pulse.stop()
        beating.cancel()
        await http.end(serving)


class HttpServer(uvicorn.Server):
    """Serves one application on sockets it is given.

    Args:
        app: answers the requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                http=Connection,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="warning",
                access_log=False,  # an address may hold the token
                proxy_headers=False,  # nobody in front is trusted to say who asks
                server_header=False,
                backlog=_BACKLOG,
                timeout_graceful_shutdown=2 * _GOODBYE,  # `end` is sooner, and quieter
                h11_max_incomplete_event_size=_HEADER_BYTES,
            )
        )

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals belong to whoever runs the gateway."""
        yield

    async def end(self, serving: asyncio.Task[None]) -> None:
        """Finish what is under way, for a short time, and cut off who does not listen.

        Args:
            serving: the task that runs `serve`.
        """
        self.should_exit = True
        await asyncio.wait([serving], timeout=_GOODBYE)
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.wait([serving], timeout=_GOODBYE)
        serving.cancel()
