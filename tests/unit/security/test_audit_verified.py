"""The audit file: what cannot be done to it without `verify` naming the line."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gl002.security import audit as module
from gl002.security.audit import Audit, Broken, read, verify
from unit.security.audit_file import audit, lines_of, path

fixtures = path, audit


ENTRIES = 6


@pytest.fixture
def written(path: Path) -> Path:
    """A file of six entries."""
    audit = Audit(path, actor="tester")
    for i in range(ENTRIES):
        audit.note("write", f"opc_ua ns=2;s=SP{i}", before=i, after=i + 1)
    audit.close()
    return path


def _cut(path: Path, kept: int) -> None:
    """Leave the first lines only, in a new file, or none."""
    lines = lines_of(path)
    path.unlink()
    if kept:
        path.write_bytes(b"".join(lines[:kept]))


def _broken_lines(path: Path) -> list[int]:
    return [broken.line for broken in verify(path)]


@pytest.mark.parametrize("line", range(ENTRIES))
def test_an_edited_line_is_named(written: Path, line: int) -> None:
    lines = lines_of(written)
    lines[line] = lines[line].replace(f'"after":{line + 1}'.encode(), b'"after":99')
    written.write_bytes(b"".join(lines))
    assert list(verify(written)) == [
        Broken(line + 1, "was changed: its hash does not fit its content")
    ]


@pytest.mark.parametrize("line", range(ENTRIES - 1))
def test_a_missing_line_is_named_where_it_is_missing(written: Path, line: int) -> None:
    lines = lines_of(written)
    del lines[line]
    written.write_bytes(b"".join(lines))
    assert _broken_lines(written) == [line + 1]


def test_a_line_put_in_is_named(written: Path) -> None:
    lines = lines_of(written)
    forged = json.loads(lines[2])
    del forged["hash"]
    forged["after"] = 99
    lines.insert(3, module._line(forged)[0])  # with a hash that fits
    written.write_bytes(b"".join(lines))
    assert _broken_lines(written) == [4, 5]


def test_lines_that_changed_places_are_named(written: Path) -> None:
    lines = lines_of(written)
    lines[1], lines[2] = lines[2], lines[1]
    written.write_bytes(b"".join(lines))
    assert _broken_lines(written) == [2, 3, 4]


def test_a_field_that_stands_twice_is_a_change(written: Path) -> None:
    """JSON readers take the last of two; a person may read the first."""
    lines = lines_of(written)
    lines[1] = lines[1].replace(b'"after":2', b'"after":77,"after":2')
    assert json.loads(lines[1])["after"] == 2
    written.write_bytes(b"".join(lines))
    assert _broken_lines(written) == [2]


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path: Path, place: int, bit: int) -> None:
    path = tmp_path / "audit.jsonl"
    if not path.exists():
        audit = Audit(path, actor="tester")
        for i in range(3):
            audit.note("write", "x", after=i)
        audit.close()
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << bit
    changed = tmp_path / "changed.jsonl"
    changed.write_bytes(data)
    assert _broken_lines(changed) != []


def test_a_line_torn_by_a_crash_is_reported_and_the_chain_goes_on(
    written: Path, audit: Audit
) -> None:
    data = written.read_bytes()
    written.write_bytes(data[:-20])
    assert _broken_lines(written) == [ENTRIES]
    audit.note("write", "after the crash")
    audit.note("write", "and again")
    audit.close()
    assert _broken_lines(written) == [ENTRIES]
    assert [entry["seq"] for entry in read(written)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "value",
    [
        {10: "a", 9: "b"},
        {"b": 1, "a": {"z": (1, 2)}},
        datetime(2025, 1, 1, tzinfo=UTC),
        float("nan"),
        float("inf"),
        1e300,
        2**70,
        b"bytes",
        "line\nbreak\u2028 \ud800 ü",
        Path("/x"),
        [None, True],
    ],
    ids=repr,
)
def test_whatever_is_written_verifies(audit: Audit, path: Path, value: object) -> None:
    audit.note("write", "x", after=value)
    audit.note("write", "x")
    audit.close()
    assert list(verify(path)) == []
    assert len(list(read(path))) == 2


@pytest.mark.parametrize("kept", [0, 2], ids=["deleted", "cut"])
async def test_entries_that_are_cut_off_while_we_run_stand_in_the_log(
    audit: Audit, path: Path, caplog: pytest.LogCaptureFixture, kept: int
) -> None:
    for i in range(4):
        await audit.record("write", f"modbus {i}")
    last = list(read(path))[-1]
    _cut(path, kept)
    await audit.record("write", "modbus 4")
    await audit.record("write", "modbus 5")
    (told,) = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    assert f"up to number 4, hash {last['hash']}" in told


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"\x00\xff" * 100,
        lambda _: b"[" * 100_000 + b"\n",
        lambda _: b'{"seq":"one","prev":1,"hash":2}\n',
        lambda _: b'{"seq":1,"prev":"x","hash":"y"}\n',
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: b"\n" + data,
        lambda data: data[1:],
    ],
)
def test_verify_survives_any_file(written: Path, damage: Callable[[bytes], bytes]) -> None:
    written.write_bytes(damage(written.read_bytes()))
    assert _broken_lines(written) != []
    list(read(written))


def test_an_empty_file_holds_and_a_missing_one_is_an_error(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        list(verify(path))
    path.touch()
    assert list(verify(path)) == []
