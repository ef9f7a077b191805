"""The watch and the advice of a running gateway, on the simulated plant's own values."""

from __future__ import annotations

import dataclasses
import json
import os
from datetime import datetime, timedelta

import pytest

from cli.stored_house import CONFIG, context, in_steps, store
from gl002.boiler.combustion import excess_air, flue_gas
from gl002.boiler.fuels import FUEL_OIL_2, NATURAL_GAS
from gl002.config.boilers import WatchSettings
from gl002.config.load import load
from gl002.flow.advising import Advising, advice_tags
from gl002.flow.bindings import Bindings
from gl002.flow.boilers import Doubts, LiveEfficiency
from gl002.flow.gateway import Gateway
from gl002.flow.hub import Hub
from gl002.flow.studying import instruments_now
from gl002.flow.watching import Watching, learned_file
from gl002.integrations.databases import AsyncSQLiteConnector, SQLiteConnector
from gl002.model import Quality, Sample, Tag, TagTable, now_ns, severity
from gl002.sim.instruments import INSTRUMENTS
from gl002.sim.plant import Plant
from unit.boiler.test_stack_watch import learned as clean_boiler


@pytest.fixture
def house(tmp_path, monkeypatch):
    (tmp_path / "integrations.yaml").write_text(CONFIG)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def bindings(house) -> Bindings:
    table = TagTable()
    for tag, instrument in INSTRUMENTS.items():
        table.declare(Tag(name=f"boiler1.{tag}", unit=instrument.unit))
    settings = load(house / "integrations.yaml").sections.boilers["boiler1"]
    return Bindings("boiler1", settings, table)


def shown(plant: Plant, now: int | None = None) -> list[Sample]:
    now = now_ns() if now is None else now
    return [
        Sample(f"boiler1.{tag}", signal.value, now, signal.quality)
        for tag, signal in plant.signals().items()
    ]


async def first(source) -> dict[str, Sample]:
    async for batch in source.batches():
        return {sample.tag.removeprefix("boiler1."): sample for sample in batch}
    raise AssertionError


async def test_a_dead_analyser_is_found_at_once_and_the_efficiency_says_so(house):
    hub, plant = Hub(), Plant("boiler1")
    plant.fail("zero_triplet")
    plant.step(1)
    hub.accepted(shown(plant))
    watching = Watching(bindings(house), WatchSettings.parse({}), hub, house)
    found = await first(watching)
    assert found["instruments_doubted"].value == 3
    assert "the analyser is off" in str(found["instruments_note"].value)
    doubts = Doubts("boiler1")
    doubts.watching = watching
    results = await first(LiveEfficiency(bindings(house), hub, doubts))
    assert results["efficiency_hhv"].value is None
    assert results["efficiency_note"].value.count("the analyser is off") == 1


async def test_instruments_in_health_are_good(house):
    hub, plant = Hub(), Plant("boiler1")
    plant.step(1)
    hub.accepted(shown(plant))
    found = await first(Watching(bindings(house), WatchSettings.parse({}), hub, house))
    assert (found["instruments_doubted"].value, found["instruments_note"].value) == (0, "good")


async def test_a_stack_that_rises_faster_than_soot_can_makes_the_efficiency_uncertain(house):
    """An hour of a thermometer that creeps by 89 K an hour, every 30 s."""
    plant, hub, started = Plant("boiler1", seed=3, load=lambda _: 0.7), Hub(), now_ns()
    file = learned_file(house, "boiler1")
    file.parent.mkdir()
    file.write_bytes(dataclasses.replace(clean_boiler(), boiler="boiler1", usual=None).encoded())
    settings = WatchSettings.parse({"step": 30})
    watching = Watching(
        bindings(house), settings, hub, house, clock=lambda: started + round(plant.time * 1e9)
    )
    plant.fail("drift", "TT301")
    while plant.time < 3720:
        plant.step(30)
        hub.accepted(shown(plant, started + round(plant.time * 1e9)))
        await watching._step()
    (finding,) = [each for each in watching.findings if each.role == "stack_temperature"]
    assert "more than load and oxygen explain" in finding.reason
    doubts = Doubts("boiler1")
    doubts.watching = watching
    hub.accepted(shown(plant))
    results = await first(LiveEfficiency(bindings(house), hub, doubts))
    assert severity(results["efficiency_hhv"].quality) == "uncertain"
    assert "a baffle that fell" in results["efficiency_note"].value


