"""Errors of a PostgreSQL server and of its driver in our words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    DataError,
    GL002Error,
    PasswordRefused,
    RequestFailed,
    Unsupported,
)

if TYPE_CHECKING:
    from psycopg import Error

_Meaning: TypeAlias = tuple[type[GL002Error], str]

# SQLSTATE, or how it begins -> our error, hint (PostgreSQL manual, appendix A)
_REFUSALS: Mapping[str, _Meaning] = {
    "08": (ConnectFailed, ""),
    "0A": (Unsupported, ""),
    "22": (DataError, ""),
    "23": (DataError, ""),
    "25006": (ConnectFailed, "it is a standby: is there another primary?"),
    "28P01": (PasswordRefused, "check 'user' and 'password'"),
    "28": (AuthFailed, "check 'user' and 'password', and the server's pg_hba.conf"),
    "3D000": (ConnectFailed, "make the database, or correct 'database'"),
    "3F000": (RequestFailed, "make the schema, and GRANT USAGE, CREATE ON SCHEMA to this user"),
    "40": (Busy, ""),
    "42501": (RequestFailed, "ask the server's administrator for the right: GRANT ..."),
    "42P01": (RequestFailed, "no such table, or it is in another schema: 'schema.table'"),
    "53": (Busy, "the server is at its limits"),
    "53100": (Busy, "the server's disk is full"),
    "53300": (ConnectFailed, "the server has no connection left: raise its max_connections"),
    "54": (DataError, ""),
    "55P03": (Busy, ""),
    "57014": (Busy, "ask for less at once, or raise 'timeout'"),
    "57P": (ConnectFailed, ""),
    "58": (Busy, ""),
}

_WHO = "check 'user', 'password' and 'database', and the server's pg_hba.conf"
_DATABASE = "make the database, or correct 'database'"

# Of a connection that could not be made the driver tells only the server's words. Those of a
# server that speaks another language we take for a fault that passes.
_AT_THE_DOOR: Sequence[tuple[str, _Meaning]] = (
    ("no encryption", (AuthFailed, "the server wants TLS: add a 'tls' block")),
    ("(password|LDAP|PAM|RADIUS|BSD) authentication failed", (PasswordRefused, _WHO)),
    ("cleartext password", (AuthFailed, "add a 'tls' block, or use SCRAM on the server")),
    ("no password supplied", (AuthFailed, _WHO)),
    ("no pg_hba.conf entry", (AuthFailed, _WHO)),
    ("is not permitted to log in", (AuthFailed, _WHO)),
    ("permission denied for database", (AuthFailed, _WHO)),
    ("role .* does not exist", (AuthFailed, _WHO)),
    ("database .* does not exist", (ConnectFailed, _DATABASE)),
    ("valid client certificate", (AuthFailed, "name ours in 'tls.cert' and 'tls.key'")),
    ("certificate", (AuthFailed, "if it is the right server, name its authority in 'tls.ca'")),
    ("not support SSL", (AuthFailed, "turn TLS on there, or say 'tls: false' on a safe network")),
    ("Connection refused", (ConnectFailed, "the host is there, but nothing listens on that port")),
)


def meaning(error: BaseException, where: str) -> GL002Error | None:
    """An error of the driver as ours; None for anything else.

    Args:
        error: what was raised.
        where: connector and request, for the message.
    """
    if type(error).__module__.partition(".")[0] != "psycopg":
        return None  # and the driver need not be there
    from psycopg import DataError as BadData
    from psycopg import Error, InterfaceError, OperationalError

    if not isinstance(error, Error):
        return None
    if error.sqlstate is None:
        text = " ".join(str(error).split())
        if isinstance(error, OperationalError | InterfaceError):
            kind, hint = _at_the_door(text)
        else:
            kind, hint = (DataError if isinstance(error, BadData) else RequestFailed), ""
        return kind(f"{where}: {text}", hint=hint)
    starts = (error.sqlstate, error.sqlstate[:3], error.sqlstate[:2])
    kind, hint = next((_REFUSALS[s] for s in starts if s in _REFUSALS), (RequestFailed, ""))
    return kind(f"{where}: {_said(error)}", hint=error.diag.message_hint or hint)


def _at_the_door(text: str) -> _Meaning:
    for pattern, known in _AT_THE_DOOR:
        if re.search(pattern, text):
            return known
    return ConnectFailed, ""


def _said(error: Error) -> str:
    """The server's message, with its detail and where in the data it stood."""
    parts = (error.diag.message_primary, error.diag.message_detail, error.diag.context)
    return "; ".join(part.replace("\n", " ") for part in parts if part) or str(error)
