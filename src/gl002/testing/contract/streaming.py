"""STREAM: values arrive in order, the stream ends when told, and it comes back after trouble."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import pytest

from gl002.connector import Capability, Connector
from gl002.errors import GL002Error
from gl002.model import Sample, Value, is_good
from gl002.source import Source
from gl002.testing.contract.requests import eventually, frozen, hurried, other, same
from gl002.testing.contract.storing import STORED
from gl002.testing.needs import met, needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig
from gl002.testing.stalls import at_most

_AGAIN = 0.1  # seconds between two sessions of a source


def _source(rig: Rig, connector: Connector[Any]) -> Source:
    assert connector.Input is not None
    return connector.source(connector.Input.parse(rig.input))


class _Follower:
    """Drives a source as the flow does: asks for batches, and starts it again when it fails.

    What other tests have stored is left out: a source that reads a history tells it, too.

    Attributes:
        samples: everything received since the last error.
        heard: everything received, errors or not.
        errors: what ended its sessions; anything but a retryable error of ours fails the test.
        lied_to: replies are garbled, so an error may say anything, also that it is of no use to
            try again.
        hold: batches are taken while it is set.
    """

    def __init__(self, connector: Connector[Any], source: Source) -> None:
        self.connector = connector
        self.source = source
        self.samples: list[Sample] = []
        self.heard: list[Sample] = []
        self.errors: list[GL002Error] = []
        self.lied_to = False
        self.hold = asyncio.Event()
        self.hold.set()

    async def run(self) -> None:
        while True:
            try:
                async with self.source.open() as batches:
                    async for batch in batches:
                        told = [sample for sample in batch if STORED not in sample.tag]
                        self.samples += told
                        self.heard += told
                        await self.hold.wait()
            except GL002Error as error:
                self.errors.append(error)
                self.samples.clear()
                if not error.retryable:
                    if not self.lied_to:
                        raise  # the flow would wait for a person
                    self.connector.try_at_once()  # here is one
            await asyncio.sleep(_AGAIN)

    def good(self) -> dict[str, Value]:
        """The newest good value of each tag since the last error."""
        return _newest(self.samples)

    def gone_bad(self) -> list[str]:
        """Tags that were good, were told to be bad, and not yet to be good again."""
        once = {s.tag for s in self.heard if is_good(s.quality)}
        last = {s.tag: s.quality for s in self.samples}
        return [tag for tag, quality in last.items() if tag in once and not is_good(quality)]

    def has(self, *values: Value) -> bool:
        """Whether every one of these is the newest value of some tag."""
        newest = list(self.good().values())
        return all(any(same(seen, value) for seen in newest) for value in values)

    def named(self, value: Value) -> set[str]:
        """Tags whose newest value this is."""
        return {name for name, there in self.good().items() if same(there, value)}

    def shows(self, names: set[str], value: Value) -> bool:
        """Whether this is the newest value of one of these tags.

        Others say nothing: one that other tests have written may have held it all the time.
        """
        return bool(names & self.named(value))


def _newest(samples: Sequence[Sample]) -> dict[str, Value]:
    """The newest good value of each tag: a stream may tell what is older after what is newer."""
    good = [sample for sample in samples if is_good(sample.quality)]
    return {sample.tag: sample.value for sample in sorted(good, key=lambda s: s.time)}


@asynccontextmanager
async def _following(rig: Rig, connector: Connector[Any]) -> AsyncIterator[_Follower]:
    follower = _Follower(connector, _source(rig, connector))
    task = asyncio.create_task(follower.run())
    try:
        yield follower
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        await follower.source.close()


async def _all_arrived(rig: Rig, follower: _Follower) -> None:
    wanted = list(rig.readable.values())
    await eventually(
        lambda: follower.has(*wanted),
        lambda: f"{wanted} arrived; there are {follower.good()}, errors {follower.errors}",
    )


@needs(Capability.STREAM)
async def test_a_stream_delivers_every_value(rig: Rig, make: Maker) -> None:
    async with _following(rig, make()) as follower:
        await _all_arrived(rig, follower)
        assert follower.errors == []


@needs(Capability.STREAM)
async def test_a_source_is_made_without_connecting(rig: Rig, make: Maker) -> None:
    before = rig.link.connections if rig.networked else 0
    source = _source(rig, make())
    source.tags()
    if rig.networked:
        assert rig.link.connections == before
    await source.close()


@needs(Capability.STREAM)
async def test_tags_delivered_are_tags_declared(rig: Rig, make: Maker) -> None:
    connector = make()
    async with _following(rig, connector) as follower:
        await _all_arrived(rig, follower)
        declared = {tag.name for tag in follower.source.tags()} | set(connector.context.tags)
        assert {sample.tag for sample in follower.samples} <= declared


@needs(Capability.STREAM, "set")
async def test_changes_arrive_in_order(rig: Rig, make: Maker) -> None:
    tag, value = next((t, v) for t, v in rig.readable.items() if type(v) in {int, float})
    assert not isinstance(value, str)
    assert value is not None
    wanted: list[Value] = [type(value)(1 + i) for i in range(8)]
    async with _following(rig, make()) as follower:
        await _all_arrived(rig, follower)
        names, before = follower.named(value), len(follower.heard)
        try:
            for new in wanted:
                await asyncio.to_thread(rig.set, tag, new)
                await eventually(partial(follower.shows, names, new), f"{new!r} arrived")
        finally:
            await asyncio.to_thread(rig.set, tag, value)
        heard = [s.value for s in follower.heard[before:] if s.tag in names]
        seen = [changed for changed in heard if changed in wanted]
        assert list(dict.fromkeys(seen)) == wanted


@needs(Capability.STREAM, "set")
async def test_a_consumer_that_pauses_still_gets_the_last_value(rig: Rig, make: Maker) -> None:
    tag, value = next(iter(rig.readable.items()))
    async with _following(rig, make()) as follower:
        await _all_arrived(rig, follower)
        names = follower.named(value)
        follower.hold.clear()
        try:
            await asyncio.to_thread(rig.set, tag, other(value))
            await asyncio.sleep(0.5)
            follower.hold.set()
            await eventually(lambda: follower.shows(names, other(value)), "the last value arrived")
        finally:
            await asyncio.to_thread(rig.set, tag, value)


@needs(Capability.STREAM)
async def test_a_cancelled_stream_ends_within_a_second(rig: Rig, make: Maker) -> None:
    connector = make()
    async with AsyncExitStack() as stack:
        follower = await stack.enter_async_context(_following(rig, connector))
        await _all_arrived(rig, follower)
        with at_most(1.0):
            await stack.aclose()
    async with _following(rig, connector) as follower:
        await _all_arrived(rig, follower)


@needs(Capability.STREAM)
async def test_a_source_may_be_closed_twice_and_before_it_started(rig: Rig, make: Maker) -> None:
    source = _source(rig, make())
    await source.close()
    await source.close()


@needs(Capability.STREAM, "network")
async def test_a_cancelled_stream_ends_within_a_second_also_on_a_dead_line(
    rig: Rig, make: Maker
) -> None:
    async with frozen(rig), AsyncExitStack() as stack:
        await stack.enter_async_context(_following(rig, make()))
        await asyncio.sleep(0.2)
        with at_most(1.0):
            await stack.aclose()


async def _is_back(rig: Rig, follower: _Follower, errors: int) -> None:
    """The stream works again after there were `errors`; a sample of before says nothing of it.

    Where the session was lost every value comes again, if the other side tells values again. What
    was not noticed need not be told again: a change shows that the stream is alive.
    """
    changeable = met(type(rig), ["set"])
    if changeable:
        await _a_change_arrives(rig, follower)
    if rig.tells_again and (len(follower.errors) > errors or not changeable):
        await _all_arrived(rig, follower)
    await eventually(lambda: not follower.gone_bad(), lambda: f"good again {follower.gone_bad()}")


async def _comes_back(rig: Rig, make: Maker, break_it: Callable[[], Any]) -> None:
    connector = make()
    async with _following(rig, connector) as follower:
        await _all_arrived(rig, follower)
        errors = len(follower.errors)
        await asyncio.to_thread(break_it)
        if len(follower.errors) == errors:  # else what is there came after the error
            follower.samples.clear()
        await _is_back(rig, follower, errors)


async def _a_change_arrives(rig: Rig, follower: _Follower) -> None:
    tag, value = next(iter(rig.readable.items()))
    new = other(value)
    try:
        await asyncio.to_thread(rig.set, tag, new)
        await eventually(
            lambda: any(same(seen, new) for seen in _newest(follower.heard).values()),
            lambda: f"a change arrived; errors {follower.errors}",
        )
    finally:
        await asyncio.to_thread(rig.set, tag, value)


@needs(Capability.STREAM, "network")
async def test_a_stream_comes_back_after_a_cut(rig: Rig, make: Maker) -> None:
    def cut() -> None:
        rig.link.cut()
        time.sleep(0.05)
        rig.link.restore()

    await _comes_back(rig, make, cut)


@needs(Capability.STREAM, "network")
async def test_a_cut_stream_says_so_with_an_error_or_bad_samples(rig: Rig, make: Maker) -> None:
    connector = make()
    async with _following(rig, connector) as follower:
        await _all_arrived(rig, follower)
        follower.samples.clear()
        errors = len(follower.errors)
        rig.link.cut()
        with hurried(connector, 1000):
            await eventually(
                lambda: len(follower.errors) > errors or follower.gone_bad(),
                "silence is no answer: an error or a bad sample came",
            )
        rig.link.restore()
        await _is_back(rig, follower, errors)


@needs(Capability.STREAM, "restart")
async def test_a_stream_comes_back_after_a_restart_of_the_counterpart(
    rig: Rig, make: Maker
) -> None:
    await _comes_back(rig, make, rig.restart)


@needs(Capability.STREAM, "freeze", "thaw", "set")
async def test_a_stream_comes_back_after_the_counterpart_hung(rig: Rig, make: Maker) -> None:
    connector = make()
    async with _following(rig, connector) as follower:
        await _all_arrived(rig, follower)
        rig.freeze()
        try:
            with hurried(connector, 1000):
                await asyncio.sleep(0.5)
        finally:
            rig.thaw()
        await _a_change_arrives(rig, follower)  # one by exception is silent while nothing changes


@needs(Capability.STREAM, "network")
async def test_garbled_replies_end_in_errors_of_ours_and_the_stream_comes_back(
    rig: Rig, make: Maker
) -> None:
    connector = make()
    async with _following(rig, connector) as follower:
        await _all_arrived(rig, follower)
        errors, follower.lied_to = len(follower.errors), True
        rig.link.garble(0.1)
        with hurried(connector, 1000):
            await asyncio.sleep(0.5)
        rig.link.cut()
        rig.link.restore()
        await _is_back(rig, follower, errors)


@needs(Capability.STREAM)
async def test_an_input_with_an_unknown_key_is_refused(rig: Rig, make: Maker) -> None:
    spec = make().Input
    assert spec is not None
    with pytest.raises(ValueError, match="unknown key 'nonsense_key'"):
        spec.parse({**rig.input, "nonsense_key": 1})
