"""Calling functions by SAP's own library, through the package pyrfc (`Connection.call`).

Neither is ours to ship: SAP licenses the library (SAP NW RFC SDK) to its customers. It blocks, and
one connection belongs to one thread.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any, TypeVar

from gl002.errors import (
    Busy,
    ConnectFailed,
    DataError,
    GL002Error,
    PasswordRefused,
    RequestFailed,
    RequestTimeout,
)
from gl002.transport.sap.functions import Unit
from gl002.transport.sap.session import Line

R = TypeVar("R")


class LibraryFunctions:
    """Functions of one system, by SAP's library; one connection, opened on demand.

    Args:
        line: of the session.
    """

    def __init__(self, line: Line) -> None:
        self._line = line
        self._thread: ThreadPoolExecutor | None = None
        self._connection: Any = None
        self._turn = asyncio.Lock()

    async def call(self, function: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Call a function by itself; as `SoapFunctions.call`."""
        async with self.unit() as unit:
            return await unit.call(function, parameters)

    @asynccontextmanager
    async def unit(self) -> AsyncIterator[Unit]:
        """The connection, for calls that can be committed together; nobody else calls meanwhile."""
        async with self._turn:
            await self._open()
            try:
                yield _LibraryUnit(self, self.connection)
            except GL002Error as error:
                if isinstance(error, ConnectFailed | RequestTimeout):
                    await self._abandon()  # an answer may still come: it is not for the next call
                else:
                    await self._forget()
                raise
            except BaseException:
                await self._abandon()
                raise
            await self._forget()

    async def _forget(self) -> None:
        """What was not committed must not be by whoever comes next; what was committed stands."""
        try:
            await self.run(self.connection.reset_server_context)
        except GL002Error as error:
            self._line.log.debug("%s: a connection is given up: %s", self._line.name, error)
            await self._abandon()
        except BaseException:
            await self._abandon()
            raise

    async def close(self) -> None:
        """Close the connection; safe to call twice."""
        connection, self._connection = self._connection, None
        thread, self._thread = self._thread, None
        if thread is None:
            return
        if connection is not None:
            thread.submit(connection.close)
        thread.shutdown(wait=False)

    async def _open(self) -> None:
        if self._connection is not None:
            return
        config = self._line.config
        limit = config.request_timeout()
        addresses = await self._line.network.admit(config.gateway, timeout=limit)
        self._thread = ThreadPoolExecutor(1, "gl002-sap")
        parameters = {
            "ashost": addresses[0].ip, "sysnr": config.sysnr, "client": config.client,
            "user": config.user, "passwd": config.passwd.reveal() if config.passwd else "",
            "lang": config.lang.upper(),
        }  # fmt: skip
        self._connection = await self.run(_connect, {k: v for k, v in parameters.items() if v})

    async def _abandon(self) -> None:
        """Give up a connection whose thread may be waiting for ever."""
        connection, self._connection = self._connection, None
        thread, self._thread = self._thread, None
        if connection is not None and hasattr(connection, "cancel"):
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, functools.partial(_quietly, connection.cancel))
        if thread is not None:
            thread.shutdown(wait=False, cancel_futures=True)

    async def run(self, work: Callable[..., R], *args: Any, **kwargs: Any) -> R:
        """Do something on the connection's thread; its errors become ours.

        Raises:
            ConnectFailed: the connection was closed meanwhile.
        """
        if self._thread is None:
            raise ConnectFailed(f"{self._line.config.gateway}: the connection has just ended")
        loop = asyncio.get_running_loop()
        call = functools.partial(work, *args, **kwargs)
        try:
            return await loop.run_in_executor(self._thread, call)
        except Exception as error:
            known = _explained(error, str(self._line.config.gateway))
            if known is None:
                raise
            raise known from error

    @property
    def connection(self) -> Any:
        """That of pyrfc.

        Raises:
            ConnectFailed: it was closed meanwhile.
        """
        if self._connection is None:
            raise ConnectFailed(f"{self._line.config.gateway}: the connection has just ended")
        return self._connection


class _LibraryUnit:
    """Calls on one connection: on another they could not be committed together."""

    def __init__(self, functions: LibraryFunctions, connection: Any) -> None:
        self._functions = functions
        self._connection = connection

    async def call(self, function: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        given = {
            name: _to_library(value, f"{function}: {name}") for name, value in parameters.items()
        }
        if self._functions.connection is not self._connection:
            raise ConnectFailed(f"call {function}: another connection has been opened meanwhile")
        return await self._functions.run(_called, self._connection, function, given)


def _called(connection: Any, function: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A call and what it gives, on the connection's thread: a table may have many rows."""
    result = connection.call(function, **given)
    return {name: _from_library(value) for name, value in result.items()}


def _connect(parameters: Mapping[str, str]) -> Any:
    from pyrfc import Connection

    return Connection(config={"dtime": True, "rstrip": True}, **parameters)


def _quietly(work: Callable[[], object]) -> None:
    with suppress(Exception):  # of a connection that is given up
        work()


def _to_library(value: Any, where: str) -> Any:
    """For pyrfc, which takes dates and times as they are, decimals, and no bools."""
    if isinstance(value, bool):
        return "X" if value else ""
    if isinstance(value, Mapping):
        return {n: _to_library(v, f"{where}.{n}") for n, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_to_library(one, f"{where}[{n}]") for n, one in enumerate(value)]
    if value is None:
        raise DataError(f"{where}: nothing to send: leave it out")
    return Decimal(repr(value)) if isinstance(value, float) else value


def _from_library(value: Any) -> Any:
    """As over SOAP: lists, dicts, text without trailing blanks."""
    if isinstance(value, Mapping):
        return {name: _from_library(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_from_library(one) for one in value]
    return value.rstrip(" ") if isinstance(value, str) else value


def _explained(error: Exception, where: str) -> GL002Error | None:
    """What pyrfc raised, as ours, by its class; None where it is none of pyrfc's."""
    names = {cls.__name__ for cls in type(error).__mro__}
    text = " ".join(str(getattr(error, "message", "") or error).split())
    key = str(getattr(error, "key", "") or "")
    shown = f"{where}: {key}: {text}" if key and key not in text else f"{where}: {text}"
    if "LogonError" in names:
        return PasswordRefused(shown, hint="check client, user and passwd")
    if "CommunicationError" in names:
        return ConnectFailed(shown)
    if names & {"ABAPApplicationError", "ABAPRuntimeError", "ExternalRuntimeError", "RFCError"}:
        return Busy(shown) if "LOCK" in key else RequestFailed(shown)
    if isinstance(error, TypeError | ValueError) and not isinstance(error, GL002Error):
        return DataError(shown)  # a value that pyrfc cannot convert
    return None
