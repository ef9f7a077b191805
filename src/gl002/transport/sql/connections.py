"""Connections to a PostgreSQL server: a bounded number of them, dialled when they are needed.

The driver's own pool is not used: it reconnects by itself, in the background, which here is the
runtime's part, and it hides why a connection failed behind a time-out.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from ssl import get_default_verify_paths
from traceback import clear_frames
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from gl002.config.blocks import TlsSettings
from gl002.errors import Busy, ConnectFailed, PasswordRefused, require
from gl002.lockout import Lockout
from gl002.security.network import Address, Endpoint, Network
from gl002.security.secrets import Secret
from gl002.security.tls import client_context
from gl002.transport.sql.errors import meaning

if TYPE_CHECKING:
    from psycopg import AsyncConnection
    from psycopg.errors import Diagnostic

R = TypeVar("R")
Connection: TypeAlias = "AsyncConnection[tuple[Any, ...]]"
"""One connection, in autocommit mode: transactions are opened where they are needed."""

_LAST_WORDS = 1.0  # seconds for the driver to notice that its line was cut

# What every connection is told, where the server knows the setting. Results are in UTC; a commit is
# on the server's disk when it returns; a request whose client is gone ends; so does a transaction
# whose client hangs, since its locks would stop others.
_SETTINGS = """
SELECT set_config(name, CASE WHEN kept AND setting <> 'off' THEN setting ELSE told END, false)
FROM pg_settings JOIN (VALUES
    ('TimeZone', 'UTC', false),
    ('DateStyle', 'ISO', false),
    ('client_min_messages', 'warning', false),
    ('client_connection_check_interval', '2s', false),
    ('idle_in_transaction_session_timeout', '60s', false),
    ('synchronous_commit', 'on', true)
) AS wanted (name, told, kept) USING (name)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where to connect and as whom.

    Attributes:
        tls: verify the server's certificate; False sends everything in clear; None does so to
            this machine only, and verifies elsewhere.
        application: name by which the server's administrator sees us.
    """

    host: str
    port: int
    database: str
    user: str
    password: Secret | None
    tls: TlsSettings | Literal[False] | None
    application: str

    @property
    def endpoint(self) -> Endpoint:
        """Host and port."""
        return Endpoint(self.host, self.port)


class Connections:
    """Up to `size` connections to one server, opened when they are needed, kept for the next.

    Args:
        login: where and as whom.
        network: the door to the network.
        size: connections at the same time; more requests wait their turn.
        extra: of the package that installs the driver.
        log: takes the server's warnings.
    """

    def __init__(
        self, login: Login, network: Network, *, size: int, extra: str, log: logging.Logger
    ) -> None:
        self._login = login
        self._network = network
        self._extra = extra
        self._log = log
        self._places = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._closed = False
        self._one_by_one = asyncio.Lock()  # lest a password that was changed be refused many times
        self._lockout = Lockout()  # of further connections, while those that are there go on

    async def open(self, *, timeout: float) -> None:  # noqa: ASYNC109 (the caller's budget)
        """Make the first connection, so that what is wrong shows here.

        Raises:
            MissingDependency, ConfigError, NotAllowed, ConnectFailed; the driver's errors.
        """
        self._idle.append(await self._dial(timeout))

    async def close(self) -> None:
        """Close every connection; those in use fail at once. Safe to call twice."""
        self._closed = True
        idle, self._idle = self._idle, []
        used, self._all = self._all.difference(idle), set()
        for connection in used:
            _hang_up(connection)  # whoever uses it closes it
        for connection in idle:
            await connection.close()

    async def run(self, work: Callable[[Connection], Awaitable[R]], *, timeout: float) -> R:  # noqa: ASYNC109
        """Do some work on a connection of its own; where it is still good it is kept for the next.

        Args:
            work: leaves no transaction open.
            timeout: seconds, for a connection that must be opened.
        """
        async with self._places:
            connection = self._idle.pop() if self._idle else await self._dial_another(timeout)
            try:
                return await _watched(connection, work(connection))
            finally:
                await self._put_back(connection)

    async def _put_back(self, connection: Connection) -> None:
        from psycopg.pq import TransactionStatus

        if connection in self._all and connection.info.transaction_status == TransactionStatus.IDLE:
            self._idle.append(connection)
            return
        self._all.discard(connection)
        await connection.close()

    async def _dial_another(self, timeout: float) -> Connection:  # noqa: ASYNC109
        from psycopg import OperationalError

        async with self._one_by_one:
            try:
                if self._all:
                    self._lockout.check()
                return await self._dial(timeout)
            except OperationalError as error:
                if not self._all:
                    raise
                known = meaning(error, str(self._login.endpoint))
                if isinstance(known, PasswordRefused):
                    self._lockout.refused(known)
                said, hint = str(error), "lower 'max_connections'"
                raise Busy(f"no further connection: {said}", hint=hint) from error
            except PasswordRefused as error:
                raise Busy(f"no further connection: {error.args[0]}", hint=error.hint) from error

    async def _dial(self, timeout: float) -> Connection:  # noqa: ASYNC109
        require("psycopg", extra=self._extra)
        from psycopg import AsyncConnection

        addresses = await self._network.admit(self._login.endpoint, timeout=timeout)
        try:
            connection = await AsyncConnection.connect(
                autocommit=True,
                prepare_threshold=None,  # a pooler in between may hand us another server process
                **_parameters(self._login, addresses, timeout),
            )
        except BaseException as error:
            # The driver leaves an unfinished connection to the garbage collector, from which the
            # frames of the error keep it.
            clear_frames(error.__traceback__)
            raise
        try:
            connection.add_notice_handler(self._heard)
            await _watched(connection, connection.execute(_SETTINGS))
        except BaseException:
            await connection.close()
            raise
        if self._closed:
            await connection.close()
            raise ConnectFailed(f"{self._login.endpoint}: closed meanwhile")
        self._all.add(connection)
        return connection

    def _heard(self, notice: Diagnostic) -> None:
        self._log.warning("the server says: %s", notice.message_primary)


async def _watched(connection: Connection, work: Awaitable[R]) -> R:
    """Await some work on a connection; when cancelled, cut the line.

    The driver would wait for the server's word, and a server that hangs gives none. What the
    server was doing for us it undoes. The connection is closed then, also where the work had just
    ended and the driver saw nothing of it: nobody else is to have it.
    """
    task = asyncio.ensure_future(work)
    task.add_done_callback(_seen)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        _hang_up(connection)
        await asyncio.wait({task}, timeout=_LAST_WORDS)
        task.cancel()
        await connection.close()
        raise


def _seen(task: asyncio.Future[Any]) -> None:
    """An error of a task that nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()


