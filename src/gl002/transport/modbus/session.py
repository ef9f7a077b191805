"""A session with Modbus devices on one line: one request at a time, nothing believed unchecked.

pymodbus builds and takes apart the frames (MBAP header, CRC, LRC) and drives the serial port; the
session is ours, because its client reconnects and repeats by itself, accepts a reply with
transaction number 0 or a wrong byte count, and cannot be handed a checked socket
(`docs/decisions/0005`). How frames are told apart: `framing`.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from gl002.errors import (
    ConnectFailed,
    ConnectorError,
    RequestFailed,
    TagNotFound,
    Unsupported,
    require,
)
from gl002.security.network import Endpoint, Network
from gl002.transport.modbus.framing import Frame, Framing, frames
from gl002.transport.modbus.lateness import Unanswered, is_answer
from gl002.wire.modbus_pdu import Garbage, Refusal

_START_BIT = 1
_BITS_OF_SILENCE = 11  # of a character by the specification, whatever the line has
_SILENT_CHARACTERS = 3.5
_LEAST_SILENCE = 0.00175  # seconds, above 19,200 baud
_CLOSE_TIMEOUT = 1.0  # seconds


class GarbledReply(ConnectFailed):
    """What came back was no reply to the request; the connection is given up."""


class IllegalAddress(TagNotFound):
    """The device has no such register, or not that many of them (exception 02)."""


class IllegalValue(RequestFailed):
    """The device refuses the number or the value (exception 03)."""


class DeviceBusy(RequestFailed):
    """The device cannot answer now (exceptions 04, 05 and 06)."""

    retryable = True


class DeviceSilent(RequestFailed):
    """A gateway got no answer from the device behind it (exceptions 0A and 0B)."""

    retryable = True


_MEANINGS: dict[int, type[RequestFailed]] = {
    1: Unsupported, 2: IllegalAddress, 3: IllegalValue, 4: DeviceBusy, 5: DeviceBusy,
    6: DeviceBusy, 10: DeviceSilent, 11: DeviceSilent,
}  # fmt: skip

_LEAVE_OPEN = {4, 5, 11}
"""It failed while it did it; it has begun and takes long; what is behind it does not answer."""


def explained(error: Refusal | Garbage, where: str) -> ConnectorError:
    """What the protocol said as one of our errors; `where` names connector, request and device."""
    if isinstance(error, Garbage):
        return GarbledReply(f"{where}: {error}", hint="noise on the line, or no Modbus device")
    failure = _MEANINGS.get(error.code, RequestFailed)(f"{where}: {error}", hint=_hint(error.code))
    failure.maybe_done = error.code in _LEAVE_OPEN
    return failure


def _hint(code: int) -> str:
    if code in {2, 3}:
        return "does the device have this register? mind addresses that count from 0 or from 1"
    if _MEANINGS.get(code) is DeviceSilent:
        return "the gateway is there, but not the device behind it: slave_id, cable, power"
    return ""


class SerialLine(NamedTuple):
    """A serial port and how it is set.

    Attributes:
        port: device file, '/dev/ttyUSB0'.
        baudrate: bits per second.
        parity: 'N', 'E' or 'O'.
        stopbits: 1 or 2.
        bytesize: 7 or 8.
    """

    port: str
    baudrate: int
    parity: str
    stopbits: int
    bytesize: int

    @property
    def character(self) -> float:
        """Seconds one character takes: start bit, data bits, parity, stop bits."""
        bits = _START_BIT + self.bytesize + (self.parity != "N") + self.stopbits
        return bits / self.baudrate

    @property
    def silence(self) -> float:
        """Seconds without a character that separate two frames.

        Source: MODBUS over Serial Line V1.02, section 2.5.1.1: 3.5 characters, 1.75 ms above
        19,200 baud.
        """
        return max(_LEAST_SILENCE, _SILENT_CHARACTERS * _BITS_OF_SILENCE / self.baudrate)


class Session(asyncio.Protocol):
    """An open line. The caller keeps requests apart and closes the session after a failed one.

    Args:
        framing: how frames are told apart.
        silence: seconds to leave between two frames; 0 where the transport keeps them apart.
        on_lost: told why when the other side ends the connection while no request is under way.

    Attributes:
        opened: done once the line is open.
    """

    def __init__(
        self, framing: Framing, *, silence: float = 0.0, on_lost: Callable[[str], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._frames = frames(framing)
        self._silence = silence
        self._on_lost = on_lost
        self._loop = loop
        self.opened: asyncio.Future[None] = loop.create_future()
        self._ended: asyncio.Future[None] = loop.create_future()
        self._transport: Any = None
        self._reply: asyncio.Future[bytes] | None = None
        self._closing = self._spoilt = False
        self._buffer = b""
        self._unit = self._number = 0
        self._request = b""
        self._late: Unanswered = {}
        self._heard = loop.time()

    # ---- requests ---------------------------------------------------------------------------

    async def exchange(self, unit: int, request: bytes, late: Unanswered) -> bytes:
        """Send a request to a device and return its reply, both without their frame.

        Waits as long as it takes: the caller limits it, and closes the session after any error,
        because a reply that comes late must not meet the next request.

        Args:
            unit: the device.
            request: what to ask.
            late: units -> requests they have not answered yet. A reply that comes only now is
                dropped, and its request taken out.

        Raises:
            Garbage: something came that is no reply to this request.
            ConnectionError: the connection ended.
        """
        if not self.usable:
            raise ConnectionResetError("the connection is closed")
        assert self._reply is None, "one request at a time"
        if self._silence:
            await asyncio.sleep(self._heard + self._silence - self._loop.time())
        self._buffer = b""
        self._unit, self._number = unit, self._number % 0xFFFF + 1
        self._request, self._late = request, late
        self._reply = self._loop.create_future()
        self._transport.write(self._frames.encode(unit, self._number, request))
        try:
            return await self._reply
        except asyncio.CancelledError:
            self._spoilt = True
            raise
        finally:
            self._reply = None

    @property
    def usable(self) -> bool:
        """Whether a request may be sent: open, and no reply outstanding that nobody awaits."""
        return self._transport is not None and not self._ended.done() and not self._spoilt

    async def drain(self, quiet: float, limit: float) -> None:
        """Discard what still comes in, until nothing has come for `quiet` seconds.

        Raises:
            Garbage: after `limit` seconds the line was not quiet yet.
        """
        start = self._heard = self._loop.time()
        while (rest := self._heard + quiet - self._loop.time()) > 0:
            if self._loop.time() - start > limit:
                raise Garbage("the line does not fall silent")
            await asyncio.sleep(rest)

    async def close(self) -> None:
        """End the connection at once; safe to call twice."""
        if self._transport is None:
            return
        self._closing = True
        self._transport.abort()
        if self._transport.get_extra_info("socket") is None:
            self.connection_lost(None)  # a serial transport does not say that it has closed
        await asyncio.wait([self._ended], timeout=_CLOSE_TIMEOUT)

    # ---- called by the event loop -----------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The line is open."""
        self._transport = transport
        self.opened.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """The line is closed, by whomever."""
        if self._ended.done():
            return
        self._ended.set_result(None)
        reason = str(exc) if exc else "closed by the other side"
        if self._reply is not None and not self._reply.done():
            told = isinstance(exc, ssl.SSLError)  # it refuses our certificate after the handshake
            self._reply.set_exception(exc if exc and told else ConnectionResetError(reason))
        elif not self._closing:
            self._on_lost(reason)

    def data_received(self, data: bytes) -> None:
        """Collect a reply; what nobody asked for is dropped."""
        self._heard = self._loop.time()
        if self._reply is None or self._reply.done():
            return
        self._buffer += data
        try:
            reply = self._framed()
        except Garbage as error:
            self._reply.set_exception(error)
        except Exception as error:  # noqa: BLE001 (pymodbus raises anything on noise)
            self._reply.set_exception(Garbage(repr(error)))
        else:
            if reply is not None:
                self._reply.set_result(reply)

    def _framed(self) -> bytes | None:
        """The reply without its frame; None while it is not complete."""
        while (frame := self._frames.cut(self._buffer, self._awaited())) is not None:
            if is_answer(self._late, self._unit, self._request, frame.unit, frame.reply):
                return self._checked(frame)
            self._buffer = self._buffer[frame.size :]
        return None

    def _awaited(self) -> dict[int, Sequence[bytes]]:
        awaited: dict[int, Sequence[bytes]] = {u: late for u, late in self._late.items() if late}
        awaited[self._unit] = [self._request, *awaited.get(self._unit, ())]
        return awaited

    def _checked(self, frame: Frame) -> bytes:
        if self._frames.numbered:
            if frame.number != self._number:
                raise Garbage(f"reply {frame.number} to request {self._number}")
        elif len(self._buffer) > frame.size:  # two replies: which one is it?
            raise Garbage("more bytes than a reply can have")
        return frame.reply


