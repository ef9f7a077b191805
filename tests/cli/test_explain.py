"""`gl002 explain`: one tag from its register to its destinations, before anything runs."""

from __future__ import annotations

import json

import pytest

from gl002.cli import main

PLANT = """
integrations:
  enabled: [modbus, mqtt, sqlite]
  modbus:
    connection: {host: 10.0.0.9}
    devices:
      - name: d1
        slave_id: 1
        polling_interval: 1000
        registers:
          - {name: steam_flow, address: 40001, format: float32, unit: lb/hr}
          - {name: oxygen, address: 40003, format: float32}
          - {name: drum_level, address: 40005, format: float32}
          - {name: setpoint, address: 40007, format: uint16}
  mqtt: {broker: 10.0.0.8}
  data_flow:
    input:
      - {source: modbus}
      - {source: mqtt, topics: ["plant/+"], format: raw}
    output:
      - {destination: sqlite}
      - {destination: mqtt, topic: "out/{tag}", tags: ["boiler1.*", "d1.o*"]}
tags:
  d1.steam_flow:
    unit: t/h
    scale: 0.1
    range: {low: 0, high: 70}
    deadband: {absolute: 0.2, heartbeat: 60s}
    description: Steam to the header
  d1.oxygen: {type: float}
  d1.drum_level: {unit: bar(g)}
calculated:
  steam.per_day: {expression: d1.steam_flow * 24, unit: t/h}
boilers:
  boiler1:
    oxygen: {tag: d1.oxygen, basis: wet}
    stack_temperature: {value: 200, unit: degC}
    air_temperature: {value: 25, unit: degC}
writes:
  mode: approve
  points:
    - {id: b1.sp, connector: modbus, address: d1.setpoint, unit: "%", limits: {min: 0, max: 80, max_step: 5}, permissives: [{address: d1.remote, equals: true}]}
gateway: {state_dir: state}
"""  # noqa: E501


@pytest.fixture
def told(tmp_path, monkeypatch, capsys):
    """Runs `gl002 explain TAG`; exit code, what it printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(PLANT)

    def run(*arguments: str) -> tuple[int, str, str]:
        code = main(["explain", *arguments])
        return code, *capsys.readouterr()

    return run


def test_a_tag_is_told_from_its_register_to_its_destinations(told):
    code, out, _ = told("d1.steam_flow")
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines == [
        "tag d1.steam_flow Steam to the header",
        "comes from modbus unit 1 holding 0 (40001)",
        "steps scaled: x 0.1",
        "converted from lb/hr to t/h: x 0.000453592",
        "outside 0 to 70 t/h it becomes uncertain",
        "stored when it has moved by 0.2, or after 60 s",
        "stored in t/h",
        "used by calculated.steam.per_day",
        "goes to sqlite: takes every tag",
        "not to mqtt: takes only boiler1.*, d1.o*",
        "writes not allowed: no point of 'writes.points' has its address",
        "last day -",
    ]


def test_the_roles_of_a_tag_and_the_pattern_that_takes_it_are_named(told):
    _, out, _ = told("d1.oxygen", "--json")
    about = json.loads(out)
    assert about["used"] == ["boilers.boiler1.oxygen"]
    assert about["steps"] == ["a value that is no float becomes bad, BadTypeMismatch"]
    assert [(o["output"], o["takes"], o["why"]) for o in about["outputs"]] == [
        ("sqlite", True, "takes every tag"),
        ("mqtt", True, "takes d1.o*"),
    ]


def test_a_unit_that_only_the_input_could_tell_is_taken_as_declared(told):
    _, out, _ = told("d1.drum_level")
    assert "taken as bar(g), unless the server says another unit" in out


def test_how_a_point_may_be_written_is_told_with_its_limits(told):
    _, out, _ = told("d1.setpoint")
    said = " ".join(out.split())
    assert "approve: point b1.sp, 0 to 80 %, steps of 5 at most, while d1.remote" in said
    assert "allow it, every 10 s at most" in said


def test_what_the_engine_gives_is_explained_like_any_tag(told):
    code, out, _ = told("boiler1.efficiency_hhv")
    assert code == 0
    assert "of the higher heating value" in out
    assert "takes boiler1.*" in out


def test_a_name_that_nothing_has_is_1_with_the_nearest_one(told):
    code, out, err = told("d1.steam_flw")
    assert (code, out) == (1, "")
    assert "did you mean 'd1.steam_flow'?" in err


def test_a_name_that_comes_with_its_values_is_asked_for_while_it_runs(told):
    code, _, err = told("zzz")
    assert code == 1
    assert "known while the gateway runs" in err
