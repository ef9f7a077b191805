"""The delivery contract: whatever happens on the way, nothing is lost and nothing comes twice.

    from gl002.testing.delivery import *
    RIGS = [MyRig]

Numbered samples go through the durable store and the one delivery loop into each connector that
stores, while the line misbehaves and the counterpart refuses some. At the end the books balance:
accepted = arrived + dead letters + left in the store, and each arrived once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gl002.connector import Capability, Connector
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery
from gl002.flow.hub import Hub
from gl002.flow.store import Store
from gl002.model import Batch, Sample, now_ns
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig

_SAMPLES = 1500
_BATCH = 25  # samples put at once
_TAGS = 5
_MILLISECOND = 1_000_000
_PATIENCE = 75.0  # seconds from the last trouble to balanced books
_FAST = {
    "interval": 0.02, "batch_size": 60,
    "retry_policy": {"max_attempts": None, "first": 0.02, "most": 0.2},
}  # fmt: skip
_TIMEOUT = 700  # milliseconds: what one lost reply costs

_runs = iter(range(1_000_000))


class _Books:
    """One delivery from a store into a connector, and what it comes to."""

    def __init__(self, rig: Rig, store: Store, letters: DeadLetters) -> None:
        self.rig = rig
        self.store = store
        self.letters = letters
        self.accepted: Batch = []
        self._name = f"delivery.{next(_runs)}_{now_ns()}"
        self._start = now_ns() // _MILLISECOND * _MILLISECOND

    def numbered(self) -> Batch:
        """The next samples: every value is its number, every time its own."""
        first = len(self.accepted)
        return [
            Sample(f"{self._name}.t{i % _TAGS}", float(i // _TAGS), self._start + i * _MILLISECOND)
            for i in range(first, first + _BATCH)
        ]

    async def put(self, batch: Batch) -> None:
        await self.store.put(batch)
        self.accepted += batch

    def arrived(self) -> Counter[tuple[str, int]]:
        """How often each of our samples is at the counterpart."""
        ours = {(s.tag, s.time) for s in self.accepted}
        return Counter((s.tag, s.time) for s in self.rig.stored() if (s.tag, s.time) in ours)

    async def settle(self) -> None:
        """Wait until the store is empty for the output and everything has arrived."""
        deadline = time.monotonic() + _PATIENCE
        while self.store.pending("out") or not self._balanced():
            assert time.monotonic() < deadline, self.summary()
            await asyncio.sleep(0.1)

    def _balanced(self) -> bool:
        dead = self.letters.count("out")
        return len(self.arrived()) + dead >= len(self.accepted)

    def summary(self) -> str:
        return (
            f"accepted {len(self.accepted)}, arrived {len(self.arrived())}, "
            f"dead {self.letters.count('out')}, left {self.store.pending('out')}"
        )

    def check(self, refused: Batch) -> None:
        """Balance: exactly the refused ones are dead, all others arrived, each once."""
        arrived = self.arrived()
        dead = {(letter.sample.tag, letter.sample.time) for letter in self._letters()}
        assert dead == {(s.tag, s.time) for s in refused}, self.summary()
        assert arrived.keys() | dead == {(s.tag, s.time) for s in self.accepted}, self.summary()
        assert not arrived.keys() & dead, self.summary()
        assert [key for key, times in arrived.items() if times > 1] == [], "some came twice"
        values = {(s.tag, s.time): s.value for s in self.accepted}
        for sample in self.rig.stored():
            if (sample.tag, sample.time) in values:
                assert sample.value == values[sample.tag, sample.time]

    def _letters(self) -> Iterator[Any]:
        after = 0
        while page := self.letters.list("out", after=after):
            yield from page
            after = page[-1].id


@asynccontextmanager
async def _delivering(rig: Rig, connector: Connector[Any], folder: Path) -> AsyncIterator[_Books]:
    """A store and a delivery loop into the connector, while the block runs."""
    assert connector.Output is not None
    settings = connector.Output.parse({**rig.output, **_FAST})
    store, letters = Store(folder / "store"), DeadLetters(folder / "letters.sqlite")
    await store.open(["out"])
    delivery = Delivery(
        "out", connector.sink(settings), settings, store=store, letters=letters, hub=Hub()
    )
    running = asyncio.create_task(delivery.run())
    try:
        yield _Books(rig, store, letters)
        assert not running.done(), "the loop goes on for ever"
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await store.close()


async def _feed(books: _Books, refused: Batch, *, every: int = 0) -> None:
    """Put all samples, in between `every` so many one that the counterpart refuses."""
    while len(books.accepted) < _SAMPLES:
        batch = books.numbered()
        if every and len(books.accepted) % (every * _BATCH) == 0:
            poison = books.rig.refused()
            batch[7] = Sample(poison.tag, poison.value, batch[7].time, poison.quality)
            refused.append(batch[7])
        await books.put(batch)
        await asyncio.sleep(0.01)


async def _run(
    rig: Rig,
    make: Maker,
    folder: Path,
    *,
    every: int = 0,
    trouble: Callable[[Rig, random.Random], Coroutine[Any, Any, None]] | None = None,
) -> None:
    connector = make(patient=True)
    connector.set_timeout(_TIMEOUT)
    refused: Batch = []
    async with _delivering(rig, connector, folder) as books:
        async with asyncio.TaskGroup() as both:
            both.create_task(_feed(books, refused, every=every))
            if trouble is not None:
                both.create_task(trouble(rig, random.Random(4)))  # noqa: S311 (repeatable)
        connector.set_timeout(10_000)
        await books.settle()
        books.check(refused)


async def _unsteady_line(rig: Rig, chance: random.Random) -> None:
    """Twelve troubles in a row, each followed by a moment of peace."""
    link = rig.link
    for _ in range(12):
        kind = chance.choice(["cut", "cut in a reply", "lost replies", "slow", "hole"])
        if kind == "cut":
            link.cut()
        elif kind == "cut in a reply":
            link.cut_after(chance.randrange(1, 40))
        elif kind == "lost replies":
            link.drop_replies()
        elif kind == "slow":
            link.delay(0.03)
        else:
            link.blackhole()
        await asyncio.sleep(chance.uniform(0.02, 0.3))
        link.restore()
        await asyncio.sleep(chance.uniform(0.02, 0.2))


async def _restarts(rig: Rig, chance: random.Random) -> None:
    for _ in range(2):
        await asyncio.sleep(chance.uniform(0.05, 0.3))
        await asyncio.to_thread(rig.restart)


@needs(Capability.STORE)
async def test_everything_is_delivered_once(rig: Rig, make: Maker, tmp_path: Path) -> None:
    """Nothing happens."""
    await _run(rig, make, tmp_path)


@needs(Capability.STORE, "network")
async def test_an_unsteady_line_loses_and_doubles_nothing(
    rig: Rig, make: Maker, tmp_path: Path
) -> None:
    """Everything that goes wrong comes again."""
    await _run(rig, make, tmp_path, trouble=_unsteady_line)


@needs(Capability.STORE, "restart")
async def test_a_counterpart_that_restarts_loses_and_doubles_nothing(
    rig: Rig, make: Maker, tmp_path: Path
) -> None:
    """In the midst of a write, twice."""
    await _run(rig, make, tmp_path, trouble=_restarts)


@needs(Capability.STORE, "refused")
async def test_what_is_refused_is_kept_with_its_reason_and_all_else_arrives(
    rig: Rig, make: Maker, tmp_path: Path
) -> None:
    """One sample in a hundred will never be taken."""
    await _run(rig, make, tmp_path, every=4)


@needs(Capability.STORE, "refused", "network")
async def test_refusals_on_an_unsteady_line_keep_the_books_balanced(
    rig: Rig, make: Maker, tmp_path: Path
) -> None:
    """Both at once."""
    await _run(rig, make, tmp_path, every=4, trouble=_unsteady_line)
