"""Delivery: what the kind of an error does to a batch. Sinks here are lists told to fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from gl002.config.flow import OutputSettings
from gl002.config.sections import StoreSettings
from gl002.errors import Busy, ConnectFailed, DataError, PartialWrite, RequestFailed
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery
from gl002.flow.hub import Hub
from gl002.flow.store import Store
from gl002.model import Batch, Sample
from gl002.sink import Sink

FAST = {"retry_policy": {"max_attempts": None, "first": 0.01, "most": 0.05}, "interval": 0}


class ListSink(Sink):
    """Keeps what it gets; `judge` may raise first."""

    name = "list"

    def __init__(self, judge: Callable[[Batch], None] = lambda batch: None) -> None:
        self.rows: dict[tuple[str, int], Sample] = {}
        self.order: list[object] = []
        self.writes = 0
        self.prepared = 0
        self.judge = judge

    async def prepare(self) -> None:
        self.prepared += 1

    async def write(self, batch: Batch) -> None:
        self.writes += 1
        try:
            self.judge(batch)
        except PartialWrite as error:
            self._keep([s for i, s in enumerate(batch) if i not in error.rejected])
            raise
        self._keep(batch)

    def _keep(self, batch: Batch) -> None:
        for sample in batch:
            if (sample.tag, sample.time) not in self.rows:
                self.order.append(sample.value)
            self.rows[sample.tag, sample.time] = sample


def counters(first: int, count: int) -> Batch:
    return [Sample("t", i, i) for i in range(first, first + count)]


@pytest.fixture
async def flow(tmp_path):
    """A store with 100 samples, and a function that delivers them until all is settled."""
    store = Store(tmp_path / "store", StoreSettings(commit_interval=0))
    await store.open(["out"])
    await store.put(counters(0, 100))
    letters = DeadLetters(tmp_path / "letters.sqlite")
    tasks: list[asyncio.Task[None]] = []

    async def deliver(sink: Sink, *, until: Callable[[], bool] | None = None, **settings: object):
        spec = OutputSettings.parse({"destination": "list", **FAST, **settings})
        delivery = Delivery("out", sink, spec, store=store, letters=letters, hub=Hub())
        tasks.append(asyncio.create_task(delivery.run()))
        async with asyncio.timeout(30):
            while not (until() if until else not store.pending("out")):
                await asyncio.sleep(0.005)
        return delivery

    async def empty() -> None:
        """All is delivered, and nobody delivers any more."""
        (await deliver(ListSink())).drain()
        await asyncio.wait(tasks)

    deliver.letters = letters
    deliver.store = store
    deliver.empty = empty
    yield deliver
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()


async def test_everything_arrives_in_order(flow):
    sink = ListSink()
    delivery = await flow(sink, batch_size=7)
    assert sink.order == list(range(100))
    assert delivery.status().delivered == 100


async def test_a_passing_failure_repeats_the_batch_until_it_is_through(flow):
    failures = iter([ConnectFailed("gone")] * 5)

    def judge(batch: Batch) -> None:
        if error := next(failures, None):
            raise error

    sink = ListSink(judge)
    delivery = await flow(sink, batch_size=50)
    assert sink.order == list(range(100))
    assert sink.prepared >= 5, "it is made ready again after each failure"
    assert delivery.status().state == "up"


async def test_a_wait_that_the_other_side_asks_for_is_kept(flow):
    busy = Busy("too many requests")
    busy.retry_after = 3600.0
    failures = iter([busy])

    def judge(batch: Batch) -> None:
        if error := next(failures, None):
            raise error

    sink = ListSink(judge)
    delivery = await flow(sink, until=lambda: sink.writes)
    async with asyncio.timeout(60):
        while delivery.status().state != "retrying":
            await asyncio.sleep(0.005)
    assert 3500 < delivery.status().retry_in <= 3600, "and not the 0.01 s of its own policy"


async def test_refused_samples_become_dead_letters_with_the_reason_and_the_rest_arrives(flow):
    def judge(batch: Batch) -> None:
        odd = {i: "odd numbers are not liked" for i, s in enumerate(batch) if s.value % 10 == 3}
        if odd:
            raise PartialWrite("some refused", odd)

    sink = ListSink(judge)
    await flow(sink)
    assert len(sink.rows) == 90
    letters = flow.letters.list("out")
    assert [x.sample.value for x in letters] == list(range(3, 100, 10))
    assert {x.reason for x in letters} == {"odd numbers are not liked"}


async def test_a_sample_that_spoils_its_batch_is_found_and_set_aside(flow):
    def judge(batch: Batch) -> None:
        if any(s.value == 42 for s in batch):
            raise DataError("42 cannot be")

    sink = ListSink(judge)
    await flow(sink)
    assert sink.order == [v for v in range(100) if v != 42]
    (letter,) = flow.letters.list("out")
    assert (letter.sample.value, letter.reason) == (42, "42 cannot be")
    assert sink.writes <= 2 * 7 + 1, "found by halving"


async def test_what_needs_a_person_keeps_the_batch_and_loses_nothing(flow):
    allowed = False

    def judge(batch: Batch) -> None:
        if not allowed:
            raise RequestFailed("no such table", hint="create it")

    sink = ListSink(judge)
    delivery = await flow(sink, until=lambda: sink.writes >= 3)
    status = delivery.status()
    assert (status.state, status.pending, status.dead) == ("failed", 100, 0)
    assert status.error == "no such table (create it)"
    allowed = True
    async with asyncio.timeout(30):
        while flow.store.pending("out"):
            await asyncio.sleep(0.005)
    assert sink.order == list(range(100))


async def test_after_the_configured_attempts_a_batch_is_kept_as_dead_letters_not_dropped(flow):
    def judge(batch: Batch) -> None:
        raise ConnectFailed("never there")

    await flow(ListSink(judge), retry_policy={"max_attempts": 3, "first": 0.01}, batch_size=60)
    letters = flow.letters.list("out", limit=1000)
    assert [x.sample.value for x in letters] == list(range(100))
    assert letters[0].reason.startswith("given up after 3 attempts: never there")


async def test_only_the_tags_an_output_wants_reach_it(flow):
    await flow.store.put([Sample("b1.o2", 3.0, 1), Sample("b2.o2", 4.0, 1), Sample("b1.co", 5, 1)])
    sink = ListSink()
    await flow(sink, tags=["b1.*"])
    assert {tag for tag, _ in sink.rows} == {"b1.o2", "b1.co"}


async def test_dead_letters_are_delivered_when_a_person_asks(flow, monkeypatch):
    monkeypatch.setattr("gl002.flow.deliver._AGAIN_INTERVAL", 0.02)
    mended = False

    def judge(batch: Batch) -> None:
        if not mended and (
            bad := {i: "column too narrow" for i, s in enumerate(batch) if s.value > 97}
        ):
            raise PartialWrite("refused", bad)

    sink = ListSink(judge)
    await flow(sink)
    assert flow.letters.count("out") == 2
    flow.letters.retry("out", [1])
    async with asyncio.timeout(30):
        while flow.letters.list("out")[0].tries < 2:
            await asyncio.sleep(0.01)
    assert flow.letters.count("out") == 2, "refused again, kept"
    mended = True
    flow.letters.retry("out")
    async with asyncio.timeout(30):
        while flow.letters.count("out"):
            await asyncio.sleep(0.01)
    assert len(sink.rows) == 100


async def test_dead_letters_are_delivered_by_a_sink_that_was_made_ready(flow, monkeypatch):
    """After a restart, with nothing new to deliver."""
    monkeypatch.setattr("gl002.flow.deliver._AGAIN_INTERVAL", 0.02)
    await flow.empty()
    flow.letters.add("out", [(Sample("late", 1, 1), "table is full")])
    flow.letters.retry("out")

    def judge(batch: Batch) -> None:
        if not sink.prepared:
            raise RequestFailed("was not prepared")

    sink = ListSink(judge)
    await flow(sink, until=lambda: not flow.letters.count("out"))
    assert sink.order == [1]


async def test_dead_letters_that_cannot_be_delivered_wait_until_they_can(flow, monkeypatch):
    """The sink is made ready again after each failure, here too."""
    monkeypatch.setattr("gl002.flow.deliver._AGAIN_INTERVAL", 0.02)
    await flow.empty()
    flow.letters.add("out", [(Sample("late", 1, 1), "table is full")])
    flow.letters.retry("out")
    failures = iter([ConnectFailed("gone")] * 3)

    def judge(batch: Batch) -> None:
        if error := next(failures, None):
            raise error

    sink = ListSink(judge)
    await flow(sink, until=lambda: not flow.letters.count("out"))
    assert (sink.order, sink.prepared) == ([1], 4)


async def test_where_no_more_dead_letters_are_kept_the_batch_waits_for_a_person(flow):
    """Also one that is given up: it is not dropped, and it is no fault of ours."""
    flow.letters._most = 0
    gone = True

    def judge(batch: Batch) -> None:
        if gone:
            raise ConnectFailed("never there")

    sink = ListSink(judge)
    policy = {"max_attempts": 2, "first": 0.01, "most": 0.05}
    delivery = await flow(sink, until=lambda: sink.writes >= 5, retry_policy=policy)
    status = delivery.status()
    assert (status.state, status.pending) == ("retrying", 100)
    assert "no more are kept" in status.error
    gone = False
    async with asyncio.timeout(30):
        while flow.store.pending("out"):
            await asyncio.sleep(0.005)
    assert sink.order == list(range(100))


async def test_dead_letters_that_cannot_be_written_down_keep_their_batch(flow):
    """A full disk, or a file that belongs to somebody else."""
    flow.letters.path.mkdir()

    def judge(batch: Batch) -> None:
        raise PartialWrite("refused", dict.fromkeys(range(len(batch)), "column too narrow"))

    sink = ListSink(judge)
    delivery = await flow(sink, until=lambda: sink.writes >= 3)
    status = delivery.status()
    assert (status.state, status.pending) == ("retrying", 100)
    assert str(flow.letters.path) in status.error
    flow.letters.path.rmdir()
    async with asyncio.timeout(30):
        while flow.store.pending("out"):
            await asyncio.sleep(0.005)
    assert flow.letters.count("out") == 100


async def test_an_interval_gathers_samples_and_a_full_batch_does_not_wait(flow):
    sink = ListSink()
    await flow(sink, interval=300, batch_size=40, until=lambda: len(sink.rows) >= 80)
    assert flow.store.pending("out") == 20, "the rest waits for its interval"
    assert len(sink.rows) == 80


async def test_draining_delivers_what_is_there_without_waiting_and_ends(flow):
    sink = ListSink()
    delivery = await flow(sink, interval=300, batch_size=40, until=lambda: len(sink.rows) >= 80)
    delivery.drain()
    async with asyncio.timeout(30):
        while flow.store.pending("out"):
            await asyncio.sleep(0.005)
    assert sink.order == list(range(100))
