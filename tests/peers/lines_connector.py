"""A connector of one page, and its rig: what a third party would bring to the contract suite.

`register` makes it known as the kind 'lines'; `SABOTAGE` holds ways to spoil it.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ClassVar

from pydantic import Field

from gl002 import registry
from gl002.bridge import Blocking, blocking, plain
from gl002.config.settings import Settings
from gl002.connector import Capability, Connector, check_several
from gl002.context import Context
from gl002.errors import AuthFailed, GL002Error, PasswordRefused, RequestFailed, TagNotFound
from gl002.model import Quality, Sample, Value, now_ns
from gl002.pool import ConnectionPool
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.session import Session
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.lines import LineServer


class LineConfig(Settings):
    """Settings."""

    port: int = Field(description="TCP port.", ge=1)
    password: Secret = Field(Secret("open sesame"), description="What to say.")


class AsyncLineConnector(Connector[LineConfig]):
    """Speaks lines."""

    kind: ClassVar = "lines"
    can: ClassVar = Capability.READ | Capability.WRITE
    Config: ClassVar = LineConfig
    _writer: asyncio.StreamWriter | None = None
    _turn: asyncio.Lock

    def endpoints(self) -> Iterable[Endpoint]:
        """One."""
        return [Endpoint("127.0.0.1", self.config.port)]

    async def _open(self) -> None:
        (endpoint,) = self.endpoints()
        sock = await self.context.network.dial(endpoint, timeout=self.timeout)
        self._turn = asyncio.Lock()
        self._reader, self._writer = await asyncio.open_connection(sock=sock)
        answer = await self._ask(f"hello {self.config.password.reveal()}")
        if answer != "welcome":
            raise (
                PasswordRefused("the server does not like us")
                if answer == "go away"
                else (RequestFailed("no server of lines"))
            )

    async def _shut(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()
            await asyncio.sleep(0)

    async def _ask(self, line: str) -> str:
        if self._writer is None:
            raise EOFError("closed")
        async with self._turn:
            self._writer.write(f"{line}\n".encode())
            try:
                answer = await self._reader.readline()
            except asyncio.CancelledError:
                self._writer.transport.abort()  # its answer must not be another's
                raise
        if not answer.endswith(b"\n"):
            raise EOFError("the server hung up")
        return answer.decode(errors="replace").strip()

    async def _ping(self) -> str:
        return await self._ask("echo here")

    async def read(self, tags: Sequence[str]) -> list[Sample]:
        """Read."""
        check_several(tags)
        return await self._call(lambda: self._read(tags), what=f"read {len(tags)} values")

    async def _read(self, tags: Sequence[str]) -> list[Sample]:
        return [self._sample(tag, await self._ask(f"get {tag}")) for tag in tags]

    def _sample(self, tag: str, answer: str) -> Sample:
        try:
            return Sample(tag, json.loads(answer), now_ns())
        except ValueError:
            return Sample(tag, None, now_ns(), Quality.BAD_NODE_ID_UNKNOWN)

    async def write(self, tag: str, value: Value) -> None:
        """Write."""
        await self._write_to_plant(lambda: self._set(tag, value), address=tag, value=value)

    async def _set(self, tag: str, value: Value) -> None:
        if await self._ask(f"set {tag} {json.dumps(value)}") != "done":
            raise TagNotFound(f"{tag} cannot be set to {value!r}")


class LineConnector(Blocking[AsyncLineConnector]):
    """The other colour."""

    def __init__(
        self,
        config: Any,
        *,
        name: str = "",
        pool: ConnectionPool | None = None,
        context: Context | None = None,
    ) -> None:
        super().__init__(AsyncLineConnector(config, name=name, pool=pool, context=context))

    connect = blocking(AsyncLineConnector.connect)
    close = blocking(AsyncLineConnector.close)
    check = blocking(AsyncLineConnector.check)
    read = blocking(AsyncLineConnector.read)
    write = blocking(AsyncLineConnector.write)
    set_timeout = plain(AsyncLineConnector.set_timeout)
    try_at_once = plain(AsyncLineConnector.try_at_once)


class LineRig(Rig):
    """The server of lines behind a link."""

    has_account = True
    kind: ClassVar[str] = "lines"
    writable = "setpoint"
    unknown = "nothing"
    gaps: ClassVar = {"test_its_extra_is_spelled_like_its_kind": "made for a test"}

    def __init__(self) -> None:
        self.readable = {"flow": 12.5, "starts": 3, "running": True}
        self.bad_configs = [({}, "port"), ({"port": 0}, "port")]
        self._server = LineServer()
        self._server.values = {**self.readable, "setpoint": 1.5}

    def start(self) -> None:
        self._server.__enter__()
        self.link = Link(self._server.port)
        self.link.start()

    def stop(self) -> None:
        self.link.stop()
        self._server.__exit__()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {"port": self.link.port, **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(password="canary-of-lines")

    def set(self, address: str, value: Value) -> None:
        self._server.values[address] = value

    def seen(self, address: str) -> Value:
        value: Value = self._server.values[address]
        return value


# ---- how to spoil it --------------------------------------------------------------------------


def _connects_when_made() -> None:
    made = AsyncLineConnector.__init__

    def spoiled(self: Any, *args: Any, **kwargs: Any) -> None:
        made(self, *args, **kwargs)
        socket.create_connection(("127.0.0.1", self.config.port)).close()

    AsyncLineConnector.__init__ = spoiled  # type: ignore[method-assign]


def _keeps_its_socket() -> None:
    async def spoiled(self: Any) -> None:
        kept.append(self._writer)
        self._writer = None

    kept: list[Any] = []
    AsyncLineConnector._shut = spoiled  # type: ignore[method-assign]


def _leaves_a_task() -> None:
    opened = AsyncLineConnector._open

    async def spoiled(self: Any) -> None:
        await opened(self)
        self.task = asyncio.create_task(asyncio.sleep(3600))

    AsyncLineConnector._open = spoiled  # type: ignore[method-assign]


def _reads_in_order_of_names() -> None:
    read = AsyncLineConnector._read

    async def spoiled(self: Any, tags: Sequence[str]) -> list[Sample]:
        return await read(self, sorted(tags))

    AsyncLineConnector._read = spoiled  # type: ignore[method-assign]


def _remembers_values() -> None:
    read = AsyncLineConnector._read

    async def spoiled(self: Any, tags: Sequence[str]) -> list[Sample]:
        key = tuple(tags)
        if key not in known:
            known[key] = await read(self, tags)
        return known[key]

    known: dict[Any, list[Sample]] = {}
    AsyncLineConnector._read = spoiled  # type: ignore[method-assign]


def _raises_what_the_driver_raises() -> None:
    async def spoiled(self: Any, request: Any, what: str) -> Any:
        return await request()

    AsyncLineConnector._request = spoiled  # type: ignore[method-assign]


def _has_no_patience_limit() -> None:
    async def spoiled(self: Any, request: Any, what: str) -> Any:
        try:
            return await request()
        except EOFError as error:
            raise self._explain(error, what) from error

    AsyncLineConnector._request = spoiled  # type: ignore[method-assign]


def _writes_twice() -> None:
    async def spoiled(self: Any, tag: str, value: Value) -> None:
        entry = await self.context.audit.record("write", tag, after=value)
        await self._call(lambda: self._set(tag, value), what="write")
        self.context.audit.note("write.result", tag, result="ok", of=entry)

    AsyncLineConnector.write = spoiled  # type: ignore[method-assign]


def _writes_without_audit() -> None:
    async def spoiled(self: Any, tag: str, value: Value) -> None:
        await self._call(lambda: self._set(tag, value), what="write", repeatable=False)

    AsyncLineConnector.write = spoiled  # type: ignore[method-assign]


def _dials_past_the_allowlist() -> None:
    async def spoiled(self: Any) -> None:
        self._turn = asyncio.Lock()
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.config.port)
        await self._ask(f"hello {self.config.password.reveal()}")

    AsyncLineConnector._open = spoiled  # type: ignore[method-assign]


def _shows_its_password() -> None:
    def spoiled(self: Any) -> str:
        return f"<lines with {self.config.password.reveal()}>"

    AsyncLineConnector.__repr__ = spoiled  # type: ignore[method-assign]


def _says_the_password_in_its_log() -> None:
    """In its error it would be masked by the session, whoever the author is."""

    async def spoiled(self: Any) -> None:
        self.log.warning("'%s' is wrong", self.config.password.reveal())
        raise AuthFailed("the password is wrong")

    AsyncLineConnector._open = spoiled  # type: ignore[method-assign]


def _hammers_at_the_door() -> None:
    AsyncLineConnector.connect = _connect_without_patience  # type: ignore[method-assign]


async def _connect_without_patience(self: Any) -> None:
    self.try_at_once()
    await Session.connect(self)


def _takes_any_key() -> None:
    LineConfig.model_config["extra"] = "ignore"
    LineConfig.model_rebuild(force=True)


def _forgets_a_method() -> None:
    del LineConnector.write


def _mixes_up_answers() -> None:
    async def spoiled(self: Any, line: str) -> str:
        self._writer.write(f"{line}\n".encode())
        answer = await self._reader.readline()
        if not answer:
            raise EOFError
        return answer.decode(errors="replace").strip()

    AsyncLineConnector._ask = spoiled  # type: ignore[method-assign]


def _complains_all_the_time() -> None:
    called = AsyncLineConnector._call

    async def spoiled(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return await called(self, *args, **kwargs)
        except GL002Error as error:
            self.log.warning("%s", error)
            raise

    AsyncLineConnector._call = spoiled  # type: ignore[method-assign]


SABOTAGE: dict[str, tuple[Callable[[], None], str]] = {
    "connects when made": (
        _connects_when_made, "test_the_constructor_does_no_input_or_output",
    ),
    "keeps its socket": (_keeps_its_socket, "test_closing_frees_every_connection"),
    "leaves a task": (_leaves_a_task, "test_the_first_request_connects"),
    "reads in order of names": (
        _reads_in_order_of_names, "test_read_gives_values_in_the_order_asked_for",
    ),
    "remembers values": (_remembers_values, "test_a_read_sees_the_value_of_now"),
    "mixes up answers": (_mixes_up_answers, "test_reads_that_overlap_do_not_mix_their_answers"),
    "raises what the driver raises": (
        _raises_what_the_driver_raises,
        "test_a_cut_in_the_middle_of_a_request_is_an_error_of_ours",
    ),
    "has no patience limit": (_has_no_patience_limit, "test_the_time_out_limits_a_request"),
    "writes twice": (_writes_twice, "test_a_write_whose_answer_is_lost_is_not_sent_again"),
    "writes without audit": (_writes_without_audit, "test_a_write_is_audited_before_and_after"),
    "dials past the allowlist": (
        _dials_past_the_allowlist, "test_an_empty_allowlist_lets_nothing_out",
    ),
    "shows its password": (_shows_its_password, "test_a_secret_shows_nowhere"),
    "says the password in its log": (
        _says_the_password_in_its_log,
        "test_wrong_credentials_are_refused_once_and_named_without_showing_them",
    ),
    "hammers at the door": (
        _hammers_at_the_door,
        "test_a_refused_password_is_not_tried_until_its_account_is_locked",
    ),
    "takes any key": (_takes_any_key, "test_an_unknown_key_is_named_with_its_place"),
    "forgets a method": (
        _forgets_a_method, "test_the_face_has_every_method_of_the_async_class",
    ),
    "complains all the time": (
        _complains_all_the_time,
        "test_a_cut_is_noticed_and_mended_with_one_line_down_and_one_up",
    ),
}  # fmt: skip
"""What one can do wrong -> how, and the test of the suite that must notice."""


def register() -> None:
    """Make the connector known, in this process."""
    sys.modules["gl002.integrations.lines"] = sys.modules[__name__]
    registry._KINDS["lines"] = registry.Entry(
        module="lines", twin="AsyncLineConnector", face="LineConnector", driver="", schemes=(),
        summary="lines of text, for tests",
    )  # fmt: skip
