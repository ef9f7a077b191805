"""The server's side of TDS 7.4: greeting, TLS, log-in, batches, RPC, answers.

Source: MS-TDS, the protocol's open specification. Four independent clients have talked to its
predecessor; python-tds and FreeTDS (tsql, pymssql) do in the tests.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl
import struct
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

UCS = "utf-16-le"
_COLLATION = bytes.fromhex("0904d00034")
_PACKET = 4096


class Refusal(Exception):
    """An ERROR token: number, severity, words."""

    def __init__(self, number: int, text: str, severity: int = 16) -> None:
        super().__init__(text)
        self.number, self.text, self.severity = number, text, severity


class Result(NamedTuple):
    """What a statement gives: columns (name, 's', 'f', 'i' or 'd') and rows."""

    columns: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[Any]]
    affected: int | None = None


# ---- tokens ------------------------------------------------------------------------------------


def _short(text: str) -> bytes:
    return bytes([len(text)]) + text.encode(UCS)


def _token(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + struct.pack("<H", len(body)) + body


def _env(kind: int, new: str, old: str = "") -> bytes:
    return _token(0xE3, bytes([kind]) + _short(new) + _short(old))


def _done(rows: int = 0, status: int = 0x10, kind: int = 0xFD) -> bytes:
    return bytes([kind]) + struct.pack("<HHQ", status, 0xC1, rows)


def _error(refusal: Refusal) -> bytes:
    text = refusal.text[:2000]
    body = struct.pack("<iBB", refusal.number, 1, refusal.severity)
    body += struct.pack("<H", len(text)) + text.encode(UCS) + _short("HIST01") + _short("")
    return _token(0xAA, body + struct.pack("<I", 1))


_TYPES = {
    "s": b"\xe7" + struct.pack("<H", 8000) + _COLLATION, "f": b"\x6d\x08", "d": b"\x2a\x07",
    "i": b"\x26\x08",
}  # fmt: skip


def _columns(columns: Sequence[tuple[str, str]]) -> bytes:
    out = b"\x81" + struct.pack("<H", len(columns))
    for name, kind in columns:
        out += struct.pack("<IH", 0, 0x0009) + _TYPES[kind] + _short(name)
    return out


def _value(kind: str, value: Any) -> bytes:
    if kind == "s":
        if value is None:
            return b"\xff\xff"
        data = str(value).encode(UCS)
        return struct.pack("<H", len(data)) + data
    if value is None:
        return b"\0"
    if kind == "f":
        return b"\x08" + struct.pack("<d", value)
    if kind == "i":
        return b"\x08" + struct.pack("<q", int(value))
    ticks = (value.hour * 3600 + value.minute * 60 + value.second) * 10**7 + value.microsecond * 10
    return b"\x08" + ticks.to_bytes(5, "little") + (value.toordinal() - 1).to_bytes(3, "little")


def answer(result: Result, *, rpc: bool) -> bytes:
    """A whole answer to a statement."""
    out = bytearray()
    count = len(result.rows) if result.affected is None else result.affected
    if result.columns:
        out += _columns(result.columns)
        kinds = [kind for _, kind in result.columns]
        for row in result.rows:
            out += b"\xd1" + b"".join(map(_value, kinds, row))
    if not rpc:
        return bytes(out) + _done(count)
    return bytes(out) + _done(count, 0x11, 0xFF) + b"\x79\0\0\0\0" + _done(0, 0, 0xFE)


# ---- what clients send -------------------------------------------------------------------------


def _parameter(data: bytes, at: int) -> tuple[str, Any, int]:  # noqa: PLR0911 (one for each type)
    """Name and value of one RPC parameter, and where the next one begins."""
    size = data[at]
    name = data[at + 1 : at + 1 + 2 * size].decode(UCS)
    at += 2 + 2 * size  # with its status
    kind = data[at]
    if kind in {0xE7, 0xEF}:
        (most,) = struct.unpack_from("<H", data, at + 1)
        at += 8
        if most == 0xFFFF:
            (total,) = struct.unpack_from("<Q", data, at)
            at += 8
            if total == 2**64 - 1:
                return name, None, at
            text = b""
            while size := struct.unpack_from("<I", data, at)[0]:
                text += data[at + 4 : at + 4 + size]
                at += 4 + size
            return name, text.decode(UCS), at + 4
        (size,) = struct.unpack_from("<H", data, at)
        if size == 0xFFFF:
            return name, None, at + 2
        return name, data[at + 2 : at + 2 + size].decode(UCS), at + 2 + size
    skip = 2 if kind in {0x26, 0x6D, 0x68, 0x2A} else 0
    if not skip:
        raise Refusal(8009, f"the type 0x{kind:02X} of the parameter {name} is not known here")
    size = data[at + skip]
    body = data[at + skip + 1 : at + skip + 1 + size]
    at += skip + 1 + size
    if not size:
        return name, None, at
    if kind == 0x6D:
        return name, struct.unpack("<d" if size == 8 else "<f", body)[0], at
    if kind == 0x2A:
        scale = data[at - size - 2]
        ticks = int.from_bytes(body[:-3], "little") * 10 ** (7 - scale)
        day = dt.date.fromordinal(int.from_bytes(body[-3:], "little") + 1)
        midnight = dt.datetime.combine(day, dt.time())
        return name, midnight + dt.timedelta(microseconds=ticks // 10), at
    return name, int.from_bytes(body, "little", signed=size > 1), at


def executed(data: bytes) -> tuple[str, dict[str, Any]]:
    """Statement and parameters of an sp_executesql call."""
    (size,) = struct.unpack_from("<H", data)
    at = 4 if size == 0xFFFF else 2 + 2 * size
    procedure = struct.unpack_from("<H", data, 2)[0] if size == 0xFFFF else data[2:at].decode(UCS)
    if procedure not in {10, "sp_executesql"}:
        raise Refusal(2812, f"Could not find stored procedure '{procedure}'.")
    at += 2
    given = []
    while at < len(data):
        name, value, at = _parameter(data, at)
        given.append((name, value))
    return str(given[0][1]), {name.lstrip("@"): value for name, value in given[2:]}


# ---- a connection ------------------------------------------------------------------------------


class Login(NamedTuple):
    """What LOGIN7 says."""

    user: str
    password: str
    database: str
    sspi: bytes
    version: bytes


def _login(data: bytes) -> Login:
    def text(at: int) -> bytes:
        start, length = struct.unpack_from("<HH", data, at)
        return data[start : start + 2 * length]

    password = bytes(((b ^ 0xA5) << 4 & 0xF0) | (b ^ 0xA5) >> 4 for b in text(44))
    start, length = struct.unpack_from("<HH", data, 78)
    return Login(
        text(40).decode(UCS), password.decode(UCS), text(68).decode(UCS),
        data[start : start + length], data[4:8],
    )  # fmt: skip


class Connection:
    """One client.

    Args:
        reader: from it.
        writer: to it.
        allowed: says whether a SQL login is right; raises a Refusal.
        run: does a statement for a user.
        tls: how to encrypt; None where there is no certificate.
        clear: whether a client may stay in clear.
        host: of its service principal, 'localhost:1433'.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        allowed: Callable[[Login], None],
        run: Callable[[str, dict[str, Any], str], Result],
        tls: ssl.SSLContext | None,
        clear: bool,
        host: str,
    ) -> None:
        self._reader, self._writer = reader, writer
        self._allowed, self._run = allowed, run
        self._tls, self._clear, self._host = tls, clear, host
        self._secure: ssl.SSLObject | None = None
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._user = ""

    async def serve(self) -> None:
        try:
            while True:
                kind, data = await self._message()
                if not await self._handle(kind, data):
                    break
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            pass
        finally:
            self._writer.close()

    async def _exactly(self, count: int) -> bytes:
        if self._secure is None:
            return await self._reader.readexactly(count)
        data = b""
        while len(data) < count:
            try:
                data += self._secure.read(count - len(data))
            except ssl.SSLWantReadError:
                received = await self._reader.read(65536)
                if not received:
                    raise asyncio.IncompleteReadError(data, count) from None
                self._in.write(received)
        return data

    async def _message(self) -> tuple[int, bytes]:
        data = b""
        while True:
            kind, status, length = struct.unpack(">BBH", (await self._exactly(8))[:4])
            data += await self._exactly(length - 8)
            if status & 1:
                return kind, data

    async def _send(self, data: bytes, kind: int = 4) -> None:
        room = _PACKET - 8
        for start in range(0, max(len(data), 1), room):
            part = data[start : start + room]
            last = start + room >= len(data)
            packet = struct.pack(">BBHHBB", kind, last, len(part) + 8, 0, 1, 0) + part
            if self._secure is not None:
                self._secure.write(packet)
                packet = self._out.read()
            self._writer.write(packet)
        await self._writer.drain()

    async def _handle(self, kind: int, data: bytes) -> bool:
        """Answer one message; whether the connection goes on."""
        if kind == 0x12:
            return await self._greet(data)
        if kind == 0x10:
            return await self._log_in(_login(data))
        if not self._user:
            return False
        if kind == 6:
            await self._send(_done(status=0x20))
        elif kind == 14:
            (action,) = struct.unpack_from("<H", data, struct.unpack_from("<I", data)[0])
            token = b"\x08\x08" + b"\1" * 8 + b"\0" if action == 5 else b""
            await self._send((_token(0xE3, token) if token else b"") + _done(status=0))
        elif kind in {1, 3}:
            await self._answer(kind, data)
        return kind in {1, 3, 6, 14}

    async def _answer(self, kind: int, data: bytes) -> None:
        (above,) = struct.unpack_from("<I", data)
        body = data[above:]
        try:
            sql, parameters = (body.decode(UCS), {}) if kind == 1 else executed(body)
            result = self._run(sql, parameters, self._user)
        except Refusal as refusal:
            ends = _done(status=2) if kind == 1 else _done(status=2, kind=0xFE)
            await self._send(_error(refusal) + ends)
        else:
            await self._send(answer(result, rpc=kind == 3))

    async def _greet(self, data: bytes) -> bool:
        wish, at = 2, 0
        while at < len(data) and data[at] != 0xFF:
            option, offset, length = struct.unpack_from(">BHH", data, at)
            if option == 1 and length:
                wish = data[offset]
            at += 5
        mine = 2 if self._tls is None else 1 if wish in {1, 3} else 2 if self._clear else 3
        values = [
            (0, b"\x0f\x00\x07\xd0\0\0"),
            (1, bytes([mine])),
            (2, b"\0"),
            (3, b""),
            (4, b"\0"),
        ]
        head, body = b"", b""
        for option, value in values:
            head += struct.pack(">BHH", option, 5 * len(values) + 1 + len(body), len(value))
            body += value
        await self._send(head + b"\xff" + body)
        if mine != 1:
            return mine != 3
        assert self._tls is not None
        secure = self._tls.wrap_bio(self._in, self._out, server_side=True)
        while True:
            try:
                secure.do_handshake()
                break
            except ssl.SSLWantReadError:
                if ours := self._out.read():
                    await self._send(ours, 0x12)
                self._in.write((await self._message())[1])
        if ours := self._out.read():
            await self._send(ours, 0x12)
        self._secure = secure
        return True

    async def _log_in(self, login: Login) -> bool:
        try:
            user = login.user
            if login.sspi:
                user = await self._windows(login.sspi)
            else:
                self._allowed(login)
        except Refusal as refusal:
            await self._send(_error(refusal) + _done(status=2))
            return False
        self._user = user
        name = _short("Microsoft SQL Server")
        body = b"\x01" + login.version[::-1] + name + b"\x0f\0\x07\xd0"
        await self._send(
            _env(1, login.database or "Runtime", "master")
            + _token(0xE3, b"\x07\x05" + _COLLATION + b"\0") + _token(0xAD, body)
            + _env(4, "4096", "4096") + _done(status=0)
        )  # fmt: skip
        return True

    async def _windows(self, token: bytes) -> str:
        """Integrated security: Kerberos or NTLM inside Negotiate, checked by pyspnego."""
        import spnego

        context = spnego.server(
            self._host,
            "MSSQLSvc",
            protocol="negotiate",
            options=spnego.NegotiateOptions.use_negotiate,
        )
        try:
            while True:
                ours = context.step(token)
                if context.complete:
                    return str(context.client_principal)
                await self._send(_token(0xED, ours or b""))
                kind, token = await self._message()
                if kind != 0x11:
                    raise Refusal(18452, "Login failed.", 14)
        except spnego.exceptions.SpnegoError as error:
            raise Refusal(
                18452, "Login failed. The login is from an untrusted domain.", 14
            ) from error