def _hang_up(connection: Connection) -> None:
    """Cut the line under a connection, so that whoever waits on it sees its end at once."""
    with suppress(Exception), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)


def _parameters(login: Login, addresses: Sequence[Address], timeout: float) -> dict[str, Any]:
    """What the driver is told. It connects to the checked addresses, in turn."""
    tls = login.tls
    if tls is None and not all(ip_address(a.ip).is_loopback for a in addresses):
        tls = TlsSettings()
    name = tls.server_name if tls and tls.server_name else login.host
    return {
        "host": ",".join([name] * len(addresses)),
        "hostaddr": ",".join(address.ip for address in addresses),
        "port": login.port,
        "dbname": login.database,
        "user": login.user,
        "password": login.password.reveal() if login.password is not None else None,
        "application_name": login.application,
        "connect_timeout": max(1, int(timeout)),
        "gssencmode": "disable",
        **_encryption(tls),
    }


_NO_CLEAR_PASSWORD = {"require_auth": "!password"}  # no server on a plain line is told it


def _encryption(tls: TlsSettings | Literal[False] | None) -> dict[str, Any]:
    if not tls:
        return {"sslmode": "disable", **_NO_CLEAR_PASSWORD}
    client_context(ca=tls.ca, cert=tls.cert, key=tls.key)  # the driver's words on a file are few
    return {
        "sslmode": "verify-full",
        "sslrootcert": tls.ca or get_default_verify_paths().cafile or "system",
        "sslcert": tls.cert,
        "sslkey": tls.key,
        "ssl_min_protocol_version": f"TLSv{tls.min_version}",
    }
