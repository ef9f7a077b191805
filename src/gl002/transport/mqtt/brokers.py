"""How a broker is named: host, host:port, or a URL that also says how to get there.

>>> broker_of("mqtts://mqtt.broker.com").endpoint
Endpoint(host='mqtt.broker.com', port=8883)
>>> broker_of("wss://mqtt.broker.com").path
'/mqtt'
"""

from __future__ import annotations

from typing import NamedTuple

from gl002.security.network import Endpoint

PORT, TLS_PORT = 1883, 8883
WEBSOCKET_PORT, SECURE_WEBSOCKET_PORT = 80, 443
WEBSOCKET_PATH = "/mqtt"  # where brokers listen by custom; mosquitto takes any

_SCHEMES = {
    "": None, "mqtt": False, "tcp": False, "mqtts": True, "ssl": True, "tls": True,
    "ws": False, "wss": True,
}  # fmt: skip
_PORTS = {(False, False): PORT, (False, True): TLS_PORT,
          (True, False): WEBSOCKET_PORT, (True, True): SECURE_WEBSOCKET_PORT}  # fmt: skip


class Broker(NamedTuple):
    """One broker.

    Attributes:
        endpoint: host and port.
        secure: whether it is spoken to with TLS.
        path: of its WebSocket; '' for plain TCP.
    """

    endpoint: Endpoint
    secure: bool
    path: str


def broker_of(text: str, *, port: int | None = None, tls: bool = False) -> Broker:
    """A broker as the configuration names it.

    Args:
        text: host, 'host:port', or a URL with one of the schemes mqtt, mqtts, ws, wss.
        port: where the text has none; the custom of the scheme where absent.
        tls: whether there are TLS settings.

    Raises:
        ValueError: it is no such name, or contradicts `port` or `tls`.
    """
    scheme, slashes, rest = text.rpartition("://")
    if scheme not in _SCHEMES or (slashes and not scheme):
        raise ValueError(
            f"'{scheme}://' is no address of a broker: 'mqtt://', 'mqtts://', 'ws://' or 'wss://'"
        )
    in_websocket, wanted = scheme in {"ws", "wss"}, _SCHEMES[scheme]
    if "@" in rest:
        raise ValueError("broker holds a user: write it as username and password")
    if wanted is False and tls:
        raise ValueError(f"broker is '{scheme}://', which is plain, and there is a tls block")
    place, path = _parted(rest, in_websocket=in_websocket)
    given = Endpoint.of(place, 0)
    if given.port and port and given.port != port:
        raise ValueError(f"broker names port {given.port}, port is {port}: keep one")
    secure = tls or bool(wanted)
    number = given.port or port or _PORTS[in_websocket, secure]
    return Broker(Endpoint(given.host, number), secure, path)


def _parted(rest: str, *, in_websocket: bool) -> tuple[str, str]:
    """Host with port, and the path of a WebSocket."""
    if "#" in rest or not rest.isprintable() or " " in rest:
        raise ValueError("broker is no URL: spaces, '#' and control characters have no place in it")
    if in_websocket:
        place, slash, path = rest.partition("/")
        return place, slash + path if path else WEBSOCKET_PATH
    place = rest.rstrip("/")
    if "/" in place or "?" in place:
        raise ValueError("broker is a host, without a path, unless it is 'ws://' or 'wss://'")
    return place, ""
