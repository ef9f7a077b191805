"""Ways to an Azure IoT Hub: the provisioning service, WebSockets."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from gl002.errors import AuthFailed, ConfigError, ConnectFailed
from gl002.integrations.cloud import AzureIoTConnector
from gl002.security.secrets import Secret
from gl002.testing.contract.requests import eventually
from gl002.wire import azure_dps
from integrations.azure_site import Make, cloud, make, shared, soon
from peers.azure_iot import DEVICE, GROUP_KEY, HUB, KEY, SCOPE, connection_string

fixtures = shared, cloud, make, soon


# ---- provisioning -----------------------------------------------------------------------------


def provisioned(port: int, **changes: Any) -> dict[str, Any]:
    how = {"id_scope": SCOPE, "registration_id": DEVICE, "endpoint": f"localhost:{port}"}
    how |= changes.pop("provisioning", {})
    return {
        "connection_string": None, "gateway": "localhost", "provisioning": how,
        "retry_policy": {"max_attempts": 1}, **changes,
    }  # fmt: skip


async def test_the_provisioning_service_tells_the_hub(make: Make, cloud) -> None:
    with cloud.provisioning() as (front, service):
        azure = make(**provisioned(front.port, shared_access_key=KEY))
        await azure.send_telemetry({"n": 1})
        await eventually(lambda: cloud.hub.telemetry, "it arrived at the hub")
        assert len(service.asked) == 2  # registered, and asked once what became of it
        await azure.close()
        await azure.send_telemetry({"n": 2})
        assert len(service.asked) == 2  # the hub is known
        await azure.close()


async def test_a_key_of_the_group_or_a_certificate_is_enough(make: Make, cloud) -> None:
    with cloud.provisioning() as (front, service):
        how = {"key_is": "group"}
        by_group = provisioned(front.port, provisioning=how, shared_access_key=GROUP_KEY)
        assert azure_dps.device_key(Secret(GROUP_KEY), DEVICE).reveal() != KEY
        with pytest.raises(AuthFailed, match="authorized"):  # the hub knows the device by another
            await make(**by_group).connect()
        assert service.asked
        service.asked.clear()
        cert, key = cloud.certificate()
        azure = make(**provisioned(front.port, cert_path=cert, key_path=key))
        assert await azure.update_twin({"properties": {"reported": {"a": 1}}}) == 2
        assert service.asked


async def test_a_device_that_is_not_enrolled_or_not_ours_is_not_let_in(make: Make, cloud) -> None:
    with cloud.provisioning() as (front, service):
        settings = provisioned(front.port, shared_access_key=KEY)
        service.steps = 0
        service.enrolled[DEVICE] = None
        with pytest.raises(AuthFailed, match="disabled"):
            await make(**settings).connect()
        del service.enrolled[DEVICE]
        with pytest.raises(AuthFailed, match="Device not found"):
            await make(**settings).connect()
        service.enrolled[DEVICE] = (HUB, "another")
        with pytest.raises(ConfigError, match="'another'"):
            await make(**settings).connect()
        service.enrolled[DEVICE] = ("evil.example.org", DEVICE)
        with pytest.raises(AuthFailed, match="no hub of Azure"):
            await make(**settings).connect()
        wrong = provisioned(front.port, shared_access_key=GROUP_KEY)
        with pytest.raises(AuthFailed, match="authorized"):
            await make(**wrong).connect()


async def test_a_device_that_was_moved_to_another_hub_is_asked_for_again(make: Make, cloud) -> None:
    with cloud.provisioning() as (front, service):
        service.steps = 0
        azure = make(**provisioned(front.port, shared_access_key=KEY))
        await azure.connect()
        await azure.close()
        cloud.gatekeeper.skew = 1e9  # the old hub lets it in no more
        with pytest.raises(AuthFailed):
            await azure.connect()
        cloud.gatekeeper.skew = 0
        await azure.connect()
        assert len(service.asked) == 2
        await azure.close()


# ---- in a WebSocket ---------------------------------------------------------------------------


async def test_in_a_websocket_everything_is_as_without(make: Make, cloud, soon) -> None:
    with cloud.websocket() as server:
        azure = make(port=server.port, protocol="mqtt_ws", token_lifetime=60)
        received: list[Any] = []
        await azure.on_message(lambda message, _: received.append(message.payload))
        large = {"text": "x" * 200_000}
        await azure.send_telemetry_batch([{"n": i} for i in range(50)] + [large])
        cloud.hub.send(b"y" * 200_000)
        assert await azure.update_twin({"properties": {"reported": {"a": 1}}}) == 2
        await eventually(lambda: received and len(cloud.hub.telemetry) == 51, "all arrived")
        assert received == [b"y" * 200_000]
        assert json.loads(cloud.hub.telemetry[-1][1]) == large
        renewals = len(cloud.gatekeeper.lives)
        await eventually(lambda: len(cloud.gatekeeper.lives) > renewals, "the token was renewed")
        assert await azure.update_twin({"properties": {"reported": {"a": 2}}}) == 3
        await azure.close()
        await eventually(lambda: server.pongs, "pings were answered")


async def test_what_is_no_websocket_of_a_hub_is_said(make: Make, cloud) -> None:
    with cloud.websocket() as server:
        server._more["WS_PATH"] = "/elsewhere"
        await asyncio.to_thread(server.restart)
        azure = make(port=server.port, protocol="mqtt_ws", retry_policy={"max_attempts": 1})
        with pytest.raises(ConnectFailed, match="HTTP status 400"):
            await azure.connect()
    azure = make(protocol="mqtt_ws", retry_policy={"max_attempts": 1})
    with pytest.raises(ConnectFailed, match=r"no WebSocket|closed the connection"):
        await azure.connect()
    settings = {"connection_string": connection_string(), "protocol": "mqtt_ws"}
    assert AzureIoTConnector.Config.parse(settings).address_of("hub").port == 443
