"""aiohttp's connections, made on sockets that the network has dialled.

The check of the allowlist lies below everything that can change the address: name resolution,
redirects and literal addresses all come through here, and the address that was checked is the
address that is used.
"""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

from gl002.security.network import Endpoint, Network
from gl002.security.tls import explained

if TYPE_CHECKING:
    from aiohttp import BaseConnector

_KEPT_IDLE = 10.0  # seconds; servers close an idle connection after 5 s to 75 s
_GOODBYE = 1.0  # seconds a TLS connection may take to close


def connections(
    network: Network, *, tls: ssl.SSLContext | None, server_name: str | None, most: int
) -> BaseConnector:
    """A pool of connections.

    Args:
        network: dials.
        tls: context of https; None where only http is spoken.
        server_name: to expect in the certificate; the host where None.
        most: connections at once.
    """
    from aiohttp import BaseConnector, ClientRequest, ClientTimeout
    from aiohttp.client_proto import ResponseHandler

    class Dialled(BaseConnector):
        """The one method that aiohttp's own connectors differ in."""

        async def _create_connection(
            self,
            req: ClientRequest,
            traces: object,
            timeout: ClientTimeout,  # noqa: ASYNC109 (aiohttp's)
        ) -> ResponseHandler:
            url = req.url
            endpoint = Endpoint(str(url.host), int(url.port or 0))
            sock = await network.dial(endpoint, timeout=timeout.sock_connect or _KEPT_IDLE)
            secure = url.scheme == "https"
            try:
                _, protocol = await self._loop.create_connection(
                    self._factory,
                    sock=sock,
                    ssl=tls if secure else None,
                    server_hostname=(server_name or endpoint.host) if secure else None,
                    ssl_shutdown_timeout=_GOODBYE if secure else None,
                )
            except OSError as error:
                sock.close()
                raise explained(error, endpoint) from error
            except BaseException:
                sock.close()
                raise
            return protocol

    return Dialled(limit=most, keepalive_timeout=_KEPT_IDLE)
