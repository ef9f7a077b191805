"""Our peer for Azure IoT Hub is true: Microsoft's own SDK works with it, and signs as we do."""

from __future__ import annotations

import pytest

from gl002.security.secrets import Secret
from gl002.wire import azure_dps
from gl002.wire import azure_iot as wire
from peers import vendors
from peers.azure_iot import DEVICE, HUB, KEY, SCOPE, AzureIoT, connection_string


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
        cloud.hub.settle()
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


def test_the_provisioning_client_of_microsoft_is_assigned_its_hub() -> None:
    with AzureIoT() as cloud, cloud.provisioning() as (front, service):
        seen = vendors.run("azure_dps.py", front.port, cloud.ca, SCOPE, DEVICE, KEY)
        assert len(service.asked) == 2
    assert seen == {"status": "assigned", "hub": HUB, "device": DEVICE}


def test_our_key_of_a_group_member_is_that_of_the_documentation() -> None:
    """The example of 'How to use symmetric key attestation'."""
    group = Secret(
        "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
    )
    derived = azure_dps.device_key(group, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6")
    assert derived.reveal() == "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
