"""The life of a session, with a connector of twenty lines against a real server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import Field

from gl002.config.settings import Settings
from gl002.connector import Capability, Connector, State
from gl002.context import Context
from gl002.errors import (
    AccessDenied,
    AuthFailed,
    Busy,
    ConnectFailed,
    GL002Error,
    NotAllowed,
    RequestFailed,
    RequestTimeout,
    Unsupported,
    WriteRefused,
)
from gl002.pool import ConnectionPool
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Endpoint, Network
from gl002.session import before_sending
from gl002.testing.contract.requests import eventually
from gl002.testing.leaks import Leaks
from gl002.testing.link import Link
from gl002.testing.stalls import at_most
from peers.lines import LineServer


class LineConfig(Settings):
    port: int = Field(description="TCP port.")
    password: str = Field("open sesame", description="What to say.")

    def retry(self) -> RetryPolicy:
        return RetryPolicy(max_attempts=3, first=0.01)


class LineConnector(Connector[LineConfig]):
    """What an author writes, and nothing more."""

    kind = "lines"
    can = Capability.WRITE
    Config: ClassVar = LineConfig
    _writer: asyncio.StreamWriter | None = None
    opened = shut = 0

    def endpoints(self) -> Iterable[Endpoint]:
        return [Endpoint("127.0.0.1", self.config.port)]

    async def _open(self) -> None:
        self.opened += 1
        (endpoint,) = self.endpoints()
        sock = await self.context.network.dial(endpoint, timeout=self.timeout)
        self._reader, self._writer = await asyncio.open_connection(sock=sock)
        if await self._ask(f"hello {self.config.password}") != "welcome":
            raise AuthFailed("the server does not like us")

    async def _shut(self) -> None:
        self.shut += 1
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()
            await writer.wait_closed()

    async def _ask(self, line: str) -> str:
        assert self._writer is not None
        self._writer.write(f"{line}\n".encode())
        answer = await self._reader.readline()
        if not answer:
            raise EOFError
        return answer.decode().strip()

    async def echo(self, text: str) -> str:
        return await self._call(lambda: self._ask(f"echo {text}"), what="echo")

    async def write(self, tag: str, value: Any) -> None:
        await self._write_to_plant(
            lambda: self._ask(f"echo {tag}={value}"), address=tag, value=value
        )


@pytest.fixture
def server() -> Iterator[LineServer]:
    with LineServer() as server:
        yield server


@pytest.fixture
def link(server: LineServer) -> Iterator[Link]:
    with Link(server.port) as link:
        yield link


@pytest.fixture
def context(tmp_path: Path) -> Context:
    return Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)


@pytest.fixture
async def connector(link: Link, context: Context) -> AsyncIterator[LineConnector]:
    leaks = Leaks()
    connector = LineConnector({"port": link.port}, context=context)
    yield connector
    await connector.close()
    context.audit.close()
    link.restore()
    await leaks.check()


def _entries(context: Context, action: str) -> list[dict[str, Any]]:
    context.audit.close()
    assert list(verify(context.audit.path)) == []
    return [entry for entry in read(context.audit.path) if entry["action"] == action]


async def test_the_first_request_connects(connector: LineConnector) -> None:
    assert connector.state is State.NEW
    assert await connector.echo("x") == "x"
    assert connector.state is State.UP


async def test_tasks_that_connect_at_once_open_one_session(connector: LineConnector) -> None:
    assert await asyncio.gather(*(connector.echo("x") for _ in range(1))) == ["x"]
    await connector.close()
    connector.opened = 0
    await asyncio.gather(*(connector.connect() for _ in range(20)))
    assert connector.opened == 1


async def test_tasks_that_wait_for_an_attempt_share_its_failure(
    connector: LineConnector, link: Link
) -> None:
    link.blackhole()
    connector.set_timeout(200)
    with at_most(1):  # else each waited for an attempt of its own
        results = await asyncio.gather(
            *(connector.connect() for _ in range(10)), return_exceptions=True
        )
    assert {type(result) for result in results} == {ConnectFailed}
    assert connector.opened == 1


async def test_a_time_out_while_connecting_is_a_connection_error(
    connector: LineConnector, link: Link
) -> None:
    link.blackhole()
    connector.set_timeout(100)
    with pytest.raises(ConnectionError, match=f"lines: .*{link.port}.* within 0.1 s"):
        await connector.connect()


async def test_a_request_that_gets_no_answer_is_a_time_out_and_frees_the_session(
    connector: LineConnector, server: LineServer
) -> None:
    await connector.connect()
    connector.set_timeout(100)
    with pytest.raises(TimeoutError):
        await connector._call(lambda: connector._ask("silence"), what="ask", repeatable=False)
    assert connector.state is State.RETRYING
    connector.set_timeout(30_000)
    assert await connector.echo("again") == "again"


async def test_a_request_is_tried_again_as_often_as_the_policy_says(
    connector: LineConnector, link: Link
) -> None:
    await connector.connect()
    link.cut()
    with pytest.raises(ConnectFailed):
        await connector.echo("x")
    assert connector.opened == 3  # once well; one try failed in the request, two in connecting


async def test_what_is_not_repeatable_is_sent_once(
    connector: LineConnector, server: LineServer
) -> None:
    await connector.connect()
    connector.set_timeout(100)
    with pytest.raises(RequestTimeout):
        await connector._call(lambda: connector._ask("silence"), what="ask", repeatable=False)
    connector.set_timeout(30_000)
    assert await connector.echo("what came before is there") == "what came before is there"
    await eventually(lambda: "silence" in server.lines, "the request arrived")
    assert server.lines.count("silence") == 1


async def test_what_is_not_repeatable_may_connect_more_than_once(
    connector: LineConnector, link: Link
) -> None:
    link.cut()
    asking = asyncio.create_task(
        connector._call(lambda: connector._ask("echo x"), what="ask", repeatable=False)
    )
    await asyncio.sleep(0.005)
    link.restore()
    assert await asking == "x"


async def test_a_wrong_password_is_not_tried_again(link: Link, context: Context) -> None:
    connector = LineConnector({"port": link.port, "password": "wrong"}, context=context)
    with pytest.raises(AuthFailed, match="lines: the server does not like us"):
        await connector.echo("x")
    assert connector.opened == 1
    assert connector.state is State.FAILED
    await connector.close()
    context.audit.close()


async def test_what_is_denied_to_us_ends_nobody_s_session(connector: LineConnector) -> None:
    """One report, point or bucket that we may not use; the others go on over the same session."""

    async def denied() -> None:
        raise AccessDenied("'secret' is not for you")

    waiting = asyncio.create_task(connector.echo("slow"))
    with pytest.raises(AccessDenied, match="not for you"):
        await connector._call(denied, what="read 'secret'")
    assert await waiting == "slow"
    assert (connector.state, connector.opened, connector.shut) == (State.UP, 1, 0)


async def test_two_requests_that_fail_together_do_not_end_the_next_session(
    connector: LineConnector, link: Link
) -> None:
    """The second failure belongs to a session that is gone already."""
    await connector.connect()
    entered, leave = asyncio.Event(), asyncio.Event()

    async def fails_late() -> str:
        entered.set()
        await leave.wait()
        raise ConnectionResetError("of the old session")

    late = asyncio.create_task(connector._request(fails_late, "late"))
    await entered.wait()
    link.cut()
    with pytest.raises(ConnectFailed):
        await connector._request(lambda: connector._ask("echo x"), "soon")
    link.restore()
    assert await connector.echo("new session") == "new session"
    opened = connector.opened
    leave.set()
    with pytest.raises(ConnectFailed, match="of the old session"):
        await late
    assert connector.state is State.UP
    assert await connector.echo("still the same") == "still the same"
    assert connector.opened == opened


async def test_closing_while_it_connects_ends_the_attempt_at_once(
    connector: LineConnector, link: Link
) -> None:
    link.blackhole()
    connector.set_timeout(60_000)
    connecting = asyncio.create_task(connector.connect())
    while connector._opening is None:
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        await connector.close()
        with pytest.raises(ConnectFailed, match="closed meanwhile"):
            await connecting
    assert connector.state is State.CLOSED


async def test_closing_ends_a_wait_for_a_place_in_the_pool(link: Link, context: Context) -> None:
    pool = ConnectionPool(max_connections=1)
    settings = {"port": link.port}
    first = LineConnector(settings, context=context, pool=pool, name="first")
    second = LineConnector(settings, context=context, pool=pool, name="second")
    second.set_timeout(60_000)
    await first.connect()
    with first._in_use():
        waiting = asyncio.create_task(second.connect())
        while second._opening is None:
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await second.close()
            with pytest.raises(ConnectFailed):
                await waiting
    await first.close()
    assert pool.in_use == 0
    context.audit.close()


async def test_closing_ends_a_request_that_waits_to_be_tried_again(
    connector: LineConnector, link: Link
) -> None:
    """It does not open the session behind the back of who closed it."""
    connector._retry = RetryPolicy(max_attempts=None, first=600, most=600)
    await connector.connect()
    link.cut()
    asking = asyncio.create_task(connector.echo("x"))
    await eventually(lambda: connector.state is State.RETRYING and connector.shut, "it waits")
    link.restore()
    await connector.close()
    with pytest.raises(ConnectFailed, match="lines: echo: closed meanwhile"):
        async with asyncio.timeout(30):
            await asking
    assert (connector.state, connector.opened) == (State.CLOSED, 1)
    assert await connector.echo("a new one opens it again") == "a new one opens it again"


async def test_closing_ends_a_request_under_way_and_it_is_not_tried_again(
    connector: LineConnector, link: Link
) -> None:
    await connector.connect()
    link.drop_replies()
    passed = link.request_bytes
    asking = asyncio.create_task(connector.echo("x"))
    await eventually(lambda: link.request_bytes > passed, "it is under way")
    await connector.close()
    link.restore()
    with pytest.raises(ConnectFailed):
        await asking
    assert (connector.state, connector.opened) == (State.CLOSED, 1)


async def test_what_waits_to_be_tried_again_is_tried_although_the_pool_took_its_place(
    link: Link, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = ConnectionPool(max_connections=1)
    first, second = (
        LineConnector({"port": link.port}, context=context, pool=pool, name=name)
        for name in ("first", "second")
    )
    waits, go_on = asyncio.Event(), asyncio.Event()

    async def ask() -> str:
        if not waits.is_set():
            raise Busy("later")  # the session stays, and with it the place
        return await first._ask("echo x")

    async def pause(*rest: Any) -> None:
        waits.set()
        await go_on.wait()
        await LineConnector._pause(first, *rest)

    monkeypatch.setattr(first, "_pause", pause)
    asking = asyncio.create_task(first._call(ask, what="ask"))
    await waits.wait()
    assert await second.echo("y") == "y"
    assert (first.opened, first.shut) == (1, 1)
    go_on.set()
    assert await asking == "x"
    assert (first.opened, second.opened) == (2, 1)
    for connector in (first, second):
        await connector.close()
    context.audit.close()


async def test_a_request_during_close_opens_a_new_session_after_it(
    connector: LineConnector, server: LineServer
) -> None:
    await connector.connect()
    _, answer = await asyncio.gather(connector.close(), connector.echo("x"))
    assert answer == "x"
    assert connector.opened == 2


async def test_a_cancelled_connect_is_cancelled_and_leaves_nothing(
    connector: LineConnector, link: Link
) -> None:
    link.blackhole()
    connecting = asyncio.create_task(connector.connect())
    while connector._opening is None:
        await asyncio.sleep(0)
    connecting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await connecting
    assert connector.state is State.NEW
    assert connector._writer is None
    link.restore()
    assert await connector.echo("x") == "x"


async def test_the_pool_does_not_take_a_session_that_is_just_being_opened(
    link: Link, context: Context
) -> None:
    pool = ConnectionPool(max_connections=1)
    settings = {"port": link.port}
    first = LineConnector(settings, context=context, pool=pool, name="first")
    second = LineConnector(settings, context=context, pool=pool, name="second")
    second.set_timeout(200)
    link.blackhole()
    opening = asyncio.create_task(first.connect())
    while first._opening is None:
        await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    assert not first.idle
    with pytest.raises(ConnectFailed, match="all 1 connections of the pool"):
        await second.connect()
    link.restore()
    await opening
    assert first.state is State.UP
    for connector in (first, second):
        await connector.close()
    context.audit.close()


async def test_connectors_that_share_a_pool_take_turns(
    server: LineServer, link: Link, context: Context
) -> None:
    pool = ConnectionPool(max_connections=2)
    connectors = [
        LineConnector({"port": link.port}, context=context, pool=pool, name=f"lines.{i}")
        for i in range(5)
    ]
    for _ in range(3):
        for connector in connectors:
            assert await connector.echo(connector.name) == connector.name
            assert pool.in_use <= 2
    answers = await asyncio.gather(*(c.echo(c.name) for c in connectors))
    assert answers == [c.name for c in connectors]
    for connector in connectors:
        await connector.close()
    assert pool.in_use == 0
    context.audit.close()


async def test_each_change_of_state_is_one_line_and_one_audit_entry(
    connector: LineConnector, link: Link, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await connector.echo("x")
    link.cut()
    for _ in range(5):
        with pytest.raises(GL002Error):
            await connector.echo("x")
    link.restore()
    await connector.echo("x")
    await connector.close()
    await connector.close()
    levels = [record.levelno for record in caplog.records if record.name == "gl002.lines"]
    assert levels == [logging.INFO, logging.WARNING, logging.INFO, logging.INFO]
    changes = [(entry["before"], entry["after"]) for entry in _entries(context, "connection")]
    assert changes == [
        ("new", "up"), ("up", "retrying"), ("retrying", "up"), ("up", "closed"),
    ]  # fmt: skip


async def test_an_error_of_the_driver_is_ours_and_says_who_what_and_where(
    connector: LineConnector, link: Link
) -> None:
    async def confused() -> None:
        raise KeyError("no idea")

    with pytest.raises(RequestFailed) as caught:
        await connector._call(confused, what="read 3 nodes")
    assert str(caught.value) == f"lines: read 3 nodes: 127.0.0.1:{link.port}: KeyError: 'no idea'"
    assert isinstance(caught.value.__cause__, KeyError)
    assert connector.state is State.UP, "a refusal does not end the session"


async def test_nothing_leaves_for_an_address_off_the_allowlist(link: Link, tmp_path: Path) -> None:
    context = Context(
        network=Network(allow=["10.0.0.0/8"]), audit=Audit(tmp_path / "a"), state_dir=tmp_path
    )
    connector = LineConnector({"port": link.port}, context=context)
    with pytest.raises(NotAllowed, match=r"network\.allow"):
        await connector.connect()
    assert link.connections == 0
    assert connector.state is State.FAILED
    await connector.close()
    context.audit.close()


async def test_a_driver_that_will_not_say_goodbye_is_left(
    connector: LineConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connector.connect()
    shut = connector._shut

    async def stuck() -> None:
        await shut()
        await asyncio.sleep(60)

    with monkeypatch.context() as patch:
        patch.setattr(connector, "_shut", stuck)
        patch.setattr("gl002.session._GOODBYE", 0.05)
        async with asyncio.timeout(30):
            await connector.close()
    assert connector.state is State.CLOSED


async def test_close_swallows_what_a_driver_raises(
    connector: LineConnector, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connector.connect()
    shut = connector._shut

    async def loud() -> None:
        await shut()
        raise RuntimeError("driver trouble")

    monkeypatch.setattr(connector, "_shut", loud)
    await connector.close()
    assert connector.state is State.CLOSED


@pytest.mark.parametrize("wrong", [0, -5, float("nan")])
def test_a_time_out_must_leave_time(link: Link, context: Context, wrong: float) -> None:
    with pytest.raises(ValueError, match="no time to answer"):
        LineConnector({"port": link.port}, context=context).set_timeout(wrong)


async def test_a_write_is_on_the_audit_file_before_it_is_sent_and_after(
    connector: LineConnector, context: Context, server: LineServer
) -> None:
    await connector.write("setpoint", 485.0)
    (before,) = _entries(context, "write")
    (after,) = _entries(context, "write.result")
    assert (before["subject"], before["after"]) == ("lines setpoint", 485.0)
    assert (after["result"], after["of"]) == ("ok", before["seq"])
    assert server.lines[-1] == "echo setpoint=485.0"


async def test_a_write_that_fails_is_audited_with_its_error(
    connector: LineConnector, context: Context, link: Link
) -> None:
    link.cut()
    with pytest.raises(ConnectFailed) as caught:
        await connector.write("setpoint", 1)
    assert not caught.value.maybe_done, "nothing was sent"
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("failed: lines: ")


async def test_a_write_whose_connection_is_lost_is_audited_as_unknown(
    connector: LineConnector, context: Context, link: Link
) -> None:
    await connector.connect()
    link.drop_replies()
    writing = asyncio.create_task(connector.write("setpoint", 1))
    while not link.request_bytes > len("hello open sesame\n"):
        await asyncio.sleep(0.01)
    link.cut()
    with pytest.raises(ConnectFailed) as caught:
        await writing
    assert caught.value.maybe_done
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("unknown: lines: write setpoint: ")


@pytest.mark.parametrize("trouble", ["cut", "drop_replies"])
async def test_what_a_write_looks_up_first_is_no_write(
    connector: LineConnector, context: Context, link: Link, trouble: str
) -> None:
    async def looked_up() -> str:
        with before_sending():
            await connector._ask("get type")
        return await connector._ask("echo setpoint=1")

    await connector.connect()
    connector.set_timeout(100)
    getattr(link, trouble)()
    with pytest.raises((ConnectFailed, RequestTimeout)) as caught:
        await connector._write_to_plant(looked_up, address="setpoint", value=1)
    assert not caught.value.maybe_done
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("failed: lines: ")


async def test_a_fault_of_a_driver_is_no_answer(connector: LineConnector, context: Context) -> None:
    async def confused() -> str:
        await connector._ask("echo setpoint=1")
        raise KeyError("no such thing")

    with pytest.raises(RequestFailed) as caught:
        await connector._write_to_plant(confused, address="setpoint", value=1)
    assert caught.value.maybe_done


async def test_a_write_without_an_answer_is_audited_as_unknown(
    connector: LineConnector, context: Context, link: Link
) -> None:
    await connector.connect()
    connector.set_timeout(100)
    link.drop_replies()
    with pytest.raises(RequestTimeout):
        await connector.write("setpoint", 1)
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("unknown: lines: write setpoint: ")
    assert "no answer within 0.1 s" in after["result"]


async def test_a_cancelled_write_is_audited_as_interrupted(
    connector: LineConnector, context: Context, link: Link
) -> None:
    await connector.connect()
    link.drop_replies()
    writing = asyncio.create_task(connector.write("setpoint", 1))
    while not link.request_bytes > len("hello open sesame\n"):
        await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    (after,) = _entries(context, "write.result")
    assert after["result"] == "unknown: interrupted"


async def test_without_an_audit_entry_nothing_is_sent(
    server: LineServer, link: Link, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    audit = Audit(tmp_path / "file" / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    connector = LineConnector({"port": link.port}, context=context)
    with pytest.raises(WriteRefused, match="no audit, no write"):
        await connector.write("setpoint", 1)
    assert server.lines == []
    await connector.close()
    audit.close()


async def test_what_a_connector_does_not_offer_is_unsupported(connector: LineConnector) -> None:
    with pytest.raises(Unsupported, match="lines cannot be read"):
        await connector.read(["x"])
    for call in (connector.browse, lambda: connector.history([], 0, 1)):
        with pytest.raises(Unsupported):
            call()


def test_settings_of_another_connector_are_a_type_error(context: Context) -> None:
    class Other(Settings):
        pass

    with pytest.raises(TypeError, match="takes LineConfig"):
        LineConnector(Other(), context=context)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"port": 1}, [("lines", (), {"port": 1})]),
        ({}, [("lines", (), {})]),
        (
            {"a": {"port": 1}, "b": {"port": 2}},
            [("lines.a", ("a",), {"port": 1}), ("lines.b", ("b",), {"port": 2})],
        ),
        ({"port": {"port": 1}}, [("lines", (), {"port": {"port": 1}})]),
        ({"a": {"port": 1}, "port": 2}, [("lines", (), {"a": {"port": 1}, "port": 2})]),
    ],
)
def test_a_block_is_one_connection_or_one_per_name(block: Any, expected: Any) -> None:
    assert LineConnector.instances(block) == expected
