"""Loading a file: what is read, what the environment gives, and where the gateway keeps things."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from gl002.config.load import load
from gl002.errors import ConfigError

PLC = "integrations:\n  enabled: [modbus]\n  modbus: {host: plc}\n"


def _file(tmp_path: Path, text: str | bytes) -> Path:
    file = tmp_path / "integrations.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return file


def test_a_file_that_is_not_there_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: No such file"):
        load(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("data", "place"),
    [(b"a: 1\nb: \xff", "2:4"), ("a: ü".encode("latin-1"), "1:4"), ("a".encode("utf-16"), "1:1")],
)
def test_a_file_that_is_no_utf_8_is_named_with_the_place(
    tmp_path: Path, data: bytes, place: str
) -> None:
    with pytest.raises(ConfigError, match=rf"integrations\.yaml:{place}: is no UTF-8 text"):
        load(_file(tmp_path, data))


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(ConfigError, match=r"is longer than|not allowed"):
        load("/dev/zero")


def test_a_byte_order_mark_is_no_part_of_the_file(tmp_path: Path) -> None:
    assert "modbus" in load(_file(tmp_path, b"\xef\xbb\xbf" + PLC.encode())).connections


def test_the_variables_of_the_process_count_unless_others_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = _file(tmp_path, PLC.replace("plc", "'${PLC}'"))
    monkeypatch.setenv("PLC", "from the process")
    with pytest.raises(ConfigError, match="PLC is not set"):
        load(file, {})
    assert "from the process" in repr(load(file).connections["modbus"].settings)


def test_no_reference_can_put_in_structure(tmp_path: Path) -> None:
    text = "integrations:\n  enabled: [mqtt]\n  mqtt: {broker: b, client_id: '${X}'}\n"
    config = load(_file(tmp_path, text), {"X": "x}\nstore: {max_bytes: 1"})
    assert "x}\\nstore: {max_bytes: 1" in repr(config.connections["mqtt"].settings)


def test_relative_places_are_beside_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GL002_STATE_DIR", "/var/lib/gl002")
    assert load(_file(tmp_path, PLC)).state_dir == Path("/var/lib/gl002")
    monkeypatch.delenv("GL002_STATE_DIR")
    monkeypatch.setenv("XDG_STATE_HOME", "/home/x/state")
    assert load(_file(tmp_path, PLC)).state_dir == Path("/home/x/state/gl002")
    file = _file(tmp_path, PLC + "gateway: {state_dir: state}\n")
    assert load(file).state_dir == tmp_path / "state"
    file = _file(tmp_path, PLC + "gateway: {state_dir: /srv/gl002}\n")
    assert load(file).state_dir == Path("/srv/gl002")


def test_the_message_survives_a_journey_between_processes(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(_file(tmp_path, PLC.replace("host", "hots")))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
