"""One session with one endpoint: opened on demand, limited in time, given up when it fails.

The half of the connector contract that is about connections. An author writes `_open` and `_shut`
and wraps each request in `_call`; `gl002.connector` adds what the flow may ask.
"""

from __future__ import annotations

import asyncio
import copy
import enum
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Self, TypeVar

from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, PasswordRefused, RequestFailed, RequestTimeout
from gl002.lockout import Lockout
from gl002.pool import ConnectionPool
from gl002.retry import RetryPolicy
from gl002.security.network import Endpoint
from gl002.security.secrets import Redactor

R = TypeVar("R")

_GOODBYE = 5.0  # seconds a driver may take to close


class State(enum.StrEnum):
    """Where a session stands. FAILED needs a human: wrong password, refused certificate."""

    NEW = "new"
    UP = "up"
    RETRYING = "retrying"
    FAILED = "failed"
    CLOSED = "closed"


class Session(ABC):
    """Opens on the first request, and again after a failure; requests may overlap.

    `connect` and `close` may be called any number of times in any order. At any moment at most
    one of opening and shutting is under way; what comes in meanwhile waits for it.

    Args:
        name: in logs, messages and the audit file.
        log: where changes of state are noted.
        context: network and audit file.
        pool: a shared limit on open connections.
        timeout: seconds one request may take.
        retry: how often a request is tried.
    """

    def __init__(
        self,
        *,
        name: str,
        log: logging.Logger,
        context: Context,
        pool: ConnectionPool | None,
        timeout: float,
        retry: RetryPolicy,
    ) -> None:
        self.name = name
        self.log = log
        self.context = context
        self._pool = pool
        self._timeout = timeout
        self._retry = retry
        self._state = State.NEW
        self._closed = asyncio.Event()  # by `close`: for those that began before it
        self._for_now = False
        self._gate = asyncio.Lock()  # held while the session is opened or shut
        self._opening: asyncio.Task[None] | None = None
        self._opened = 0  # sessions so far: tells a failure of this one from one of an earlier one
        self._attempts = 0  # to connect, finished
        self._failure: GL002Error | None = None  # of the last attempt
        self._lockout = Lockout()
        self._busy = 0

    # ---- life -------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """Where the session stands."""
        return self._state

    def _is_up(self) -> bool:
        return self._state is State.UP

    @property
    def idle(self) -> bool:
        """Whether closing the session now would disturb nobody."""
        return self._busy == 0 and self._opening is None

    @property
    def timeout(self) -> float:
        """Seconds one request may take."""
        return self._timeout

    def set_timeout(self, milliseconds: float) -> None:
        """Limit every further request, connecting included, to this many milliseconds."""
        if not milliseconds > 0:
            raise ValueError(f"a time-out of {milliseconds} ms leaves no time to answer")
        self._timeout = milliseconds / 1000

    async def connect(self) -> None:
        """Open the session; returns at once where it is open.

        Raises:
            ConnectFailed: nothing there (retryable), or one of its kinds: AuthFailed, NotAllowed.
            MissingDependency: the driver is not installed.
        """
        if self._is_up():
            return
        finished = self._attempts
        async with self._gate:
            if self._is_up():
                return
            if self._attempts != finished and self._failure is not None:
                raise copy.copy(self._failure)  # of the attempt under way when we came
            self._lockout.check()
            await self._open_once()
        if self._pool is not None:
            self._pool.used(self)

    async def _open_once(self) -> None:
        self._failure = None
        self._opening = asyncio.ensure_future(self._open_in_turn())
        try:
            await self._opening
        except BaseException as error:
            await self._abandon(min(self._timeout, _GOODBYE))
            if not isinstance(error, Exception) and not self._was_closed(error):
                raise
            self._failure = self._why_not_connected(error)
            raise self._failure from error
        else:
            self._opened += 1
            self._lockout.accepted()
            self._becomes(State.UP, "connected")
        finally:
            self._opening = None
            self._attempts += 1

    async def _open_in_turn(self) -> None:
        self._load()
        if self._pool is not None:
            await self._pool.take(self, timeout=self._timeout)
        async with asyncio.timeout(self._timeout):
            await self._open()

    def _was_closed(self, error: BaseException) -> bool:
        """Whether the attempt was cancelled by `close`, and not the task that waits for it."""
        task = asyncio.current_task()
        return (
            isinstance(error, asyncio.CancelledError) and task is not None and not task.cancelling()
        )

    def _why_not_connected(self, error: BaseException) -> GL002Error:
        """The error for the caller; notes the change of state, unless somebody closed meanwhile."""
        failure = self._explain(error, "connect")
        if isinstance(failure, RequestTimeout):
            failure = ConnectFailed(str(failure.args[0]), hint=failure.hint)
        if self._state is not State.CLOSED or not isinstance(error, asyncio.CancelledError):
            self._becomes(State.RETRYING if failure.retryable else State.FAILED, str(failure))
        return failure

    def try_at_once(self) -> None:
        """Somebody has seen to what a person must: the next request tries a refused password."""
        self._lockout.lift()

    async def close(self) -> None:
        """Close the session; safe at any time, any number of times; never raises.

        Requests that began before end with it, those that wait to be tried again, too; the next
        one opens a new session.
        """
        for_now, self._for_now = self._for_now, False
        if not for_now:
            self._closed.set()
            self._closed = asyncio.Event()
        self._becomes(State.CLOSED, "closed")  # first: a request that comes now opens a new one
        if self._opening is not None:
            self._opening.cancel()
        async with self._gate:
            await self._abandon(_GOODBYE)
            self._becomes(State.CLOSED, "closed")

    async def step_aside(self) -> None:
        """Close for the sake of another in the pool: what waits to be tried again opens it anew."""
        self._for_now = True
        await self.close()

    async def _lost(self, why: GL002Error, session: int | None = None) -> None:
        """The session is gone: free it, so that the next request opens a new one.

        Args:
            why: for the log.
            session: which one, where a new one may have been opened since.
        """
        lost = self._opened if session is None else session
        if lost != self._opened:
            return
        if self._state is State.UP:
            self._becomes(State.RETRYING if why.retryable else State.FAILED, str(why))
        async with self._gate:
            if lost == self._opened and self._state is not State.UP:
                await self._abandon(min(self._timeout, _GOODBYE))

    async def _abandon(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self._shut()
        except Exception as error:  # noqa: BLE001 (drivers raise anything when a link is gone)
            self.log.debug("%s: while closing: %r", self.name, error)
        finally:
            if self._pool is not None:
                self._pool.give(self)

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name} {self._state}>"

    def _becomes(self, state: State, why: str) -> None:
        """Note a change of state: one log line and one audit entry down, one up."""
        before, self._state = self._state, state
        if before is state:
            self.log.debug("%s: still %s: %s", self.name, state, why)
            return
        trouble = state in {State.RETRYING, State.FAILED}
        message = why if why.startswith(self.name) else f"{self.name}: {why}"
        self.log.log(logging.WARNING if trouble else logging.INFO, "%s", message)
        self.context.audit.note(
            "connection", self.name, before=str(before), after=str(state), reason=why
        )

    # ---- what an author writes --------------------------------------------------------------

    @abstractmethod
    def endpoints(self) -> Iterable[Endpoint]:
        """The addresses the configuration names; nothing else can be reached."""

    def _load(self) -> None:
        """Import the driver before the time-out runs: on a small machine it takes a second."""

    @abstractmethod
    async def _open(self) -> None:
        """Import the driver and connect once. Dials through `self.context.network`."""

    @abstractmethod
    async def _shut(self) -> None:
        """Disconnect; may run after a failed `_open`, and twice."""

    def _translate(self, error: BaseException, what: str) -> GL002Error | None:
        """The driver's error as ours; None leaves it to the common rules. Authors override it."""
        return None

    # ---- what an author calls ---------------------------------------------------------------

    async def _call(
        self,
        request: Callable[[], Awaitable[R]],
        *,
        what: str,
        repeatable: bool = True,
        own_limit: bool = False,
    ) -> R:
        """Make one request: connect if need be, limit its time, retry, map its errors.

        Args:
            request: called anew for each attempt.
            what: a phrase for messages, 'read 10 nodes'.
            repeatable: whether a second attempt after a failure does no harm. Writes to a plant
                are not: without an answer their outcome is unknown, see `GL002Error.maybe_done`.
            own_limit: the request limits its time itself, by raising TimeoutError; for answers
                that may come behind much else.
        """
        delays, closed = self._retry.delays(), self._closed
        while True:
            sent = False
            try:
                await self.connect()
                sent = True
                return await self._request(request, what, own_limit=own_limit)
            except GL002Error as error:
                again = (repeatable or not sent) and RetryPolicy.worth_it(error)
                again = again and error.retry_after <= self._timeout  # longer is for the flow
                again = again and not closed.is_set()
                wait = next(delays, None) if again else None
                if wait is None:
                    raise
                wait = max(wait, error.retry_after)
                self.log.debug("%s; again in %.1f s", error, wait)
            await self._pause(wait, closed, what)

    async def _pause(self, seconds: float, closed: asyncio.Event, what: str) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await closed.wait()
        if closed.is_set():
            raise ConnectFailed(f"{self.name}: {what}: closed meanwhile")

    async def _request(
        self, request: Callable[[], Awaitable[R]], what: str, *, own_limit: bool = False
    ) -> R:
        session, attempt = self._opened, _Attempt()
        try:
            with self._in_use(), attempt:
                async with asyncio.timeout(None if own_limit else self._timeout):
                    return await request()
        except Exception as error:
            failure = self._explain(error, what)
            failure.maybe_done = not attempt.stayed(error) and failure.leaves_open
            if failure.ends_session:
                await self._lost(failure, session)
            raise failure from error

    @contextmanager
    def _in_use(self) -> Iterator[None]:
        """While this lasts the pool takes the session from nobody; for streams, too."""
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1
            if self._pool is not None:
                self._pool.used(self)

    def _explain(self, error: BaseException, what: str) -> GL002Error:
        """Any error as one of ours, naming the connector, the request and the other side."""
        known = error if isinstance(error, GL002Error) else self._translate(error, what)
        if known is not None:
            known = _naming(self.name, known)
            return self._lockout.refused(known) if isinstance(known, PasswordRefused) else known
        where = f"{self.name}: {what}: {', '.join(str(e) for e in self.endpoints())}"
        if isinstance(error, TimeoutError):
            return RequestTimeout(f"{where}: no answer within {self._timeout:g} s")
        if isinstance(error, asyncio.CancelledError):
            return ConnectFailed(f"{where}: closed meanwhile")
        if isinstance(error, OSError | EOFError):
            return ConnectFailed(f"{where}: {str(error) or type(error).__name__}")
        fault = RequestFailed(Redactor.redact(f"{where}: {type(error).__name__}: {error}"))
        fault.maybe_done = True  # whatever this is, it is no answer
        return fault


