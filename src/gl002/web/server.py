"""Serves the API and the dashboard beside a running gateway, in the same event loop.

async with asyncio.TaskGroup() as tasks:
    tasks.create_task(gateway.run())
    tasks.create_task(keep_serving(gateway, config.sections.web, ready=print))
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress

from gl002.config.sections import WebSettings
from gl002.errors import ConnectFailed, require
from gl002.flow.gateway import Gateway
from gl002.retry import FOREVER
from gl002.web.access import excused, published

log = logging.getLogger("gl002.web")


async def keep_serving(
    gateway: Gateway,
    settings: WebSettings,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until cancelled; where that cannot be done now, try again, half a minute apart at most.

    Why it cannot be done stands in the log, once, and in the state folder for `gl002 top`.

    Args:
        gateway: as `serve`.
        settings: as `serve`.
        ready: as `serve`; told each time serving begins.

    Raises:
        MissingDependency: the extra 'web' is not installed.
    """
    _installed()
    said, delays = "", FOREVER.delays()

    def begun(url: str) -> None:
        nonlocal said, delays
        said, delays = "", FOREVER.delays()
        if ready is not None:
            ready(url)

    while True:
        try:
            return await serve(gateway, settings, ready=begun)
        except ConnectFailed as error:
            trouble = str(error)
            if trouble != said:
                log.warning("no dashboard yet, trying again: %s", trouble)
        except Exception:
            trouble = "a fault in the gateway (its log says more)"
            log.exception("a fault in the dashboard; starting it again")
        said = trouble
        with _known_to_others(gateway, trouble):
            await asyncio.sleep(next(delays))


@contextmanager
def _known_to_others(gateway: Gateway, trouble: str) -> Iterator[None]:
    """The state folder says it, where it can."""
    with ExitStack() as folder:
        with suppress(ConnectFailed):
            folder.enter_context(excused(gateway.context.state_dir, trouble))
        yield


async def serve(
    gateway: Gateway,
    settings: WebSettings,
    *,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until cancelled; then end within a few seconds, whoever is still connected.

    Waits for the gateway to start first, and goes on answering while it stops.

    Args:
        gateway: what is shown; runs in the same event loop.
        settings: host and port.
        ready: told the address for a browser, with the token in it, once it answers.

    Raises:
        ConnectFailed: the port is taken, or another gateway serves the same state folder.
        MissingDependency: the extra 'web' is not installed.
    """
    _installed()
    from gl002.web.http import serve_on  # half a second: before there is work to disturb

    await gateway.started()
    with (
        _listener(settings) as listener,
        published(gateway.context.state_dir, _url(listener)) as access,
    ):
        await serve_on(listener, gateway, access, ready)


def _installed() -> None:
    require("fastapi", extra="web")
    require("uvicorn", extra="web")


def _listener(settings: WebSettings) -> socket.socket:
    """The listening socket."""
    try:
        family, *_, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM
        )[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen()
        except OSError:
            listener.close()
            raise
    except OSError as error:
        where, hint = f"{settings.host}:{settings.port}", "choose another web.port"
        if error.errno == errno.EADDRINUSE:
            raise ConnectFailed(
                f"{where}: another program listens there", hint=f"stop it, or {hint}"
            ) from None
        raise ConnectFailed(f"{where}: {error.strerror or error}", hint=hint) from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
