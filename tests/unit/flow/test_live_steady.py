"""Live results of a boiler whose load changes: uncertain, with the reason, in all three notes."""

from __future__ import annotations

import pytest

from gl002.config.boilers import BoilerSettings
from gl002.errors import ConfigError
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import LiveEfficiency
from gl002.flow.hub import Hub
from gl002.model import Sample, Tag, TagTable, severity

S = 1_000_000_000
START = 1_700_000_000 * S
UNITS = {"steam": "t/h", "pressure": "bar(g)", "gas": "Nm3/h"}
VALUES = {"o2": 3.0, "stack": 180.0, "steam": 50.0, "pressure": 20.0, "gas": 3600.0}
BOUND = {
    "oxygen": {"tag": "o2", "basis": "dry"}, "stack_temperature": "stack", "air_temperature": 25,
    "fuel_flow": "gas", "steam_flow": "steam", "pressure": "pressure", "feedwater_temperature": 105,
}  # fmt: skip


class Running:
    """A boiler's live results, in time that only goes on when it is told to."""

    def __init__(self, monkeypatch, **changes: object) -> None:
        table = TagTable()
        for name, unit in UNITS.items():
            table.declare(Tag(name=name, unit=unit))
        self.hub = Hub()
        self.now = START
        self.told: list[Sample] = []
        monkeypatch.setattr("gl002.flow.boilers.now_ns", lambda: self.now)
        settings = BoilerSettings.parse({**BOUND, **changes})
        self._source = LiveEfficiency(Bindings("b1", settings, table), self.hub)

    async def go(self, seconds: int, **changes: float) -> None:
        """Readings and results every ten seconds."""
        for _ in range(0, seconds, 10):
            self.now += 10 * S
            for tag, value in {**VALUES, **changes}.items():
                self.hub.accepted([Sample(tag, value, self.now)])
            batch = await self._source._read_results()
            self.told += batch
            self.hub.accepted(batch)

    def note(self, name: str = "efficiency_note") -> str:
        return str(self.hub.latest[f"b1.{name}"].value)

    def quality(self, name: str = "efficiency_hhv") -> str:
        return severity(self.hub.latest[f"b1.{name}"].quality)


@pytest.fixture
def running(monkeypatch):
    return Running(monkeypatch)


async def test_a_start_is_uncertain_until_the_load_is_known_to_be_steady(running):
    await running.go(60)
    assert running.quality() == running.quality("efficiency_direct") == "uncertain"
    assert running.note().startswith("uncertain: not known yet whether the load is steady: ")
    await running.go(300)
    assert running.quality() == running.quality("efficiency_direct") == "good"
    assert running.note() == running.note("direct_note") == "good"


async def test_a_changing_load_makes_results_uncertain_and_leaves_their_numbers(running):
    await running.go(600)
    await running.go(60, steam=65.0)
    for name in ("efficiency_hhv", "loss_dry_gas", "efficiency_direct"):
        assert running.quality(name) == "uncertain"
        assert running.hub.latest[f"b1.{name}"].value is not None
    assert running.note().startswith("uncertain: load is changing (steam flow varies by ")
    assert running.note("direct_note").startswith("uncertain: load is changing (steam flow")
    await running.go(700, steam=65.0)
    assert running.note() == running.note("direct_note") == "good"


async def test_the_reason_is_told_once_and_not_for_every_per_cent_in_it(running):
    await running.go(600)
    before = len(running.told)
    await running.go(300, steam=65.0)
    notes = [s for s in running.told[before:] if s.tag == "b1.efficiency_note"]
    assert len(notes) == 1


async def test_what_is_worse_than_a_changing_load_is_said_instead(running):
    await running.go(600)
    await running.go(60, steam=65.0, o2=20.9)
    assert running.note().startswith("bad: oxygen 20.9 % is that of air")
    assert running.quality() == "bad"


async def test_the_gate_can_be_switched_off_and_widened(monkeypatch):
    off = Running(monkeypatch, steady=False)
    await off.go(10)
    assert off.note() == "good"
    wide = Running(monkeypatch, steady={"window": "2 min", "load": 20})
    await wide.go(70)
    assert wide.note() == "good"
    await wide.go(60, steam=55.0)
    assert wide.note() == "good"


async def test_a_fixed_value_is_not_taken_for_a_steady_load(monkeypatch):
    running = Running(
        monkeypatch, steam_flow={"value": 50, "unit": "t/h"}, load={"value": 1},
        fuel_flow={"value": 3600, "unit": "Nm3/h"},
    )  # fmt: skip
    await running.go(600)
    assert running.note() == "good"  # by oxygen and pressure alone
    await running.go(120, pressure=14.0)
    assert running.note().startswith("uncertain: load is changing (pressure falls by ")


async def test_a_stale_input_and_a_changing_load_are_both_said(running):
    await running.go(600)
    await running.go(60, steam=65.0)
    running.now += 60 * S  # nothing renewed
    batch = await running._source._read_results()
    note = next(s.value for s in batch if s.tag == "b1.efficiency_note")
    assert "stale" in str(note)
    assert "load is changing" in str(note)


def test_a_window_of_seconds_or_of_an_hour_is_refused():
    with pytest.raises(ConfigError, match="window"):
        BoilerSettings.parse({**BOUND, "steady": {"window": 5}})
    with pytest.raises(ConfigError, match="window"):
        BoilerSettings.parse({**BOUND, "steady": {"window": "1h"}})  # balances see one hour
