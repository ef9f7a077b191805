"""One session of an Oracle database: the driver in thin mode, behind a door of ours."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from gl002.errors import (
    AuthFailed,
    Busy,
    ConnectFailed,
    DataError,
    GL002Error,
    PasswordRefused,
    RequestFailed,
    RequestTimeout,
)
from gl002.security.network import Network
from gl002.security.tls import client_context
from gl002.transport.oracle.door import Door
from gl002.transport.oracle.settings import OracleConfig

if TYPE_CHECKING:
    from oracledb import AsyncConnection

R = TypeVar("R")

_LOG_IN = {1005, 1017, 1045, 28000, 28001, 28040}  # refused, expired, locked, of an old kind
_COMES_AGAIN = {
    51, 54, 60, 1555, 4020, 4021, 8177, 30006,  # somebody else is at it
    1536, 1631, 1652, 1653, 1654, 1691,  # a tablespace is full until somebody makes room
}  # fmt: skip
_GONE = {
    28, 1012, 1089, 1090, 1092, 2396, 3113, 3114, 3135, 12537, 12547, 12570, 12571,
    18, 20, 257, 1033, 1034, 2391, 12514, 12516, 12519, 12520, 12528, 12541,  # before it began
    4061, 4065, 4068,  # packages were compiled anew: this session has forgotten who we are
}  # fmt: skip
_VALUES = {1, 1400, 1401, 1438, 1722, 1861, 2290, 2291, 6502, 12899}  # that do not fit
_DRIVER_GONE = {1001, 4011, 6000, 6001, 6003, 6005}  # DPY-
_DRIVER_TIMEOUT = {4024}  # DPY-: call time-out; the driver broke the call
_DRIVER_CANNOT = {3001, 3010, 3015}  # DPY-: what the thin mode does not speak; met at the log-in
_MOST_ROWS = 10_000
_TEXT = 4000  # bytes of an OUT parameter
_GOODBYE = 1.0  # seconds


class Database:
    """A session with an Oracle database. One call at a time.

    Args:
        config: where, and as whom.
        network: what may be reached.
        timeout: seconds one call may take; asked for each time.
    """

    def __init__(
        self, config: OracleConfig, network: Network, timeout: Callable[[], float]
    ) -> None:
        self._config = config
        self._network = network
        self._timeout = timeout
        self._connection: AsyncConnection | None = None
        self._door: Door | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Connect and log in.

        Raises:
            AuthFailed: there is no password, or Oracle refuses it.
            ConnectFailed: unreachable; NotAllowed.
        """
        import oracledb

        await self.shut()
        c = self._config
        if c.password is None:
            raise AuthFailed("no password is configured", hint="set 'password'")
        tls = None
        if c.tls is not None:
            tls = client_context(
                ca=c.tls.ca, cert=c.tls.cert, key=c.tls.key, min_version=c.tls.min_version
            )
        name = c.tls.server_name if c.tls is not None else None
        self._door = Door(c.endpoint, self._network, tls, name)
        port = await self._door.open(self._timeout())
        try:
            self._connection = await oracledb.connect_async(
                user=c.username,
                password=c.password.reveal(),
                host="127.0.0.1",
                port=port,
                service_name=c.service,
                retry_count=0,
                disable_oob=True,
                program="gl002",
            )
        except oracledb.Error:
            if self._door.why is not None:
                raise self._door.why from None
            raise
        self._turn = asyncio.Lock()

    async def shut(self) -> None:
        """Disconnect; safe twice."""
        connection, self._connection = self._connection, None
        door, self._door = self._door, None
        if connection is not None and not self._turn.locked():
            with suppress(Exception):  # it may be gone already
                async with asyncio.timeout(_GOODBYE):
                    await asyncio.shield(asyncio.ensure_future(connection.close()))
        if door is not None:
            await door.shut()

    async def run(self, request: Callable[[Call], Coroutine[Any, Any, R]]) -> R:
        """Let a request have the session; what it raises is passed on.

        A request that is given up sends nothing more, so that it commits nothing later: the door is
        shut, which ends whatever the driver waits for.

        Raises:
            ConnectFailed: there is no session.
        """
        turn = self._turn
        async with turn:
            connection, door = self._connection, self._door
            if connection is None or door is None or turn is not self._turn:
                raise ConnectFailed("the connection has just ended")
            call = Call(connection)
            task = asyncio.ensure_future(request(call))
            try:
                return await asyncio.shield(task)
            except asyncio.CancelledError:
                call.given_up = True
                if self._connection is connection:  # and not that of a session opened since
                    self._connection = None
                await door.shut()
                await asyncio.wait({task}, timeout=_GOODBYE)
                task.cancel()  # for a driver that has not noticed
                if task.done() and not task.cancelled():
                    task.exception()  # it has been looked at
                raise

    @property
    def version(self) -> str:
        """Of the database; '' while there is no session."""
        return str(self._connection.version) if self._connection is not None else ""


