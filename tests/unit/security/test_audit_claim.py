"""Who called sudo stands in the record as a claim, beside the user whose process it is."""

from __future__ import annotations

import asyncio
import json
import os
import pwd

import pytest

from gl002.cli import main
from gl002.security.audit import Audit, read, user, verify


async def recorded(path, **details):
    audit = Audit(path)
    await audit.record("write", "o2", **details)
    audit.note("write.result", "o2", result="ok", **details)
    await asyncio.to_thread(audit.close)
    return list(read(path))


async def test_who_called_sudo_stands_beside_the_user_of_the_process(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ann")
    entries = await recorded(tmp_path / "audit.jsonl")
    assert [(e["actor"], e["claimed_user"]) for e in entries] == [(user(), "ann")] * 2
    assert list(verify(tmp_path / "audit.jsonl")) == []


@pytest.mark.parametrize("value", [None, "", user()])
async def test_without_sudo_or_to_oneself_there_is_no_claim(tmp_path, monkeypatch, value):
    if value is not None:
        monkeypatch.setenv("SUDO_USER", value)
    assert all("claimed_user" not in e for e in await recorded(tmp_path / "audit.jsonl"))


async def test_an_action_of_somebody_else_has_no_claim_of_this_process(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ann")
    entries = await recorded(tmp_path / "audit.jsonl", actor="aws: shadow")
    assert [e["actor"] for e in entries] == ["aws: shadow"] * 2
    assert all("claimed_user" not in e for e in entries)


@pytest.mark.parametrize("name", ["a" * 100_000, 'x","actor":"chief', "\udcff\x1b[2J\n{}"])
async def test_a_claim_can_break_neither_the_record_nor_its_chain(tmp_path, monkeypatch, name):
    monkeypatch.setenv("SUDO_USER", name)
    entries = await recorded(tmp_path / "audit.jsonl")
    assert [e["actor"] for e in entries] == [user()] * 2
    assert entries[0]["claimed_user"] == name[:64]
    assert list(verify(tmp_path / "audit.jsonl")) == []
    assert len((tmp_path / "audit.jsonl").read_bytes().splitlines()) == 2


async def test_a_claim_that_is_changed_breaks_the_chain(tmp_path, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "ann")
    path = tmp_path / "audit.jsonl"
    await recorded(path)
    path.write_text(path.read_text().replace('"ann"', '"bob"', 1))
    assert [broken.line for broken in verify(path)] == [1]


def test_the_claim_is_shown_to_whoever_reads_the_record(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SUDO_USER", "ann")
    path = tmp_path / "audit.jsonl"
    asyncio.run(recorded(path))
    assert main(["audit", "show", str(path)]) == 0
    assert "claimed_user=ann" in capsys.readouterr().out
    assert main(["audit", "show", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[0])["claimed_user"] == "ann"


def test_a_claim_decides_nothing(monkeypatch):
    monkeypatch.setenv("SUDO_USER", "root")
    monkeypatch.setenv("LOGNAME", "root")
    assert user() == pwd.getpwuid(os.getuid()).pw_name
