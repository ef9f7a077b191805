"""One connection to a SQL Server: a blocking driver on one thread, given up when it fails.

The driver (python-tds) waits in its own calls. It lives on one worker thread; when a request is
cancelled or takes too long, the line under it is cut, which ends its wait, and the next request
dials anew.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gl002.config.blocks import TlsSettings
from gl002.errors import AuthFailed, ConnectFailed, require
from gl002.security.network import Endpoint, Network
from gl002.security.secrets import Secret
from gl002.security.tls import client_context
from gl002.session import before_sending
from gl002.transport.tds.errors import FATAL
from gl002.transport.tds.line import Line

if TYPE_CHECKING:
    from pytds import Connection

R = TypeVar("R")

_LAST_WORDS = 1.0  # seconds for the driver to notice that its line was cut
_LARGEST_ANSWER = 256 << 20
_ONE_ATTEMPT = 1.0  # what the driver is told; its own waits and repetitions are not used


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """Where to connect and as whom.

    Attributes:
        user: '' with `integrated` for the account that the process has a ticket of.
        integrated: Windows authentication instead of a SQL login.
        tls: verify the server's certificate; False sends everything in clear; None does so to
            this machine only, and verifies elsewhere.
        application: name by which the server's administrator sees us.
    """

    host: str
    port: int
    database: str
    user: str
    password: Secret | None
    integrated: bool
    tls: TlsSettings | Literal[False] | None
    application: str

    @property
    def endpoint(self) -> Endpoint:
        """Host and port."""
        return Endpoint(self.host, self.port)


class TdsConnection:
    """One connection, opened when it is needed. Requests take turns.

    Args:
        login: where and as whom.
        network: the door to the network.
        extra: of the package that installs the driver.
    """

    def __init__(self, login: Login, network: Network, *, extra: str) -> None:
        self._login = login
        self._network = network
        self._extra = extra
        self._turn = asyncio.Lock()
        self._line: Line | None = None
        self._driver: Connection | None = None
        self._thread = ThreadPoolExecutor(1, "gl002-tds")
        self._closed = False

    async def open(self, *, timeout: float) -> None:  # noqa: ASYNC109 (the caller's budget)
        """Connect, so that what is wrong shows here.

        Raises:
            MissingDependency, ConfigError, NotAllowed, ConnectFailed; the driver's errors.
        """
        async with self._turn:
            await self._dial(timeout)

    async def close(self) -> None:
        """Close; a request under way fails at once. Safe to call twice."""
        self._closed = True
        self._drop()
        await asyncio.to_thread(self._thread.shutdown)

    @property
    def encrypted(self) -> bool:
        """Whether everything goes through TLS."""
        return self._line is not None and self._line.encrypted

    async def run(self, work: Callable[[Connection], R], *, timeout: float) -> R:  # noqa: ASYNC109
        """Do some work with the driver, on its thread, when it is our turn.

        Args:
            work: leaves no transaction open. An error of the server leaves the connection as it
                is; any other ends it.
            timeout: seconds, where it must connect first.
        """
        async with self._turn:
            if self._driver is None:
                with before_sending():
                    await self._dial(timeout)
            driver, line = self._driver, self._line
            assert driver is not None
            assert line is not None
            line.begin()
            return await self._on_thread(partial(work, driver))

    async def _on_thread(self, work: Callable[[], R]) -> R:
        task = asyncio.get_running_loop().run_in_executor(self._thread, work)
        task.add_done_callback(_seen)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            self._drop()
            await asyncio.wait({task}, timeout=_LAST_WORDS)
            raise
        except Exception as error:
            if not _said_by_server(error):
                self._drop()
            raise

    def _drop(self) -> None:
        line, self._line, self._driver = self._line, None, None
        if line is not None:
            line.hang_up()
            line.close()

    async def _dial(self, timeout: float) -> None:  # noqa: ASYNC109
        require("pytds", extra=self._extra)
        if self._login.integrated:
            require("spnego", extra=self._extra)
        if self._closed:
            raise ConnectFailed(f"{self._login.endpoint}: closed meanwhile")
        sock = await self._network.dial(self._login.endpoint, timeout=timeout)
        try:
            encryption = self._encryption(str(sock.getpeername()[0]))
            name = self._login.host
            if self._login.tls and self._login.tls.server_name:
                name = self._login.tls.server_name
            self._line = Line(sock, tls=encryption, server_name=name, most=_LARGEST_ANSWER)
        except BaseException:
            sock.close()
            raise
        try:
            self._driver = await self._on_thread(partial(_connect, self._login, self._line))
        except Exception:
            self._drop()
            raise

    def _encryption(self, ip: str) -> ssl.SSLContext | None:
        tls = self._login.tls
        if tls is None and not ip_address(ip).is_loopback:
            tls = TlsSettings()
        if not tls:
            return None
        context = client_context(ca=tls.ca, cert=tls.cert, key=tls.key)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


def _connect(login: Login, line: Line) -> Connection:
    """Log in, on the driver's thread."""
    import pytds

    auth = _windows(login) if login.integrated else None
    try:
        return pytds.connect(
            dsn=login.host, port=login.port, database=login.database, sock=line,
            user="" if login.integrated else login.user,
            password=login.password.reveal() if login.password and not login.integrated else "",
            auth=auth, appname=login.application, autocommit=True, login_timeout=_ONE_ATTEMPT,
        )  # fmt: skip
    except Exception as error:
        # Where it has tried again by itself, the reason is that of the first time.
        first = line.why
        if first is not None and first is not error and isinstance(first, Exception):
            raise first from error
        raise


def _windows(login: Login) -> Any:
    """Windows authentication for a log-in: Kerberos where there is a ticket, else NTLM."""
    from pytds.login import SpnegoAuth
    from spnego.exceptions import SpnegoError

    try:
        return SpnegoAuth(
            username=login.user or None,
            password=login.password.reveal() if login.password else None,
            hostname=f"{login.host}:{login.port}", service="MSSQLSvc", protocol="negotiate",
        )  # fmt: skip
    except (SpnegoError, ImportError) as error:
        words = str(error).partition("\n")[0] or type(error).__name__
        raise AuthFailed(
            f"{login.endpoint}: Windows authentication: {words}",
            hint="user and password, or a ticket (kinit) and pyspnego's Kerberos libraries",
        ) from error


def _seen(task: asyncio.Future[Any]) -> None:
    """An error of a task that nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()


def _said_by_server(error: Exception) -> bool:
    """Whether the server answered with an error, so that the connection stands.

    An error of severity 20 or more ends the connection on the server's side (Transact-SQL
    reference, "Database Engine error severities").
    """
    with suppress(ImportError):
        from pytds.tds_base import DatabaseError

        return isinstance(error, DatabaseError) and bool(error.number) and error.severity < FATAL
    return False
