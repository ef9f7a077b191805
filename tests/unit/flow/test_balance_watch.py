"""The balances of a running gateway: two simulated boilers on a header, an hour in steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.stored_house import CONFIG
from gl002.config.load import load
from gl002.errors import ConfigError
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import Doubts
from gl002.flow.header_watching import HeaderWatching
from gl002.flow.hub import Hub
from gl002.flow.watching import Watching
from gl002.model import Quality, Sample, Tag, TagTable
from gl002.sim.instruments import INSTRUMENTS
from gl002.sim.plant import Plant

START, STEP = 1_790_000_000_000_000_000, 5
ONE = CONFIG[CONFIG.index("  boiler1:") :]
TWO = CONFIG + ONE.replace("boiler1", "boiler2")
HEADER = """
headers:
  main:
    boilers: {boiler1: {least: 3, most: 14}, boiler2: {least: 3, most: 14}}
    consumers: [{tag: mill.steam, accuracy: {reading: 1}}]
"""


class House:
    """Two plants whose instruments a hub hears every five seconds of a clock of its own."""

    def __init__(self, folder: Path) -> None:
        (folder / "integrations.yaml").write_text(TWO + HEADER)
        self.config = load(folder / "integrations.yaml")
        self.now = START
        self.hub = Hub()
        self.table = TagTable()
        self.plants = [Plant(f"boiler{n}", seed=n, load=lambda _: 0.7) for n in (1, 2)]
        for n in (1, 2):
            for tag, instrument in INSTRUMENTS.items():
                self.table.declare(Tag(name=f"boiler{n}.{tag}", unit=instrument.unit))
        self.table.declare(Tag(name="mill.steam", unit="kg/s"))

    def clock(self) -> int:
        return self.now

    def bindings(self, name: str) -> Bindings:
        return Bindings(name, self.config.sections.boilers[name], self.table)

    def step(self, *, off: Callable[[str, float], float] = lambda _, value: value) -> None:
        """Five seconds; `off` says what an instrument shows instead of the truth."""
        self.now += STEP * 1_000_000_000
        shown, total = [], 0.0
        for plant in self.plants:
            plant.step(STEP)
            for tag, signal in plant.signals().items():
                name, value = f"{plant.name}.{tag}", signal.value
                if tag == "FT101":
                    total += float(value) * 0.45359237 / 3600  # lb/hr
                if isinstance(value, float):
                    value = off(name, value)
                shown.append(Sample(name, value, self.now, signal.quality))
        shown.append(Sample("mill.steam", off("mill.steam", total), self.now))
        self.hub.accepted(shown)


@pytest.fixture
def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    monkeypatch.chdir(tmp_path)
    return House(tmp_path)


def times(tag: str, factor: float) -> Callable[[str, float], float]:
    return lambda name, value: factor * value if name == tag else value


async def an_hour(house: House, source, off: Callable[[str, float], float]) -> dict[str, Sample]:
    """What the source said last, by tag."""
    said: dict[str, Sample] = {}
    for _ in range(3600 // STEP):
        house.step(off=off)
        said.update((s.tag, s) for s in await source._step())
    return said


@pytest.mark.parametrize(
    ("wrong", "named"), [("", ""), ("boiler1.FT101", "steam flow"), ("boiler1.FT201", "fuel")]
)
async def test_a_meter_against_the_balances_is_found_without_any_history(
    house: House, tmp_path: Path, wrong: str, named: str
) -> None:
    bindings = house.bindings("boiler1")
    assert bindings.settings.watch is not None
    watching = Watching(bindings, bindings.settings.watch, house.hub, tmp_path, clock=house.clock)
    said = await an_hour(house, watching, times(wrong, 1.12))
    note = str(said["boiler1.instruments_note"].value)
    assert note == "good" if not wrong else named in note
    assert not wrong or "does not fit the balances" in note


@pytest.mark.parametrize("wrong", ["", "boiler2.FT101", "mill.steam"])
async def test_the_meters_of_a_header_check_those_of_its_boilers(house: House, wrong: str) -> None:
    members = {name: house.bindings(name) for name in ("boiler1", "boiler2")}
    header = house.config.sections.headers["main"]
    watching = HeaderWatching("main", header, members, house.hub, house.table, clock=house.clock)
    said = await an_hour(house, watching, times(wrong, 1.12))
    steam, note = said["main.steam_flow"], str(said["main.instruments_note"].value)
    true = 2 * 0.7 * 110_000 * 0.45359237 / 3600
    assert steam.value == pytest.approx(true, rel=0.03)
    doubts = {name: [f.role for f in Doubts(name, [watching])()] for name in members}
    if not wrong:
        assert (note, steam.quality) == ("good", Quality.GOOD)
        assert doubts == {"boiler1": [], "boiler2": []}
    elif wrong == "mill.steam":
        assert "mill.steam does not fit what the boilers on main give" in note
        assert doubts == {"boiler1": [], "boiler2": []}
    else:
        assert doubts == {"boiler1": [], "boiler2": ["steam_flow"]}
        assert steam.quality == Quality.UNCERTAIN_SENSOR_NOT_ACCURATE


def test_a_consumer_without_a_meter_is_refused(tmp_path: Path) -> None:
    text = (TWO + HEADER).replace("{tag: mill.steam, accuracy: {reading: 1}}", "5.0")
    (tmp_path / "integrations.yaml").write_text(text)
    with pytest.raises(ConfigError, match="consumers are meters: give the tag"):
        load(tmp_path / "integrations.yaml")
