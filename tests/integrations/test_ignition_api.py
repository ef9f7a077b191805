"""Ignition's HTTP API: it says how tags are configured, and OPC UA what they are."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gl002.cli.proposal import as_yaml
from gl002.connector import State
from gl002.context import Context
from gl002.errors import AuthFailed, ConfigError, RequestFailed, Unsupported
from gl002.integrations.historians import AsyncIgnitionConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.ignition.settings import IgnitionConfig
from gl002.wire.ignition_tags import Described, described
from peers.ignition_gateway import FOREIGN, KEY, OPENAPI, TAGS, IgnitionGateway, atomic
from peers.ignition_history import IgnitionHistory
from peers.node_opcua import NodeOpcua
from peers.web_server import Reply, WebServer

Make = Callable[..., AsyncIgnitionConnector]
FLOW = "Boiler1/SteamFlow"
ONCE = {"max_attempts": 1}


@pytest.fixture
def gateway() -> Iterator[IgnitionGateway]:
    with IgnitionGateway() as server:
        yield server  # type: ignore[misc]  # it is what was entered


@pytest.fixture(scope="module")
def server() -> Iterator[NodeOpcua]:
    with NodeOpcua(IGNITION=1) as running:
        yield running


@pytest.fixture
async def make(gateway: IgnitionGateway, tmp_path: Path) -> AsyncIterator[Make]:
    made: list[AsyncIgnitionConnector] = []
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)

    def connector(api: dict[str, Any] | None = None, **changes: Any) -> AsyncIgnitionConnector:
        there = {**gateway.config, "retry_policy": ONCE, **(api or {})}
        made.append(AsyncIgnitionConnector({"api": there, **changes}, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


# ---- what the gateway is ---------------------------------------------------------------------


async def test_the_check_says_what_gateway_it_is_and_how_it_is_licensed(make: Make) -> None:
    ignition = make()
    health = await ignition.check()
    assert health.ok
    assert health.detail == (
        "gateway plant-gw, Ignition 8.3.8 (b2026071409), standard, license Activated, "
        "mode Production"
    )
    assert health.notes == ()
    assert ignition.state is State.UP


@pytest.mark.parametrize(
    ("trial", "note"),
    [
        ({"trialState": "AllInDemo", "trialSecondsLeft": 5400}, "90 minutes left"),
        ({"trialState": "SomeInDemo", "trialSecondsLeft": 59}, "59 seconds left"),
        ({"trialState": "AllInDemo", "expired": True}, "has expired"),
    ],
)
async def test_a_trial_that_will_end_is_noted(
    make: Make, gateway: IgnitionGateway, trial: dict[str, Any], note: str
) -> None:
    gateway.trial = {"licenseMode": "Trial", **trial}
    (said,) = (await make().check()).notes
    assert note in said


async def test_a_backup_gateway_says_so(make: Make, gateway: IgnitionGateway) -> None:
    gateway.info["redundancyRole"] = "Backup"
    assert (await make().check()).detail.endswith("Backup")


@pytest.mark.parametrize(
    ("key", "said"), [("nobody:canary-nobody", "401"), (FOREIGN, "403"), ("canary-half", "401")]
)
async def test_a_key_that_is_not_taken_is_an_error_that_says_what_to_check(
    make: Make, key: str, said: str
) -> None:
    ignition = make({"key": key})
    with pytest.raises(AuthFailed, match=said) as caught:
        await ignition.connect()
    assert "security level" in (caught.value.hint or "")
    assert "canary" not in str(caught.value)
    health = await ignition.check()
    assert not health.ok


def test_the_key_goes_over_tls_only_and_is_shown_to_nobody() -> None:
    with pytest.raises(ConfigError, match="in clear"):
        IgnitionConfig.parse({"api": {"url": "http://gateway", "key": "n:canary-k"}}, "ignition")
    config = IgnitionConfig.parse({"api": {"url": "https://gateway", "key": "n:canary-k"}}, "i")
    assert "canary" not in repr(config)


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (Reply(404, b'{"message": "No route match"}', {}), Unsupported, "8.3"),
        (Reply(302, b"", {"Location": "/welcome"}), RequestFailed, "circles"),
        (Reply(200, b"<html>welcome</html>", {}), RequestFailed, "commissioned"),
        (Reply(200, b'{"name": 7}', {}), RequestFailed, "gateway-info"),
    ],
)
async def test_what_is_no_gateway_of_8_3_is_an_error_that_says_so(
    make: Make, reply: Reply, error: type[Exception], said: str
) -> None:
    with WebServer(lambda _: reply) as other, pytest.raises(error, match=said):
        await make({"url": other.url}).connect()


# ---- how tags are configured -----------------------------------------------------------------


async def test_with_the_api_alone_its_tags_are_browsed_and_none_is_read(make: Make) -> None:
    ignition = make()
    found = {f.address: f async for f in ignition.browse("Boiler1")}
    flow = found[FLOW]
    assert (flow.type, flow.unit, flow.low, flow.high) == ("Float8", "kg/h", 0.0, 60000.0)
    assert (flow.description, flow.history) == ("Steam to the header", "plant-history")
    assert found["Boiler1/Starts"].history == ""
    assert "Boiler10/SteamFlow" not in found
    assert len([f async for f in ignition.browse("")]) == len(found) + 1
    with pytest.raises(Unsupported, match="no database"):
        await ignition.read([FLOW])
    with pytest.raises(Unsupported, match="no OPC UA server"):
        await ignition.write(FLOW, 1.0)


async def test_a_member_of_a_type_has_what_its_type_and_its_parameters_say(make: Make) -> None:
    found = {f.name: f async for f in make().browse("Boiler1/FeedPump")}
    pressure = found["Pressure"]
    assert (pressure.unit, pressure.high) == ("bar", 160.0)
    assert pressure.description == "Pressure of feed pump 1"
    assert found["Running"].description == "of this one"
    assert found["Temperature"].unit == "degC", "as we spell it"


async def test_a_provider_that_is_not_there_is_refused_by_name(make: Make) -> None:
    with pytest.raises(RequestFailed, match=r"tags of \[edge\].*'edge' not found"):
        [f async for f in make().browse("[edge]")]


async def test_over_opc_ua_what_is_read_and_from_the_api_what_it_is(
    make: Make, gateway: IgnitionGateway, server: NodeOpcua
) -> None:
    ignition = make(url=server.url)
    found = {f.address: f async for f in ignition.browse("", depth=2)}
    assert found[FLOW].type == "Double", "as the OPC UA server says"
    assert (found[FLOW].unit, found[FLOW].high) == ("kg/h", 60000.0)
    assert found["Boiler1/SetPoint"].writable
    assert found["Boiler1"].unit == ""
    assert await ignition.read_tag(FLOW) == 50000.0
    health = await ignition.check()
    assert health.ok
    assert "Ignition 8.3.8" in health.detail
    gateway.stop()
    found = {f.address: f async for f in ignition.browse("", depth=2)}
    assert found[FLOW].unit == "", "live tags are browsed without it"
    assert not (await ignition.check()).ok


async def test_a_configuration_is_proposed_with_units_and_ranges_and_compared_later(
    make: Make, server: NodeOpcua
) -> None:
    ignition = make(url=server.url)
    found = [f async for f in ignition.browse("", depth=2)]
    text = as_yaml(ignition, {"url": server.url}, found)
    assert "# shown from 0 to 60000 kg/h; recorded by plant-history" in text
    assert "unknown unit: Furlong" in text
    mapping = yaml.safe_load(text)["integrations"]["ignition"]["data_mapping"]
    flow = mapping["boiler1.steam_flow"]
    assert flow["unit"] == "kg/h"
    assert flow["node_id"].endswith("s=[default]Boiler1/SteamFlow")
    mapped = make(url=server.url, data_mapping=mapping)
    assert await mapped.read_tag("boiler1.steam_flow") == 50000.0
    assert await mapped.drift([f async for f in mapped.browse("", depth=2)]) == []
    del mapping["boiler1.starts"]
    fewer = make(url=server.url, data_mapping=mapping)
    drift = await fewer.drift([f async for f in fewer.browse("", depth=2)])
    assert [(d.what, d.tag) for d in drift] == [("new", "Boiler1/Starts")]


async def test_tags_of_the_history_have_their_units_too(make: Make) -> None:
    with IgnitionHistory() as past:
        group = past.group(past.driver())
        past.tag("boiler1/steamflow", group, created=1)
        (flow,) = [f async for f in make(database=past.config).browse("boiler1")]
    assert (flow.address, flow.unit, flow.type) == ("boiler1/steamflow", "kg/h", "float")


# ---- the export itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[]", b"<xml/>", b'{"tags": 1}', b"\xff", b'{"tags":' * 50_000, b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_export_is_an_error(document: bytes) -> None:
    with pytest.raises(RequestFailed, match="no export of tags"):
        described(document)


def test_properties_of_any_other_form_are_not_known_and_end_nothing() -> None:
    odd = [
        atomic("A", "Float8", engUnit=7, engHigh="x", documentation=None, historyEnabled="yes"),
        atomic("B", "Float8", engUnit={"bindType": "expression", "binding": "x"}, engHigh=True),
        atomic("C", "Float8", engUnit={"bindType": "parameter", "binding": "{Nothing}"}),
        atomic("D", "Float8", engHigh={"bindType": "parameter", "binding": "no number"}),
        {"name": "E", "tagType": "UdtInstance", "typeId": 5, "tags": 7, "parameters": [1]},
        {"name": "F", "tagType": "UdtInstance", "typeId": "not there"}, {"name": 3}, "text",
    ]  # fmt: skip
    document = json.dumps({"tags": odd}).encode()
    assert described(document) == {
        n.lower(): Described(path=n, type="Float8") for n in ("A", "B", "C", "D")
    }


def test_types_that_are_their_own_parents_and_folders_without_end_come_to_an_end() -> None:
    inner = [{"name": n, "tagType": "UdtInstance", "typeId": "T"} for n in ("a", "b")]
    loop = {"name": "T", "tagType": "UdtType", "typeId": "T", "tags": [*inner, atomic("x", "Int4")]}
    types = {"name": "_types_", "tagType": "Folder", "tags": [loop]}
    one = {"name": "one", "tagType": "UdtInstance", "typeId": "T"}
    assert set(described(json.dumps({"tags": [types, one]}).encode())) == {"one/x"}
    deep: dict[str, Any] = atomic("leaf", "Int4")
    for _ in range(200):
        deep = {"name": "f", "tagType": "Folder", "tags": [deep]}
    assert described(json.dumps({"tags": [deep]}).encode()) == {}


def test_types_that_double_each_other_are_too_many_tags_and_not_all_of_our_memory() -> None:
    types = [
        {"name": f"T{n}", "tagType": "UdtType", "tags": [
            {"name": i, "tagType": "UdtInstance", "typeId": f"T{n + 1}"} for i in ("a", "b")]}
        for n in range(28)
    ]  # fmt: skip
    bomb = {"tags": [
        {"name": "_types_", "tagType": "Folder", "tags": types},
        {"name": "one", "tagType": "UdtInstance", "typeId": "T0"},
    ]}  # fmt: skip
    with pytest.raises(RequestFailed, match="more than 200000"):
        described(json.dumps(bomb).encode())


def test_what_is_asked_is_in_the_description_that_a_gateway_gives_of_itself() -> None:
    assert set(OPENAPI["paths"]) == {
        "/data/api/v1/gateway-info", "/data/api/v1/trial", "/data/api/v1/tags/export",
    }  # fmt: skip
    assert described(json.dumps(TAGS).encode())[FLOW.lower()].unit == "kg/h"
    assert KEY.count(":") == 1
