"""One MQTT session of a connector: opened, watched, renewed, given up."""

from __future__ import annotations

import asyncio
import ssl
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from gl002.config.blocks import TlsSettings
from gl002.config.settings import Settings
from gl002.connector import Connector, State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    ConfigError,
    ConnectFailed,
    GL002Error,
    PasswordRefused,
    require,
)
from gl002.lockout import Lockout
from gl002.pool import ConnectionPool
from gl002.security.tls import client_context
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.options import SessionOptions, Version
from gl002.transport.mqtt.reasons import VersionRefused
from gl002.transport.mqtt.session import MQTTSession

C = TypeVar("C", bound=Settings)
_Stamps: TypeAlias = dict[str, tuple[int, int, int] | None]

_PASSING = 600  # seconds a broker keeps a session that only this process will ask for
_LOOK_AT_FILES = 30.0  # seconds between looks at whether a certificate has changed
_LOOK_AGAIN = 0.01  # seconds between looks at whether a request is under way


class MQTTLine(Connector[C]):
    """A connector with one MQTT session. Authors say with which options it is opened."""

    def __init__(
        self,
        config: C | Mapping[str, Any],
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(config, name=name, pool=pool, context=context)
        self._has_input = False  # a source was made: the broker keeps what we miss
        self._resumable = False  # the last session of this process may be taken up again
        self._inbox = Inbox(self.log)
        self._session: MQTTSession | None = None
        self._at = 0  # which broker, and
        self._first = 0  # which one is tried first next time
        self._spoken: dict[int, Version] = {}  # with each broker
        self._lockouts: dict[int, Lockout] = {}  # at each of several
        self._watcher: asyncio.Task[None] | None = None
        self._file_watcher: asyncio.Task[None] | None = None
        self._renewal: asyncio.TimerHandle | None = None
        self._renewing: asyncio.Task[None] | None = None
        self._was_opened = asyncio.Event()

    # ---- what an author writes --------------------------------------------------------------

    @abstractmethod
    def _versions(self) -> Sequence[Version]:
        """MQTT versions in the order to try them."""

    @abstractmethod
    def _options(self, version: Version) -> SessionOptions:
        """How to open the next session."""

    @property
    def _brokers(self) -> int:
        """How many brokers there are; `_options` and `endpoints` have that of number `_at`."""
        return 1

    @property
    @abstractmethod
    def _tls(self) -> TlsSettings | None:
        """The authorities to trust and our certificate; None for a plain connection.

        The session is opened anew when one of the files has changed.
        """

    @property
    @abstractmethod
    def _kept(self) -> bool:
        """Whether the broker is to keep our session for the next start of this program."""

    async def _introduce(self, session: MQTTSession) -> None:
        """What is said first on each connection, before anything else may use it."""

    async def _take_leave(self, session: MQTTSession) -> None:
        """What is said last, before a connection is closed in good order."""

    def _session_life(
        self, version: Version, expiry: float, *, clean: bool = False
    ) -> tuple[bool, int]:
        """Whether to begin with a clean session, and how many seconds the broker keeps it.

        Args:
            version: of MQTT; before 5 a session is kept for ever or not at all.
            expiry: seconds that a session is kept, where it is.
            clean: whether the configuration wants none kept.
        """
        if self._kept:
            return False, int(expiry)
        if clean or version != "5":
            return True, 0
        return not (self._resumable and self._inbox.wanted), min(int(expiry), _PASSING)

    def _load_drivers(self, *, websocket: bool) -> None:
        """For `_load`: what sessions need, imported."""
        require("paho.mqtt", extra=self.kind)
        import paho.mqtt.client  # noqa: F401 (it takes a while on a small machine)

        if websocket:
            require("wsproto", extra=self.kind)
            import wsproto  # noqa: F401 (so does this)

    # ---- certificates -----------------------------------------------------------------------

    def _trust(self) -> ssl.SSLContext | None:
        """How to verify the other side, and who we are, as the files say now.

        Raises:
            ConfigError: they cannot be used.
        """
        tls = self._tls
        if tls is None:
            return None
        return client_context(ca=tls.ca, cert=tls.cert, key=tls.key, min_version=tls.min_version)

    def _files(self) -> Sequence[str]:
        tls = self._tls
        named = (tls.ca, tls.cert, tls.key) if tls is not None else ()
        return [file for file in named if file is not None]

    # ---- the session ------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nobody publishes and nobody listens."""
        return super().idle and not self._inbox.wanted

    async def _open(self) -> None:
        self._drop()
        files = self._files()
        stamps = await asyncio.to_thread(_stamps, files) if files else {}
        await self._open_one()
        self._resumable = True
        self._watcher = asyncio.create_task(
            self._watch(self._live(), self._opened + 1), name=f"gl002-{self.name}-watch"
        )
        renew_after = self._live().options.renew_after
        if renew_after is not None:
            loop = asyncio.get_running_loop()
            self._renewal = loop.call_later(renew_after, self._begin_renewal)
        if stamps:
            self._file_watcher = asyncio.create_task(
                self._renew_with_files(stamps), name=f"gl002-{self.name}-files"
            )
        self._was_opened.set()

    async def _open_one(self) -> None:
        """Open a session with the first broker that takes us, in their order."""
        first, self._first = self._first, 0
        limit = self._timeout / self._brokers if self._brokers > 1 else None
        failures: list[ConnectFailed] = []
        for step in range(self._brokers):
            self._at = (first + step) % self._brokers
            try:
                async with asyncio.timeout(limit):
                    return await self._open_in_place()
            except TimeoutError:
                if limit is None:
                    raise
                where = tuple(self.endpoints())[self._at]
                failures.append(ConnectFailed(f"{where}: no answer within {limit:g} s"))
            except ConnectFailed as error:
                failures.append(error)
            self._drop()
        raise _all_failed(failures)

    async def _open_in_place(self) -> None:
        """Open a session with this broker, unless of several it has refused our password lately.

        While another one is only away, all are tried often.
        """
        if self._brokers == 1:  # then the connection itself waits
            await self._open_here()
            return
        lockout = self._lockouts.setdefault(self._at, Lockout())
        lockout.check()
        try:
            await self._open_here()
        except PasswordRefused as error:
            lockout.refused(error)
            raise
        lockout.accepted()

    def try_at_once(self) -> None:
        """Somebody has seen to what a person must: the next request tries a refused password."""
        super().try_at_once()
        for lockout in self._lockouts.values():
            lockout.lift()

    @property
    def _version(self) -> Version:
        """Of MQTT, as spoken with this broker before; else the one to try first."""
        return self._spoken.get(self._at, self._versions()[0])

    async def _open_here(self) -> None:
        """Open a session with this broker, in the first version it speaks."""
        versions = [self._version] if self._at in self._spoken else self._versions()
        for version in versions:
            try:
                self._session = await MQTTSession.open(
                    self._options(version), self.context.network, self._inbox, timeout=self._timeout
                )
            except VersionRefused as error:
                if version == versions[-1]:
                    raise
                self.log.info("%s: %s", self.name, error)
            else:
                self._spoken[self._at] = version
                break
        await self._introduce(self._live())

    async def _watch(self, session: MQTTSession, number: int) -> None:
        """Note at once when the connection is lost, also while nobody asks for anything."""
        try:
            await session.until_lost()
        except GL002Error as error:
            self._watcher = None
            await self._lost(self._explain(error, "listen"), number)

    async def _shut(self) -> None:
        session = self._session
        if session is not None and self._state is State.CLOSED:
            with suppress(GL002Error):  # it may be lost by now
                await self._take_leave(session)
            await session.close(forget=not self._kept)
            self._resumable = False
        self._drop()

    def _drop(self) -> None:
        """End the session without a goodbye, so that the broker keeps it."""
        session, self._session = self._session, None
        watcher, self._watcher = self._watcher, None
        if watcher is not None:
            watcher.cancel()
        if self._renewal is not None:
            self._renewal.cancel()
        files, self._file_watcher = self._file_watcher, None
        if files is not None:
            files.cancel()
        if session is not None:
            session.drop()
            self._resumable = self._resumable and not session.in_doubt

    def _live(self) -> MQTTSession:
        if self._session is None:
            raise ConnectFailed(f"{self.name}: the connection has just ended")
        return self._session

    async def close(self) -> None:
        """Close the session; safe at any time, any number of times; never raises."""
        renewing, self._renewing = self._renewing, None
        if renewing is not None:
            renewing.cancel()
        await super().close()

    # ---- renewal ----------------------------------------------------------------------------

    def _begin_renewal(self) -> None:
        self._renewing = asyncio.create_task(self._renew(), name=f"gl002-{self.name}-renewal")

    async def _renew_with_files(self, stamps: _Stamps) -> None:
        """Open the session anew when a certificate has been replaced by one that can be used."""
        while True:
            await asyncio.sleep(_LOOK_AT_FILES)
            now = await asyncio.to_thread(_stamps, self._files())
            if now == stamps:
                continue
            stamps = now
            try:
                self._trust()
            except ConfigError as error:
                self.log.warning("%s: goes on with the certificate it has: %s", self.name, error)
                continue
            self.log.info("%s: a certificate has changed", self.name)
            self._begin_renewal()
            return

    async def _renew(self) -> None:
        """Open the session anew with fresh options, so that nobody notices but by waiting.

        Requests under way are answered first, those that come meanwhile wait. A broker that keeps
        our session repeats what is not acknowledged; callbacks are subscribed again in any case.
        """
        async with self._gate:
            session = self._session
            if session is None or not self._is_up():
                return
            self._becomes(State.NEW, "the session is renewed")
            await self._until_quiet()
            if self._state is not State.NEW:
                return
            self._inbox.renewing = True
            try:
                with suppress(GL002Error, TimeoutError):
                    async with asyncio.timeout(self._timeout):
                        await self._take_leave(session)
                await session.close()
                await self._open_once()
            except GL002Error as error:
                self._inbox.renewing = False
                self._inbox.end(error)  # nobody need wait any longer
                return
            finally:
                self._inbox.renewing = False
        if self._has_input and not self._live().session_present:
            await self._lost(ConnectFailed(f"{self.name}: our session was forgotten meanwhile"))

    async def _until_quiet(self) -> None:
        """Return when no request is under way, or has had its time."""
        end = time.monotonic() + self._timeout
        while self._busy and time.monotonic() < end:  # noqa: ASYNC110 (the base class tells nobody)
            await asyncio.sleep(_LOOK_AGAIN)

    async def _ping(self) -> str:
        session = self._live()
        await session.round_trip()
        return f"MQTT {session.options.version}, connected as '{session.options.client_id}'"


def _stamps(files: Sequence[str]) -> _Stamps:
    """By which a change of a file is known; None of one that is not there."""
    found: _Stamps = {}
    for file in files:
        try:
            said = Path(file).stat()
        except OSError:
            found[file] = None
        else:
            found[file] = (said.st_mtime_ns, said.st_size, said.st_ino)
    return found


def _all_failed(failures: Sequence[ConnectFailed]) -> ConnectFailed:
    """No broker has taken us: one error that tells of all."""
    if len(failures) == 1:
        return failures[0]
    kind: type[ConnectFailed] = AuthFailed
    if any(isinstance(failure, PasswordRefused) for failure in failures):
        kind = PasswordRefused
    if any(failure.retryable for failure in failures):
        kind = ConnectFailed
    hint = next((failure.hint for failure in failures if failure.hint), "")
    return kind("; ".join(str(failure.args[0]) for failure in failures), hint=hint)
