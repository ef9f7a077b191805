"""Trouble: whatever happens to the line, the error is ours and the connector comes back."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from gl002.connector import Connector, State
from gl002.errors import GL002Error
from gl002.security.audit import read
from gl002.testing.contract.requests import (
    SOON,
    ask,
    eventually,
    failure_of,
    frozen,
    hurried,
    is_in,
    until_it_works,
)
from gl002.testing.link import Link
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig
from gl002.testing.stalls import at_most

_SHORT = 500  # milliseconds, so that a reply that never comes costs little


def _down_and_up(caplog: pytest.LogCaptureFixture, kind: str) -> tuple[int, int]:
    """Lines at WARNING and above, and lines that say it is connected."""
    records = [r for r in caplog.records if r.name == f"gl002.{kind}"]
    warnings = sum(r.levelno >= logging.WARNING for r in records)
    return warnings, sum(r.getMessage().endswith(": connected") for r in records)


@needs("network")
async def test_a_cut_is_noticed_and_mended_with_one_line_down_and_one_up(
    rig: Rig, make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    connector = make()
    await ask(rig, connector)
    caplog.set_level(logging.INFO)
    caplog.clear()
    rig.link.cut()
    with hurried(connector):
        for _ in range(5):
            assert await failure_of(rig, connector) is not None
    assert is_in(connector, State.RETRYING)
    rig.link.restore()
    await until_it_works(rig, connector)
    assert is_in(connector, State.UP)
    assert _down_and_up(caplog, rig.kind) == (1, 1)
    make.context.audit.close()
    changes = [
        (entry["before"], entry["after"])
        for entry in read(make.context.audit.path)
        if entry["action"] == "connection"
    ]
    assert changes == [("new", "up"), ("up", "retrying"), ("retrying", "up")]


@needs("network")
async def test_a_short_cut_while_idle_costs_at_most_one_request(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    rig.link.cut()
    rig.link.restore()
    await failure_of(rig, connector)
    assert await failure_of(rig, connector) is None


@needs("network")
async def test_with_its_own_retries_a_short_cut_is_not_noticed_at_all(
    rig: Rig, make: Maker
) -> None:
    connector = make(patient=True)
    await ask(rig, connector)
    for _ in range(3):
        rig.link.cut()
        rig.link.restore()
        await ask(rig, connector)


@needs("network")
async def test_a_cut_in_the_middle_of_a_request_is_an_error_of_ours(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    rig.link.drop_replies()
    passed = rig.link.request_bytes
    noticed = isinstance(rig.link, Link)  # nobody tells of a datagram that it was lost
    with hurried(connector, SOON * 1000 if noticed else 2000):
        asking = asyncio.create_task(failure_of(rig, connector))
        await eventually(lambda: rig.link.request_bytes > passed, "the request is under way")
    rig.link.cut()
    error = await asking
    assert error is not None
    rig.link.restore()
    await until_it_works(rig, connector)


@needs("network")
async def test_a_reset_in_the_middle_of_a_reply_is_an_error_of_ours(rig: Rig, make: Maker) -> None:
    connector = make()
    for count in (1, 3, 7, 20):
        await until_it_works(rig, connector)
        rig.link.cut_after(count)
        with hurried(connector):
            for _ in range(30):  # a session of a chatty protocol may last a few replies
                if await failure_of(rig, connector) is not None:
                    break
        rig.link.restore()
    await until_it_works(rig, connector)


@needs("network")
async def test_a_frozen_counterpart_costs_one_time_out_and_is_taken_up_again(
    rig: Rig, make: Maker
) -> None:
    connector = make()
    await ask(rig, connector)
    async with frozen(rig):
        with hurried(connector, _SHORT), at_most(_SHORT / 1000 + 1):
            assert await failure_of(rig, connector) is not None
    await until_it_works(rig, connector)
    assert is_in(connector, State.UP)


@needs("network")
async def test_lost_replies_are_a_time_out(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    rig.link.drop_replies()
    with hurried(connector, _SHORT):
        assert await failure_of(rig, connector) is not None
    rig.link.restore()
    await until_it_works(rig, connector)


@needs("restart")
async def test_a_restart_of_the_counterpart_is_survived(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    await asyncio.to_thread(rig.restart)
    await until_it_works(rig, connector)
    assert is_in(connector, State.UP)


@needs("network")
@pytest.mark.parametrize("share", [0.01, 0.3])
async def test_garbled_replies_are_an_answer_or_an_error_of_ours(
    rig: Rig, make: Maker, share: float
) -> None:
    connector = make()
    await ask(rig, connector)
    rig.link.garble(share)
    with hurried(connector, _SHORT):
        for _ in range(10):
            await failure_of(rig, connector)  # raises what is not ours
    rig.link.restore()
    await connector.close()
    connector.try_at_once()  # garbage may well have said that the password is wrong
    await until_it_works(rig, connector)


@needs("network")
async def test_single_bytes_and_latency_change_nothing_but_the_time(rig: Rig, make: Maker) -> None:
    connector = make()
    connector.set_timeout(SOON * 1000)
    rig.link.slice()
    rig.link.delay(0.002)
    for _ in range(3):
        await ask(rig, connector)
    assert is_in(connector, State.UP)


@needs("network")
async def test_requests_that_overlap_a_cut_all_end(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    rig.link.delay(0.1)
    with hurried(connector, 1000):
        asking = [asyncio.create_task(failure_of(rig, connector)) for _ in range(5)]
        await asyncio.sleep(0.05)
        rig.link.cut()
        async with asyncio.timeout(2 * SOON):
            await asyncio.gather(*asking)
    rig.link.restore()
    await until_it_works(rig, connector)


@needs("network")
async def test_a_cancelled_request_leaves_the_session_usable(rig: Rig, make: Maker) -> None:
    connector = make()
    await ask(rig, connector)
    rig.link.delay(1.0)
    asking = asyncio.create_task(ask(rig, connector))
    await asyncio.sleep(0.05)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    rig.link.restore()
    await _right_answers(rig, connector)


async def _right_answers(rig: Rig, connector: Connector[Any]) -> None:
    """The next requests get their own answers, not the late one of another."""
    await until_it_works(rig, connector)
    for tag, value in rig.readable.items():
        try:
            (sample,) = await connector.read([tag])
        except GL002Error as error:
            if isinstance(error, NotImplementedError):
                return  # it cannot be read: a check was all there was to ask
            raise
        assert sample.value == pytest.approx(value), sample