async def test_what_was_learned_from_another_fuel_is_said_and_does_not_count(house, caplog):
    file = learned_file(house, "boiler1")
    file.parent.mkdir()
    file.write_bytes(dataclasses.replace(clean_boiler(), burnt=FUEL_OIL_2).encoded())
    watching = Watching(bindings(house), WatchSettings.parse({}), Hub(), house)
    watcher, *_ = await watching._prepared()
    assert watcher.usual is None
    assert "learned from another fuel than natural_gas" in caplog.text
    file.write_bytes(clean_boiler().encoded())
    os.utime(file, ns=(0, 0))
    await watching._learn_again(watcher)
    assert watcher.usual is not None


async def test_a_file_that_holds_something_else_is_named_and_does_no_harm(house, caplog):
    file = learned_file(house, "boiler1")
    file.parent.mkdir()
    file.write_text("{}")
    hub = Hub()
    found = await first(Watching(bindings(house), WatchSettings.parse({}), hub, house))
    assert found["instruments_note"].value == "good"
    assert "nothing that was learned about a boiler" in caplog.text


async def test_advice_reaches_the_outputs_as_events_and_numbers(house):
    started = datetime.now().astimezone() - timedelta(hours=6)
    store(
        house, 6, load=in_steps, start=started,
        events=lambda plant, time: plant.write("AIC301.SP", 5.0) if time == 0 else None,
    )  # fmt: skip
    config = load(house / "integrations.yaml")
    history = AsyncSQLiteConnector({}, context=context(house))
    settings = config.sections.boilers["boiler1"]
    advising = Advising(
        bindings(house), settings.advice, history,
        config.sections.tariffs["natural_gas"].tariff(), house / "state",
    )  # fmt: skip
    try:
        found = await first(advising)
    finally:
        await history.close()
        history.context.audit.close()
    declared = {tag.name.removeprefix("boiler1."): tag for tag in advice_tags("boiler1")}
    assert found.keys() <= declared.keys()
    (trim,) = json.loads(found["advice_oxygen_trim"].value)
    assert trim["saving"]["fuel_pct"]["low"] > 0
    assert trim["currency"] == "EUR"
    (soot,) = json.loads(found["advice_soot_blowing"].value)
    assert "gl002 learn" in soot["declined"]
    low, value, high = (found[f"advice_fuel{end}"].value for end in ("_low", "", "_high"))
    assert 0 < low < value < high
    assert found["advice_money"].value > 0
    assert all(sample.quality == Quality.GOOD for sample in found.values())


async def test_advice_judges_the_instruments_in_the_air_that_is_configured(house):
    """Oxygen and carbon dioxide of one wet gas tell of the water in it."""
    flue = flue_gas(
        NATURAL_GAS, excess_air(NATURAL_GAS, 3.0, basis="wet", humidity=0.08), humidity=0.08
    )
    shows = {"boiler1.AT301": 3.0, "boiler1.CO2": 100 * flue.co2 / flue.wet}
    end, step = 1_700_000_000_000_000_000, 5_000_000_000
    before = context(house)
    before.tags.declare(Tag(name="boiler1.CO2", unit="%"))
    with SQLiteConnector({}, context=before) as kept:
        for back in range(400, 0, -1):
            kept.store([Sample(tag, value, end - back * step) for tag, value in shows.items()])
    file = house / "integrations.yaml"
    bound = CONFIG.replace("    load:", "    carbon_dioxide: boiler1.CO2\n    load:")
    history = AsyncSQLiteConnector({}, context=before)
    doubted = {}
    try:
        for humidity in (0.08, 0.01):
            file.write_text(bound.replace("    load:", f"    humidity: {humidity}\n    load:"))
            found = await instruments_now(history, bindings(house), None, end)
            doubted[humidity] = [finding.check for finding in found]
    finally:
        await history.close()
        before.audit.close()
    assert doubted == {0.08: [], 0.01: ["carbon dioxide"]}


async def test_without_history_there_is_a_reason_instead_of_advice(house):
    history = AsyncSQLiteConnector({}, context=context(house))
    settings = load(house / "integrations.yaml").sections.boilers["boiler1"]
    try:
        found = await first(
            Advising(bindings(house), settings.advice, history, None, house / "state")
        )
    finally:
        await history.close()
        history.context.audit.close()
    assert found["advice_note"].value.startswith("none: boiler1: nothing is known of oxygen")


def test_a_gateway_has_a_source_for_efficiency_watch_and_advice(house):
    gateway = Gateway(load(house / "integrations.yaml"))
    names = {state.name for state in (each.status() for each in gateway.inputs)}
    assert {"boiler.boiler1", "watch.boiler1", "advice.boiler1"} <= names
