"""How fast a destination takes requests."""

from __future__ import annotations

import pytest

from gl002.transport.pace import Pace


def test_requests_go_at_an_even_pace_and_never_faster() -> None:
    pace, now, sent = Pace(100), 50.0, 0
    for _ in range(20):
        now += pace.reserve(10, now)
        sent += 10
    assert now - 50.0 == pytest.approx(1.9)  # 190 before the last ten, at 100 a second
    assert sent == 200


def test_a_pause_earns_no_burst() -> None:
    pace = Pace(10)
    assert pace.reserve(1, 0.0) == 0.0
    assert pace.reserve(1, 60.0) == 0.0
    assert pace.reserve(1, 60.0) == pytest.approx(0.1)


@pytest.mark.parametrize(("rate", "sizes"), [(100, [10, 10, 5]), (0.5, [1] * 25)])
def test_a_portion_is_a_tenth_of_a_second_or_one_request(rate: float, sizes: list[int]) -> None:
    assert [len(part) for part in Pace(rate).portions(range(25))] == sizes


async def test_taking_waits() -> None:
    pace = Pace(1000)
    await pace.take(5)
    await pace.take(1)
    assert pace.reserve(1, 0.0) > 0
