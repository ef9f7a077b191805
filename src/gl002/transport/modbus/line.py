"""The line of one connector: which session it has now, and whose turn it is.

Framings without numbers (RTU, ASCII) give a reply no sign of the request it belongs to. What a
device left unanswered is remembered: its reply may still come, while another device is asked, and
is then dropped; the device itself is asked again a whole time-out later, and in a way that tells a
late reply from the one to the new request (`lateness`).
"""

from __future__ import annotations

import asyncio
import errno
import os
import ssl
from collections.abc import Callable
from dataclasses import dataclass

from gl002.errors import ConnectFailed, GL002Error, RequestTimeout
from gl002.security import tls
from gl002.security.network import Endpoint, Network
from gl002.session import before_sending
from gl002.transport.modbus.lateness import Late, MayRead
from gl002.transport.modbus.session import Session, explained, open_serial, open_tcp
from gl002.transport.modbus.settings import ConnectionSettings
from gl002.transport.modbus.turns import Turns
from gl002.wire import modbus_pdu as pdu

_PORT_HINTS: dict[int | None, str] = {
    errno.ENOENT: "is the adapter plugged in? 'ls -l /dev/serial/by-id' shows those there are",
    errno.EACCES: "may this user open it? On Debian: the group 'dialout', and log in anew",
    errno.EBUSY: "another program has it: one master at a line",
    errno.EAGAIN: "another program has it: one master at a line",
}

_LONGEST_TURN = 60.0  # seconds a request waits for those before it
_LONGEST_DRAIN = 5.0  # in time-outs: when a chattering line is given up


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request to one device, to be made in one's turn.

    Attributes:
        line: over which line.
        unit: the device.
        request: without its frame.
    """

    line: Line
    unit: int
    request: bytes

    async def __call__(self) -> bytes:
        """Make it; the data of the reply."""
        return await self.line.exchange(self.unit, self.request)

    @property
    def writes(self) -> bool:
        """Whether it changes something in the device."""
        return pdu.writes(self.request)


class Line:
    """One request at a time, over one session after the other.

    Args:
        settings: where the line leads.
        on_lost: told why when the other side ends the connection between two requests.
        may_read: which registers may be read to tell late replies from others.

    Attributes:
        silent: units that left their last request unanswered.
        disturbed: whether the last request followed one that another device left unanswered. A
            device with libmodbus in it takes the first for the missing answer, and keeps still.
    """

    def __init__(
        self, settings: ConnectionSettings, on_lost: Callable[[str], None], may_read: MayRead
    ) -> None:
        self._settings = settings
        self._on_lost = on_lost
        self._turns = Turns()
        self._session: Session | None = None
        self._numbered = settings.numbered
        self._late = Late(may_read)
        self._given_up: dict[int, float] = {}  # unit -> since when; not asked for a time-out
        self._noisy = False
        self._unanswered: int | None = None
        self.silent: set[int] = set()
        self.disturbed = False

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
        settings = self._settings
        if self.endpoint is None:
            self._session = await open_serial(
                settings.line, settings.framing, silence=settings.pause, on_lost=self._on_lost
            )
            return
        self._session = await open_tcp(
            network,
            self.endpoint,
            settings.framing,
            timeout=timeout,
            on_lost=self._on_lost,
            silence=settings.pause,
            tls=settings.tls_context(),
            server_name=settings.server_name,
        )

    async def shut(self) -> None:
        """Close the session, if there is one."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    # ---- turns ------------------------------------------------------------------------------

    async def acquire(self, *, urgent: bool = False) -> None:
        """Wait for one's turn, urgent ones first, else in order of arrival; ends with `release`.

        Raises:
            RequestTimeout: it did not come; nothing was sent.
        """
        if self._turns.at_once():
            return
        try:
            async with asyncio.timeout(_LONGEST_TURN):
                await self._turns.acquire(urgent=urgent)
        except TimeoutError:
            raise RequestTimeout(f"{self}: the line was busy for {_LONGEST_TURN:g} s") from None

    def release(self) -> None:
        """Let the next one have its turn."""
        self._turns.release()

    async def exchange(self, unit: int, request: bytes) -> bytes:
        """Send a request and return the data of the reply. Only in one's turn.

        Raises:
            Refusal, Garbage: what came back; ConnectionError: the connection ended.
        """
        with before_sending():
            if self._session is None or not self._session.usable:
                raise ConnectionResetError("closed meanwhile")
        self.disturbed = self._unanswered not in {None, unit}
        self._unanswered = unit
        self.silent.add(unit)
        try:
            reply = await self._session.exchange(unit, request, self._late.unanswered)
        except BaseException as error:
            if not self._numbered:
                self._given_up[unit] = asyncio.get_running_loop().time()
                self._late.add(unit, request, self._given_up[unit])
                self._noisy |= isinstance(error, pdu.Garbage)
            raise
        self._unanswered = None
        self.silent.discard(unit)
        data = pdu.payload(request, reply)
        if not self._numbered:
            self._late.answered(unit, request)
        return data

    def probe(self, unit: int, request: bytes) -> bytes | None:
        """What to ask first, lest a late reply be taken for the one to this; None: nothing."""
        return None if self._numbered else self._late.probe(unit, request)

    async def settle(self, unit: int, timeout: float) -> None:  # noqa: ASYNC109 (of a request)
        """Wait a time-out after this device was given up; after noise, until the line is silent.

        Raises:
            GarbledReply: the line does not fall silent; the session is closed.
        """
        if self._noisy and self._session is not None:
            await self._fall_silent(timeout)
        now = asyncio.get_running_loop().time()
        self._late.forget_old(unit, now, timeout)
        if unit in self._given_up:
            await asyncio.sleep(self._given_up[unit] + timeout - now)
            del self._given_up[unit]

    async def _fall_silent(self, timeout: float) -> None:  # noqa: ASYNC109 (of a request)
        assert self._session is not None
        try:
            await self._session.drain(timeout, _LONGEST_DRAIN * timeout)
        except pdu.Garbage as error:
            await self.shut()
            raise explained(error, str(self)) from error
        self._noisy = False
        self._given_up.clear()

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
        if isinstance(error, ssl.SSLError):
            return tls.explained(error, f"{what}: {self}")
        if self._settings.lacks_certificate and isinstance(error, OSError | EOFError):
            return ConnectFailed(
                f"{what}: {self}: {str(error) or type(error).__name__}",
                hint="if the device asks for a certificate of ours, set tls.cert and tls.key",
            )
        if isinstance(error, TimeoutError):
            hint = "slave_id, baudrate and parity as on the device? A and B not exchanged?"
            if self.endpoint is not None:
                hint = "is slave_id right? Or a firewall, or a gateway without that device?"
            return RequestTimeout(f"{what}: {self}: no answer within {seconds:g} s", hint=hint)
        if self.endpoint is not None or not isinstance(error, OSError):
            return None
        reason = os.strerror(error.errno) if error.errno else str(error)
        hint = _PORT_HINTS.get(error.errno, "is that a serial port?")
        return ConnectFailed(f"{what}: {self}: {reason}", hint=hint)
