"""TNS and TTC: packets, log-in with a password (12c verifier), statements, transactions.

Oracle's driver in thin mode is the client; see `wire`. What it does not ask for is not here.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
import struct
import traceback
from typing import Any, NamedTuple, Protocol

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from peers.oracle.wire import DATE, NUMBER, VARCHAR, Reader, Writer

_CONNECT, _ACCEPT, _REFUSE, _DATA, _MARKER = 1, 2, 4, 6, 12
_VERSION = 317  # of TNS: no fast authentication, no out-of-band breaks
_FIELDS = 7  # of TTC: those of 12.1, on which EBS 12.2 may run
_SDU = 8192
_ROUNDS, _ROUNDS_OF_SESSION = 4096, 3
_PIGGYBACK, _FUNCTION, _PROTOCOL, _DATA_TYPES = 17, 3, 1, 2
_ROW, _PARAMETERS, _STATUS, _IO_VECTOR, _DESCRIBE, _ERROR, _ROW_HEADER = 7, 8, 9, 11, 16, 4, 6
_IN, _OUT = 32, 16


class OraError(Exception):
    """ORA-nnnnn, as the client gets it."""

    def __init__(self, number: int, text: str, prefix: str = "ORA") -> None:
        super().__init__(f"{prefix}-{number:05}: {text}")
        self.number = number


class Result(NamedTuple):
    """Rows with the names and types of their columns, or what binds became."""

    columns: list[tuple[str, int]]
    rows: list[tuple[Any, ...]]
    outs: dict[int, Any] | None  # None for a statement that changes rows


class Database(Protocol):
    """What answers statements; one for each session."""

    def execute(self, statement: str, binds: list[Any]) -> Result: ...
    def commit(self) -> None: ...
    def rollback(self) -> None: ...
    def end(self) -> None: ...
    @property
    def in_transaction(self) -> bool: ...


class _Cursor:
    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.kinds: list[int] = []
        self.rows: list[tuple[Any, ...]] = []


class Listener:
    """One listener with one service and one user.

    Attributes:
        verifier: kind of password verifier that the database keeps; 0x4815 is that of 12c.
    """

    verifier = 0x4815

    def __init__(self, service: str, user: str, password: str, database: Any) -> None:
        self.service, self.user, self.password = service, user, password
        self.database = database

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = Session(self, reader, writer)
        try:
            await session.run()
        except (EOFError, ConnectionError):
            pass
        except Exception:  # noqa: BLE001 (a test looks at the output)
            traceback.print_exc()
        finally:
            session.end()
            writer.close()


class Session:
    def __init__(self, home: Listener, reader: asyncio.StreamReader, writer: asyncio.StreamWriter):
        self._home = home
        self._in, self._out = reader, writer
        self._large = False
        self._cursors: dict[int, _Cursor] = {}
        self._base: Database | None = None

    def end(self) -> None:
        if self._base is not None:
            self._base.end()

    # ---- packets ----------------------------------------------------------------------------

    async def _packet(self) -> tuple[int, bytes]:
        head = await self._in.readexactly(8)
        size = struct.unpack(">I" if self._large else ">H", head[: 4 if self._large else 2])[0]
        return head[4], await self._in.readexactly(size - 8)

    async def _send(self, kind: int, body: bytes) -> None:
        size = len(body) + 8
        head = struct.pack(">I", size) if self._large else struct.pack(">HH", size, 0)
        self._out.write(head + bytes((kind, 0, 0, 0)) + body)
        await self._out.drain()

    async def _reply(self, message: bytes) -> None:
        room = _SDU - 10
        for at in range(0, len(message), room):
            await self._send(_DATA, b"\0\0" + message[at : at + room])

    async def _message(self) -> bytes:
        """A whole message: packets up to one that is not full."""
        whole = b""
        while True:
            kind, body = await self._packet()
            if kind == _MARKER:
                raise EOFError("a break: this server ends the session")
            whole += body[2:]
            if len(body) + 8 < _SDU:
                return whole

    # ---- a session --------------------------------------------------------------------------

    async def run(self) -> None:
        if not await self._connected():
            return
        await self._message()  # protocol
        capabilities, runtime = bytearray(53), bytearray(13)
        capabilities[7] = _FIELDS
        runtime[6] = 4  # VARCHAR2 up to 32767
        answer = Writer().u1(_PROTOCOL, 6, 0)
        answer += b"Test of GL-002\0" + struct.pack("<HBH", 873, 1, 0)
        answer += struct.pack(">H", 11) + bytes(9) + struct.pack(">H", 2000)
        await self._reply(answer.data(bytes(capabilities)).data(bytes(runtime)))
        await self._message()  # data types
        await self._reply(bytes((_DATA_TYPES, 0, 0)))
        if not await self._logged_in():
            return
        self._base = self._home.database()
        while (message := await self._message()) and not await self._function(Reader(message)):
            pass

    async def _connected(self) -> bool:
        kind, body = await self._packet()
        assert kind == _CONNECT
        length, offset = struct.unpack(">HH", body[16:20])
        text = body[offset - 8 : offset - 8 + length]
        if len(text) < length:
            text = (await self._packet())[1][2:]
        wanted = re.search(rb"SERVICE_NAME=([^)]*)\)", text)
        if wanted is None or wanted[1].decode().upper() != self._home.service:
            reason = (
                b"(DESCRIPTION=(TMP=)(VSNNUM=0)(ERR=12514)"
                b"(ERROR_STACK=(ERROR=(CODE=12514)(EMFI=4))))"
            )
            await self._send(_REFUSE, b"\x22\x00" + struct.pack(">H", len(reason)) + reason)
            return False
        accept = struct.pack(">HH", _VERSION, 0) + bytes(10) + b"\0" + bytes(9)
        await self._send(_ACCEPT, accept + struct.pack(">I", _SDU) + bytes(8))
        self._large = True
        return True

    async def _logged_in(self) -> bool:
        user, _ = _pairs(Reader(await self._message()))
        salt, salt_of_session = secrets.token_bytes(16), secrets.token_bytes(16)
        key = hashlib.pbkdf2_hmac(
            "sha512", self._home.password.encode(), salt + b"AUTH_PBKDF2_SPEEDY_KEY", _ROUNDS, 64
        )
        verifier = hashlib.sha512(key + salt).digest()[:32]
        ours = secrets.token_bytes(32)
        await self._reply(
            _parameters(
                ("AUTH_SESSKEY", _encrypted(verifier, ours).hex().upper(), 0),
                ("AUTH_VFR_DATA", salt.hex().upper(), self._home.verifier),
                ("AUTH_PBKDF2_CSK_SALT", salt_of_session.hex().upper(), 0),
                ("AUTH_PBKDF2_VGEN_COUNT", str(_ROUNDS), 0),
                ("AUTH_PBKDF2_SDER_COUNT", str(_ROUNDS_OF_SESSION), 0),
            )
        )
        _, given = _pairs(Reader(await self._message()))
        theirs = _decrypted(verifier, bytes.fromhex(given["AUTH_SESSKEY"]))
        session_key = hashlib.pbkdf2_hmac(
            "sha512", (theirs + ours).hex().upper().encode(), salt_of_session,
            _ROUNDS_OF_SESSION, 32,
        )  # fmt: skip
        padded = _decrypted(session_key, bytes.fromhex(given["AUTH_PASSWORD"]))
        password = padded[16 : -padded[-1] if 0 < padded[-1] <= 16 else None]
        if user.upper() != self._home.user.upper() or password != self._home.password.encode():
            await self._reply(_error(OraError(1017, "invalid username/password; logon denied")))
            return False
        answer = secrets.token_bytes(16) + b"SERVER_TO_CLIENT" + bytes([16]) * 16
        await self._reply(
            _parameters(
                ("AUTH_VERSION_NO", str(19 << 24), 0),
                ("AUTH_SESSION_ID", "101", 0),
                ("AUTH_SERIAL_NUM", "4711", 0),
                ("AUTH_SVR_RESPONSE", _encrypted(session_key, answer).hex().upper(), 0),
            )
        )
        return True

    # ---- functions --------------------------------------------------------------------------

    async def _function(self, message: Reader) -> bool:
        """One call; whether the client takes its leave."""
        base = self._base
        assert base is not None
        while (kind := message.u1()) == _PIGGYBACK:
            assert message.u1() == 105, "only cursors are closed on the way"
            message.raw(2)
            for _ in range(message.number()):
                self._cursors.pop(message.number(), None)
        assert kind == _FUNCTION, kind
        function = message.u1()
        message.u1()
        try:
            match function:
                case 94:
                    answer = self._execute(message)
                case 4 | 78:
                    answer = self._again(message)
                case 5:
                    number = message.number()
                    answer = self._fetched(number, message.number(), Writer())
                case 14:
                    base.commit()
                    answer = self._status()
                case 15:
                    base.rollback()
                    answer = self._status()
                case 147 | 9:
                    answer = self._status()
                case other:
                    raise AssertionError(f"function {other}")
        except OraError as error:
            answer = _error(error, in_transaction=base.in_transaction)
        await self._reply(answer)
        return function == 9

    def _status(self) -> bytes:
        assert self._base is not None
        return Writer().u1(_STATUS).number(2 if self._base.in_transaction else 0, 0)

    def _execute(self, m: Reader) -> bytes:
        m.number()  # options
        number = m.number()
        m.u1()
        length = m.number()
        m.u1()
        m.number()
        m.raw(2)
        m.number()
        rows = m.number()
        m.number()
        m.u1()
        binds = m.number()
        m.raw(6)
        m.number()
        m.number()
        m.raw(3)
        m.number()
        m.u1()
        m.number()
        m.number()
        m.u1()
        m.number()
        m.u1()
        if length:
            number = max(self._cursors, default=0) + 1
            self._cursors[number] = _Cursor((m.data() or b"").decode())
        cursor = self._cursors[number]
        for _ in range(13):
            m.number()
        if binds:
            cursor.kinds = [_kind_of_bind(m) for _ in range(binds)]
        return self._run(number, cursor, m, rows)

    def _again(self, m: Reader) -> bytes:
        number, rows = m.number(), m.number()
        m.number()
        m.number()
        return self._run(number, self._cursors[number], m, rows)

    def _run(self, number: int, cursor: _Cursor, m: Reader, rows: int) -> bytes:
        assert self._base is not None
        values: list[Any] = []
        if cursor.kinds and m.left:
            assert m.u1() == _ROW
            values = [m.value(kind) for kind in cursor.kinds]
        result = self._base.execute(cursor.statement, values)
        answer = Writer()
        if result.columns:
            _describe(answer, result.columns)
            cursor.rows = result.rows
            return self._fetched(number, rows, answer)
        if cursor.kinds and result.outs is not None:
            answer.u1(_IO_VECTOR, 0).number(len(cursor.kinds), 0, 0, 0, 0, 0)
            answer.u1(*(_OUT if n in result.outs else _IN for n in range(len(cursor.kinds))))
            if result.outs:
                answer.u1(_ROW)
                for n in sorted(result.outs):
                    answer.value(result.outs[n]).number(0)
        # Cursor 0: the driver sends the block anew each time, so that no directions are kept
        self._cursors.pop(number, None)
        return answer + _error(None, in_transaction=self._base.in_transaction)

    def _fetched(self, number: int, most: int, answer: Writer) -> bytes:
        assert self._base is not None
        cursor = self._cursors[number]
        now, cursor.rows = cursor.rows[:most], cursor.rows[most:]
        answer.u1(_ROW_HEADER, 0).number(len(now), 0, 0, 0, 0, 0)
        for row in now:
            answer.u1(_ROW)
            for value in row:
                answer.value(value)
        end = None if cursor.rows else OraError(1403, "no data found")
        return answer + _error(end, cursor=number, in_transaction=self._base.in_transaction)


def _pairs(message: Reader) -> tuple[str, dict[str, str]]:
    """User and key/value pairs of a log-in."""
    message.raw(3)
    has_user = message.u1()
    message.number()
    message.number()
    message.u1()
    count = message.number()
    message.raw(2)
    user = (message.data() or b"").decode() if has_user else ""
    pairs = {}
    for _ in range(count):
        key, value = message.counted().decode(), message.counted().decode()
        message.number()
        pairs[key] = value
    return user, pairs


def _parameters(*pairs: tuple[str, str, int]) -> bytes:
    message = Writer().u1(_PARAMETERS).number(len(pairs))
    for key, value, flags in pairs:
        message.counted(key).counted(value).number(flags)
    return message.u1(_STATUS).number(0, 0)


def _kind_of_bind(m: Reader) -> int:
    kind = m.u1()
    m.raw(3)
    for _ in range(3):
        m.number()
    m.counted()
    m.number()
    m.number()
    m.u1()
    m.number()
    return kind


def _describe(answer: Writer, columns: list[tuple[str, int]]) -> None:
    answer.u1(_DESCRIBE).data(b"\1").number(0, len(columns)).u1(1)
    for place, (name, kind) in enumerate(columns, 1):
        size = {VARCHAR: 4000, NUMBER: 22, DATE: 7}[kind]
        answer.u1(kind, 0, 0, 0x81 if kind == NUMBER else 0).number(size, 0, 0, 0, 0)
        text = kind == VARCHAR
        answer.number(873 if text else 0).u1(int(text)).number(size if text else 0)
        answer.u1(1, len(name)).counted(name).counted("").counted("").number(place, 0)
    answer.number(0, 0, 0, 0, 0, 0)


def _error(error: OraError | None, *, cursor: int = 0, in_transaction: bool = False) -> bytes:
    """How a call ended; without an error: well."""
    number = error.number if error else 0
    answer = Writer().u1(_ERROR).number(2 if in_transaction else 0, 0, 0, min(number, 65535), 0, 0)
    answer.number(cursor, 0).u1(0, 0, 0, 0, 0, 0).number(0, 0).u1(0).number(0, 0, 0)
    answer.u1(0, 0).number(0, 0, 0, 0, 0, 0, number, 0)
    return answer.data(f"{error}\n".encode()) if error else answer


def _encrypted(key: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).encryptor()
    return cipher.update(data) + cipher.finalize()


def _decrypted(key: bytes, data: bytes) -> bytes:
    cipher = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).decryptor()
    return cipher.update(data) + cipher.finalize()
