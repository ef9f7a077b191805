"""`gl002 modbus` before a device of libmodbus."""

from __future__ import annotations

import json
import struct
import threading

import pytest
import yaml

from gl002.cli import main
from gl002.config.load import load
from peers.libmodbus import LibModbus


@pytest.fixture(scope="module")
def server():
    with LibModbus() as peer:
        yield peer


@pytest.fixture
def peer(server):
    server.clear()
    return server


@pytest.fixture
def url(server):
    return f"modbus://127.0.0.1:{server.port}"


def ran(capsys, *arguments: str) -> tuple[int, str, str]:
    """Exit code, stdout, stderr of `gl002 modbus`; a device that answers has time to."""
    if "--timeout" not in arguments:
        arguments = (*arguments, "--timeout", "20")
    try:
        code = main(["modbus", *arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def documents(out):
    return [json.loads(line) for line in out.splitlines()]


class Moving:
    """A device whose values move while it is looked at."""

    def __init__(self, peer, unit):
        self._peer, self._unit = peer, unit
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._put(0)
        self._thread.start()

    def __exit__(self, *_):
        self._end.set()
        self._thread.join()

    def _run(self):
        step = 0
        while not self._end.wait(0.02):
            step += 1
            self._put(step)

    def _put(self, step):
        wave = (step * 7) % 13 - 6
        floats = [
            485.3 + 0.11 * wave,
            12.62 - 0.01 * wave,
            50_000.5 + 31 * wave,
            3.21 + 0.004 * wave,
        ]
        raw = [struct.pack(">f", value) for value in floats]
        swapped = b"".join(value[2:] + value[:2] for value in raw)
        self._peer.set_bytes(self._unit, "holding", 10, swapped)
        self._peer.set_bytes(self._unit, "holding", 20, struct.pack(">hh", 1254 + wave // 4, -23))
        self._peer.set_bytes(self._unit, "holding", 24, b"BOILER-1")


# ---- scan -------------------------------------------------------------------------------------


def test_a_scan_finds_the_units_and_their_registers(capsys, peer, url):
    for unit in (1, 2, 4, 6, 8, 9, 10):
        peer.tell("deny", unit, "holding", 0, 65535, 11)  # a gateway says so of a silent unit
    peer.tell("silent", 5)
    peer.tell("deny", 3, "holding", 40, 59, 2)
    peer.tell("deny", 7, "holding", 0, 65535, 1)
    arguments = ["--units", "1-10", "--range", "0-99", "--timeout", "3"]
    code, out, _ = ran(capsys, "scan", url, *arguments, "--tables", "holding", "input", "--json")
    assert code == 0
    three, seven = documents(out)
    assert [(s["table"], s["first"], s["last"], s["reference"]) for s in three["stretches"]] == [
        ("holding", 0, 39, "40001"), ("holding", 60, 99, "40061"), ("input", 0, 99, "30001"),
    ]  # fmt: skip
    assert (seven["unit"], seven["said"]) == (7, "exception 01, illegal function")
    assert [s["table"] for s in seven["stretches"]] == ["input"]


def test_a_scan_is_a_table_for_people(capsys, peer, url):
    peer.set(2, "holding", 5, 1, 2, 3)
    code, out, err = ran(capsys, "scan", f"{url}/2", "--range", "0-9", "--tables", "holding")
    assert code == 0
    assert "40001 to 40010" in out
    assert "3 not 0" in out
    assert "1 units answer" in err


def test_a_scan_reads_only(capsys, peer, url):
    ran(capsys, "scan", f"{url}/1", "--range", "0-400")
    assert {request.function for request in peer.asked()} == {1, 2, 3, 4}


def test_where_nobody_answers_it_says_so(capsys, peer, url):
    for unit in (1, 2):
        peer.tell("silent", unit)
    code, _, err = ran(capsys, "scan", url, "--units", "1-2", "--timeout", "0.4")
    assert code == 1
    assert "0 units answer" in err
    assert "WARNING" not in err, "silent units are what a scan is to find"


def test_a_line_that_is_not_there_is_69(capsys):
    code, _, err = ran(capsys, "scan", "modbus://127.0.0.1:1", "--units", "1")
    assert code == 69
    assert "127.0.0.1:1" in err


@pytest.mark.parametrize("wrong", ["0-x", "5-3", "1-300", "-"])
def test_a_range_that_is_none_is_wrong_usage(capsys, wrong):
    code, _, err = ran(capsys, "scan", "modbus://127.0.0.1:1", f"--units={wrong}")
    assert code == 64
    assert "--units" in err


def test_a_unit_that_falls_silent_on_the_way_is_said_and_what_it_said_is_kept(capsys, peer, url):
    peer.tell("deny", 2, "holding", 64, 4999, 11)
    arguments = ["--range", "0-299", "--tables", "holding", "--json"]
    code, out, err = ran(capsys, "scan", f"{url}/2", *arguments)
    assert code == 0
    (unit,) = documents(out)
    assert [(s["first"], s["last"]) for s in unit["stretches"]] == [(0, 63)]
    assert "unit 2 is not heard from holding 64 on" in err


def test_a_block_that_is_refused_for_another_reason_is_said(capsys, peer, url):
    peer.tell("deny", 2, "holding", 5, 5, 4)
    arguments = ["--range", "0-9", "--tables", "holding", "--json"]
    code, out, err = ran(capsys, "scan", f"{url}/2", *arguments)
    assert code == 0
    assert [(s["first"], s["last"]) for s in documents(out)[0]["stretches"]] == [(0, 4), (6, 9)]
    assert "holding 5 to 5: exception 04, device failure" in err


# ---- read -------------------------------------------------------------------------------------


def test_registers_are_shown_in_the_ways_an_engineer_looks_at_them(capsys, peer, url):
    peer.set_bytes(1, "holding", 2, struct.pack(">fh", 485.25, -23) + b"AB")
    code, out, _ = ran(capsys, "read", f"{url}/1", "40003", "--count", "4", "--json")
    assert code == 0
    first, _, third, fourth = documents(out)
    assert (first["number"], first["hex"], first["float32 ABCD"]) == ("40003", "43f2", "485.25")
    assert (third["uint16"], third["int16"], third["bits"]) == (65513, -23, "1111111111101001")
    assert fourth["text"] == "AB"
    code, out, _ = ran(capsys, "read", f"{url}/1", "40003", "--count", "4")
    assert "485.25" in out


def test_coils_are_read_as_what_they_are(capsys, peer, url):
    peer.set(1, "coil", 4, 1)
    code, out, _ = ran(capsys, "read", f"{url}/1", "3", "--table", "coil", "--count", "2", "--json")
    assert code == 0
    assert [row["value"] for row in documents(out)] == [False, True]


def test_registers_that_are_not_there_are_counted(capsys, peer, url):
    code, out, err = ran(capsys, "read", f"{url}/1", "4998", "--count", "4", "--json")
    assert code == 0
    assert len(documents(out)) == 2
    assert "2 of 4 are not there" in err
    assert ran(capsys, "read", f"{url}/1", "6000")[0] == 1


def test_an_address_that_contradicts_the_table_is_refused_with_a_hint(capsys, peer, url):
    code, _, err = ran(capsys, "read", f"{url}/1", "30001", "--table", "holding")
    assert code == 78
    assert "hint:" in err


# ---- doctor -----------------------------------------------------------------------------------


def test_the_doctor_finds_type_order_scale_and_says_why(capsys, peer, url):
    with Moving(peer, 3):
        code, out, _ = ran(
            capsys, "doctor", f"{url}/3", "--range", "0-39", "--every", "0.1",
            "--seen", "40021=125.3", "--json",
        )  # fmt: skip
    assert code == 0
    found = {row["reference"]: row for row in documents(out)}
    for number in ("40011", "40013", "40015", "40017"):
        row = found[number]
        assert (row["format"], row["byte_order"]) == ("float32", "CDAB"), row
        assert "moves from" in row["evidence"]
        assert "as ABCD" in row["evidence"]
    assert found["40011"]["values"][0] == pytest.approx(485.3, abs=1)
    assert found["40011"]["confidence"] in {"sure", "likely"}
    assert (found["40021"]["scale"], found["40021"]["offset"]) == (0.1, 0)
    assert "agrees with what was seen" in found["40021"]["evidence"]
    assert found["40022"]["format"] == "int16"
    assert (found["40025"]["format"], found["40025"]["values"][0]) == ("string", "BOILER-1")


def test_what_the_doctor_writes_is_a_configuration(capsys, peer, url, tmp_path):
    with Moving(peer, 3):
        code, out, _ = ran(
            capsys, "doctor", f"{url}/3", "--range", "0-39", "--every", "0.1", "--yaml"
        )
    assert code == 0
    (device,) = yaml.safe_load(out)
    block = {"host": "127.0.0.1", "devices": [device]}
    file = tmp_path / "integrations.yaml"
    file.write_text(yaml.safe_dump({"integrations": {"enabled": ["modbus"], "modbus": block}}))
    checked = load(file, {}).connections["modbus"].settings.devices[0]
    assert checked.slave_id == 3
    assert {r.address: r.format for r in checked.registers}["40011"] == "float32"


def test_the_doctor_is_a_table_for_people_and_says_what_would_help(capsys, peer, url):
    with Moving(peer, 3):
        _, out, err = ran(capsys, "doctor", f"{url}/3", "--range", "8-30", "--every", "0.1")
    assert "CDAB" in out
    assert "how sure" in out
    assert "byte order CDAB" in err
    assert "--seen" in err, "scale and offset leave no trace"
    assert "always 0" in err


def test_a_list_that_counts_from_one_is_said(capsys, peer, url):
    peer.set(1, "holding", 20, 1254, 7000)
    _, _, err = ran(
        capsys, "doctor", f"{url}/1", "--range", "18-23", "--readings", "2", "--every", "0",
        "--seen", "21=125.4",
    )  # fmt: skip
    assert "found 1 register before where you named it" in err
    assert "address_base" in err


def test_a_value_that_nothing_agrees_with_is_said(capsys, peer, url):
    peer.set(1, "holding", 20, 1254)
    arguments = ["--range", "20-21", "--readings", "2", "--every", "0", "--seen", "40021=77"]
    code, out, err = ran(capsys, "doctor", f"{url}/1", *arguments, "--json")
    assert code == 0
    assert "77 at holding 20 (40021): nothing there" in err
    assert documents(out)[0]["scale"] == 1


def test_a_connection_of_the_configuration_can_be_examined(capsys, peer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "integrations.yaml").write_text(
        "integrations:\n  enabled: [modbus]\n"
        f"  modbus: {{host: 127.0.0.1, port: {peer.port}, slave_id: 4, name: meter}}\n"
    )
    peer.set(4, "holding", 3, 77)
    code, out, _ = ran(capsys, "read", "modbus", "40004", "--json")
    assert code == 0
    assert documents(out)[0]["uint16"] == 77
    assert {request.unit for request in peer.asked()} == {4}
    assert ran(capsys, "read", "modbus", "40004", "--unit", "5", "--json")[0] == 0
    assert {request.unit for request in peer.asked()} == {5}


@pytest.mark.parametrize("seen", ["40003", "x=1", "40003=abc", "30003=1"])
def test_what_was_seen_must_be_an_address_and_a_number(capsys, url, seen):
    code, _, err = ran(capsys, "doctor", f"{url}/1", "--seen", seen)
    assert code == 78
    assert "--seen" in err


def test_another_kind_of_connection_is_refused(capsys):
    code, _, err = ran(capsys, "read", "mqtt://127.0.0.1", "1")
    assert code == 78
    assert "no Modbus connection" in err
