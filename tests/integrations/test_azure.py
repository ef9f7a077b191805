"""Azure IoT Hub: telemetry, twin, methods, messages, tokens; a front before mosquitto."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    Busy,
    ConfigError,
    ConnectFailed,
    DataError,
    GL002Error,
    RequestFailed,
)
from gl002.integrations.cloud import AzureIoTConnector, SyncAzureIoTConnector
from gl002.model import Sample, is_bad
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.security.secrets import Secret
from gl002.testing.contract.requests import eventually
from gl002.transport.azure_iot import connection
from gl002.transport.mqtt import line
from gl002.wire import azure_dps
from gl002.wire.azure_iot import LARGEST_MESSAGE, Answer, Method
from peers import certificates
from peers.azure_iot import DEVICE, GROUP_KEY, HUB, KEY, SCOPE, AzureIoT, connection_string
from peers.mosquitto import wait_for

COMMANDS = f"devices/{DEVICE}/messages/devicebound/#"
Make = Callable[..., AzureIoTConnector]


@pytest.fixture(scope="module")
def shared() -> Iterator[AzureIoT]:
    with AzureIoT() as cloud:
        yield cloud


@pytest.fixture
def cloud(shared: AzureIoT) -> Iterator[AzureIoT]:
    """The hub, with an empty twin and no session of another test."""
    shared.broker.forget(DEVICE)
    shared.hub.reset()
    shared.gatekeeper.skew = 0.0
    shared.gatekeeper.lives.clear()
    yield shared
    assert shared.hub.errors == []


@pytest.fixture
async def make(cloud: AzureIoT, tmp_path) -> AsyncIterator[Make]:
    """Makes connectors and closes them."""
    audit = Audit(tmp_path / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=tmp_path)
    made: list[AzureIoTConnector] = []

    def connector(at: AzureIoT = cloud, **changes: Any) -> AzureIoTConnector:
        settings = {k: v for k, v in at.config(**changes).items() if v is not None}
        made.append(AzureIoTConnector(settings, context=context))
        return made[-1]

    yield connector
    for one in made:
        await one.close()
    audit.close()


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


class Following:
    """Takes what a source delivers, and keeps it."""

    def __init__(self, azure: AzureIoTConnector, **spec: Any) -> None:
        self.samples: list[Sample] = []
        self.failed: list[GL002Error] = []
        self.source = azure.source(AzureIoTConnector.Input.parse({"source": "azure", **spec}))
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            try:
                async with self.source.open() as batches:
                    async for batch in batches:
                        self.samples += batch
            except GL002Error as error:
                self.failed.append(error)
            await asyncio.sleep(0.05)

    def last(self) -> dict[str, Any]:
        return {sample.tag: sample.value for sample in self.samples}

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


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


# ---- credentials ------------------------------------------------------------------------------


async def test_a_token_is_renewed_when_a_fifth_of_its_life_is_left(make: Make, cloud) -> None:
    azure = make(token_lifetime="1h")
    before = time.time()
    await azure.connect()
    assert azure._live().options.renew_after == pytest.approx(0.8 * 3600)
    assert azure._expires >= before + 3600


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens that hold for a minute are renewed at once: none ends where a machine is slow."""
    monkeypatch.setattr(connection, "_RENEW_AFTER", 0.01)


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
