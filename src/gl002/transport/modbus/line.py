"""The line of one connector: which session it has now, and whose turn it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gl002.errors import ConnectFailed, GL002Error, RequestTimeout
from gl002.security.network import Endpoint, Network
from gl002.transport.modbus.session import Session, explained, open_serial, open_tcp
from gl002.transport.modbus.settings import ConnectionSettings
from gl002.wire import modbus_pdu as pdu

_LONGEST_TURN = 60.0  # seconds a request waits for those before it
_LONGEST_DRAIN = 5.0  # in time-outs: when a chattering line is given up


class Line:
    """One request at a time, over one session after the other.

    Args:
        settings: where the line leads.
        on_lost: told why when the other side ends the connection between two requests.
    """

    def __init__(self, settings: ConnectionSettings, on_lost: Callable[[str], None]) -> None:
        self._settings = settings
        self._on_lost = on_lost
        self._turn = asyncio.Lock()
        self._session: Session | None = None
        self._unsettled = False

    @property
    def endpoint(self) -> Endpoint | None:
        """What is dialled; None for a serial port."""
        line = self._settings
        return None if line.serial else Endpoint(line.host, int(line.port))

    def __str__(self) -> str:
        return str(self.endpoint or self._settings.port)

    @property
    def usable(self) -> bool:
        """Whether there is a session that takes a request."""
        return self._session is not None and self._session.usable

    async def open(self, network: Network, timeout: float) -> None:  # noqa: ASYNC109 (dial takes it)
        """Open a session in place of the one before.

        Raises:
            GL002Error: as `open_tcp`; OSError: as `open_serial`.
        """
        await self.shut()
        if self.endpoint is None:
            self._session = await open_serial(self._settings.line, on_lost=self._on_lost)
        else:
            self._session = await open_tcp(
                network,
                self.endpoint,
                self._settings.framing,
                timeout=timeout,
                on_lost=self._on_lost,
            )

    async def shut(self) -> None:
        """Close the session, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ---- turns ------------------------------------------------------------------------------

    async def acquire(self) -> None:
        """Wait for one's turn, in order of arrival; ends with `release`.

        Raises:
            RequestTimeout: it did not come; nothing was sent.
        """
        if not self._turn.locked():
            await self._turn.acquire()
            return
        try:
            async with asyncio.timeout(_LONGEST_TURN):
                await self._turn.acquire()
        except TimeoutError:
            raise RequestTimeout(f"{self}: the line was busy for {_LONGEST_TURN:g} s") from None

    def release(self) -> None:
        """Let the next one have its turn."""
        self._turn.release()

    async def exchange(self, unit: int, request: bytes) -> bytes:
        """Send a request and return the data of the reply. Only in one's turn.

        Raises:
            Refusal, Garbage: what came back; ConnectionError: the connection ended.
        """
        if self._session is None:
            raise ConnectionResetError("closed meanwhile")
        try:
            reply = await self._session.exchange(unit, request)
        except BaseException:
            # its reply may still come; Modbus TCP numbers its replies, RTU does not
            self._unsettled = self._settings.framing == "rtu"
            raise
        return pdu.payload(request, reply)

    async def settle(self, timeout: float) -> None:  # noqa: ASYNC109 (of a request)
        """After an unanswered request: wait for silence, so that no late reply meets the next.

        Raises:
            GarbledReply: the line does not fall silent; the session is closed.
        """
        if not self._unsettled or self._session is None:
            return
        try:
            await self._session.drain(timeout, _LONGEST_DRAIN * timeout)
        except pdu.Garbage as error:
            await self.shut()
            raise explained(error, str(self)) from error
        self._unsettled = False

    # ---- errors -----------------------------------------------------------------------------

    def translated(self, error: BaseException, what: str, seconds: float) -> GL002Error | None:
        """An error of this line as ours; None where the common rules will do.

        Args:
            error: what was raised.
            what: connector and request.
            seconds: the time-out.
        """
        if isinstance(error, pdu.Refusal | pdu.Garbage):
            return explained(error, f"{what}: {self}")
        if self.endpoint is not None:
            return None
        if isinstance(error, TimeoutError):
            return RequestTimeout(
                f"{what}: {self}: no answer within {seconds:g} s",
                hint="slave_id, baudrate and parity as on the device? A and B not exchanged?",
            )
        return ConnectFailed(f"{what}: {self}: {error}") if isinstance(error, OSError) else None
