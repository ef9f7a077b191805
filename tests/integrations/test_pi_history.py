"""The past in PI: what the archive has comes whole, in the times it was asked for."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta

import pytest

from gl002.errors import DataError, RequestFailed
from gl002.model import Sample, now_ns, to_ns
from integrations.pi_site import (
    DAY,
    LIMIT,
    SECOND,
    STEAM,
    Make,
    context,
    make,
    new_point,
    server,
    sink_of,
)
from peers.pi import times
from peers.pi_web_api import PiWebApi

fixtures = server, context, make

START = times.ticks("2025-01-01T00:00:00Z")


async def test_a_history_longer_than_the_server_gives_at_once_is_whole(
    server: PiWebApi, make: Make
) -> None:
    ticks = [START + n * times.TICKS // 2 for n in range(3500)]
    ticks[LIMIT - 1] = ticks[LIMIT - 2]  # two of one time where a page ends
    ticks[2 * LIMIT] = ticks[2 * LIMIT + 1] = ticks[2 * LIMIT - 1]
    name = new_point(server, [(tick, float(n)) for n, tick in enumerate(ticks)])
    found = await make().read_history(name, DAY, DAY + timedelta(hours=1))
    assert [s.value for s in found] == [float(n) for n in range(3500)]
    assert all(early.time <= late.time for early, late in itertools.pairwise(found))


async def test_the_newest_come_first_where_the_end_is_before_the_start(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [(START + n * times.TICKS, float(n)) for n in range(2500)])
    found = await make().read_history(name, DAY + timedelta(hours=1), DAY)
    assert [s.value for s in found] == [float(n) for n in reversed(range(2500))]


async def test_more_values_of_one_time_than_a_page_do_not_keep_us(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [*[(START, 1.0)] * (LIMIT + 5), (START + times.TICKS, 2.0)])
    found = await make().read_history(name, DAY, DAY + timedelta(hours=1))
    assert [s.value for s in found] == [1.0] * LIMIT + [2.0]


async def test_a_grid_finer_than_the_server_allows_is_asked_for_in_pieces(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [(START, 0.0), (START + 3600 * times.TICKS, 3600.0)])
    found = await make().read_history(name, DAY, DAY + timedelta(hours=1), "1s")
    assert [s.value for s in found] == pytest.approx([float(n) for n in range(3601)])
    assert [s.time for s in found] == [to_ns(DAY) + n * SECOND for n in range(3601)]


async def test_a_plot_and_summaries_are_those_of_the_server(server: PiWebApi, make: Make) -> None:
    name = new_point(server, [(START + n * 60 * times.TICKS, float(n % 60)) for n in range(181)])
    connector, end = make(), DAY + timedelta(hours=3)
    plot = await connector.read_history(name, DAY, end, mode="plot", intervals=3)
    assert {s.value for s in plot} >= {0.0, 59.0}
    assert len(plot) <= 15
    highest = await connector.read_history(name, DAY, end, "1h", mode="summary", summary="Maximum")
    assert [s.value for s in highest] == [59.0, 59.0, 59.0]
    assert [s.time for s in highest] == [to_ns(DAY) + n * 3600 * SECOND for n in range(3)]
    (mean,) = await connector.read_history(name, DAY, end, mode="summary")
    assert mean.value == pytest.approx(29.5, abs=0.5)


async def test_times_without_a_zone_are_local_and_pi_may_count_from_now(
    server: PiWebApi, make: Make
) -> None:
    name = new_point(server, [(times.now() - 3600 * times.TICKS, 1.0)])
    connector = make()
    local = (datetime.now() - timedelta(minutes=61)).isoformat(" ", "seconds")  # noqa: DTZ005
    for start in ("*-2h", local, datetime.now() - timedelta(minutes=61)):  # noqa: DTZ005
        values = [s.value for s in await connector.read_history(name, start, "*-30m")]
        assert values == [1.0], start
    assert await connector.read_history(name, "*-59m", "*-30m") == []


@pytest.mark.parametrize(
    ("arguments", "keywords", "word"),
    [
        (("soon",), {}, "no time"),
        (("*-1d", "01-Jan-25"), {}, "local time"),
        (("*-1d", "*", "1 parsec"), {}, "no interval"),
        (("*-1d", "*"), {"mode": "interpolated"}, "take an interval"),
    ],
)
async def test_a_time_that_is_none_is_refused_here(arguments, keywords, word, make: Make) -> None:
    with pytest.raises(DataError, match=word):
        await make().read_history(STEAM, *arguments, **keywords)


async def test_what_the_server_cannot_sum_up_is_refused_in_its_words(make: Make) -> None:
    with pytest.raises(RequestFailed, match="Count is the only summary type"):
        await make().read_history("TEXT", "*-1h", mode="summary")


async def test_a_sample_keeps_its_millisecond_on_the_way_through_pi(make: Make) -> None:
    sink = sink_of(make(), create_points=True)
    start = to_ns(DAY) + now_ns() % SECOND // 1_000_000 * 1_000_000
    batch = [Sample("TEST.ms", float(n), start + n * 1_000_000) for n in range(1000)]
    await sink.write(batch)
    connector = make()
    stored = [s async for b in connector.history(["TEST.ms"], start, batch[-1].time + 1) for s in b]
    assert stored == batch
    bounds = batch[10].time, batch[20].time
    assert [s async for b in connector.history(["TEST.ms"], *bounds) for s in b] == batch[10:20]


@pytest.mark.parametrize("web_ids", ["client", "server"])
async def test_event_frames_that_overlap_a_range_are_read(web_ids: str, make: Make) -> None:
    connector = make(web_ids=web_ids)
    frames = await connector.read_event_frames(DAY, DAY + timedelta(days=1))
    assert [f.name for f in frames] == ["Trip 1", "Trip 2"]
    assert (frames[0].start, frames[0].severity) == (DAY + timedelta(hours=8), "Major")
    assert frames[0].end == DAY + timedelta(hours=8, minutes=30)
    service = await connector.read_event_frames(
        DAY, DAY + timedelta(days=5), element="Boilers\\Boiler1", template="Service"
    )
    assert [f.name for f in service] == ["Cleaning"]
