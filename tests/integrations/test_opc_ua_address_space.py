"""OPC UA servers whose address space is another one after a restart."""

from __future__ import annotations

import asyncio

import pytest

from gl002.connector import State
from gl002.errors import TagNotFound
from gl002.model import Quality, is_bad, is_good
from gl002.testing.contract.requests import eventually
from gl002.transport.opc_ua import source as source_module
from integrations.opc_ua_trouble_site import (
    LIMIT,
    T0,
    connect,
    mortal,
    no_wait_is_long,
    shared,
    watching,
)

fixtures = shared, mortal, no_wait_is_long, connect


@pytest.mark.slow
async def test_namespaces_that_changed_places_never_give_another_node(connect, mortal):
    """After the restart index 2 is somebody else's namespace, and ours is 4."""
    tags = [LIMIT, "nsu=urn:boiler;s=Boiler1.Name", "steam_flow"]
    connector = connect(mortal.port)
    async with watching(connector, *tags) as watched:
        mortal.options["SHIFT"] = 2
        mortal.kill()
        await eventually(lambda: connector.state is State.RETRYING, "noticed")
        watched.samples.clear()
        await asyncio.to_thread(mortal.start)

        def good():
            return {(s.tag, s.value) for s in watched.samples if is_good(s.quality)}

        await eventually(lambda: len(good()) == 3, "all three again")
        assert good() == {
            (tags[0], 700), (tags[1], "Kessel 1"), (tags[2], 50000.0),
        }  # fmt: skip
        assert await connector.read_value(LIMIT) == 700
        await connector.write_value("ns=2;s=Boiler1.Grade", 9.5)
        assert mortal.value("Boiler1.Grade") == 9.5


async def test_a_namespace_that_is_gone_is_named(connect, mortal):
    connector = connect(mortal.port)
    assert await connector.read_value(LIMIT) == 700
    connector._directory._uris[2] = "urn:of:yesterday"
    with pytest.raises(TagNotFound, match="no namespace 'urn:of:yesterday'"):
        await connector.read_value(LIMIT)


@pytest.mark.slow
async def test_a_node_that_is_gone_after_a_restart_harms_no_other(connect, mortal):
    connector = connect(mortal.port)
    async with watching(connector, LIMIT, T0) as watched:
        mortal.options["OMIT"] = "Limit"
        await asyncio.to_thread(mortal.restart)
        await watched.flowing()
        await eventually(
            lambda: any(s.tag == LIMIT and is_bad(s.quality) for s in watched.samples), "its status"
        )


@pytest.mark.slow
async def test_a_node_of_another_type_is_refused_and_said(connect, mortal, caplog, monkeypatch):
    monkeypatch.setattr(source_module, "_ASK_AGAIN_FIRST", 0.2)
    connector = connect(mortal.port)
    async with watching(connector, LIMIT, T0) as watched:
        mortal.options["RETYPE"] = 1
        await asyncio.to_thread(mortal.restart)
        await watched.flowing()
        await eventually(
            lambda: (
                (LIMIT, Quality.BAD_CONFIGURATION_ERROR)
                in {(s.tag, s.quality) for s in watched.samples}
            ),
            "it is marked",
        )
        asked = watched.source._ask_again_in
        await eventually(lambda: watched.source._ask_again_in > 2 * asked, "asked for twice again")
        await watched.flowing()  # refused nodes are asked for again; this one stays refused
    assert "high" not in {s.value for s in watched.samples}
    assert "was 'Limit' of type" in caplog.text
