"""`kill -9` of the gateway at random moments: no accepted value lost, none twice, order kept."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from e2e.house import MQTT_TAGS, House
from gl002.flow.ledger import Ledger
from gl002.flow.log import Log
from gl002.model import Sample
from peers.mosquitto import wait_for

CYCLES = 50


def accepted(store: Path) -> dict[tuple[str, int], object]:
    """Everything on disk in the store: (tag, microsecond) -> value. Nothing is removed so early."""
    log = Log(store, segment_bytes=1 << 24)
    log.open()
    try:
        records = log.read(0, 1 << 30)
    finally:
        log.close()
    decode = msgspec.msgpack.Decoder(list[Sample]).decode
    return {
        (s.tag, s.time // 1000): s.value
        for record in records
        for s in decode(record.data)
        if s.value is not None
    }


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_fifty_kills_lose_nothing_double_nothing_and_keep_the_order(tmp_path):
    chance = random.Random(2)
    with House(tmp_path) as house:
        house.start()
        wait_for(house.subscribed, 60)  # what is published before is nobody's
        house.count()
        for _ in range(CYCLES):
            time.sleep(chance.uniform(0.2, 3.0))
            house.kill()
            house.start()
        house.stop_counting()
        wait_for(house.caught_up, timeout=180)  # thousands wait at a broker that sends them slowly
        assert house.stop() == 0, house.log[-3000:]
        rows = house.rows()
        arrivals = house.database.execute("SELECT tag, value FROM arrival ORDER BY no")
    _nothing_accepted_is_missing(accepted(tmp_path / "state" / "store"), rows)
    _every_message_arrived_once(rows, house.published)
    _order_was_kept(arrivals)
    _the_ledger_accounts_for_every_value(tmp_path / "state" / "ledger.sqlite")


def _nothing_accepted_is_missing(stored, rows) -> None:
    delivered = {(tag, time): value for tag, found in rows.items() for time, value in found}
    missing = {key: value for key, value in stored.items() if key not in delivered}
    assert not missing, f"{len(missing)} of {len(stored)} accepted values are missing"
    extra = delivered.keys() - stored.keys()
    assert not extra, f"{len(extra)} values were delivered that were never accepted"
    assert len(stored) > 1_000


def _the_ledger_accounts_for_every_value(path: Path) -> None:
    entries = Ledger(path).entries(0, 2**62)
    assert sum(entry.expected for entry in entries) > 1_000
    assert [entry for entry in entries if entry.missing] == []


def _every_message_arrived_once(rows, published: int) -> None:
    """The broker kept what was not acknowledged: every number, and each once."""
    for k in range(MQTT_TAGS):
        numbers = [value for _, value in rows[f"q{k}"]]
        counts = Counter(numbers)
        doubled = sorted(number for number, count in counts.items() if count > 1)
        missing = sorted(set(range(1, published + 1)) - counts.keys())
        assert (len(doubled), len(missing)) == (0, 0), f"{doubled[:5]} twice, {missing[:5]} missing"
        assert numbers == sorted(numbers)


def _order_was_kept(arrivals) -> None:
    """Upwards, each number once. A value that outlived an outage on record is told after it too."""
    last: dict[str, float] = {}
    outage: set[str] = set()
    for tag, value in arrivals:
        if value is None:
            outage.add(tag)
            continue
        assert value >= last.get(tag, 0), f"{tag}: {value} arrived after {last[tag]}"
        if not tag.startswith("d1.") and tag not in outage:  # a register may be polled twice
            assert value != last.get(tag), f"{tag}: {value} arrived twice"
        last[tag] = value
        outage.discard(tag)
