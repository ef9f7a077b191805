"""Browsing an OPC UA server: what is told, how deep, how much."""

from __future__ import annotations

import pytest

from gl002.connector import first_of
from gl002.errors import RequestFailed, TagNotFound
from gl002.transport.opc_ua import browsing, client, nodes
from integrations.opc_ua_site import MANY, connect, context, node, peer

fixtures = peer, context, connect


async def test_browsing_tells_type_unit_description_and_access(connect):
    found = {f.name: f for f in await connect().browse_nodes("ns=2;s=Boiler1")}
    assert (found["Pressure"].type, found["Pressure"].unit) == ("Double", "bar")
    assert (found["Limit"].type, found["Limit"].writable) == ("Int16", True)
    assert (found["SteamFlow"].description, found["SteamFlow"].writable) == (
        "steam to header", False,
    )  # fmt: skip
    assert found["Limit"].address == node("Limit")


async def test_browsing_from_the_top_leaves_the_server_itself_out(connect):
    assert {f.name for f in await connect().browse_nodes()} == {
        "Aliases", "Boiler1", "LeftFan", "Locations", "Many", "RightFan",
    }  # fmt: skip


async def test_browsing_goes_as_deep_as_asked_and_tells_the_path(connect):
    connector = connect()
    found = [f async for f in connector.browse("", depth=2)]
    paths = {f.path for f in found}
    assert {"Boiler1", "Boiler1/Limit", "LeftFan/Speed"} <= paths
    assert len(paths) == len(found)
    assert "Boiler1/Pressure/EURange" not in paths


async def test_browsing_a_thousand_children_gives_each_once(connect):
    found = await connect().browse_nodes("ns=2;s=Many")
    assert {f.name for f in found} == {f"T{i}" for i in range(MANY)}
    assert len(found) == MANY


async def test_a_browse_that_the_server_breaks_off_is_an_error_and_not_half_a_list(connect):
    """Its answer to a continuation point it no longer knows: 1,000 of 1,200 children came."""
    connector = connect()
    assert await connector.read_value(node("Limit")) == 700
    service = connector._session.client.uaclient.session
    following = service.browse_next

    async def forgotten(parameters):
        parameters.ContinuationPoints = [b"of another session"]
        return await following(parameters)

    service.browse_next = forgotten
    with pytest.raises(RequestFailed, match=r"browse ns=2;s=Many.*BadContinuationPointInvalid"):
        await connector.browse_nodes("ns=2;s=Many")


async def test_a_browse_that_finds_more_than_it_may_says_so_behind_what_it_found(
    connect, monkeypatch
):
    monkeypatch.setattr(client, "_MOST_FOUND", 800)
    found = []

    async def browse():
        async for thing in connect().browse("ns=2;s=Many"):
            found.append(thing)  # noqa: PERF401 (what came before the error counts)

    with pytest.raises(RequestFailed, match="ns=2;s=Many: more than 800 nodes lie below") as caught:
        await browse()
    assert {f.name for f in found} == {f"T{i}" for i in range(800)}
    assert "a node further down" in caught.value.hint
    monkeypatch.setattr(client, "_MOST_FOUND", MANY)
    assert len(await connect().browse_nodes("ns=2;s=Many")) == MANY


async def test_a_node_with_more_children_than_are_believed_is_named(connect, monkeypatch):
    monkeypatch.setattr(browsing, "_MOST_REFERENCES", 1000)
    connector = connect()
    with pytest.raises(RequestFailed, match=r"Many: more than 1,000 nodes lie directly below it"):
        await connector.browse_nodes("ns=2;s=Many")
    assert len(await connector.browse_nodes("ns=2;s=Boiler1")) > 10


async def test_a_name_is_looked_for_among_so_many_nodes_and_that_is_said(
    connect, monkeypatch, caplog
):
    monkeypatch.setattr(nodes, "_MOST_NODES", 25)
    assert await connect().read_value("steam_flow") == 50000.0
    with pytest.raises(TagNotFound, match="no node is called 'T1199'"):
        await connect().read_value("T1199")
    assert "more than 25 nodes lie below it; names are looked for among those" in caplog.text
    assert "give its node id" in caplog.text


async def test_browsing_may_stop_early(connect):
    connector = connect()
    assert len(await first_of(connector.browse("ns=2;s=Many"), 3)) == 3
    assert await connector.read_value(node("Limit")) == 700


async def test_browsing_what_does_not_exist_is_an_error(connect):
    with pytest.raises(TagNotFound, match="nowhere"):
        await connect().browse_nodes("ns=2;s=nowhere")
