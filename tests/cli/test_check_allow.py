"""`gl002 check` where `network.allow` shuts out what the rest of the configuration names."""

from __future__ import annotations

import json

import pytest

from gl002.cli import main

PLANT = """integrations:
  enabled: [opc_ua, modbus, postgresql, bacnet, ignition]
  opc_ua:
    primary:
      url: opc.tcp://10.20.0.10:4840
    other: {{url: 'opc.tcp://Plant.Example:4841'}}
  modbus:
    connection: {{host: '${{PLC}}', port: 502}}
    devices:
      - {{slave_id: 1, name: b1, registers: [{{name: f, address: 40001}}]}}
  postgresql: {{url: 'postgresql://u:hidden@db.example/x'}}
  bacnet:
    discover: 10.20.1.0/24
    devices: [{{device_id: 1, objects: [{{name: o, object: AI1}}]}}]
  ignition:
    url: opc.tcp://ign.example:62541
    database: {{host: history.example, user: u, password: hidden, database: x}}
network:
  allow: {allow}
"""


@pytest.fixture
def checked(tmp_path, monkeypatch, capsys):
    """What `check --json` says to a list of rules: exit code, and what is shut out where."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLC", "10.20.0.50")

    def check(allow):
        (tmp_path / "plant.yaml").write_text(PLANT.format(allow=json.dumps(allow)))
        code = main(["check", "plant.yaml", "--json"])
        out, _ = capsys.readouterr()
        assert "hidden" not in out
        found = [json.loads(line) for line in out.splitlines()]
        return code, [f for f in found if "network.allow" in f["text"]]

    return check


EVERY = {
    (5, "integrations.opc_ua.primary.url", "10.20.0.10:4840"),
    (6, "integrations.opc_ua.other.url", "plant.example:4841"),
    (8, "integrations.modbus.connection.host", "10.20.0.50:502"),
    (11, "integrations.postgresql.host", "db.example:5432"),
    (13, "integrations.bacnet.discover", "10.20.1.0/24:47808"),
    (16, "integrations.ignition.url", "ign.example:62541"),
    (17, "integrations.ignition.database.host", "history.example:5432"),
}


NAMES = {address for _, _, address in EVERY if "example" in address}


def places(found):
    found = [f for f in found if f["level"] == "FAIL"]
    assert all(f["file"] == "plant.yaml" for f in found)
    assert all(f["hint"] == f"add '{f['text'].split()[0]}' to it, if it is meant" for f in found)
    return {(f["line"], f["path"], f["text"].split()[0]) for f in found}


def test_every_host_that_nothing_lets_through_is_named_with_its_line_and_its_entry(checked):
    code, found = checked([])
    assert code == 78
    assert places(found) == EVERY


def test_the_entries_it_names_are_what_was_missing(checked):
    _, found = checked(["nowhere.example"])
    assert places(found) == EVERY
    assert checked([f["text"].split()[0] for f in found]) == (0, [])


@pytest.mark.parametrize(
    ("rule", "let_through"),
    [
        ("10.20.0.50", {"10.20.0.50:502"} | NAMES),
        ("10.20.0.50:502", {"10.20.0.50:502"}),
        ("10.20.0.50:503", set()),
        ("10.20.0.40-50:502", {"10.20.0.50:502"}),
        ("10.20.0.40-49", NAMES),
        ("opc.tcp://plant.example:4841", {"plant.example:4841"}),
        ("PLANT.example", {"plant.example:4841"}),
        ("plant.example:4840", set()),
        ("10.20.1.15-16:47808", {"10.20.1.0/24:47808"}),
        ("10.20.2.0/24:47808", set()),
        ("10.20.1.0/24:47809", set()),
        ("fd00::/8", NAMES),
        ("10.0.0.0/8:5432", {"db.example:5432", "history.example:5432"}),
    ],
)
def test_host_range_and_port_of_a_rule_decide(checked, rule, let_through):
    _, found = checked(["nowhere.example", rule])
    assert {each[2] for each in EVERY - places(found)} == let_through


def test_a_name_that_may_resolve_into_a_range_is_warned_of(checked):
    code, found = checked(["10.20.0.0/16", "db.example", "ign.example:62541"])
    assert code == 0
    assert {f["level"] for f in found} == {"WARN"}
    assert {(f["line"], f["path"], f["hint"]) for f in found} == {
        (line, path, f"add '{address}' to it, or let '--online' try")
        for line, path, address in EVERY
        if address in {"plant.example:4841", "history.example:5432"}
    }


def test_without_rules_nothing_is_shut_out(checked):
    assert checked(None) == (0, [])


def test_for_people_the_line_says_the_same(checked, capsys):
    checked(["10.20.0.10"])
    assert main(["check", "plant.yaml"]) == 78
    out, err = capsys.readouterr()
    assert "plant.yaml:8:24: integrations.modbus.connection.host: 10.20.0.50:502 is shut" in out
    assert "hint: add '10.20.0.50:502' to it" in out
    assert "WARN  network.allow        plant.yaml:6:18: integrations.opc_ua.other.url: " in out
    assert "2 failures, 11 warnings" in err


def test_a_secret_store_that_is_shut_out_is_named_with_the_entry_to_add(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plant.yaml").write_text(
        "integrations:\n  enabled: [mqtt]\n"
        "  mqtt: {broker: 10.20.0.9, username: u, password: '${vault:secret/data/m#p}'}\n"
        "secrets:\n  vault: {url: 'https://127.0.0.1:8200', token: t}\n"
        "network: {allow: [10.20.0.0/16]}\n"
    )
    assert main(["check", "plant.yaml"]) == 78
    _, err = capsys.readouterr()
    assert "plant.yaml:3:" in err
    assert "integrations.mqtt.password" in err
    assert "127.0.0.1:8200 is not on the allowlist" in err
    assert "add '127.0.0.1:8200' to network.allow" in err
