"""The stack against that of the clean boiler, minute by minute: what no soot can do."""

from __future__ import annotations

from typing import Final

from gl002.boiler import monitor
from gl002.boiler.arrays import np
from gl002.boiler.findings import Finding
from gl002.boiler.learned import Learned
from gl002.boiler.live import Boiler
from gl002.boiler.recommend.soot_blowing import FASTEST_SOOT
from gl002.boiler.record import Record, resting
from gl002.boiler.study import excess_over
from gl002.model import Quality

ENOUGH: Final = 10
"""Minutes at rest that make a judgement."""


def rises_without_soot(boiler: Boiler, learned: Learned, hour: Record) -> list[Finding]:
    """Whether the stack gets hotter than load and oxygen explain, and faster than soot can.

    Only at rest, and only under conditions that the clean stack was learned from.

    Args:
        boiler: what is known about it.
        learned: with the clean stack; without it nothing is judged.
        hour: means of a minute of the last hour.
    """
    baseline = learned.stack
    if baseline is None or not hour.has(baseline.response, *baseline.ranges):
        return []
    excess = excess_over(learned, hour, resting(hour, boiler))
    hours = hour.times / 3600
    if np.isfinite(excess).sum() < ENOUGH or not monitor.too_sudden(
        hours, excess, fastest=FASTEST_SOOT
    ):
        return []
    slope, _ = monitor.trend(hours, excess)
    reason = (
        f"stack temperature rises by {slope:.0f} K an hour more than load and oxygen explain, "
        f"soot by {FASTEST_SOOT:.0f} at the most: its thermometer, or a baffle that fell"
    )
    uncertain = Quality.UNCERTAIN_SENSOR_NOT_ACCURATE
    return [Finding("stack", "stack_temperature", uncertain, reason)]
