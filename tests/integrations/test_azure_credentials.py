"""Azure IoT Hub: tokens and certificates, renewed and replaced while we run."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from datetime import timedelta
from typing import Any

import pytest

from gl002.connector import State
from gl002.errors import AuthFailed, ConfigError
from gl002.testing.contract.requests import eventually
from gl002.transport.mqtt import line
from integrations.azure_site import Following, Make, cloud, make, shared, soon
from peers import certificates
from peers.azure_iot import DEVICE, AzureIoT, connection_string
from peers.front import Connect, Verdict

fixtures = shared, cloud, make, soon


async def test_a_token_is_renewed_when_a_fifth_of_its_life_is_left(make: Make, cloud) -> None:
    azure = make(token_lifetime="1h")
    before = time.time()
    await azure.connect()
    assert azure._live().options.renew_after == pytest.approx(0.8 * 3600)
    assert azure._expires >= before + 3600


async def test_a_token_is_renewed_before_it_expires_and_nobody_notices(
    make: Make, cloud, caplog, soon
) -> None:
    azure = make(token_lifetime=60)
    commands: list[Any] = []
    caplog.set_level(logging.WARNING)
    async with Following(azure) as following:
        await azure.on_message(lambda message, _: commands.append(message.json()))
        sent = 0
        while len(cloud.gatekeeper.lives) < 4:  # the first, and three renewals
            await azure.send_telemetry({"n": sent})
            cloud.hub.send(json.dumps(sent))
            cloud.hub.desire({"n": sent})
            sent += 1
            await asyncio.sleep(0.02)
        await eventually(lambda: len(commands) >= sent, "every message came")
        await eventually(lambda: following.last()["desired.n"] == sent - 1, "the last wish came")
        await eventually(lambda: len(cloud.hub.telemetry) >= sent, "all telemetry arrived")
        assert commands == list(range(sent)), "none lost, none twice, in order"
        assert [json.loads(p)["n"] for _, p in cloud.hub.telemetry] == list(range(sent))
        assert following.failed == []
    assert caplog.text == ""
    assert min(cloud.gatekeeper.lives) > 0


async def test_what_comes_for_a_callback_while_its_first_token_is_renewed_is_not_lost(
    make: Make, cloud, monkeypatch, soon
) -> None:
    azure = make(token_lifetime=60)
    received: list[Any] = []
    await azure.on_message(lambda message, _: received.append(message.payload))
    admit, sent = cloud.front._admit, []

    def send_and_admit(connect: Connect) -> Verdict:
        if not sent:  # the old connection has ended, the new one is not there yet
            sent.append(cloud.hub.send(b"meanwhile"))
        return admit(connect)

    monkeypatch.setattr(cloud.front, "_admit", send_and_admit)
    await eventually(lambda: received == [b"meanwhile"], "it came with the new token")


async def test_callbacks_outlive_a_token_without_an_input(make: Make, cloud, caplog, soon) -> None:
    azure = make(token_lifetime=60)
    received: list[Any] = []
    caplog.set_level(logging.WARNING)
    await azure.on_desired(received.append)
    await eventually(lambda: len(cloud.gatekeeper.lives) >= 2, "the token was renewed")
    cloud.hub.desire({"o2": 3.3})
    await eventually(lambda: received[-1].values == {"o2": 3.3}, "it is subscribed again")
    assert caplog.text == ""


async def test_a_hub_that_has_forgotten_the_session_is_subscribed_to_again(
    make: Make, cloud, monkeypatch, soon
) -> None:
    azure = make(token_lifetime=60)
    received: list[Any] = []
    cloud.hub.desire({"o2": 3.1})
    await azure.on_desired(received.append)
    async with Following(azure) as following:
        await eventually(lambda: received and following.samples, "both are subscribed")
        with AzureIoT() as another:
            monkeypatch.setattr(cloud.front, "_target", another.broker.port)
            another.hub.desire({"o2": 3.3})
            await eventually(lambda: following.last().get("desired.o2") == 3.3, "the input is back")
            await eventually(lambda: received[-1].values == {"o2": 3.3}, "the callback is back")
            await azure.close()


async def test_a_clock_that_is_wrong_is_named_as_a_cause(make: Make, cloud) -> None:
    cloud.gatekeeper.skew = 7200
    azure = make()
    with pytest.raises(AuthFailed, match=r"not authorized|Not authorized") as caught:
        await azure.connect()
    assert "the clock" in str(caught.value)
    assert azure.state is State.FAILED


async def test_a_key_that_is_no_key_says_so(make: Make) -> None:
    azure = make(
        connection_string=None, host="hub", device_id="d", gateway="localhost",
        shared_access_key="no base64!",
    )  # fmt: skip
    with pytest.raises(ConfigError, match="no base64"):
        await azure.connect()


async def test_a_certificate_is_enough_and_that_of_another_device_is_not(make: Make, cloud) -> None:
    text = connection_string(SharedAccessKey="", GatewayHostName="localhost", x509="true")
    cert, key = cloud.certificate()
    azure = make(connection_string=text, cert_path=cert, key_path=key)
    await azure.send_telemetry({"n": 1})
    assert cloud.front.seen[-1].password == ""
    assert "token" not in (await azure.check()).detail
    cert, key = cloud.certificate("another")
    with pytest.raises(AuthFailed, match="certificate"):
        await make(connection_string=text, cert_path=cert, key_path=key).connect()


async def test_a_certificate_that_was_replaced_is_used_without_a_restart(
    make: Make, cloud, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(line, "_LOOK_AT_FILES", 0.05)
    cert, key = cloud.certificate()
    ours, held, good = tmp_path / "ours.pem", tmp_path / "ours.key", tmp_path / "good.pem"
    for source, target in ((cert, good), (cert, ours), (key, held)):
        shutil.copy(source, target)
    text = connection_string(SharedAccessKey="", GatewayHostName="localhost", x509="true")
    azure = make(connection_string=text, cert_path=str(ours), key_path=str(held))
    await azure.connect()
    first = azure._session
    ours.write_text("half a file")
    await eventually(lambda: "goes on with the certificate it has" in caplog.text, "told")
    assert azure._session is first
    shutil.copy(good, ours)
    await eventually(lambda: azure._session not in {first, None}, "the session is renewed")
    await azure.send_telemetry({"n": 1})


async def test_what_ends_soon_is_seen_in_the_check(make: Make, cloud, tmp_path) -> None:
    health = await make(token_lifetime="1h").check()
    assert "token valid for 60 min" in health.detail
    authority = certificates.make(name="authority", authority=True, hosts=(), uri="")
    short = certificates.make(
        name=DEVICE, end=timedelta(days=11, hours=1), uri="", hosts=(), issuer=authority, which=1,
        purposes=None,
    )  # fmt: skip
    cert, key = short.save(tmp_path, "short")
    text = connection_string(SharedAccessKey="", GatewayHostName="localhost", x509="true")
    azure = make(connection_string=text, cert_path=str(cert), key_path=str(key))
    assert "our certificate ends on" in azure._notes()[0]
