"""What other sides say shows no secret and commands no terminal, whoever shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gl002.cli import main, tap
from gl002.config.sections import WritesSettings
from gl002.context import Context
from gl002.flow.deadletter import DeadLetters
from gl002.integrations.databases import AsyncInfluxDBConnector
from gl002.model import Sample
from gl002.security.secrets import Secret
from gl002.writes.guard import WriteGuard, WriteRequest
from peers.web_server import Reply, Seen, WebServer

TOKEN = "canary-of-influxdb-4711"


@pytest.fixture
def parrot() -> Iterator[WebServer]:
    """Refuses, and says what it was sent, with what clears a terminal."""

    def answer(asked: Seen) -> Reply:
        words = f"\x1b[2J\x9b2J\u202e no: {asked.headers.get('authorization')}"
        body = json.dumps({"code": "unauthorized", "message": words}).encode()
        return Reply(401, body, {"content-type": "application/json"})

    server = WebServer(answer).start()
    yield server
    server.stop()


def settings(parrot: WebServer) -> dict[str, Any]:
    return {"url": parrot.url, "token": TOKEN, "org": "o", "bucket": "b", "timeout": 30}


@pytest.mark.parametrize("more", [[], ["--json"]])
def test_check_shows_neither_the_token_nor_what_clears_a_terminal(
    parrot, tmp_path, monkeypatch, capfd, more
):
    monkeypatch.chdir(tmp_path)
    config = {
        "integrations": {
            "enabled": ["influxdb"],
            "influxdb": settings(parrot),
            "data_flow": {"output": [{"destination": "influxdb"}]},
        },
        "gateway": {"state_dir": "state"},
    }
    (tmp_path / "integrations.yaml").write_text(json.dumps(config))
    assert main(["check", "integrations.yaml", "--online", *more]) == 1
    out, err = capfd.readouterr()
    assert "no: Token ***" in out
    assert TOKEN not in out + err
    assert "\x1b" not in out + err
    if not more:
        assert all(c.isprintable() or c == "\n" for c in out)


async def test_an_error_of_a_connector_names_no_secret_to_the_program_that_catches_it(parrot):
    connector = AsyncInfluxDBConnector(settings(parrot))
    health = await connector.check()
    await connector.close()
    assert "no: Token ***" in health.detail
    assert TOKEN not in health.detail


async def test_the_checks_of_a_write_name_no_secret(parrot, tmp_path):
    point = {
        "id": "o2",
        "connector": "influxdb",
        "address": "a",
        "unit": "%",
        "limits": {"min": 2, "max": 6},
    }
    writes = WritesSettings.parse({"mode": "approve", "points": [point]})
    context = Context.standalone()
    connector = AsyncInfluxDBConnector(settings(parrot), context=context)
    plan = await WriteGuard(writes, {"influxdb": connector}, context).check(WriteRequest("o2", 3.0))
    await connector.close()
    said = {check.code: check.detail for check in plan.checks}
    assert "401" in said["PV_BAD"]
    assert TOKEN not in str(said)


def test_a_dead_letter_is_kept_without_the_secret_in_its_reason(tmp_path):
    Secret(TOKEN)
    letters = DeadLetters(tmp_path / "deadletters.sqlite")
    letters.add("influxdb", [(Sample("o2", 3.0, 1), f"refused: Token {TOKEN}")])
    (letter,) = letters.list()
    assert letter.reason == "refused: Token ***"
    letters.refused_again([(letter.id, f"again: Token {TOKEN}")])
    assert letters.list()[0].reason == "again: Token ***"
    assert TOKEN.encode() not in (tmp_path / "deadletters.sqlite").read_bytes()


def test_a_text_that_comes_as_a_value_commands_no_terminal(capsys):
    value = {"time": "2026-11-27T10:00:00.000000", "tag": "b1.mode\x1b[2J", "quality": 0}
    tap._print({**value, "value": "auto\n10:00:01  b1.o2 = 3.0\x9b2J"}, json=False)
    out, _ = capsys.readouterr()
    assert out.endswith("\n")
    assert out[:-1].isprintable()
