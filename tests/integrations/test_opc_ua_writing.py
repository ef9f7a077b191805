"""Writing over OPC UA: the type of the node, refusals, one outcome each."""

from __future__ import annotations

import math

import pytest

from gl002.errors import DataError, RequestFailed, TagNotFound
from integrations.opc_ua_site import MAPPING, connect, context, node, peer

fixtures = peer, context, connect


@pytest.mark.parametrize(
    ("name", "kind", "values"),
    [
        ("SetPoint", "Double", {485: 485.0, 481.25: 481.25}),
        ("Grade", "Float", {2.5: 2.5}),
        ("Limit", "Int16", {-12: -12, 700.0: 700}),
        ("Running", "Boolean", {False: False, 1: True}),
        ("Name", "String", {"Kessel 2": "Kessel 2", "Kessel 1": "Kessel 1"}),
        ("Starts", "UInt32", {4_000_000_000: 4_000_000_000, 12: 12}),
    ],
)
async def test_a_write_keeps_the_type_of_the_node(connect, peer, name, kind, values):
    connector = connect()
    for written, held in values.items():
        await connector.write_value(node(name), written)
        assert peer.value(f"Boiler1.{name}") == held
        assert peer.type(f"Boiler1.{name}") == kind


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Limit", 485.5), ("Limit", 40000), ("Limit", "5"), ("Limit", True), ("Limit", math.inf),
        ("Starts", -1), ("Running", 2), ("Running", "on"), ("Name", 5), ("Name", None),
        ("SetPoint", "485"), ("SetPoint", math.nan), ("Grade", 1e39), ("Profile", 1e400),
    ],
)  # fmt: skip
async def test_a_value_that_does_not_fit_is_refused_before_it_is_sent(connect, peer, name, value):
    before = peer.value(f"Boiler1.{name}")
    with pytest.raises(DataError, match=f"Boiler1.{name}"):
        await connect().write_value(node(name), value)
    assert peer.value(f"Boiler1.{name}") == before


async def test_a_node_nobody_may_write_is_a_clear_refusal(connect, peer):
    with pytest.raises(RequestFailed, match=r"BadNotWritable.*lets nobody write") as caught:
        await connect().write_value(node("SteamFlow"), 1.0)
    assert not caught.value.retryable
    assert peer.value("Boiler1.SteamFlow") == 50000


async def test_of_several_writes_each_has_its_outcome(connect, peer):
    outcome = await connect().write_values(
        {node("SetPoint"): 490, node("SteamFlow"): 1, node("Limit"): 1.5, node("Grade"): 3.5}
    )
    assert [(name.rpartition(".")[2], type(error)) for name, error in outcome.items()] == [
        ("SetPoint", type(None)), ("SteamFlow", RequestFailed), ("Limit", DataError),
        ("Grade", type(None)),
    ]  # fmt: skip
    assert "BadNotWritable" in str(outcome[node("SteamFlow")])
    assert (peer.value("Boiler1.SetPoint"), peer.value("Boiler1.Grade")) == (490, 3.5)


async def test_a_mapped_name_is_written_in_its_own_unit(connect, peer):
    await connect(data_mapping=MAPPING).write_value("limit", 48.5)
    assert (peer.value("Boiler1.Limit"), peer.type("Boiler1.Limit")) == (485, "Int16")
    await connect(data_mapping=MAPPING).write_value("limit", 70.0)
    assert peer.value("Boiler1.Limit") == 700


async def test_writing_what_does_not_exist_names_it(connect):
    with pytest.raises(TagNotFound, match=r"ns=2;s=Boiler1.Absent"):
        await connect().write_value(node("Absent"), 1.0)
