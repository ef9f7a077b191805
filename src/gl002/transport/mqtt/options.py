"""How to connect to a broker."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from gl002.security.network import Endpoint
from gl002.security.secrets import Secret

WHEN_REFUSED = "check username, password, client_id and certificate"
Version: TypeAlias = Literal["5", "3.1.1"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    """What the broker publishes for us when the connection ends without a goodbye."""

    topic: str
    payload: bytes
    qos: int = 1
    retain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """What one connection is opened with.

    Attributes:
        endpoint: the broker.
        broker: which of several that are tried in turn, '' for the only one: what is remembered
            of one says nothing of another.
        client_id: our name; a broker closes the older of two connections that have the same.
        version: of MQTT.
        username: '' for none.
        password: None for none.
        account: the password is that of a user, which trying a wrong one may lock; no token.
        tls: how to verify the broker; None for a plain connection.
        server_name: to expect in its certificate.
        path: of a WebSocket, '/mqtt'; '' for none.
        keepalive: seconds of silence before it is asked whether it is still there.
        clean_start: forget what an earlier session left: subscriptions, messages not delivered.
        session_expiry: seconds the broker keeps the session after the connection has ended
            (MQTT 5; in 3.1.1 it is kept for ever unless `clean_start`).
        receive_maximum: messages it may send before the first of them is acknowledged (MQTT 5).
        in_flight: messages we send before the first of them is acknowledged, at most.
        will: makes what the broker is to publish when we are gone, for a CONNECT that is about to
            be sent, so that what it counts or dates is that of this connection; None for nothing.
        will_at_goodbye: it is to do so also when we say goodbye (MQTT 5).
        renew_after: seconds after which the session is opened anew with fresh options, such as a
            password that is about to expire; None for never.
        when_refused: what to look at when the other side does not accept our credentials.
        when_closed: what to look at when the other side hangs up before it has accepted us.
        when_busy: what to do when it wants fewer messages.
    """

    endpoint: Endpoint
    client_id: str
    version: Version
    broker: str = ""
    username: str = ""
    password: Secret | None = None
    account: bool = False
    tls: ssl.SSLContext | None = None
    server_name: str = ""
    path: str = ""
    keepalive: int = 10
    clean_start: bool = True
    session_expiry: int = 0
    receive_maximum: int = 500
    in_flight: int = 100
    will: Callable[[], Will] | None = None
    will_at_goodbye: bool = False
    renew_after: float | None = None
    when_refused: str = WHEN_REFUSED
    when_closed: str = (
        "if that port speaks TLS, add a 'tls:' block; an old broker may need protocol: '3.1.1'"
    )
    when_busy: str = "it wants fewer messages: a longer interval, or a deadband"
