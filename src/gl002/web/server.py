"""Serves the API and the dashboard beside a running gateway, in the same event loop.

async with asyncio.TaskGroup() as tasks:
    tasks.create_task(gateway.run())
    tasks.create_task(serve(gateway, config.sections.web, ready=print))
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

from gl002.config.sections import WebSettings
from gl002.errors import ConnectFailed, require
from gl002.flow.gateway import Gateway
from gl002.web.access import published


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
    require("fastapi", extra="web")
    require("uvicorn", extra="web")
    from gl002.web.http import serve_on  # half a second: before there is work to disturb

    await gateway.started()
    with (
        _listener(settings) as listener,
        published(gateway.context.state_dir, _url(listener)) as access,
    ):
        await serve_on(listener, gateway, access, ready)


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
