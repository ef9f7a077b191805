"""Trend logs of BACnet devices."""

from __future__ import annotations

import pytest

from gl002.errors import TagNotFound
from gl002.integrations.industrial import BACnetConnector
from gl002.model import Sample, now_ns
from integrations.bacnet_site import connect, eventually, rusty
from peers.rusty_bacnet import RustyBacnet

fixtures = rusty, connect


SECOND = 1_000_000_000


def _recorded_so_far(peer: RustyBacnet) -> int:
    count = peer.get("trend-log,1", "TOTAL_RECORD_COUNT")
    assert isinstance(count, int)
    return count


async def _recorded(connector: BACnetConnector, tag: str, start: int, end: int) -> list[Sample]:
    return [s async for batch in connector.history([tag], start, end) for s in batch]


async def test_a_trend_log_is_read_in_order_and_within_its_bounds(connect) -> None:
    with RustyBacnet() as peer:
        start = now_ns()
        for i in range(60):  # more than one answer holds
            before = _recorded_so_far(peer)
            peer.set("analog-input,1", 100.0 + i)
            await eventually(lambda before=before: _recorded_so_far(peer) > before, "recorded")
        connector = connect(peer, name="b", objects=[{"name": "flow", "object": "AI1"}])
        samples = await _recorded(connector, "b.flow", start - SECOND, now_ns() + SECOND)
        values = [s.value for s in samples if isinstance(s.value, float) and s.value < 1000]
        assert values == [100.0 + i for i in range(60)]
        assert [s.time for s in samples] == sorted(s.time for s in samples)
        assert all(abs(s.time - start) < 60 * SECOND for s in samples)
        middle = samples[20].time
        later = await _recorded(connector, "b.flow", middle, samples[30].time)
        assert later == [s for s in samples if middle <= s.time < samples[30].time]
        assert await _recorded(connector, "b.flow", start - 100 * SECOND, start - 50 * SECOND) == []


async def test_an_object_without_a_trend_log_is_said(rusty, connect) -> None:
    connector = connect(rusty, name="b")
    with pytest.raises(TagNotFound, match="no trend log records analog-input,2"):
        await _recorded(connector, "b.AI2", 0, now_ns())
