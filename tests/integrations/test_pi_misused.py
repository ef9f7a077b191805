"""What people ask PI for: ranges backwards and too large, names in any alphabet, odd words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from pathlib import Path

import pytest

from gl002.context import Context
from gl002.errors import DataError, RequestFailed
from gl002.integrations.historians import AsyncPIConnector
from gl002.model import to_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.pi import times
from peers.pi_web_api import PiWebApi

START = times.ticks("2025-10-26T00:00:00Z")
MINUTE = 60 * times.TICKS
TAG = "BA:FLOW"


@pytest.fixture(scope="module")
def server() -> Iterator[PiWebApi]:
    with PiWebApi() as running:
        running.create(TAG)
        running.put(TAG, *((START + n * MINUTE, float(n)) for n in range(300)))
        yield running


@pytest.fixture
def context(tmp_path: Path) -> Iterator[Context]:
    audit = Audit(tmp_path / "audit.jsonl")
    yield Context(network=Network(), audit=audit, state_dir=tmp_path)
    audit.close()


@pytest.fixture
async def pi(server: PiWebApi, context: Context) -> AsyncIterator[AsyncPIConnector]:
    config = {**server.config, "page_size": 7, "max_values": 100}
    async with AsyncPIConnector(config, context=context) as connector:
        yield connector


async def test_an_end_before_the_start_gives_the_newest_first(pi: AsyncPIConnector) -> None:
    """As PI does, and as the call says; with an interval it gave nothing."""
    late, early = "2025-10-26T01:00:00Z", "2025-10-26T00:10:00Z"
    for interval in (None, "1m", "60s"):
        forward = await pi.read_history(TAG, early, late, interval)
        backward = await pi.read_history(TAG, late, early, interval)
        assert [s.value for s in forward] == [float(n) for n in range(10, 61)]
        assert backward == forward[::-1]


async def test_more_values_than_fit_are_an_error_and_not_the_end_of_the_memory(
    pi: AsyncPIConnector, server: PiWebApi
) -> None:
    whole = ("2025-10-26T00:00:00Z", "2025-10-26T04:00:00Z")
    for interval in (None, "1s"):
        with pytest.raises(RequestFailed, match=r"more than 100 values.*max_values"):
            await pi.read_history(TAG, *whole, interval)
    before = server.requests(r".*/interpolated.*")
    with pytest.raises(RequestFailed, match="more than 100 values"):
        await pi.read_history(TAG, *whole, "1s")
    assert server.requests(r".*/interpolated.*") == before, "known before PI is asked"
    begin, end = (to_ns(datetime.fromisoformat(moment)) for moment in whole)
    assert len([s async for page in pi.history([TAG], begin, end) for s in page]) == 240


@pytest.mark.parametrize("tag", ["Größe ✓", "Ввод пара", "流量", "Straße 7"])
async def test_a_point_has_any_letters_in_its_name(
    pi: AsyncPIConnector, server: PiWebApi, tag: str
) -> None:
    server.create(tag)
    server.set(tag, 4.5)
    assert await pi.read_tags([tag, tag.lower()]) == [4.5, 4.5]
    await pi.write_tag(tag, 5.5)
    assert await pi.read_tag(tag) == 5.5


async def test_a_word_that_is_no_mode_is_refused(pi: AsyncPIConnector) -> None:
    """It was taken for 'summary': one value, and no word."""
    with pytest.raises(DataError, match=r"mode: 'avg' is none.*recorded, interpolated, plot"):
        await pi.read_history(TAG, "*-1d", mode="avg")  # type: ignore[arg-type]  # the mistake
