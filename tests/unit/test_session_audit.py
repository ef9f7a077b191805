"""What of a session stands in the audit file: states, and writes before and after."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import ConnectFailed, GL002Error, RequestFailed, RequestTimeout, WriteRefused
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Network
from gl002.session import before_sending
from gl002.testing.link import Link
from peers.lines import LineServer
from unit.line_connector import LineConnector, connector, context, link, server

fixtures = server, link, context, connector


def _entries(context: Context, action: str) -> list[dict[str, Any]]:
    context.audit.close()
    assert list(verify(context.audit.path)) == []
    return [entry for entry in read(context.audit.path) if entry["action"] == action]


async def test_each_change_of_state_is_one_line_and_one_audit_entry(
    connector: LineConnector, link: Link, context: Context, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await connector.echo("x")
    link.cut()
    for _ in range(5):
        with pytest.raises(GL002Error):
            await connector.echo("x")
    link.restore()
    await connector.echo("x")
    await connector.close()
    await connector.close()
    levels = [record.levelno for record in caplog.records if record.name == "gl002.lines"]
    assert levels == [logging.INFO, logging.WARNING, logging.INFO, logging.INFO]
    changes = [(entry["before"], entry["after"]) for entry in _entries(context, "connection")]
    assert changes == [
        ("new", "up"), ("up", "retrying"), ("retrying", "up"), ("up", "closed"),
    ]  # fmt: skip


async def test_a_write_is_on_the_audit_file_before_it_is_sent_and_after(
    connector: LineConnector, context: Context, server: LineServer
) -> None:
    await connector.write("setpoint", 485.0)
    (before,) = _entries(context, "write")
    (after,) = _entries(context, "write.result")
    assert (before["subject"], before["after"]) == ("lines setpoint", 485.0)
    assert (after["result"], after["of"]) == ("ok", before["seq"])
    assert server.lines[-1] == "echo setpoint=485.0"


async def test_a_write_that_fails_is_audited_with_its_error(
    connector: LineConnector, context: Context, link: Link
) -> None:
    link.cut()
    with pytest.raises(ConnectFailed) as caught:
        await connector.write("setpoint", 1)
    assert not caught.value.maybe_done, "nothing was sent"
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("failed: lines: ")


async def test_a_write_whose_connection_is_lost_is_audited_as_unknown(
    connector: LineConnector, context: Context, link: Link
) -> None:
    await connector.connect()
    link.drop_replies()
    writing = asyncio.create_task(connector.write("setpoint", 1))
    while not link.request_bytes > len("hello open sesame\n"):
        await asyncio.sleep(0.01)
    link.cut()
    with pytest.raises(ConnectFailed) as caught:
        await writing
    assert caught.value.maybe_done
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("unknown: lines: write setpoint: ")


@pytest.mark.parametrize("trouble", ["cut", "drop_replies"])
async def test_what_a_write_looks_up_first_is_no_write(
    connector: LineConnector, context: Context, link: Link, trouble: str
) -> None:
    async def looked_up() -> str:
        with before_sending():
            await connector._ask("get type")
        return await connector._ask("echo setpoint=1")

    await connector.connect()
    connector.set_timeout(100)
    getattr(link, trouble)()
    with pytest.raises((ConnectFailed, RequestTimeout)) as caught:
        await connector._write_to_plant(looked_up, address="setpoint", value=1)
    assert not caught.value.maybe_done
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("failed: lines: ")


async def test_a_fault_of_a_driver_is_no_answer(connector: LineConnector, context: Context) -> None:
    async def confused() -> str:
        await connector._ask("echo setpoint=1")
        raise KeyError("no such thing")

    with pytest.raises(RequestFailed) as caught:
        await connector._write_to_plant(confused, address="setpoint", value=1)
    assert caught.value.maybe_done


async def test_a_write_without_an_answer_is_audited_as_unknown(
    connector: LineConnector, context: Context, link: Link
) -> None:
    await connector.connect()
    connector.set_timeout(100)
    link.drop_replies()
    with pytest.raises(RequestTimeout):
        await connector.write("setpoint", 1)
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("unknown: lines: write setpoint: ")
    assert "no answer within 0.1 s" in after["result"]


async def test_a_cancelled_write_is_audited_as_interrupted(
    connector: LineConnector, context: Context, link: Link
) -> None:
    await connector.connect()
    link.drop_replies()
    writing = asyncio.create_task(connector.write("setpoint", 1))
    while not link.request_bytes > len("hello open sesame\n"):
        await asyncio.sleep(0.01)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    (after,) = _entries(context, "write.result")
    assert after["result"] == "unknown: interrupted"


async def test_without_an_audit_entry_nothing_is_sent(
    server: LineServer, link: Link, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    audit = Audit(tmp_path / "file" / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    connector = LineConnector({"port": link.port}, context=context)
    with pytest.raises(WriteRefused, match="no audit, no write"):
        await connector.write("setpoint", 1)
    assert server.lines == []
    await connector.close()
    audit.close()
