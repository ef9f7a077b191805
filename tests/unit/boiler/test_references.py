"""Losses against a second implementation (tests/oracles/combustion.py), over all fuels."""

import json
from pathlib import Path

import pytest

from gl002.boiler.efficiency import Conditions, indirect
from gl002.boiler.fuels import FUELS, hydrogen_blend

_FILE = Path(__file__).parents[2] / "data" / "combustion_references.json"
REFERENCES = json.loads(_FILE.read_text())
ROWS = [dict(zip(REFERENCES["columns"], row, strict=True)) for row in REFERENCES["rows"]]
BLEND = "natural_gas_h2_30"
LOSSES = ("dry_gas", "hydrogen", "fuel_moisture", "air_moisture", "co")


def balance(row):
    name = row["fuel"]
    return indirect(
        hydrogen_blend(FUELS["natural_gas"], 30) if name == BLEND else FUELS[name],
        Conditions(
            oxygen=row["oxygen"], basis=row["basis"], stack_temperature=row["stack"],
            air_temperature=row["air_temperature"], carbon_monoxide=row["co_ppm"],
            humidity=row["humidity"], surface_loss=0.0,
        ),
    )  # fmt: skip


def test_every_fuel_has_references():
    assert {row["fuel"] for row in ROWS} == {*FUELS, BLEND}


@pytest.mark.parametrize("fuel", [*FUELS, BLEND])
def test_every_loss_is_within_two_thousandths_of_a_point(fuel):
    rows = [row for row in ROWS if row["fuel"] == fuel]
    assert len(rows) == 40
    for row in rows:
        found = balance(row)
        for name in LOSSES:
            assert found.losses[name] == pytest.approx(row[name], abs=2e-3), (name, row)
        assert found.credit_air == pytest.approx(row["air"], abs=2e-3), row
        exact = 100 - sum(row[name] for name in LOSSES) + row["air"]
        assert found.efficiency_hhv == pytest.approx(exact, abs=2e-3), row
        assert 100 * found.flue.excess_air == pytest.approx(row["excess_air"], abs=1e-4)
