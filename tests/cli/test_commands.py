"""The command line as people and scripts use it: help, exit codes, output on the right channel."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gl002.cli import COMMANDS, main
from gl002.flow.deadletter import DeadLetters
from gl002.model import Quality, Sample
from gl002.security.audit import Audit

GOOD = """
integrations:
  enabled: [sqlite]
gateway: {state_dir: state}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a configuration."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(GOOD)
    return tmp_path


def ran(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr."""
    try:
        code = main(arguments)
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_examples(capsys, command):
    code, out, _ = ran(capsys, command, "--help")
    assert code == 0
    assert f"gl002 {command}" in out
    if command != "schema":
        assert "Examples:" in out


def test_what_others_say_forges_no_line_of_the_log_and_commands_no_terminal(capsys, folder):
    assert ran(capsys, "check")[0] == 0  # sets the log up
    logging.getLogger("gl002.mqtt").warning(
        "refused: %s", "x\x1b[2J\x9b1A\n2026-01-01 INFO all well"
    )
    written = capsys.readouterr().err
    assert written.endswith("refused: x [2J 1A\n    2026-01-01 INFO all well\n")


def test_help_lists_every_command_and_loads_none_of_their_modules():
    """A fresh interpreter: what `gl002 --help` imports is what a person waits for."""
    program = (
        "import sys\nfrom gl002.cli import main\n"
        "try: main(['--help'])\nexcept SystemExit: pass\n"
        "print([m for m in sys.modules if m.split('.')[0] in "
        "('asyncua', 'pymodbus', 'paho', 'psycopg', 'fastapi', 'rich', 'pydantic')],"
        " file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert all(command in done.stdout for command in COMMANDS)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("arguments", [["nonsense"], ["read"], ["dlq", "burn"], []])
def test_wrong_usage_is_64_and_says_how_to_ask(capsys, arguments):
    code, out, err = ran(capsys, *arguments)
    assert (code, out) == (64, "")
    assert "usage: gl002" in err


def test_a_wrong_configuration_is_78_with_every_problem_and_its_line(capsys, folder):
    (folder / "bad.yaml").write_text("integrations:\n  enabled: [opcua, mqqt]\nstroe: {}\n")
    code, out, err = ran(capsys, "check", "bad.yaml")
    assert (code, out) == (78, "")
    assert "bad.yaml:2:13" in err
    assert "bad.yaml:2:20" in err
    assert "did you mean 'opc_ua'?" in err
    assert "bad.yaml:3:1" in err
    assert "3 problems" in err


def test_check_for_scripts_gives_one_json_object_a_problem(capsys, folder):
    (folder / "bad.yaml").write_text("integrations:\n  enabled: [mqqt]\n")
    code, out, _ = ran(capsys, "check", "bad.yaml", "--json")
    assert code == 78
    (problem,) = [json.loads(line) for line in out.splitlines()]
    assert (problem["line"], problem["column"], problem["level"]) == (2, 13, "FAIL")


def test_units_of_an_input_that_do_not_fit_are_named_with_their_line(capsys, folder):
    (folder / "bad.yaml").write_text(
        "integrations:\n  enabled: [modbus]\n"
        "  modbus: {host: 10.20.0.50, registers: [{name: flow, address: 40001, unit: kg/h}]}\n"
        "  data_flow: {input: [{source: modbus}]}\n"
        "tags:\n  slave1.flow: {unit: degC}\n"
        "boilers:\n  b1:\n    oxygen: {tag: o2, basis: wet}\n    stack_temperature: b1.t\n"
        "    air_temperature: {value: 25, unit: bar}\n"
    )
    code, _, err = ran(capsys, "check", "bad.yaml")
    assert code == 78
    assert err.splitlines()[0].startswith("bad.yaml:6:16: tags.slave1.flow: 'kg/h' (mass flow)")
    assert err.splitlines()[1].startswith("bad.yaml:11:22: boilers.b1.air_temperature: 'bar'")
    assert "2 problems" in err


def test_check_warns_of_names_that_no_input_delivers(capsys, folder):
    text = (
        "integrations:\n  enabled: [modbus, sqlite]\n"
        "  modbus:\n    connection: {host: 10.20.0.50}\n"
        "    devices: [{slave_id: 1, name: b1, registers: [{name: steam_flow, address: 40001}]}]\n"
        "  data_flow:\n    input: [{source: modbus}]\n"
        "    output: [{destination: sqlite, tags: ['b2.*', 'b1.*']}]\n"
        "tags:\n  b1.steamflow: {unit: t/h}\n  half: {unit: t/h}\n"
        "calculated:\n  half: {expression: b1.steam_flow / 2}\n"
        "  other: {expression: b1.feedwater}\n"
    )
    (folder / "plant.yaml").write_text(text)
    code, out, _ = ran(capsys, "check", "plant.yaml", "--json")
    assert code == 0
    findings = [json.loads(line) for line in out.splitlines()]
    assert {f["about"]: f["text"] for f in findings if f["level"] == "WARN"} == {
        "tags.b1.steamflow": "no input delivers 'b1.steamflow'; did you mean 'b1.steam_flow'?",
        "calculated.other": "no input delivers 'b1.feedwater'",
        "output sqlite": "no input delivers 'b2.*'",
    }


def test_names_that_come_with_their_values_are_nothing_to_warn_of(capsys, folder):
    (folder / "plant.yaml").write_text(
        "integrations:\n  enabled: [mqtt]\n  mqtt: {broker: mqtt.example.com}\n"
        "  data_flow: {input: [{source: mqtt, topics: ['boiler/#']}]}\n"
        "tags:\n  b1.steam_flow: {unit: t/h}\n"
    )
    code, out, _ = ran(capsys, "check", "plant.yaml")
    assert code == 0
    assert "no input delivers" not in out


def test_what_only_the_gateway_finds_wrong_is_a_json_object_too(capsys, folder):
    (folder / "bad.yaml").write_text(
        "integrations:\n  enabled: [modbus]\n"
        "  modbus: {host: 10.20.0.50, registers: [{name: flow, address: 40001}]}\n"
        "  data_flow: {input: [{source: modbus}, {source: modbus}]}\n"
    )
    code, out, _ = ran(capsys, "check", "bad.yaml", "--json")
    assert code == 78
    (problem,) = [json.loads(line) for line in out.splitlines()]
    assert "comes from modbus and from modbus#2" in problem["text"]
    assert "prefix" in problem["hint"]


def test_a_file_that_may_not_be_written_is_74_and_no_traceback(folder):
    (folder / "state").write_text("a file where the folder should be")
    done = _fresh("pki", "init", folder=folder)
    assert done.returncode == 74
    assert done.stderr.startswith("state/pki")
    assert len(done.stderr.splitlines()) == 1


def test_no_room_for_the_output_is_74_and_no_traceback(folder):
    for command in ("schema", "connectors", "check"):
        with Path("/dev/full").open("w") as full:
            done = _fresh(command, folder=folder, stdout=full)
        assert done.returncode == 74
        assert "No space left on device" in done.stderr
        assert "Traceback" not in done.stderr


def test_in_a_pipe_a_row_of_a_table_is_one_line(capsys, folder, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    letters = DeadLetters(folder / "state" / "deadletters.sqlite")
    reason = "a destination that has very much to say, " * 10
    letters.add("pg", [(Sample("b1.flow", 1.0, 0, Quality.GOOD), reason)])
    out = ran(capsys, "dlq", "list")[1]
    (row,) = [line for line in out.splitlines() if "b1.flow" in line]
    assert reason.strip() in row
    monkeypatch.setenv("COLUMNS", "80")
    assert max(map(len, ran(capsys, "dlq", "list")[1].splitlines())) == 80


def test_a_reader_that_has_seen_enough_is_no_failure(folder):
    reader, writer = os.pipe()
    os.close(reader)
    for command in ("schema", "connectors"):
        done = _fresh(command, folder=folder, stdout=writer)
        assert (done.returncode, done.stderr) == (0, "")
    os.close(writer)


def test_ctrl_c_while_the_command_is_still_being_loaded_is_130(capsys, monkeypatch):
    def interrupted(_name):
        raise KeyboardInterrupt

    monkeypatch.setattr("gl002.cli.import_module", interrupted)
    assert ran(capsys, "check") == (130, "", "")


def test_a_port_that_is_none_is_said(capsys):
    code, _, err = ran(capsys, "sim", "--opc-ua", "99999")
    assert code == 78
    assert "there is no port 99999" in err


def test_a_missing_file_is_said_plainly(capsys, folder):
    code, _, err = ran(capsys, "run", "absent.yaml")
    assert code == 78
    assert "absent.yaml: No such file" in err


def test_where_there_is_no_configuration_it_is_said_how_to_name_or_begin_one(capsys, folder):
    for command in ("run", "check"):
        _, out, err = ran(capsys, command, "absent.yaml")
        assert "hint: name the file" in out + err
        assert "gl002 demo --print-config" in out + err


def test_nothing_to_do_is_a_configuration_error(capsys, folder):
    code, _, err = ran(capsys, "run")
    assert code == 78
    assert "data_flow.input is empty" in err


def test_a_peer_that_is_not_there_is_69(capsys, folder, monkeypatch):
    monkeypatch.setenv("GL002_STATE_DIR", str(folder))
    code, _, err = ran(capsys, "read", "modbus://127.0.0.1:1/1", "40001")
    assert code == 69
    assert "127.0.0.1:1" in err
    assert "hint:" in err


def test_no_gateway_runs_is_69_and_says_how_to_start_one(capsys, folder):
    for command in ("top", "tap"):
        code, _, err = ran(capsys, command)
        assert code == 69
        assert "gl002 run" in err


@pytest.mark.parametrize(
    "gateway", ["{state_dir: '${PLANT}'}", "{state_dir: [state]}", "state", "{state_dir: 5}"]
)
def test_a_wrong_file_whose_state_folder_is_unclear_finds_no_gateway(capsys, folder, gateway):
    (folder / "bad.yaml").write_text(f"integrations: {{enabled: [mqqt]}}\ngateway: {gateway}\n")
    code, _, err = ran(capsys, "top", "--once", "-c", "bad.yaml")
    assert code == 78
    assert "did you mean 'mqtt'?" in err


def test_writing_a_point_that_is_not_listed_is_77(capsys, folder):
    code, _, err = ran(capsys, "write", "b1.sp", "3", "--yes")
    assert code == 77
    assert "POINT_NOT_LISTED" in err


def test_connectors_are_listed_for_people_and_scripts(capsys):
    code, out, _ = ran(capsys, "connectors", "--json")
    rows = json.loads(out)
    assert code == 0
    assert {"opc_ua", "modbus", "mqtt", "postgresql", "timescale", "sqlite"} <= {
        row["kind"] for row in rows
    }
    assert all(row["installed"] for row in rows)
    assert ran(capsys, "connectors")[0] == 0


def test_the_schema_is_json(capsys):
    code, out, _ = ran(capsys, "schema")
    assert code == 0
    assert "integrations" in json.loads(out)["properties"]


def test_dead_letters_from_the_list_to_a_spreadsheet_to_the_bin(capsys, folder):
    letters = DeadLetters(folder / "state" / "deadletters.sqlite")
    assert ran(capsys, "dlq", "list")[0] == 0
    letters.add(
        "pg", [(Sample("t", "=cmd()", 0, Quality.GOOD), "too long"), (Sample("t", 2, 1), "x")]
    )
    code, out, _ = ran(capsys, "dlq", "list", "--json")
    assert code == 1
    assert [json.loads(line)["reason"] for line in out.splitlines()] == ["too long", "x"]
    assert "'=cmd()" in ran(capsys, "dlq", "export")[1]
    assert ran(capsys, "dlq", "drop")[0] == 64
    for action in ("list", "retry", "drop", "export"):
        code, _, err = ran(capsys, "dlq", action, "sqlit")
        assert code == 78
        assert "there is no output 'sqlit'" in err
        assert "did you mean 'sqlite'?" in err
    assert ran(capsys, "dlq", "list", "sqlite")[0] == 0
    assert ran(capsys, "dlq", "retry", "pg", "--id", "1")[0] == 0
    assert [x.id for x in letters.list(again=True)] == [1]
    assert ran(capsys, "dlq", "drop", "--all")[0] == 0
    assert letters.count() == 0


async def test_the_audit_file_is_shown_and_verified(folder):
    audit = Audit(folder / "state" / "audit.jsonl", actor="ann")
    await audit.record("write", "opc_ua ns=2;s=SP", after=3.5)
    audit.close()
    done = _fresh("audit", "show", "--json", folder=folder)
    assert json.loads(done.stdout)["actor"] == "ann"
    assert _fresh("audit", "verify", folder=folder).returncode == 0
    path = folder / "state" / "audit.jsonl"
    path.write_text(path.read_text().replace("3.5", "4.5"))
    done = _fresh("audit", "verify", folder=folder)
    assert done.returncode == 1
    assert "audit.jsonl:1:" in done.stdout
    assert _fresh("audit", "show", "-n", "-1", folder=folder).returncode == 78
    done = _fresh("audit", "show", "state", folder=folder)
    assert (done.returncode, done.stderr) == (74, "state: Is a directory\n")


def _fresh(
    *arguments: str, folder: Path, stdout: Any = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gl002", *arguments],
        cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False, timeout=60,
        env={**os.environ},
    )  # fmt: skip


def test_own_certificates_are_made_and_listed(capsys, folder):
    code, out, _ = ran(capsys, "pki", "init", "--host", "gw1.plant", "--json")
    assert code == 0
    (card,) = [json.loads(line) for line in out.splitlines()]
    assert (card["place"], card["application_uri"]) == ("own", "urn:gw1.plant:gl002")
    assert (card["hosts"], card["authority"]) == (["gw1.plant"], False)
    assert ran(capsys, "pki", "trust")[0] == 64
    code, _, err = ran(capsys, "pki", "trust", "ABCDEF0123456789")
    assert code != 0
    assert "gl002 pki list" in err


def test_check_warns_of_a_serial_line_that_cannot_carry_its_intervals(capsys, folder):
    registers = [{"name": f"r{i}", "address": 100 * i} for i in range(20)]
    modbus = {
        "connection": {"type": "rtu", "port": "/dev/ttyUSB0"},
        "devices": [{"name": "meter", "slave_id": 4, "polling_interval": 200,
                     "registers": registers}],
    }  # fmt: skip
    flow = {"input": [{"source": "modbus"}]}
    integrations = {"enabled": ["modbus", "sqlite"], "modbus": modbus, "data_flow": flow}
    (folder / "line.yaml").write_text(json.dumps({"integrations": integrations}))
    code, out, err = ran(capsys, "check", "line.yaml", "--json")
    assert code == 0
    findings = [json.loads(line) for line in out.splitlines()]
    (warning,) = [f for f in findings if f["about"] == "modbus"]
    assert warning["level"] == "WARN"
    assert "/dev/ttyUSB0 at 9600 baud cannot carry the intervals" in warning["text"]
    assert "0 failures" in err


def test_renewing_shows_the_new_certificate_and_keeps_the_old_one(capsys, folder):
    first = json.loads(ran(capsys, "pki", "init", "--host", "gw1.plant", "--json")[1])
    code, out, _ = ran(capsys, "pki", "renew", "--host", "gw1.plant", "--json")
    second = json.loads(out)
    assert code == 0
    assert second["thumbprint"] != first["thumbprint"]
    assert second["application_uri"] == first["application_uri"]
    assert len(list(Path(second["path"]).parents[1].glob("own-until-*/cert.der"))) == 1
