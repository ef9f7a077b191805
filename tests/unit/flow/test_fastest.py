"""The fastest plausible change of an instrument, as its owner configures it, judged live."""

from __future__ import annotations

import pytest

from gl002.boiler.rates import Rates
from gl002.config.boilers import BoilerSettings, HeaderSettings, WatchSettings
from gl002.errors import ConfigError
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import Doubts, LiveEfficiency
from gl002.flow.hub import Hub
from gl002.flow.watching import Watching
from gl002.model import Quality, Sample, Tag, TagTable, severity

S = 1_000_000_000
START = 1_700_000_000 * S
BOUND = {
    "oxygen": {"tag": "o2", "basis": "dry"}, "air_temperature": 25, "steady": False, "watch": {},
    "stack_temperature": {"tag": "stack", "fastest": 3.6},  # degF a second: 2 K
}  # fmt: skip


class Watched:
    """A boiler under watch, in time that only goes on when it is told to."""

    def __init__(self, state_dir, monkeypatch) -> None:
        table = TagTable()
        table.declare(Tag(name="stack", unit="degF"))
        self.hub, self.now = Hub(), START
        bindings = Bindings("b1", BoilerSettings.parse(BOUND), table)
        settings = WatchSettings.parse({"step": 5, "interval": 5})
        monkeypatch.setattr("gl002.flow.boilers.now_ns", lambda: self.now)
        self.watching = Watching(
            bindings, settings, self.hub, state_dir, clock=lambda: self.now
        )  # fmt: skip
        doubts = Doubts("b1")
        doubts.watching = self.watching
        self._live = LiveEfficiency(bindings, self.hub, doubts)

    async def look(self, stack: float | None, *, after: int = 5) -> str:
        """What is said `after` seconds, a reading of the stack (degF) later, or without one."""
        self.now += after * S
        if stack is not None:
            self.hub.accepted([Sample("o2", 3.0, self.now), Sample("stack", stack, self.now)])
        self.hub.accepted(await self.watching._step())
        self.hub.accepted(await self._live._read_results())
        return "; ".join(each.reason for each in self.watching.findings)


@pytest.fixture
def boiler(tmp_path, monkeypatch):
    return Watched(tmp_path, monkeypatch)


async def test_a_jump_that_no_stack_makes_is_doubted_for_a_minute_and_with_it_the_efficiency(
    boiler,
):
    assert await boiler.look(360.0) == await boiler.look(365.0) == ""
    said = await boiler.look(455.0)  # 90 degF in 5 s: 10 K a second
    assert said == "stack temperature changed by 10 degC a second, 2 is the most it can"
    quality = boiler.hub.latest["b1.efficiency_hhv"].quality
    assert severity(quality) == "uncertain"
    assert quality == Quality.UNCERTAIN_SENSOR_NOT_ACCURATE
    assert boiler.hub.latest["b1.efficiency_note"].value == f"uncertain: {said}"
    for _ in range(12):
        said = await boiler.look(455.0)
    assert said != ""
    for _ in range(2):
        said = await boiler.look(455.0)
    assert said == ""
    assert boiler.hub.latest["b1.efficiency_note"].value == "good"


async def test_a_change_as_fast_as_is_plausible_is_none_of_its_business(boiler):
    for step in range(20):
        assert await boiler.look(300.0 + 17.9 * step) == ""


async def test_time_is_that_of_the_source_and_not_of_the_look(boiler):
    """A source that reports every 30 s: 100 degF in 30 s is 1.9 K a second."""
    await boiler.look(300.0)
    for _ in range(5):
        assert await boiler.look(None) == ""
    assert await boiler.look(400.0) == ""


async def test_what_was_a_silence_is_no_jump(boiler):
    await boiler.look(300.0)
    assert await boiler.look(500.0, after=600) == ""


def test_an_instrument_whose_clock_was_ahead_and_was_set_right_is_heard_again():
    rates = Rates()
    rates.add({"stack_temperature": (90_000.0, 450.0)})
    rates.add({"stack_temperature": (100.0, 450.0)})
    assert rates.findings({"stack_temperature": 2.0}) == []
    rates.add({"stack_temperature": (105.0, 550.0)})
    (finding,) = rates.findings({"stack_temperature": 2.0})
    assert finding.reason == "stack temperature changed by 20 degC a second, 2 is the most it can"


def test_it_needs_the_watch_and_an_instrument():
    without = {key: value for key, value in BOUND.items() if key != "watch"}
    with pytest.raises(ConfigError, match="give 'watch'"):
        BoilerSettings.parse(without)
    with pytest.raises(ConfigError, match="give 'watch'"):
        BoilerSettings.parse({**BOUND, "watch": {"enabled": False}})
    with pytest.raises(ConfigError, match="a fixed value does not change"):
        BoilerSettings.parse({**BOUND, "air_temperature": {"value": 25, "fastest": 1}})
    with pytest.raises(ConfigError, match="leave it out here"):
        HeaderSettings.parse(
            {
                "boilers": {"a": {"least": 1, "most": 2}, "b": {"least": 1, "most": 2}},
                "consumers": [{"tag": "mill", "fastest": 1}],
            }
        )
