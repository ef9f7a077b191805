"""Errors of a SQL Server and of its driver in our words."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from typing import TypeAlias

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
from gl002.transport.tds.line import LineLost


class StatementRefused(RequestFailed):
    """What was asked is refused whatever the values in it: a right or an object is missing."""


_Meaning: TypeAlias = tuple[type[GL002Error], str]

_WHO = "check 'username' and 'password', and that the server takes SQL logins (mixed mode)"
_RESOURCES = "the server is short of memory"
_BEHIND = "SQL Server is up, but the historian behind it is not: are its services running?"
FATAL = 20
"""Severity from which an error ends the connection, whatever it is about."""
_RIGHT = "ask the server's administrator for the right: GRANT ..."

# Number of the message -> our error, hint (SQL Server, "Database Engine events and errors")
_REFUSALS: Mapping[int, _Meaning] = {
    102: (StatementRefused, ""),
    207: (StatementRefused, "no such column"),
    208: (StatementRefused, "no such table or view: is 'database' right?"),
    229: (StatementRefused, _RIGHT),
    230: (StatementRefused, _RIGHT),
    262: (StatementRefused, _RIGHT),
    701: (Busy, _RESOURCES),
    802: (Busy, _RESOURCES),
    1105: (Busy, "the server's disk or filegroup is full"),
    1204: (Busy, _RESOURCES),
    1205: (Busy, ""),
    1222: (Busy, ""),
    2812: (StatementRefused, "no such stored procedure, or no right to execute it"),
    6005: (ConnectFailed, "the server is shutting down"),
    7202: (StatementRefused, "there is no linked server of that name: is that a historian?"),
    7302: (Busy, _BEHIND),
    7303: (Busy, _BEHIND),
    7304: (Busy, _BEHIND),
    4060: (AuthFailed, "is 'database' right, and is the login a user of it?"),
    8114: (DataError, ""),
    8115: (DataError, ""),
    8152: (DataError, ""),
    8645: (Busy, _RESOURCES),
    9002: (Busy, "the server's transaction log is full"),
    2628: (DataError, ""),
    17142: (ConnectFailed, "the server is paused"),
    18401: (ConnectFailed, "the server is being upgraded"),
    18452: (AuthFailed, "the account's domain is not trusted by the server: is it a SQL login?"),
    18456: (PasswordRefused, _WHO),
    18461: (AuthFailed, "the server is in single-user mode"),
    18470: (AuthFailed, "the login is disabled"),
    18486: (AuthFailed, "the login is locked"),
    18487: (AuthFailed, "the password has expired"),
    18488: (AuthFailed, "the password must be changed"),
}


def meaning(error: BaseException, where: str) -> GL002Error | None:
    """An error of the driver, or of the line under it, as ours; None for anything else.

    Args:
        error: what was raised.
        where: connector and request, for the message.
    """
    if isinstance(error, ssl.SSLError):
        told = explained(error, where)
        return type(told)(str(told.args[0]), hint=told.hint)
    if isinstance(error, LineLost):
        return _of_the_line(error, where)
    package = type(error).__module__.partition(".")[0]
    if package in {"spnego", "gssapi", "krb5"}:
        return AuthFailed(
            f"{where}: Windows authentication: {error}",
            hint="user and password, or a ticket (kinit) for MSSQLSvc/<host>:<port>",
        )
    return _of_the_driver(error, where) if package == "pytds" else _unreadable(error, where)


def _of_the_driver(error: BaseException, where: str) -> GL002Error:
    from pytds.tds_base import DatabaseError

    text = " ".join(str(getattr(error, "text", error) or error).split())
    if not isinstance(error, DatabaseError) or not error.number:
        if "encryption" in text:
            return AuthFailed(f"{where}: {text}", hint="add a 'tls' block")
        return ConnectFailed(f"{where}: {text}")
    other = ConnectFailed if (error.severity or 0) >= FATAL else RequestFailed
    kind, hint = _REFUSALS.get(error.number, (other, ""))
    return kind(f"{where}: {error.number}: {text}", hint=hint)


def _of_the_line(error: LineLost, where: str) -> GL002Error:
    text = str(error)
    if "does not encrypt" in text:
        return AuthFailed(
            f"{where}: {text}",
            hint="give the server a certificate, or say 'tls: false' on a network that you trust",
        )
    if text.startswith("an answer"):
        return RequestFailed(f"{where}: {text}", hint="ask for less at once")
    return ConnectFailed(f"{where}: {text}")


def _unreadable(error: BaseException, where: str) -> GL002Error | None:
    """What the driver stumbled over in bytes that are not TDS; None for what is no such thing."""
    lost = (
        LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError,
        RuntimeError, MemoryError,
    )  # fmt: skip
    if type(error).__module__ in {"builtins", "struct"} and (
        isinstance(error, lost) or type(error).__name__ in {"error", "Exception"}
    ):
        return ConnectFailed(f"{where}: the answer makes no sense: {type(error).__name__}: {error}")
    return None
