"""Azure IoT Hub: telemetry, twin, methods, messages, inputs; a front before mosquitto."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import Busy, DataError, RequestFailed
from gl002.integrations.cloud import AzureIoTConnector, SyncAzureIoTConnector
from gl002.model import Sample, is_bad
from gl002.testing.contract.requests import eventually
from gl002.wire.azure_iot import LARGEST_MESSAGE, Answer, Method
from integrations.azure_site import Following, Make, cloud, make, shared
from peers.azure_iot import DEVICE, AzureIoT
from peers.mosquitto import wait_for

fixtures = shared, cloud, make


COMMANDS = f"devices/{DEVICE}/messages/devicebound/#"


def fast(**more: Any) -> dict[str, Any]:
    return {"retry_policy": {"max_attempts": 3, "first": 0.05}, **more}


# ---- telemetry --------------------------------------------------------------------------------


async def test_telemetry_says_what_it_is(make: Make, cloud) -> None:
    azure = make()
    await azure.send_telemetry({"efficiency": 85.4}, properties={"plant": "a b/c", "ü": "✓"})
    await azure.send_telemetry(b"\x00\x01", message_id="mine")
    await azure.send_telemetry("<xml/>", content_type="application/xml")
    await eventually(lambda: len(cloud.hub.telemetry) == 3, "all arrived")
    (first, payload), (second, _), (third, _) = cloud.hub.telemetry
    assert json.loads(payload) == {"efficiency": 85.4}
    assert (first["$.ct"], first["$.ce"]) == ("application/json", "utf-8")
    assert (first["plant"], first["ü"]) == ("a b/c", "✓")
    assert second == {"$.mid": "mine"}
    assert third["$.ct"] == "application/xml"
    assert len({first["$.mid"], third["$.mid"], ""}) == 3


async def test_a_batch_arrives_with_an_id_for_each_message(make: Make, cloud) -> None:
    await make(messages_per_second=1000).send_telemetry_batch(
        [{"n": i} for i in range(250)], properties={"plant": "1"}
    )
    await eventually(lambda: len(cloud.hub.telemetry) == 250, "all arrived")
    assert [json.loads(payload)["n"] for _, payload in cloud.hub.telemetry] == list(range(250))
    assert len({properties["$.mid"] for properties, _ in cloud.hub.telemetry}) == 250


async def test_a_message_that_the_hub_would_not_take_is_refused_here(make: Make) -> None:
    azure = make()
    with pytest.raises(DataError, match="262144"):
        await azure.send_telemetry(b"x" * LARGEST_MESSAGE)
    with pytest.raises(DataError, match="262144"):
        await azure.send_telemetry_batch([1, b"x" * LARGEST_MESSAGE])
    assert azure.state is State.NEW


async def test_samples_become_telemetry_whose_id_is_the_same_when_sent_again(
    make: Make, cloud
) -> None:
    spec = {"destination": "azure", "properties": {"kind": "samples"}}
    sink = make().sink(AzureIoTConnector.Output.parse(spec))
    batch = [Sample("boiler1.o2", 3.4, 1_700_000_000_000_000_000)]
    await sink.write(batch)
    await sink.write(batch)
    await eventually(lambda: len(cloud.hub.telemetry) == 2, "both arrived")
    (first, payload), (second, _) = cloud.hub.telemetry
    assert first == second
    assert first["kind"] == "samples"
    assert first["$.mid"] == json.loads(payload)["id"]


# ---- the twin ---------------------------------------------------------------------------------


async def test_the_twin_takes_the_shape_of_the_guide(make: Make, cloud) -> None:
    azure = make()
    reported = {"firmwareVersion": "2.0.0", "lastOptimization": datetime(2025, 1, 1, tzinfo=UTC)}
    version = await azure.update_twin({"properties": {"reported": reported}})
    assert version == 2
    assert cloud.hub.reported["firmwareVersion"] == "2.0.0"
    assert cloud.hub.reported["lastOptimization"].startswith("2025-01-01T00:00:00")
    assert await azure.update_twin({"properties": {"reported": {"firmwareVersion": None}}}) == 3
    twin = await azure.get_twin()
    assert set(twin["reported"]) == {"lastOptimization", "$version"}


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ({"reported": {"a": 1}}, "reported properties alone"),
        ({"properties": {"desired": {"a": 1}}}, "reported properties alone"),
        ({"properties": {"reported": {"a": 1}, "desired": {"a": 1}}}, "reported properties alone"),
        ({"properties": {"reported": 1}}, "reported properties alone"),
        ({"properties": {"reported": {"text": "x" * 33_000}}}, "32 KiB"),
        ({"properties": {"reported": {"a.b": 1}}}, "refused with 400"),
    ],
)
async def test_a_twin_that_is_none_is_refused(make: Make, document: Any, word: str) -> None:
    with pytest.raises(DataError, match=word):
        await make().update_twin(document)


async def test_throttling_comes_again_until_it_is_too_much(make: Make, cloud) -> None:
    azure = make(**fast())
    cloud.hub.busy = 2
    assert await azure.update_twin({"properties": {"reported": {"a": 1}}}) == 2
    cloud.hub.busy = 100
    with pytest.raises(Busy, match=r"429.*limit of its tier"):
        await azure.get_twin()
    assert azure.state is State.UP


async def test_a_silent_twin_is_told_from_a_dead_connection(make: Make, cloud) -> None:
    azure = make(retry_policy={"max_attempts": 1})
    await azure.get_twin()  # now it listens to answers
    azure.set_timeout(3000)
    cloud.hub.silent = True
    with pytest.raises(Busy, match="has not answered"):
        await azure.get_twin()
    assert azure.state is State.UP


async def test_desired_properties_come_whole_and_then_as_they_change(make: Make, cloud) -> None:
    cloud.hub.desire({"o2": {"setpoint": 3.1}, "mode": "auto"})
    received: list[Any] = []
    await make().on_desired(received.append)
    assert (received[-1].whole, received[-1].version) == (True, 2)
    assert received[-1].values == {"o2": {"setpoint": 3.1}, "mode": "auto"}
    received.clear()
    cloud.hub.desire({"mode": None})
    await eventually(lambda: received, "the change came")
    assert (received[0].whole, received[0].values) == (False, {"mode": None})
    late = json.dumps({"mode": "old", "$version": 2})
    cloud.hub.publish("$iothub/twin/PATCH/properties/desired/?$version=2", late)
    cloud.hub.desire({"mode": "hand"})
    await eventually(lambda: len(received) == 2, "the next change came")
    assert received[1].values == {"mode": "hand"}


# ---- what the cloud asks ----------------------------------------------------------------------


async def test_a_direct_method_gets_its_answer(make: Make, cloud) -> None:
    calls: list[Method] = []

    async def handle(method: Method) -> Any:
        calls.append(method)
        if method.name == "fail":
            raise ValueError("a secret of ours")
        return Answer(202, {"queued": True}) if method.name == "queue" else {"got": method.payload}

    await make().on_method(handle)
    cloud.hub.call("queue", {"o2": 3.1}, "a")
    cloud.hub.call("echo", [1, 2], "b")
    cloud.hub.call("fail", None, "c")
    await eventually(lambda: len(cloud.hub.answers) == 3, "each was answered")
    assert cloud.hub.answers == {
        "a": (202, {"queued": True}),
        "b": (200, {"got": [1, 2]}),
        "c": (500, {"error": "ValueError"}),
    }
    assert (calls[0].name, calls[0].payload) == ("queue", {"o2": 3.1})


async def test_a_message_from_the_cloud_comes_with_its_properties(make: Make, cloud) -> None:
    received: list[Any] = []
    await make().on_message(lambda message, properties: received.append((message, properties)))
    cloud.hub.send('{"do": "nothing"}', plant="a b/c")
    await eventually(lambda: received, "it came")
    message, properties = received[0]
    assert message.json() == {"do": "nothing"}
    assert (properties["plant"], properties["$.mid"]) == ("a b/c", "m1")


# ---- inputs -----------------------------------------------------------------------------------


async def test_desired_properties_are_tags_and_lose_their_value_when_taken_away(
    make: Make, cloud
) -> None:
    cloud.hub.desire({"o2": {"setpoint": 3.1}, "mode": "auto"})
    azure = make()
    async with Following(azure) as following:
        wanted = {"desired.o2.setpoint": 3.1, "desired.mode": "auto"}
        await eventually(lambda: following.last() == wanted, "the state came")
        await azure.update_twin({"properties": {"reported": {"mode": "hand"}}})
        await azure.get_twin()
        cloud.hub.desire({"mode": None})
        await eventually(lambda: following.last()["desired.mode"] is None, "it is gone")
        assert is_bad(following.samples[-1].quality)
        assert following.last()["desired.o2.setpoint"] == 3.1


async def test_messages_from_the_cloud_are_tags(make: Make, cloud) -> None:
    before = cloud.broker.takes(DEVICE, COMMANDS)
    async with Following(make(), what="messages", time_key="at", time_unit="s") as following:
        await eventually(lambda: cloud.broker.takes(DEVICE, COMMANDS) > before, "it is subscribed")
        cloud.hub.send('{"at": 1700000000, "load": 0.8}', plant="x")
        await eventually(lambda: following.samples, "it came")
    (sample,) = following.samples
    assert (sample.tag, sample.value) == ("messages.load", 0.8)
    assert sample.time == 1_700_000_000 * 1_000_000_000


async def test_the_input_never_writes_and_the_connector_cannot(make: Make) -> None:
    with pytest.raises(RequestFailed, match="cannot be written"):
        await make().write("desired.o2", 3.1)


# ---- outages ----------------------------------------------------------------------------------


async def test_after_an_outage_what_was_desired_meanwhile_comes(make: Make) -> None:
    with AzureIoT() as own:
        azure = make(own, **fast())
        received: list[Any] = []
        await azure.on_desired(received.append)
        await asyncio.to_thread(own.broker.kill)
        own.hub.desired = {"o2": 3.3}
        own.hub.versions["desired"] = 9
        await asyncio.to_thread(own.restart)
        await eventually(lambda: received[-1].values == {"o2": 3.3}, "the state now came")
        assert received[-1].whole
        await azure.close()


def test_the_blocking_face_sends_and_listens(cloud, monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("GL002_STATE_DIR", str(tmp_path))
    received: list[Any] = []
    with SyncAzureIoTConnector(cloud.config()) as azure:
        azure.on_desired(received.append)
        azure.on_message(lambda message, properties: received.append(message))
        azure.on_method(lambda method: {"name": method.name})
        azure.send_telemetry({"efficiency": 85.4})
        assert azure.update_twin({"properties": {"reported": {"a": 1}}}) == 2
        cloud.hub.send("hello")
        cloud.hub.call("who", None, "z")
        wait_for(lambda: len(received) == 2 and cloud.hub.answers)
    assert cloud.hub.answers == {"z": (200, {"name": "who"})}
