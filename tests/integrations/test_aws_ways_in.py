"""The other ways into AWS IoT Core: a signed WebSocket, and a certificate by claim."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.context import Context
from gl002.errors import AuthFailed, ConfigError, ConnectFailed, RequestFailed
from gl002.integrations.cloud import AWSIoTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from peers.aws_front import TOKEN, SignedWebSocket
from peers.aws_iot import THING, AWSIoT
from peers.aws_provisioning import CLAIM, TEMPLATE, ProvisioningService
from peers.mosquitto import Watcher

HOST = "xxxxx-ats.iot.us-west-2.amazonaws.com"


def connector(folder: Path, config: dict[str, Any]) -> AWSIoTConnector:
    audit = Audit(folder / "audit.jsonl")
    context = Context(network=Network(), audit=audit, state_dir=folder)
    settings = {"retry_policy": {"max_attempts": 1}, **config}
    return AWSIoTConnector(settings, context=context)


# ---- a signed WebSocket -----------------------------------------------------------------------


@pytest.fixture
def cloud() -> Iterator[SignedWebSocket]:
    with SignedWebSocket() as there:
        yield there


@pytest.mark.parametrize("token", [None, TOKEN])
async def test_messages_pass_through_a_signed_websocket(
    cloud: SignedWebSocket, tmp_path: Path, token: str | None
) -> None:
    cloud.front.wants_token = token is not None
    more = {"session_token": token} if token else {}
    received: list[Any] = []
    async with connector(tmp_path, cloud.config(**more)) as aws:
        await aws.subscribe("plant/commands", received.append)
        with Watcher(cloud.broker.port, "plant/b1") as other:
            await aws.publish("plant/b1", {"o2": 3.1})
            assert other.json(1) == [{"o2": 3.1}]
            await asyncio.to_thread(other.publish, "plant/commands", "report")
        await eventually(lambda: [m.payload for m in received] == [b"report"], "it came")
        assert (await aws.check()).ok
    assert cloud.front.refused == []


async def test_each_connection_is_signed_anew(cloud: SignedWebSocket, tmp_path: Path) -> None:
    aws = connector(tmp_path, cloud.config())
    for _ in range(3):
        await aws.publish("plant/b1", "x")
        await aws.close()
    assert (cloud.front.opened, cloud.front.refused) == (3, [])


@pytest.mark.parametrize(
    ("changes", "skew", "why"),
    [
        ({"secret_access_key": "another-canary-key"}, 0, "signature"),
        ({"access_key_id": "AKIAOTHER"}, 0, "key, region or service"),
        ({"region": "eu-west-1"}, 0, "key, region or service"),
        ({"session_token": "old-canary"}, 0, "token"),
        ({}, 3600, "time"),
    ],
)
async def test_a_signature_that_is_refused_says_what_to_look_at(
    cloud: SignedWebSocket, tmp_path: Path, changes: Any, skew: float, why: str
) -> None:
    cloud.front.skew = skew
    aws = connector(tmp_path, cloud.config(**changes))
    with pytest.raises(AuthFailed, match=r"403.*access key.*clock of this machine") as caught:
        await aws.connect()
    assert cloud.front.refused == [why]
    for secret in ("canary", "X-Amz-Signature", "AKIA"):
        assert secret not in str(caught.value)
    await aws.close()


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ({"protocol": "mqtt_ws"}, "access_key_id"),
        ({"access_key_id": "A", "secret_access_key": "s"}, "for protocol: mqtt_ws"),
        (
            {"protocol": "mqtt_ws", "access_key_id": "A", "secret_access_key": "s",
             "cert_path": "c"},
            "no certificate",
        ),
        (
            {"protocol": "mqtt_ws", "access_key_id": "A", "secret_access_key": "s",
             "endpoint": "forwarder.plant.example"},
            "takes a region",
        ),
        (
            {"cert_path": "c",
             "provisioning": {"template": "t", "claim_cert": "c", "claim_key": "k"}},
            "nothing to provision",
        ),
        ({"provisioning": {"template": "a b", "claim_cert": "c", "claim_key": "k"}}, "template"),
    ],
)  # fmt: skip
def test_ways_in_that_exclude_each_other_are_refused(config: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        AWSIoTConnector({"endpoint": HOST, **config})


def test_the_region_comes_from_the_endpoint_and_the_port_is_that_of_https() -> None:
    aws = AWSIoTConnector({
        "endpoint": HOST, "protocol": "mqtt_ws", "access_key_id": "A", "secret_access_key": "s",
    })  # fmt: skip
    assert aws.config.signing_region == "us-west-2"
    assert str(aws.config.address) == f"{HOST}:443"
    path = aws._signed_path()
    assert path.startswith("/mqtt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=A%2F")


# ---- a certificate by claim -------------------------------------------------------------------


class Fleet:
    """A cloud with a provisioning service, and gateways that have a claim certificate."""

    def __init__(self, cloud: AWSIoT) -> None:
        self.cloud = cloud
        self.service = ProvisioningService(cloud.broker)

    def config(self, *, claim: str = CLAIM, **how: Any) -> dict[str, Any]:
        cert, key = self.cloud.certificate(claim)
        known = self.cloud.config()
        template = {"template": TEMPLATE, "claim_cert": str(cert), "claim_key": str(key)}
        return {
            "endpoint": known["endpoint"], "port": known["port"], "ca_path": known["ca_path"],
            "client_id": "gateway-4711", "provisioning": {**template, **how},
        }  # fmt: skip


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with AWSIoT() as cloud:
        there = Fleet(cloud)
        there.service.start()
        yield there
        there.service.stop()
        assert there.service.errors == []


@pytest.mark.parametrize("maker", ["us", "aws"])
async def test_a_gateway_gets_its_own_certificate_once(
    fleet: Fleet, tmp_path: Path, maker: str
) -> None:
    config = fleet.config(key_made_by=maker, parameters={"Site": "north"})
    for _ in range(2):  # the second start finds what the first has kept
        async with connector(tmp_path, config) as aws:
            assert aws.thing_name == THING
            accepted = await aws.update_shadow({"state": {"reported": {"o2": 3.1}}})
            assert accepted["state"] == {"reported": {"o2": 3.1}}
    created = [topic for topic in fleet.service.asked if "/certificates/" in topic]
    assert len(created) == 1
    assert created[0].endswith("create-from-csr/json" if maker == "us" else "create/json")
    assert fleet.service.things == {THING: {"SerialNumber": "gateway-4711", "Site": "north"}}
    kept = tmp_path / "aws" / "private.pem.key"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "PRIVATE KEY" in kept.read_text()


async def test_a_gateway_that_the_template_does_not_know_is_not_let_in(
    fleet: Fleet, tmp_path: Path
) -> None:
    fleet.service.serials = {"gateway-1"}
    aws = connector(tmp_path, fleet.config())
    with pytest.raises(RequestFailed, match=r"AccessDenied.*hook denied.*template"):
        await aws.connect()
    await aws.close()
    assert not (tmp_path / "aws").exists(), "nothing is kept of an attempt that failed"
    fleet.service.serials = None
    aws = connector(tmp_path, fleet.config(template="others"))
    with pytest.raises(RequestFailed, match="Not authorized"):  # its policy: one template
        await aws.connect()
    await aws.close()


async def test_a_service_that_is_silent_costs_one_time_out(fleet: Fleet, tmp_path: Path) -> None:
    fleet.service.silent = True
    aws = connector(tmp_path, {**fleet.config(), "timeout": 1})
    with pytest.raises(ConnectFailed, match="no answer within 1 s"):
        async with asyncio.timeout(60):
            await aws.connect()
    assert len(fleet.service.asked) <= 1
    await aws.close()


async def test_a_claim_that_aws_does_not_take_is_an_error(fleet: Fleet, tmp_path: Path) -> None:
    aws = connector(tmp_path, fleet.config(claim="stranger"))
    with pytest.raises((ConnectFailed, RequestFailed)):
        await aws.connect()
    await aws.close()
