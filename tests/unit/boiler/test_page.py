"""The page for the person at the boiler says what the program does."""

import re
from pathlib import Path

import pytest

from gl002.boiler import live_economizer, live_water
from gl002.boiler.live import NOTE, RESULTS, ROLE_UNITS
from gl002.boiler.roles import ROLES
from gl002.sim.faults import FAULTS
from gl002.sim.instruments import INSTRUMENTS

PAGE = (Path(__file__).parents[3] / "docs" / "boiler.md").read_text()


def rows(heading: str) -> list[tuple[str, ...]]:
    table = PAGE.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    lines = [line for line in table.splitlines()[2:] if line.startswith("|")]
    return [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines]


def test_the_results_are_those_the_engine_gives():
    assert rows("tag | unit | meaning") == [
        (f"`boiler1.{name}`", unit, text) for name, unit, text in (*RESULTS, NOTE)
    ]


def test_the_results_of_the_water_side_are_those_the_engine_gives():
    assert rows("tag | unit | and its meaning") == [
        (f"`boiler1.{name}`", unit, text)
        for name, unit, text in (*live_water.RESULTS, live_water.NOTE)
    ]


def test_the_results_of_the_economizer_are_those_the_engine_gives():
    assert rows("tag | unit | of the economizer") == [
        (f"`boiler1.{name}`", unit, text)
        for name, unit, text in (*live_economizer.RESULTS, live_economizer.NOTE)
    ]


def test_every_role_of_the_configuration_is_on_the_page():
    for role in ROLES:
        assert f"`{role}`" in PAGE


def test_the_inputs_are_in_the_units_the_engine_takes():
    listed = {
        cells[0].strip("`"): cells[2]
        for cells in rows("key | what it is | unit it is converted to | without it")
    }
    assert listed.pop("surface_loss") == ""
    assert listed == ROLE_UNITS


def test_the_tags_of_the_simulated_plant_are_those_it_has():
    assert rows("tag | unit | what") == [
        (f"`{tag}`", each.unit, each.description) for tag, each in INSTRUMENTS.items()
    ]


def test_the_faults_are_those_it_can_have():
    assert rows("fault | what the instrument does") == [
        (f"`{name}`", each.description) for name, each in FAULTS.items()
    ]


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
def test_the_examples_run(block, capsys):
    exec(compile(block, "docs/boiler.md", "exec"), {})
    assert capsys.readouterr().out
