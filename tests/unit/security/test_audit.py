"""The audit file: what is written when, by whom, and what is refused where it cannot be."""

from __future__ import annotations

import asyncio
import fcntl
import json
import logging
import os
import pwd
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gl002.errors import WriteRefused
from gl002.security import audit as module
from gl002.security.audit import Audit, read, verify
from gl002.security.secrets import Secret
from unit.security.audit_file import audit, lines_of, path

fixtures = path, audit


async def test_an_entry_is_on_disk_when_record_returns(audit: Audit, path: Path) -> None:
    assert await audit.record("write", "modbus 40001", before=1.5, after=2.5, reason="test") == 1
    assert await audit.record("write", "modbus 40001", after=None) == 2
    first, second = read(path)
    assert first["seq"] == 1
    assert (first["actor"], first["action"], first["subject"]) == (
        "tester", "write", "modbus 40001",
    )  # fmt: skip
    assert (first["before"], first["after"], first["reason"]) == (1.5, 2.5, "test")
    assert "after" not in second, "what is unknown is left out"
    assert datetime.fromisoformat(first["time"]).tzinfo == UTC
    assert list(verify(path)) == []


def test_nothing_is_opened_before_the_first_entry(path: Path) -> None:
    Audit(path).close()
    assert not path.exists()


def test_a_secret_in_the_words_of_a_driver_is_taken_out(audit: Audit, path: Path) -> None:
    Secret("hunter2hunter2")
    audit.note("connection", "oracle", after="down", reason="cannot log in: apps/hunter2hunter2@X")
    audit.note("write.result", "oracle", result="failed: hunter2hunter2", of=1)
    audit.close()
    assert "hunter2" not in path.read_text()
    assert [entry.get("reason") for entry in read(path)] == ["cannot log in: apps/***@X", None]
    assert not list(verify(path))


def test_a_line_is_json_whatever_number_was_asked_for(audit: Audit, path: Path) -> None:
    audit.note("write.refused", "o2", before=float("inf"), after=float("nan"))
    audit.note("write", "tags", after=[1.5, float("-inf")])
    audit.close()
    strict = [json.loads(line, parse_constant=pytest.fail) for line in lines_of(path)]
    assert [e["after"] for e in strict] == ["nan", [1.5, "-inf"]]
    assert not list(verify(path))


def test_notes_keep_their_order(audit: Audit, path: Path) -> None:
    for i in range(200):
        audit.note("connection", "x", number=i)
    audit.close()
    assert [entry["number"] for entry in read(path)] == list(range(200))
    assert list(verify(path)) == []


def test_it_may_be_closed_twice_and_used_again(audit: Audit, path: Path) -> None:
    audit.note("a", "x")
    audit.close()
    audit.close()
    audit.note("b", "x")
    audit.close()
    assert [entry["seq"] for entry in read(path)] == [1, 2]


def test_file_and_folder_are_for_us_only(tmp_path: Path) -> None:
    audit = Audit(tmp_path / "state" / "audit.jsonl")
    audit.note("a", "x")
    audit.close()
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert audit.path.stat().st_mode & 0o137 == 0


def test_another_process_goes_on_where_this_one_stopped(path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from gl002.security.audit import Audit\n"
        "audit = Audit(Path(sys.argv[1]))\n"
        "for i in range(100): audit.note('write', sys.argv[2], number=i)\n"
        "audit.close()\n"
    )
    children = [subprocess.Popen([sys.executable, "-c", program, str(path), name]) for name in "ab"]
    own = Audit(path)
    for i in range(100):
        own.note("write", "c", number=i)
    own.close()
    assert [child.wait(60) for child in children] == [0, 0]
    assert list(verify(path)) == []
    entries = list(read(path))
    assert [entry["seq"] for entry in entries] == list(range(1, 301))
    for name in "abc":
        assert [e["number"] for e in entries if e["subject"] == name] == list(range(100))


