"""The oxygen of the simulated boiler beside the public DaISy record of a steam generator.

The record (DaISy identification database, 'steamgen') states no licence, so it is not kept here:

    GL002_DAISY_STEAMGEN=steamgen.csv.gz pytest tests/unit/sim/test_daisy.py

Columns: time (s), fuel, air, level reference, disturbance, pressure (psi), oxygen (%), level (in),
steam flow (kg/s); every three seconds.
"""

from __future__ import annotations

import csv
import gzip
import itertools
import math
import os
import statistics

import pytest

from gl002.sim import pellegrinetti as drum

RECORD = os.environ.get("GL002_DAISY_STEAMGEN")
STEP = 3
LATE = 6
"""Seconds by which the logged oxygen is late against the equations fed with the logged inputs, the
dead time of fuel and air among them."""
BEGIN, JUDGED = 100, 4000
"""Rows until the first oxygen is forgotten; from JUDGED on, LATE was not chosen by them."""


def _between(one: list[float], other: list[float], share: float) -> tuple[float, float]:
    """Fuel and air that share of the way from a row to the next: they do not jump every 3 s."""
    return one[1] + (other[1] - one[1]) * share, one[2] + (other[2] - one[2]) * share


def _oxygen(rows: list[list[float]]) -> list[float]:
    """What the equations make of the logged fuel and air, once a second."""
    x = drum.NOMINAL._replace(oxygen=rows[0][6])
    found = []
    for one, other in itertools.pairwise([*rows, rows[-1]]):
        for second in range(STEP):  # pressure, density and heat do not act on oxygen
            fuel, air = _between(one, other, (second + 0.5) / STEP)
            inputs = drum.Inputs(fuel, air, fuel, air, drum.NOMINAL_INPUTS.water_late)
            held = x._replace(pressure=22.5, density=621.0, heat=0.69)
            x = drum.step(held, inputs, 0.0, 1.0)
            found.append(x.oxygen)
    return found


@pytest.mark.skipif(not RECORD, reason="the DaISy record is not on this machine")
@pytest.mark.parametrize("first", [BEGIN, JUDGED])
def test_oxygen_follows_the_record_within_four_tenths_of_a_percent(first: int) -> None:
    with gzip.open(RECORD, "rt") as file:
        rows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    oxygen = _oxygen(rows)
    found = [oxygen[STEP * number - LATE - 1] for number in range(first, len(rows))]
    shown = [row[6] for row in rows[first:]]
    rmse = math.sqrt(sum((a - b) ** 2 for a, b in zip(found, shown, strict=True)) / len(shown))
    print(f"RMSE {rmse:.3f} % over {len(shown)} rows")
    assert rmse < 0.40  # 0.32 was measured, 0.35 over the rows that LATE was not chosen by
    assert statistics.correlation(shown, found) > 0.995
