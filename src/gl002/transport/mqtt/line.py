"""One MQTT session of a connector: opened, watched, renewed, given up."""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from gl002.config.settings import Settings
from gl002.connector import Connector, State
from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error
from gl002.pool import ConnectionPool
from gl002.transport.mqtt.inbox import Inbox
from gl002.transport.mqtt.options import SessionOptions, Version
from gl002.transport.mqtt.reasons import VersionRefused
from gl002.transport.mqtt.session import MQTTSession

C = TypeVar("C", bound=Settings)

_PASSING = 600  # seconds a broker keeps a session that only this process will ask for
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
        self._version: Version | None = None
        self._watcher: asyncio.Task[None] | None = None
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

    # ---- the session ------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether nobody publishes and nobody listens."""
        return super().idle and not self._inbox.wanted

    async def _open(self) -> None:
        self._drop()
        versions = self._versions() if self._version is None else (self._version,)
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
                self._version = version
                break
        await self._introduce(self._live())
        self._resumable = True
        self._watcher = asyncio.create_task(
            self._watch(self._live(), self._opened + 1), name=f"gl002-{self.name}-watch"
        )
        renew_after = self._live().options.renew_after
        if renew_after is not None:
            loop = asyncio.get_running_loop()
            self._renewal = loop.call_later(renew_after, self._begin_renewal)
        self._was_opened.set()

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