class _Attempt:
    """A request under way, and what was raised before any of it was sent."""

    def __init__(self) -> None:
        self.unsent: BaseException | None = None

    def stayed(self, error: BaseException) -> bool:
        """Whether this was raised before anything was sent; a time-out that cut that short, too."""
        return self.unsent is not None and self.unsent in {error, error.__cause__}

    def __enter__(self) -> None:
        self._token = _attempt.set(self)

    def __exit__(self, *_: object) -> None:
        _attempt.reset(self._token)


_attempt: ContextVar[_Attempt | None] = ContextVar("attempt", default=None)


@contextmanager
def before_sending() -> Iterator[None]:
    """Whatever is raised in the block, nothing of the request was sent, so nothing was done.

    Connectors put around it what they look up before they write. What they forget counts as
    sent: at worst a person looks at a plant that was not touched.
    """
    attempt = _attempt.get()  # of the request around; a request in the block has its own
    try:
        yield
    except BaseException as error:
        if attempt is not None:
            attempt.unsent = error
        raise


def _naming(name: str, error: GL002Error) -> GL002Error:
    """The error, its message beginning with the connector's name; no secret is in it any more."""
    message, error.hint = Redactor.redact(str(error.args[0])), Redactor.redact(error.hint)
    error.args = (message if message.startswith(name) else f"{name}: {message}", *error.args[1:])
    return error