def load_driver(*, serial: bool) -> None:
    """Import what a session needs.

    Raises:
        MissingDependency: pymodbus is not installed, or pyserial where it is needed.
    """
    require("pymodbus", extra="modbus")
    import pymodbus.framer
    import pymodbus.pdu

    if serial:
        require("serial", extra="modbus")
        import pymodbus.transport.serialtransport  # noqa: F401 (loaded ahead of its use)


async def open_tcp(
    network: Network,
    endpoint: Endpoint,
    framing: Framing,
    *,
    timeout: float,  # noqa: ASYNC109 (dial takes it)
    on_lost: Callable[[str], None],
    silence: float = 0.0,
    tls: ssl.SSLContext | None = None,
    server_name: str = "",
) -> Session:
    """A session over TCP, on a socket that passed the allowlist; over TLS where a context is given.

    Raises:
        ConnectFailed: nothing there, or NotAllowed. ssl.SSLError: the handshake failed.
    """
    sock = await network.dial(endpoint, timeout=timeout)
    try:
        session = Session(framing, silence=silence, on_lost=on_lost)
        await asyncio.get_running_loop().create_connection(
            lambda: session, sock=sock, ssl=tls, server_hostname=server_name if tls else None
        )
    except BaseException:
        sock.close()
        raise
    return session


async def open_serial(
    line: SerialLine, framing: Framing, *, silence: float = 0.0, on_lost: Callable[[str], None]
) -> Session:
    """A session over a serial port of this machine.

    Args:
        line: the port.
        framing: how frames are told apart.
        silence: seconds to leave between two frames, where that is more than the line's own.
        on_lost: as of `Session`.

    Raises:
        OSError: no such port, no permission, or another program has it.
    """
    from pymodbus.transport.serialtransport import create_serial_connection

    session = Session(framing, silence=max(silence, line.silence), on_lost=on_lost)
    transport, _ = await create_serial_connection(
        asyncio.get_running_loop(), lambda: session, line.port, line.baudrate,
        line.bytesize, line.parity, line.stopbits,
    )  # fmt: skip
    try:
        await session.opened
    except BaseException:
        transport.abort()
        raise
    return session
