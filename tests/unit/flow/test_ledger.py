"""The ledger: every sample is expected once and delivered once, whatever happens in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gl002.config.flow import OutputSettings
from gl002.config.sections import LedgerSettings, StoreSettings
from gl002.errors import PartialWrite
from gl002.flow.deadletter import DeadLetters
from gl002.flow.deliver import Delivery
from gl002.flow.hub import Hub
from gl002.flow.ledger import HOUR, Entry, Ledger, LedgerUnreadable
from gl002.flow.store import Store
from gl002.model import Batch, Quality, Sample, now_ns
from gl002.sink import Sink

NOW = now_ns() // HOUR * HOUR
ALWAYS = (0, 2**62)
OUTPUTS = {"all": None, "some": ["b1.*"]}
QUICK = StoreSettings(commit_interval=0)


@asynccontextmanager
async def opened(folder: Path, outputs=OUTPUTS, **settings) -> AsyncIterator[tuple[Store, Ledger]]:
    """A store and its ledger. Leaving is a crash: nothing that was counted is written any more."""
    store = Store(folder / "store", QUICK)
    ledger = Ledger(folder / "ledger.sqlite", LedgerSettings(**settings))
    await store.open(list(outputs))
    await ledger.open(outputs, store)
    try:
        yield store, ledger
    finally:
        await store.close()
        assert ledger._thread is not None
        ledger._thread.shutdown()


async def passed(store: Store, ledger: Ledger, output: str, limit: int) -> None:
    """An output delivers."""
    start = store.offset(output)
    async with store.lease(output, limit) as lease:
        pass
    ledger.delivered(output, start, lease.end, lease.batch, ())


def sums(ledger: Ledger) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for entry in ledger.entries(*ALWAYS):
        expected, delivered = found.get(entry.output, (0, 0))
        found[entry.output] = (expected + entry.expected, delivered + entry.delivered)
    return found


async def test_samples_are_counted_by_tag_hour_and_output(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, ledger):
        await store.put(
            [
                Sample("b1.flow", 1.0, NOW + 5),
                Sample("b1.flow", 2.0, NOW - 1),
                Sample("b1.flow", None, NOW + 7, Quality.BAD_NO_COMMUNICATION),
                Sample("b2.flow", 3.0, NOW),
            ]
        )
        await passed(store, ledger, "all", 3)
        await ledger.flush()
        entries = ledger.entries(*ALWAYS)
        assert entries == [
            Entry(NOW - HOUR, "all", "b1.flow", 1, 0, 1, 0),
            Entry(NOW - HOUR, "some", "b1.flow", 1, 0, 0, 0),
            Entry(NOW, "all", "b1.flow", 2, 1, 2, 0),
            Entry(NOW, "all", "b2.flow", 1, 0, 0, 0),
            Entry(NOW, "some", "b1.flow", 2, 1, 0, 0),
        ]
        assert [entry.missing for entry in entries] == [0, 1, 0, 1, 2]
        assert ledger.progress() == [("all", 1), ("some", 4)]
        assert ledger.entries(NOW, NOW + 1) == entries[2:]


async def test_what_is_delivered_twice_is_counted_once(tmp_path: Path) -> None:
    batch = [Sample("b1.flow", float(i), NOW + i) for i in range(10)]
    async with opened(tmp_path) as (store, ledger):
        await store.put(batch)
        ledger.delivered("all", 0, 6, batch[:6], ())
        ledger.delivered("all", 0, 6, batch[:6], ())
        ledger.delivered("all", 4, 10, batch[4:], ())
        await ledger.flush()
        assert sums(ledger)["all"] == (10, 10)


async def test_what_a_crash_left_unwritten_is_counted_again(tmp_path: Path) -> None:
    async with opened(tmp_path) as (store, ledger):
        await store.put([Sample("b1.flow", 1.0, NOW)])
        await ledger.flush()
        await store.put([Sample("b1.flow", float(i), NOW + i) for i in range(20)])
        await passed(store, ledger, "all", 15)
    async with opened(tmp_path) as (store, ledger):
        await ledger.flush()
        assert sums(ledger) == {"all": (21, 15), "some": (21, 0)}
        await passed(store, ledger, "all", 100)
        await passed(store, ledger, "some", 100)
        await ledger.flush()
        assert sums(ledger) == {"all": (21, 21), "some": (21, 21)}


@pytest.mark.parametrize("seed", range(12))
async def test_crashes_at_random_moments_lose_and_double_no_count(
    tmp_path: Path, seed: int
) -> None:
    chance, accepted = random.Random(seed), {"b1.a": 0, "b2.a": 0}
    for _ in range(6):
        async with opened(tmp_path) as (store, ledger):
            for _ in range(chance.randint(1, 6)):
                tags = chance.choices(list(accepted), k=chance.randint(1, 9))
                for tag in tags:
                    accepted[tag] += 1
                await store.put([Sample(tag, 1.0, NOW + i) for i, tag in enumerate(tags)])
                for output in OUTPUTS:
                    if chance.random() < 0.6 and store.pending(output):
                        await passed(store, ledger, output, chance.randint(1, 20))
                if chance.random() < 0.4:
                    await ledger.flush()
    async with opened(tmp_path) as (store, ledger):
        for output in OUTPUTS:
            while store.pending(output):
                await passed(store, ledger, output, 50)
        await ledger.flush()
        whole = sum(accepted.values())
        assert sums(ledger) == {"all": (whole, whole), "some": (accepted["b1.a"],) * 2}


async def test_what_is_delivered_stays_in_the_store_until_it_is_counted(tmp_path: Path) -> None:
    """Then a crash in between costs no count, also where segments are small."""
    store = Store(tmp_path / "store", StoreSettings(commit_interval=0, segment_bytes=1 << 20))
    ledger = Ledger(tmp_path / "ledger.sqlite")
    await store.open(["all"])
    await ledger.open({"all": None}, store)
    for part in range(8):
        await store.put([Sample("a", "x" * 4000, NOW + part * 1000 + i) for i in range(100)])
        await passed(store, ledger, "all", 100)
    await asyncio.sleep(0.1)
    assert store._log.begin == 0, "several segments, all delivered, none freed"
    assert len(store._log.segments) > 1
    await ledger.flush()
    await store.put([Sample("a", "x", NOW)])
    await passed(store, ledger, "all", 100)
    await _until(lambda: store._log.begin > 0)
    await ledger.close()
    await store.close()


async def test_a_ledger_that_is_new_begins_with_what_is_still_to_be_delivered(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "store", QUICK)
    await store.open(list(OUTPUTS))
    await store.put([Sample("b1.a", 1.0, NOW)] * 10)
    async with store.lease("all", 4):
        pass
    await store.close()
    async with opened(tmp_path) as (_, ledger):
        await ledger.flush()
        assert sums(ledger) == {"all": (6, 0), "some": (10, 0)}


async def test_a_gap_record_of_the_store_stands_for_others_and_counts_for_none(
    tmp_path: Path,
) -> None:
    async with opened(tmp_path) as (store, ledger):
        await store.put([Sample("b1.a", None, NOW, Quality.BAD_DATA_LOST), Sample("b1.a", 1, NOW)])
        await passed(store, ledger, "all", 9)
        await ledger.flush()
        assert sums(ledger)["all"] == (1, 1)


# ---- with a delivery ----------------------------------------------------------------------------


class Picky(Sink):
    """Refuses negative values, until it is told not to."""

    name = "picky"

    def __init__(self) -> None:
        self.refusing = True

    async def write(self, batch: Batch) -> None:
        bad = {i: "negative" for i, s in enumerate(batch) if self.refusing and s.value < 0}
        if bad:
            raise PartialWrite("some", bad)


async def test_a_refused_sample_is_refused_until_another_try_delivers_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gl002.flow.deliver._AGAIN_INTERVAL", 0.02)
    letters, sink = DeadLetters(tmp_path / "letters.sqlite"), Picky()
    settings = OutputSettings(destination="x", interval=0)
    async with opened(tmp_path, {"picky": None}) as (store, ledger):
        delivery = Delivery(
            "picky", sink, settings, store=store, letters=letters, hub=Hub(), ledger=ledger
        )
        task = asyncio.create_task(delivery.run())
        await store.put([Sample("a", float(v), NOW) for v in (1, -2, 3)])
        await _until(lambda: letters.count() == 1 and not store.pending("picky"))
        await ledger.flush()
        (entry,) = ledger.entries(*ALWAYS)
        assert (entry.expected, entry.delivered, entry.refused, entry.missing) == (3, 2, 1, 0)
        sink.refusing = False
        letters.retry()
        await _until(lambda: letters.count() == 0 and ledger._counts)
        await ledger.flush()
        (entry,) = ledger.entries(*ALWAYS)
        assert (entry.delivered, entry.refused) == (3, 0)
        task.cancel()
        await asyncio.wait([task])


async def _until(holds) -> None:
    async with asyncio.timeout(30):
        while not holds():
            await asyncio.sleep(0.01)


# ---- limits -------------------------------------------------------------------------------------


def hours(ages: Iterable[int]) -> Batch:
    return [Sample("b1.a", 1.0, NOW - age * HOUR) for age in ages]


async def test_old_hours_go(tmp_path: Path) -> None:
    async with opened(tmp_path, retention=10 * 3600) as (store, ledger):
        await store.put(hours(range(20)))
        ledger._prune_at = 0.0  # it looks once an hour
        await ledger.flush()
        kept = {entry.hour for entry in ledger.entries(*ALWAYS)}
        within = {NOW - age * HOUR for age in range(10)}
        assert within <= kept <= within | {NOW - 10 * HOUR}  # an hour may begin meanwhile


async def test_of_too_many_entries_the_oldest_go(tmp_path: Path) -> None:
    async with opened(tmp_path, {"all": None}, max_rows=1000) as (store, ledger):
        await store.put([Sample(f"t{i}", 1.0, NOW - age * HOUR) for age in range(4)
                         for i in range(400)])  # fmt: skip
        ledger._prune_at = 0.0
        await ledger.flush()
        kept = [entry.hour for entry in ledger.entries(*ALWAYS)]
        assert set(kept) == {NOW, NOW - HOUR}


async def test_a_file_that_cannot_be_written_costs_no_count(tmp_path: Path, caplog) -> None:
    async with opened(tmp_path) as (store, ledger):
        await ledger.flush()
        right, ledger.path = ledger.path, tmp_path
        await store.put(hours([0]))
        await ledger.flush()
        await ledger.flush()
        assert [r.message for r in caplog.records if "cannot be written" in r.message]
        assert len([r for r in caplog.records if r.name == "gl002.ledger"]) == 1, "said once"
        ledger.path = right
        await ledger.flush()
        assert sums(ledger)["all"] == (1, 0)


def test_a_ledger_that_is_not_there_is_empty(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "no" / "ledger.sqlite")
    assert ledger.entries(*ALWAYS) == []
    assert ledger.progress() == []
    assert not (tmp_path / "no").exists()


async def test_a_damaged_file_is_set_aside_and_counting_goes_on(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"power was cut here" * 400)
    async with opened(tmp_path) as (store, ledger):
        await store.put([Sample("b1.flow", 1.0, NOW)])
        await passed(store, ledger, "all", 1)
        await ledger.flush()
        assert sums(ledger)["all"] == (1, 1)
    aside = file.with_name("ledger.sqlite.damaged")
    assert aside.read_bytes().startswith(b"power was cut here")


async def test_a_file_that_cannot_be_opened_at_the_start_is_written_once_it_can_be(
    tmp_path: Path,
) -> None:
    in_the_way = tmp_path / "ledger.sqlite"
    in_the_way.mkdir()
    async with opened(tmp_path) as (store, ledger):
        await store.put([Sample("b1.flow", 1.0, NOW)])
        await passed(store, ledger, "all", 1)
        await ledger.flush()
        in_the_way.rmdir()
        await ledger.flush()
        assert sums(ledger)["all"] == (1, 1)


def test_a_file_that_is_no_ledger_is_said_by_its_name(tmp_path: Path) -> None:
    file = tmp_path / "ledger.sqlite"
    file.write_bytes(b"no database" * 400)
    ledger = Ledger(file)
    with pytest.raises(LedgerUnreadable, match=r"ledger\.sqlite: file is not a database"):
        ledger.entries(*ALWAYS)
    with pytest.raises(LedgerUnreadable):
        ledger.progress()
