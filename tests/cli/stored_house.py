"""A history as the gateway keeps it, of a simulated boiler: what the commands over history read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

from gl002.context import Context
from gl002.integrations.databases import SQLiteConnector
from gl002.model import Sample, Tag, TagTable, to_ns
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.sim.instruments import INSTRUMENTS
from gl002.sim.plant import Plant

START = datetime(2026, 10, 5, tzinfo=UTC)
STEP = 5.0

CONFIG = """
integrations:
  enabled: [sqlite]
  data_flow: {output: [{destination: sqlite}]}
gateway: {state_dir: state}
tariffs:
  natural_gas: {price: 35, carbon: 70, periods: [{price: 45, hours: [6, 22]}]}
boilers:
  boiler1:
    oxygen: {tag: boiler1.AT301, basis: wet, accuracy: 0.3}
    stack_temperature: {tag: boiler1.TT301, accuracy: {absolute: 4, reading: 0.4}}
    air_temperature: boiler1.TT302
    carbon_monoxide: boiler1.AT302
    load: boiler1.UI100
    fuel_flow: {tag: boiler1.FT201, accuracy: {reading: 1}}
    air_flow: boiler1.FT202
    steam_flow: boiler1.FT101
    pressure: boiler1.PT101
    steam_temperature: boiler1.TT101
    feedwater_flow: boiler1.FT102
    feedwater_temperature: boiler1.TT102
    full_steam: {value: 110000, unit: lb/hr}
    watch: {step: 5}
    advice:
      burner_curve: [[0.3, 4.5], [0.6, 3.1], [1.0, 2.3]]
      cleaning_cost: 20
      least_pressure: 1.9
      projects: true
"""
"""What a plant engineer writes for this boiler."""


def context(folder: Path) -> Context:
    """Where the history is."""
    state = folder / "state"
    table = TagTable()
    for number in (1, 2, 3):
        for tag, instrument in INSTRUMENTS.items():
            table.declare(Tag(name=f"boiler{number}.{tag}", unit=instrument.unit))
    return Context(
        network=Network(), audit=Audit(state / "audit.jsonl"), state_dir=state, tags=table
    )  # fmt: skip


def in_steps(time: float) -> float:
    """All loads, each for an hour and a half."""
    return 0.45 + 0.1 * (int(time / 5400) % 6)


def store(
    folder: Path,
    hours: float,
    *,
    load: Callable[[float], float] = in_steps,
    start: datetime = START,
    events: Callable[[Plant, float], None] = lambda plant, time: None,
) -> Plant:
    """Run a plant and keep what its instruments show, every five seconds.

    Args:
        folder: with the configuration.
        hours: simulated.
        load: of the plant.
        start: time of the first sample.
        events: called before each step, with the time in seconds.
    """
    plant = Plant("boiler1", seed=5, load=load)
    keep(folder, hours, [plant], start=start, events=lambda time: events(plant, time))
    return plant


def keep(
    folder: Path,
    hours: float,
    plants: Sequence[Plant],
    *,
    start: datetime = START,
    step: float = STEP,
    events: Callable[[float], None] = lambda time: None,
) -> None:
    """Run plants side by side and keep what their instruments show, every `step` seconds."""
    begin = to_ns(start)
    with SQLiteConnector({}, context=context(folder)) as history:
        batch: list[Sample] = []
        for number in range(round(hours * 3600 / step)):
            events(number * step)
            for plant in plants:
                plant.step(step)
            time = begin + round(number * step * 1e9)
            batch += [
                Sample(f"{plant.name}.{tag}", signal.value, time, signal.quality)
                for plant in plants
                for tag, signal in plant.signals().items()
            ]
            if len(batch) > 50_000:
                history.store(batch)
                batch = []
        history.store(batch)