def test_a_forked_child_writes_with_a_thread_of_its_own(path: Path) -> None:
    program = (
        "import os, sys; from pathlib import Path; from gl002.security.audit import Audit\n"
        "audit = Audit(Path(sys.argv[1]))\n"
        "audit.note('write', 'parent')\n"
        "audit._worker.submit(int).result()\n"
        "if (child := os.fork()) == 0:\n"
        "    audit.note('write', 'child'); audit.close(); os._exit(0)\n"
        "assert os.waitpid(child, 0)[1] == 0\n"
        "audit.note('write', 'parent'); audit.close()\n"
    )
    subprocess.run([sys.executable, "-c", program, str(path)], check=True, timeout=60)
    assert [entry["subject"] for entry in read(path)] == ["parent", "child", "parent"]
    assert list(verify(path)) == []


def test_an_entry_made_while_the_interpreter_ends_is_written(path: Path) -> None:
    program = (
        "import atexit, sys; from pathlib import Path; from gl002.security.audit import Audit\n"
        "audit = Audit(Path(sys.argv[1]))\n"
        "atexit.register(lambda: audit.note('connection', 'x', after='closed'))\n"
        "audit.note('connection', 'x', after='up')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], check=True, timeout=60, capture_output=True
    )
    assert done.stderr == b""
    assert [entry["after"] for entry in read(path)] == ["up", "closed"]


async def test_an_entry_of_unreasonable_size_is_refused_and_harms_nothing(
    audit: Audit, path: Path
) -> None:
    await audit.record("write", "x", after=1)
    with pytest.raises(WriteRefused, match="too long"):
        await audit.record("write", "x", after="x" * 70_000)
    loop: list[object] = []
    loop.append(loop)
    with pytest.raises(WriteRefused, match="cannot be written"):
        await audit.record("write", "x", after=loop)
    await audit.record("write", "x", after="y" * 60_000)
    await audit.record("write", "x", after=2)
    assert [entry["seq"] for entry in read(path)] == [1, 2, 3]
    assert list(verify(path)) == []


async def test_the_last_entry_is_found_in_a_long_file(path: Path) -> None:
    for _ in range(2):
        audit = Audit(path)
        for _ in range(5):
            await audit.record("write", "x", after="y" * 60_000)
        audit.close()
    assert [entry["seq"] for entry in read(path)] == list(range(1, 11))
    assert list(verify(path)) == []


def test_the_audit_files_own_words_cannot_be_used_for_details(audit: Audit) -> None:
    with pytest.raises(AssertionError, match="seq"):
        audit.note("write", "x", seq=7)


async def _refusal(audit: Audit) -> WriteRefused:
    with pytest.raises(WriteRefused, match="no audit, no write") as caught:
        await audit.record("write", "x", after=1)
    audit.close()
    return caught.value


async def test_a_write_is_refused_where_the_folder_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = await _refusal(Audit(tmp_path / "file" / "audit.jsonl"))
    assert isinstance(error, PermissionError)
    assert not error.retryable


async def test_a_write_is_refused_where_the_disk_is_full() -> None:
    await _refusal(Audit(Path("/dev/full")))


async def test_a_write_is_refused_where_another_process_holds_the_file(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOCK_PATIENCE", 0.05)
    with path.open("wb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        error = await _refusal(Audit(path))
    assert "another process" in str(error)


def test_notes_that_cannot_be_written_are_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    audit = Audit(tmp_path / "file" / "audit.jsonl")
    for _ in range(10):
        audit.note("connection", "x")
    audit.close()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "cannot be written" in caplog.text


def test_many_threads_may_write(audit: Audit, path: Path) -> None:
    def write() -> None:
        for _ in range(50):
            audit.note("write", threading.current_thread().name)

    threads = [threading.Thread(target=write) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    audit.close()
    assert [entry["seq"] for entry in read(path)] == list(range(1, 401))
    assert list(verify(path)) == []


async def test_records_from_many_tasks_have_their_own_numbers(audit: Audit) -> None:
    numbers = await asyncio.gather(*(audit.record("write", "x") for _ in range(20)))
    assert sorted(numbers) == list(range(1, 21))


def test_the_actor_is_who_runs_the_program_unless_said(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "somebody who is on holiday")
    audit = Audit(path)
    audit.note("write", "x")
    audit.note("write", "x", actor="somebody else")
    audit.close()
    ours = pwd.getpwuid(os.getuid()).pw_name
    assert [entry["actor"] for entry in read(path)] == [ours, "somebody else"]
