"""Our peer for Azure IoT Hub is true: Microsoft's own SDK works with it, and signs as we do."""

from __future__ import annotations

import pytest

from gl002.security.secrets import Secret
from gl002.wire import azure_iot as wire
from peers import vendors
from peers.azure_iot import DEVICE, HUB, KEY, AzureIoT, connection_string


@pytest.mark.parametrize("way", ["tcp", "ws"])
def test_the_device_sdk_of_microsoft_does_all_that_a_device_does(way: str) -> None:
    with AzureIoT() as cloud, cloud.websocket(ping=1) as websocket:
        text = connection_string(GatewayHostName="localhost")
        port = websocket.port if way == "ws" else cloud.front.port
        script = vendors.Script("azure_device.py", text, port, cloud.ca, way)
        if script.line() == "now":
            cloud.hub.desire({"o2": 3.1})
            cloud.hub.call("reset", {"a": 1})
            cloud.hub.send("hello", plant="x y")
        seen = script.result()
        assert cloud.hub.errors == []
    properties = {
        "$.mid": "from-the-sdk", "$.ct": "application/json", "$.ce": "utf-8", "plant": "a b/c",
    }  # fmt: skip
    assert cloud.hub.telemetry == [(properties, b'{"efficiency": 85.4}')]
    assert seen["before"]["reported"] == {"$version": 1}
    assert seen["after"]["reported"] == {"firmwareVersion": "2.0.0", "$version": 2}
    assert seen["patch"] == {"o2": 3.1, "$version": 2}
    assert seen["method"] == ["reset", {"a": 1}]
    assert cloud.hub.answers == {"1": (207, {"done": True})}
    assert seen["message"] == ["hello", {"plant": "x y"}, "m1"]


def test_our_token_is_that_of_the_sdk_of_microsoft() -> None:
    expires = 1_800_000_000
    theirs = vendors.run("azure_token.py", HUB, DEVICE, KEY, expires)
    assert wire.token(HUB, DEVICE, "", Secret(KEY), expires=expires).reveal() == theirs