class Call:
    """The session for as long as one request has it."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._driver = connection
        self.given_up = False

    @property
    def _connection(self) -> AsyncConnection:
        if self.given_up:
            raise ConnectFailed("the request was given up")
        return self._driver

    async def query(self, statement: str, binds: Mapping[str, Any]) -> Sequence[tuple[Any, ...]]:
        """The rows of a query.

        Raises:
            RequestFailed: there are too many.
        """
        with self._connection.cursor() as cursor:
            await cursor.execute(statement, dict(binds))
            rows: Sequence[tuple[Any, ...]] = await cursor.fetchmany(_MOST_ROWS + 1)
        if len(rows) > _MOST_ROWS:
            raise RequestFailed(f"more than {_MOST_ROWS} rows")
        return rows

    async def block(
        self, text: str, binds: Mapping[str, Any], outs: Mapping[str, type]
    ) -> dict[str, Any]:
        """Run an anonymous block; what became of its OUT binds.

        Args:
            text: PL/SQL.
            binds: values by name.
            outs: names of binds that come back, and their types, str or int.
        """
        with self._connection.cursor() as cursor:
            made = {
                name: cursor.var(str, size=_TEXT) if kind is str else cursor.var(kind)
                for name, kind in outs.items()
            }
            await cursor.execute(text, {**binds, **made})
            return {name: variable.getvalue() for name, variable in made.items()}

    async def change(self, statement: str, binds: Mapping[str, Any]) -> None:
        """Run a statement that changes rows."""
        with self._connection.cursor() as cursor:
            await cursor.execute(statement, dict(binds))

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[None]:
        """What is done within is committed once at the end, or rolled back whatever went wrong.

        Raises:
            ConnectFailed: Oracle did not roll back; the session has to end, which does it.
        """
        try:
            yield
            await self._connection.commit()
        except Exception as error:
            await self._roll_back(error)
            raise

    async def _roll_back(self, why: Exception) -> None:
        """Undo the transaction's work; a session that is gone has done so itself."""
        try:
            await self._connection.rollback()
        except Exception as error:  # noqa: BLE001 (drivers raise anything when a link is gone)
            known = why if isinstance(why, GL002Error) else translated(why, "")
            if isinstance(known, ConnectFailed | RequestTimeout):
                return
            failed = translated(error, "could not be rolled back")
            raise ConnectFailed(str(failed or error)) from why

    async def ping(self) -> None:
        """One round trip."""
        await self._connection.ping()


def translated(error: BaseException, what: str) -> GL002Error | None:
    """The driver's error as ours; None where it is not the driver's."""
    import oracledb

    if not isinstance(error, oracledb.Error):
        return None
    details = error.args[0] if error.args else error
    text = _without_door(str(getattr(details, "message", details)))
    number = int(getattr(details, "code", 0) or 0)
    full = str(getattr(details, "full_code", ""))
    inner = re.findall(r"DPY-(\d+): ", text) or re.findall(r"\ADPY-(\d+)\Z", full)
    driver = int(inner[-1]) if inner else 0
    message = f"{what}: {text}"
    if driver in _DRIVER_TIMEOUT:
        return RequestTimeout(message)
    is_driver = isinstance(error, oracledb.OperationalError) and driver and not number
    if driver in _DRIVER_CANNOT:
        return AuthFailed(message, hint=_OLD_KIND)
    if number in _GONE or driver in _DRIVER_GONE or is_driver:
        return ConnectFailed(message, hint=_HINTS.get(number or driver, ""))
    return _refused(number, message)


def _without_door(message: str) -> str:
    """The driver's words without its help page, its ids, and the port of ours that it knows."""
    text = " ".join(message.partition("Help:")[0].split())
    text = re.sub(r" at host \"[^\"]*\" port \d+", "", text)
    return re.sub(r" ?\(CONNECTION_ID=[^)]*\)", "", text)


def _refused(number: int, message: str) -> GL002Error:
    """What an ORA- number means, while the session stands."""
    if number in _LOG_IN:
        return PasswordRefused(message, hint="check user and password; is the account locked?")
    if number in _COMES_AGAIN:
        return Busy(message)
    if number in _VALUES:
        return DataError(message, hint=_TOO_LONG if number in {6502, 12899} else "")
    return RequestFailed(message, hint=_NEEDED.get(number, ""))


_TOO_LONG = "Oracle counts bytes: a letter such as 'ü' has two"
_OLD_KIND = (
    "the thin driver takes password verifiers of 11g and 12c: let the administrator set the "
    "password again; network encryption it does not speak: use TCPS and 'tls'"
)
_RIGHTS = "has that database user the rights of the documentation's set-up?"
_NEEDED = {
    942: _RIGHTS, 1031: _RIGHTS, 6550: _RIGHTS,  # of an object; of a package (PLS-00201 within)
    2289: "'sequence' of 'readings_interface' names one with its schema; is it readable for us?",
}  # fmt: skip
_HINTS = {
    6001: "is that the service name of the database? 'lsnrctl services' lists them",
    12514: "is that the service name of the database? 'lsnrctl services' lists them",
    6005: "does a listener run there, and does a firewall stand between?",
}
