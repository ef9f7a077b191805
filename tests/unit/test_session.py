"""The life of a session: connecting, requests and their repetition, errors, settings."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gl002.config.settings import Settings
from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AccessDenied,
    AuthFailed,
    ConnectFailed,
    NotAllowed,
    RequestFailed,
    RequestTimeout,
    Unsupported,
)
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.testing.link import Link
from gl002.testing.stalls import at_most
from peers.lines import LineServer
from unit.line_connector import LineConnector, connector, context, link, server

fixtures = server, link, context, connector


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
