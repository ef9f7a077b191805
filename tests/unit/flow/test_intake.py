"""Intake: reconnecting, acknowledging and telling of an outage. Sources here are scripts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from gl002.config.sections import StoreSettings, TagSettings
from gl002.errors import AuthFailed, Busy, ConnectFailed, Untrusted
from gl002.flow.deadletter import DeadLetters
from gl002.flow.hub import Hub
from gl002.flow.intake import Intake
from gl002.flow.steps import Steps
from gl002.flow.store import Store
from gl002.model import Batch, Quality, Sample, Tag, TagTable
from gl002.retry import RetryPolicy
from gl002.source import Source

FAST = RetryPolicy(max_attempts=None, first=0.01, most=0.05)


class Script(Source):
    """Plays one list after another: batches are yielded, errors raised, then it waits for ever."""

    name = "script"

    def __init__(self, *sessions: Sequence[object], acknowledges: bool = False) -> None:
        self.sessions = list(sessions)
        self.acknowledges = acknowledges
        self.acknowledged: list[int] = []
        self.resumed = b""
        self._position = b""

    def tags(self) -> Sequence[Tag]:
        return [Tag(name="t")]

    async def batches(self) -> AsyncIterator[Batch]:
        for step in self.sessions.pop(0) if self.sessions else [asyncio.Event()]:
            if isinstance(step, BaseException):
                raise step
            if isinstance(step, asyncio.Event):
                await step.wait()
                continue
            self._position = str(step[-1].value).encode()
            yield step
            self.acknowledged.append(step[-1].value)

    def position(self) -> bytes:
        return self._position

    def resume(self, position: bytes) -> None:
        self.resumed = position


def batch(*values: int) -> Batch:
    return [Sample("t", v, v) for v in values]


@pytest.fixture
def flow(tmp_path, monkeypatch):
    """Runs an intake until a condition holds; gives what is in the store then."""
    monkeypatch.setattr("gl002.flow.intake.FOREVER", FAST)
    monkeypatch.setattr("gl002.flow.intake.RECONNECT", FAST)

    @asynccontextmanager
    async def running(source: Source, *, fresh: bool = True):
        store = Store(tmp_path / "store", StoreSettings(commit_interval=0))
        await store.open(["out"])
        letters = DeadLetters(tmp_path / "letters.sqlite")
        hub = Hub()
        steps = Steps({"declared": TagSettings(type="float")}, TagTable())
        intake = Intake("script", source, steps=steps, store=store, letters=letters, hub=hub)
        task = asyncio.create_task(intake.run())
        intake.hub, intake.store, intake.letters = hub, store, letters
        try:
            async with asyncio.timeout(30):
                yield intake
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await store.close()

    return running


async def until(condition) -> None:
    while not condition():
        await asyncio.sleep(0.005)


async def stored(intake: Intake, count: int) -> Batch:
    rows: Batch = []
    while len(rows) < count:
        await intake.store.wait("out")
        async with intake.store.lease("out", 1000) as lease:
            rows += lease.batch
    return rows


async def test_a_broker_is_acknowledged_only_after_the_batch_is_durable(flow):
    source = Script([batch(1), batch(2), asyncio.Event()], acknowledges=True)
    async with flow(source) as intake:
        await until(lambda: source.acknowledged == [1, 2])
        assert intake.store.stats().accepted == 2
        assert intake.store.position("script") == b"2"


@pytest.mark.parametrize("acknowledges", [True, False])
async def test_after_a_restart_the_source_is_told_where_it_stood(flow, acknowledges):
    script = Script([batch(7), asyncio.Event()], acknowledges=acknowledges)
    async with flow(script) as intake:
        await until(lambda: intake.store.stats().accepted == 1)
    source = Script()
    async with flow(source):
        await until(lambda: source.resumed)
        assert source.resumed == b"7"


async def test_a_lost_session_is_opened_again_and_the_outage_is_in_the_data(flow):
    source = Script([batch(1), ConnectFailed("gone")], [batch(2), asyncio.Event()])
    async with flow(source) as intake:
        rows = await stored(intake, 3)
        assert [(s.value, s.quality) for s in rows] == [
            (1, Quality.GOOD),
            (None, Quality.BAD_NO_COMMUNICATION),
            (2, Quality.GOOD),
        ]
        assert intake.status().state == "up"


async def test_a_wait_that_the_other_side_asks_for_is_kept(flow):
    busy = Busy("too many requests")
    busy.retry_after = 3600.0
    async with flow(Script([batch(1), busy])) as intake:
        await until(lambda: intake.status().retry_in)
        assert 3500 < intake.status().retry_in <= 3600, "and not the 0.01 s of its own policy"


async def test_a_long_outage_is_logged_once_down_and_once_up(flow, caplog):
    caplog.set_level("INFO", logger="gl002.intake")
    source = Script([batch(1), ConnectFailed("gone")], *[[ConnectFailed("gone")]] * 5,
                    [batch(2), asyncio.Event()])  # fmt: skip
    async with flow(source) as intake:
        await stored(intake, 3)
    lines = [r.getMessage() for r in caplog.records]
    assert lines == ["script: gone", "script: values again"]


async def test_what_needs_a_person_is_shown_as_failed_and_still_tried_again(flow):
    source = Script([AuthFailed("wrong password")], [AuthFailed("wrong password")], [batch(1)])
    async with flow(source) as intake:
        await until(lambda: intake.status().state == "failed")
        assert intake.status().error == "wrong password"
        await stored(intake, 1)


async def test_where_a_person_trusts_a_certificate_values_are_back_within_five_seconds(
    flow, monkeypatch
):
    monkeypatch.undo()  # the waits are those of a gateway
    for error, soon in (Untrusted("whose?"), True), (AuthFailed("who?"), False):
        async with flow(Script([error])) as intake:
            await until(lambda i=intake: i.status().state == "failed")
            assert (intake.status().retry_in <= 5.0) is soon


async def test_a_value_that_cannot_be_stored_becomes_a_dead_letter_and_its_neighbours_are_kept(
    flow,
):
    odd = [Sample("t", 1, 1), Sample("t", "\ud800", 2), Sample("t", 3, 3)]
    async with flow(Script([odd, asyncio.Event()])) as intake:
        assert [s.value for s in await stored(intake, 2)] == [1, 3]
        await until(intake.letters.count)
        (letter,) = intake.letters.list("input:script")
        assert letter.sample.value == "\\ud800"


async def test_order_is_kept_while_it_reads_ahead_of_the_store(flow):
    source = Script([[Sample("t", i, i)] for i in range(500)] + [asyncio.Event()])
    async with flow(source) as intake:
        assert [s.value for s in await stored(intake, 500)] == list(range(500))
