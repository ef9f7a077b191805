"""Life: constructed without input or output, opened on demand, closed at any time."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from pathlib import Path

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    ConnectFailed,
    GL002Error,
    NotAllowed,
    PasswordRefused,
    RequestTimeout,
)
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import (
    SOON,
    ask,
    eventually,
    frozen,
    hurried,
    is_in,
    until_it_works,
)
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig
from gl002.testing.stalls import at_most

_TIMEOUT = 0.4
_MACHINE = 0.5  # seconds a busy test machine may be late
_FORBIDDEN = {
    "socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto", "sqlite3.connect",
    "subprocess.Popen", "os.mkdir", "os.remove", "os.rename",
}  # fmt: skip
_seen: list[tuple[int, str]] | None = None


def _hook(event: str, _: object) -> None:
    if _seen is not None and event in _FORBIDDEN:
        _seen.append((threading.get_ident(), event))


sys.addaudithook(_hook)  # can not be removed again, hence the switch


def test_the_constructor_does_no_input_or_output(rig: Rig, make: Maker, tmp_path: Path) -> None:
    global _seen  # noqa: PLW0603 (an audit hook stays for ever)
    settings = rig.config()
    _seen = []
    try:
        connector = make(settings)
        here = threading.get_ident()  # what the counterpart does on its own is no matter
        events = [event for thread, event in _seen if thread == here]
    finally:
        _seen = None
    assert events == []
    assert list(tmp_path.iterdir()) == []
    assert is_in(connector, State.NEW)


async def test_the_first_request_connects(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    assert is_in(connector, State.UP)


async def test_connecting_twice_opens_one_session(rig: Rig, make: Maker) -> None:
    connector = make()
    await connector.connect()
    await ask(rig, connector)  # now the link has counted it, too
    opened = rig.link.connections if rig.networked else 0
    await connector.connect()
    await asyncio.gather(*(connector.connect() for _ in range(10)))
    assert is_in(connector, State.UP)
    if rig.networked:
        assert rig.link.connections == opened
    await ask(rig, connector)


async def test_ten_tasks_that_connect_at_once_share_one_session(rig: Rig, make: Maker) -> None:
    alone = make()
    before = rig.link.connections if rig.networked else 0
    await alone.connect()
    await ask(rig, alone)  # now the link has counted it, too
    needed = rig.link.connections - before if rig.networked else 0
    await alone.close()
    connector = make()
    await asyncio.gather(*(connector.connect() for _ in range(10)))
    await ask(rig, connector)
    if rig.networked:
        assert rig.link.connections == before + 2 * needed


async def test_closing_is_safe_before_connecting_and_twice(make: Maker) -> None:
    connector = make()
    await connector.close()
    await connector.close()
    await connector.connect()
    await connector.close()
    await connector.close()
    assert is_in(connector, State.CLOSED)


async def test_closing_frees_every_connection(rig: Rig, make: Maker) -> None:
    connector = make()
    before = rig.link.open if rig.networked else 0
    for _ in range(3):
        await ask(rig, connector)
        await connector.close()
    if rig.networked:
        await eventually(lambda: rig.link.open <= before, "every connection is gone")


async def test_a_closed_connector_opens_again_on_the_next_request(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    await connector.close()
    assert is_in(connector, State.CLOSED)
    await ask(rig, connector)
    assert is_in(connector, State.UP)


async def test_the_with_block_connects_and_closes(make: Maker) -> None:
    async with make() as connector:
        assert is_in(connector, State.UP)
    assert is_in(connector, State.CLOSED)


async def test_a_check_answers_and_never_raises(rig: Rig, make: Maker) -> None:
    connector = make()
    health = await connector.check()
    assert health.ok, health
    assert health.detail
    assert health.latency > 0
    if rig.networked:
        rig.link.cut()
        await connector.close()
        with hurried(connector):
            health = await connector.check()
        assert not health.ok
        assert str(rig.link.port) in health.detail


@needs("network", "handshake")
async def test_closing_while_it_connects_ends_the_attempt(rig: Rig, make: Maker) -> None:
    connector = make()
    connector.set_timeout(SOON * 1000)
    async with frozen(rig):
        connecting = asyncio.create_task(connector.connect())
        await asyncio.sleep(0.05)
        async with asyncio.timeout(SOON / 2):
            await connector.close()
            with pytest.raises(ConnectFailed):
                await connecting
    assert is_in(connector, State.CLOSED, State.RETRYING)
    await until_it_works(rig, connector)


@needs("network", "handshake")
async def test_a_cancelled_connect_leaves_nothing_and_can_be_tried_again(
    rig: Rig, make: Maker
) -> None:
    connector = make()
    connector.set_timeout(SOON * 1000)  # so that it does not end by itself
    async with frozen(rig):
        for _ in range(3):
            connecting = asyncio.create_task(connector.connect())
            await asyncio.sleep(0.05)
            connecting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await connecting
    assert not is_in(connector, State.UP)
    await until_it_works(rig, connector)  # and `make` looks for tasks, threads and sockets left


@needs("network")
async def test_where_nothing_listens_it_is_a_connection_error_that_comes_again(
    rig: Rig, make: Maker
) -> None:
    connector = make()
    rig.link.cut()
    with hurried(connector), pytest.raises(ConnectionError) as caught:
        await connector.connect()
    error = caught.value
    assert isinstance(error, ConnectFailed)
    assert error.retryable
    assert str(rig.link.port) in str(error), "the message names the address"
    assert connector.name in str(error), "and the connector"
    assert is_in(connector, State.RETRYING)


@needs("network", "handshake")
async def test_the_time_out_limits_connecting(rig: Rig, make: Maker) -> None:
    connector = make()
    connector.set_timeout(_TIMEOUT * 1000)
    async with frozen(rig):
        start = time.monotonic()
        with (
            at_most(_TIMEOUT * 1.2 + _MACHINE),
            pytest.raises((RequestTimeout, ConnectFailed)) as caught,
        ):
            await connector.connect()
        assert time.monotonic() - start >= _TIMEOUT * 0.8
    assert isinstance(caught.value, GL002Error)
    assert caught.value.retryable


@needs("network")
async def test_the_time_out_limits_a_request(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    async with frozen(rig):
        with (
            hurried(connector, _TIMEOUT * 1000),
            at_most(_TIMEOUT * 1.2 + _MACHINE),
            pytest.raises(GL002Error),
        ):
            await ask(rig, connector)
    await until_it_works(rig, connector)


@needs("network")
async def test_an_empty_allowlist_lets_nothing_out(rig: Rig, make: Maker, tmp_path: Path) -> None:
    audit = Audit(tmp_path / "other.jsonl")
    context = Context(network=Network(allow=[]), audit=audit, state_dir=tmp_path)
    before = rig.link.connections
    connector = make(context=context)
    with pytest.raises(NotAllowed):
        await connector.connect()
    assert rig.link.connections == before
    assert is_in(connector, State.FAILED)
    await connector.close()
    audit.close()


@needs("wrong_credentials")
async def test_wrong_credentials_are_refused_once_and_named_without_showing_them(
    rig: Rig, make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    settings = rig.wrong_credentials()
    connector = make(settings, patient=True)
    with pytest.raises(AuthFailed) as caught:
        async with asyncio.timeout(SOON):
            await connector.connect()
    assert not caught.value.retryable
    assert is_in(connector, State.FAILED)
    good = _texts(rig.config())
    for text in _texts(settings) - good:
        assert text not in str(caught.value)
        assert text not in caplog.text
    assert not (await connector.check()).ok


@needs("wrong_credentials")
async def test_a_refused_password_is_not_tried_until_its_account_is_locked(
    rig: Rig, make: Maker
) -> None:
    """Whoever asks: until it is time, or a person has seen to it, nothing is sent."""
    connector = make(rig.wrong_credentials(), patient=True)
    with pytest.raises(AuthFailed) as caught:
        await connector.connect()
    assert isinstance(caught.value, PasswordRefused) is rig.has_account
    if not rig.has_account:
        return
    before = rig.link.connections
    for _ in range(3):
        with pytest.raises(PasswordRefused, match="not tried again before"):
            await connector.connect()
        assert not (await connector.check()).ok
    assert rig.link.connections == before
    connector.try_at_once()
    with pytest.raises(PasswordRefused):
        await connector.connect()
    assert rig.link.connections > before


def _texts(value: object) -> set[str]:
    """Every text of a configuration that could be a credential: longer than a word."""
    if isinstance(value, dict):
        return set().union(*(_texts(v) for k, v in value.items() if "user" not in str(k)))
    if isinstance(value, list):
        return set().union(*map(_texts, value))
    longest_word = 6
    return {value} if isinstance(value, str) and len(value) > longest_word else set()


async def test_each_change_of_state_is_logged_once(
    rig: Rig, make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger=f"gl002.{rig.kind}")
    connector = make()
    await ask(rig, connector)
    await ask(rig, connector)
    ups = [r for r in caplog.records if r.getMessage() == f"{connector.name}: connected"]
    assert len(ups) == 1
    await connector.close()
    await connector.close()
    downs = [r for r in caplog.records if r.getMessage() == f"{connector.name}: closed"]
    assert len(downs) == 1
