"""WRITE: the value arrives, it is on the audit file first, and it is never sent twice."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from gl002.connector import Capability, Connector
from gl002.context import Context
from gl002.errors import GL002Error, NotAllowed, RequestTimeout, WriteRefused
from gl002.model import Value
from gl002.security.audit import Audit, read, verify
from gl002.security.network import Network
from gl002.testing.contract.requests import (
    SOON,
    ask,
    eventually,
    hurried,
    other,
    same,
    until_it_works,
)
from gl002.testing.needs import needs
from gl002.testing.plugin import Maker
from gl002.testing.rig import Rig


def _entries(context: Context, *actions: str) -> list[dict[str, Any]]:
    context.audit.close()
    return [entry for entry in read(context.audit.path) if entry["action"] in actions]


async def _arrives(rig: Rig, value: Value) -> None:
    await eventually(
        lambda: same(rig.seen(rig.writable), value),
        lambda: f"{rig.writable} is {rig.seen(rig.writable)!r}, not {value!r}",
    )


@needs(Capability.WRITE, "seen")
async def test_a_written_value_arrives_with_its_type(rig: Rig, make: Maker) -> None:
    connector = make()
    for _ in range(2):
        value = other(rig.seen(rig.writable))
        await connector.write(rig.writable, value)
        await _arrives(rig, value)


@needs(Capability.WRITE, "seen")
async def test_a_write_is_audited_before_and_after(rig: Rig, make: Maker) -> None:
    connector = make()
    value = other(rig.seen(rig.writable))
    await connector.write(rig.writable, value)
    before, after = _entries(make.context, "write", "write.result")
    assert (before["action"], before["after"]) == ("write", value)
    assert rig.writable in before["subject"]
    assert (after["action"], after["result"], after["of"]) == (
        "write.result", "ok", before["seq"],
    )  # fmt: skip
    assert list(verify(make.context.audit.path)) == []


@needs(Capability.WRITE, "seen")
async def test_without_an_audit_entry_nothing_is_written(
    rig: Rig, make: Maker, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    audit = Audit(tmp_path / "file" / "audit.jsonl")  # a file is no folder, not even for root
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    value = rig.seen(rig.writable)
    connector = make(context=context)
    try:
        with pytest.raises(WriteRefused, match="audit"):
            await connector.write(rig.writable, other(value))
    finally:
        await connector.close()  # before its audit file: closing is noted there
        audit.close()
    assert same(rig.seen(rig.writable), value)


@needs(Capability.WRITE, "seen", "network")
async def test_a_write_to_an_address_off_the_allowlist_is_refused_and_audited(
    rig: Rig, make: Maker, tmp_path: Path
) -> None:
    context = Context(
        network=Network(allow=[]), audit=Audit(tmp_path / "audit2.jsonl"), state_dir=tmp_path
    )
    value, connections = rig.seen(rig.writable), rig.link.connections
    connector = make(context=context)
    with pytest.raises(NotAllowed):
        await connector.write(rig.writable, other(value))
    await connector.close()
    assert rig.link.connections == connections
    assert same(rig.seen(rig.writable), value)
    (after,) = _entries(context, "write.result")
    assert after["result"].startswith("failed")


@needs(Capability.WRITE, "seen", "network")
async def test_a_write_whose_answer_is_lost_is_not_sent_again(rig: Rig, make: Maker) -> None:
    connector = make(patient=True)
    writing, value = await _sent(rig, connector, within=1000)
    connections = rig.link.connections
    with pytest.raises(RequestTimeout) as caught:
        async with asyncio.timeout(SOON):
            await writing
    assert caught.value.maybe_done
    assert rig.link.connections == connections, "a second attempt opens a second connection"
    rig.link.restore()
    assert _entries(make.context, "write.result")[-1]["result"].startswith("unknown")
    assert same(rig.seen(rig.writable), value)


@needs(Capability.WRITE, "seen", "network")
async def test_a_write_whose_link_breaks_after_it_was_sent_may_have_been_done(
    rig: Rig, make: Maker
) -> None:
    writing, value = await _sent(rig, make(patient=True))
    rig.link.cut()
    with pytest.raises(GL002Error) as caught:
        async with asyncio.timeout(SOON):
            await writing
    assert caught.value.maybe_done
    rig.link.restore()
    assert _entries(make.context, "write.result")[-1]["result"].startswith("unknown")
    assert same(rig.seen(rig.writable), value)


async def _sent(
    rig: Rig, connector: Connector[Any], *, within: float = 0
) -> tuple[asyncio.Task[None], Value]:
    """A write that has arrived and whose answer never comes, and what it wrote.

    It may take `within` milliseconds, as long as any request where that is 0.
    """
    await connector.write(rig.writable, other(rig.seen(rig.writable)))  # it knows the type now
    value = other(rig.seen(rig.writable))
    rig.link.drop_replies()
    if within:
        connector.set_timeout(within)
    writing = asyncio.create_task(connector.write(rig.writable, value))
    await _arrives(rig, value)
    return writing, value


@needs(Capability.WRITE, "seen", "network")
async def test_a_write_that_was_never_sent_has_failed_and_nobody_need_look(
    rig: Rig, make: Maker
) -> None:
    connector = make(patient=False)
    rig.link.cut()
    with hurried(connector), pytest.raises(GL002Error) as caught:
        await connector.write(rig.writable, other(rig.seen(rig.writable)))
    rig.link.restore()
    assert not caught.value.maybe_done
    (after,) = _entries(make.context, "write.result")
    assert after["result"].startswith("failed")


@needs(Capability.WRITE, "seen", "network")
async def test_a_write_over_a_cut_link_is_an_error_and_does_not_happen_later(
    rig: Rig, make: Maker
) -> None:
    connector = make(patient=False)
    await ask(rig, connector)
    value = rig.seen(rig.writable)
    rig.link.cut()
    with hurried(connector), pytest.raises(GL002Error):
        await connector.write(rig.writable, other(value))
    rig.link.restore()
    await until_it_works(rig, connector)
    assert same(rig.seen(rig.writable), value)


@needs(Capability.WRITE)
async def test_a_write_to_an_unknown_address_is_refused(rig: Rig, make: Maker) -> None:
    with pytest.raises(GL002Error) as caught:
        await make().write(rig.unknown, 1.0)
    assert rig.unknown in str(caught.value)


@needs(Capability.WRITE, "seen")
async def test_a_value_of_the_wrong_type_is_refused_and_changes_nothing(
    rig: Rig, make: Maker
) -> None:
    value = rig.seen(rig.writable)
    if isinstance(value, str):
        pytest.fail("the writable address of a rig holds a number or a bool")
    with pytest.raises(GL002Error):
        await make().write(rig.writable, "no number")
    assert same(rig.seen(rig.writable), value)
