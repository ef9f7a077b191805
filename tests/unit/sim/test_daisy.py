"""The oxygen of the simulated boiler beside the public DaISy record of a steam generator.

The record (DaISy identification database, 'steamgen') states no licence, so it is not kept here:

    GL002_DAISY_STEAMGEN=steamgen.csv.gz pytest tests/unit/sim/test_daisy.py

Columns: time (s), fuel, air, level reference, disturbance, pressure (psi), oxygen (%), level (in),
steam flow (kg/s); every three seconds.
"""

from __future__ import annotations

import csv
import gzip
import math
import os
import statistics

import pytest

from gl002.sim import pellegrinetti as drum

RECORD = os.environ.get("GL002_DAISY_STEAMGEN")
STEP = 3
LATE = 5
"""Seconds by which the logged oxygen is late against the equations fed with the logged inputs, the
dead time of fuel and air among them."""


@pytest.mark.skipif(not RECORD, reason="the DaISy record is not on this machine")
def test_oxygen_follows_the_record_within_half_a_percent():
    with gzip.open(RECORD, "rt") as file:
        rows = [[float(cell) for cell in row] for row in list(csv.reader(file))[1:]]
    x = drum.NOMINAL._replace(oxygen=rows[0][6])
    oxygen = []
    for row in rows:
        inputs = drum.Inputs(row[1], row[2], row[1], row[2], drum.NOMINAL_INPUTS.water_late)
        for _ in range(STEP):  # pressure, density and heat do not act on oxygen
            held = x._replace(pressure=22.5, density=621.0, heat=0.69)
            x = drum.step(held, inputs, 0.0, 1.0)
            oxygen.append(x.oxygen)
    settled = [
        oxygen[STEP * number - LATE - 1] - rows[number][6] for number in range(100, len(rows))
    ]
    rmse = math.sqrt(sum(error**2 for error in settled) / len(settled))
    shown = [row[6] for row in rows[100:]]
    print(f"RMSE {rmse:.3f} % over {len(settled)} rows")
    assert rmse < 0.45  # 0.43 was measured; 0.40 on the first 3,900 rows
    found = [value + error for value, error in zip(shown, settled, strict=True)]
    assert statistics.correlation(shown, found) > 0.995
