"""Reason codes of a broker as our errors (MQTT 5.0, section 2.4). paho maps those of 3.1.1."""

from __future__ import annotations

from typing import Any

from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    DataError,
    GL002Error,
    PasswordRefused,
    RequestFailed,
)
from gl002.security.tls import explained
from gl002.transport.mqtt.options import SessionOptions
from gl002.transport.mqtt.stream import Stream

_PROTOCOL_ERROR = {0x81, 0x82}
_UNSUPPORTED_VERSION = 0x84
_NEED_A_PERSON = {0x85, 0x86, 0x87, 0x8A, 0x8C}  # client id, password, rights, ban, method
_WRONG_PASSWORD = {0x86, 0x87}  # brokers of 3.1.1 say 'not authorized' to a wrong one, too
_KEEP_ALIVE = 0x8D
_TAKEN_OVER = 0x8E
_PASSES = {0x96, 0x97}  # message rate, quota
_ABOUT_THE_MESSAGE = {0x90, 0x95, 0x99}  # topic name, size, payload format


class VersionRefused(ConnectFailed):
    """The broker does not speak this version of MQTT."""


def refused(options: SessionOptions, reason: Any) -> GL002Error:
    """CONNACK says no."""
    message = f"{options.endpoint}: the broker refuses the connection: {reason}"
    if reason.value == _UNSUPPORTED_VERSION:
        return VersionRefused(message, hint=f"it does not speak MQTT {options.version}")
    if reason.value in _WRONG_PASSWORD and options.account:
        return PasswordRefused(message, hint=options.when_refused)
    if reason.value in _NEED_A_PERSON:
        return AuthFailed(message, hint=options.when_refused)
    return ConnectFailed(message, hint=_advice(options, reason))


def ended(options: SessionOptions, reason: Any) -> GL002Error:
    """DISCONNECT from the broker."""
    where = str(options.endpoint)
    if reason.value == _TAKEN_OVER:
        return ConnectFailed(
            f"{where}: another client has connected as '{options.client_id}'",
            hint="give each client a client_id of its own",
        )
    kind = AuthFailed if reason.value in _NEED_A_PERSON else ConnectFailed
    hint = _advice(options, reason)
    return kind(f"{where}: the broker ends the connection: {reason}", hint=hint)


def broken(options: SessionOptions, reason: Any, stream: Stream, *, connected: bool) -> GL002Error:
    """The connection has ended without a word from the broker."""
    where = str(options.endpoint)
    if stream.trouble is None and reason.value == _KEEP_ALIVE:
        return ConnectFailed(f"{where}: the broker does not answer")
    if stream.trouble is None and reason.value in _PROTOCOL_ERROR:
        return ConnectFailed(f"{where}: what answers does not keep to MQTT {options.version}")
    error = explained(stream.trouble, options.endpoint)
    if connected and stream.trouble is None:
        error.hint = f"does another client use the client_id '{options.client_id}'?"
    elif not connected and not error.hint:
        error.hint = options.when_closed
    return error


def not_taken(options: SessionOptions, reason: Any) -> GL002Error:
    """PUBACK, PUBREC or PUBCOMP says no."""
    message = f"{options.endpoint}: the broker refuses the message: {reason}"
    if reason.value in _ABOUT_THE_MESSAGE:
        return DataError(message)
    if reason.value in _PASSES:
        return Busy(message, hint=options.when_busy)
    return RequestFailed(message)


def _advice(options: SessionOptions, reason: Any) -> str:
    return options.when_busy if reason.value in _PASSES else ""
