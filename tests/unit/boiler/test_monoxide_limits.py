"""Readings of carbon monoxide about zero: an analyser drifts, and is right all the same."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from gl002.boiler.account import account
from gl002.boiler.live import Boiler, evaluate
from gl002.boiler.live_emissions import evaluate_emissions
from gl002.boiler.record import Record
from gl002.errors import DataError
from gl002.model import Sample, to_ns

ROLES = frozenset({"oxygen", "stack_temperature", "air_temperature", "carbon_monoxide"})
SHOWN = {"oxygen": 3.0, "stack_temperature": 180.0, "air_temperature": 25.0}


def live(monoxide: float) -> dict[str, object]:
    inputs = {
        role: Sample(role, v, 0) for role, v in {**SHOWN, "carbon_monoxide": monoxide}.items()
    }
    boiler = Boiler(name="b", basis="wet", roles=ROLES, reference_oxygen=3.0)
    samples = [*evaluate(boiler, inputs, 0), *evaluate_emissions(boiler, inputs, 0)]
    return {sample.tag.removeprefix("b."): sample.value for sample in samples}


@pytest.mark.parametrize("shown", [-0.4, -3.0, -20.0])
def test_an_analyser_whose_zero_has_drifted_below_it_shows_none(shown):
    assert live(shown) == live(0.0)
    assert live(shown)["efficiency_note"] == "good"
    assert live(shown)["co_reference"] == 0.0


def test_a_reading_far_below_zero_is_no_reading():
    found = live(-21.0)
    assert found["efficiency_hhv"] is None
    assert str(found["efficiency_note"]).startswith("bad: carbon monoxide -21 ppm is outside")


def hour(monoxide: float) -> Record:
    shown = {**SHOWN, "carbon_monoxide": monoxide, "fuel_flow": 0.01}
    roles = {role: np.full(60, value) for role, value in shown.items()}
    start = to_ns(datetime(2026, 10, 5, tzinfo=UTC))
    return Record(start=start, step=60.0, roles=roles, doubted={})


def test_the_history_counts_such_minutes_too():
    boiler = Boiler(name="b", basis="wet", roles=ROLES | {"fuel_flow"})
    drifted, right = account(boiler, hour(-2.0)), account(boiler, hour(0.0))
    assert drifted.hours == right.hours == pytest.approx(1.0)
    assert drifted.efficiency.value == right.efficiency.value
    with pytest.raises(DataError, match="its inputs are missing"):
        account(boiler, hour(-30.0))
