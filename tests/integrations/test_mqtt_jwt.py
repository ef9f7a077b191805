"""The bridge of Google's former IoT Core: a token of the device is the password, renewed in time.

mosquitto, behind a front that reads the token with Google's own library and cuts the connection off
when it ends.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from google.auth import jwt

from gl002.errors import AuthFailed, ConfigError
from gl002.integrations.industrial import MQTTConnector
from gl002.testing.contract.requests import eventually
from gl002.transport.mqtt import jwt as renewal
from peers.front import Connect, Front, Verdict
from peers.mosquitto import Mosquitto, Watcher

DEVICE = "projects/plant-1/locations/europe-west1/registries/boilers/devices/boiler1"
CURVE, RSA = ec.SECP256R1(), 2048


class Bridge:
    """What a successor of IoT Core looks at.

    Attributes:
        skew: seconds that its clock is ahead.
        seen: claims of each connection.
    """

    def __init__(self, folder: Path) -> None:
        self.broker = Mosquitto()
        self.front = Front(None, self.broker.port, self._admit)
        self.folder, self.skew, self.seen = folder, 0.0, list[Any]()
        self.public = b""

    def register(self, key: Any) -> str:
        """A device's key: its public half is registered; the file of the private one."""
        self.public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        file = self.folder / "device.key"
        file.touch(mode=0o600)
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )  # fmt: skip
        return str(file)

    def _admit(self, connect: Connect) -> Verdict:
        now = time.time() + self.skew
        try:
            claims = jwt.decode(
                connect.password, certs=self.public, audience="plant-1",
                clock_skew_in_seconds=int(abs(self.skew)) + 10,
            )  # fmt: skip
        except ValueError:
            return Verdict(5)
        if connect.client_id != DEVICE or not claims["iat"] - 60 <= now <= claims["exp"]:
            return Verdict(5)
        self.seen.append(claims)
        return Verdict(lives=claims["exp"] - now)

    def config(self, key: str, **changes: Any) -> dict[str, Any]:
        return {
            "broker": f"127.0.0.1:{self.front.port}", "client_id": DEVICE, "protocol": "3.1.1",
            "jwt": {"audience": "plant-1", "key": key, **changes.pop("jwt", {})},
            "retry_policy": {"max_attempts": 1}, **changes,
        }  # fmt: skip


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    there = Bridge(tmp_path)
    with there.broker, there.front:
        yield there


@pytest.mark.parametrize(
    "make",
    [
        lambda: ec.generate_private_key(CURVE),
        lambda: rsa.generate_private_key(public_exponent=65537, key_size=RSA),
    ],
)
async def test_a_device_logs_in_with_a_token_of_either_kind(
    bridge: Bridge, make: Callable[[], Any]
) -> None:
    config = bridge.config(bridge.register(make()), jwt={"claims": {"sub": "boiler1"}})
    async with MQTTConnector(config) as device:
        await device.publish("/devices/boiler1/events", {"o2": 3.1})
    (claims,) = bridge.seen
    assert claims["aud"] == "plant-1"
    assert claims["sub"] == "boiler1"
    assert claims["exp"] - claims["iat"] == 3600


async def test_a_token_is_renewed_before_it_ends_and_nothing_is_lost(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "_RENEW_AFTER", 0.05)  # 57 s before it ends
    key = bridge.register(ec.generate_private_key(CURVE))
    received: list[Any] = []
    async with MQTTConnector(bridge.config(key, jwt={"lifetime": 60})) as device:
        await device.subscribe("/devices/boiler1/commands/#", received.append)
        with Watcher(bridge.broker.port, "/devices/boiler1/events") as cloud:
            sent, renewed = 0, 0
            while renewed < 10:  # messages after the renewal
                await device.publish("/devices/boiler1/events", str(sent))
                sent, renewed = sent + 1, renewed + (len(bridge.seen) > 1)
                await asyncio.sleep(0.05)
            assert [int(m.payload) for m in cloud.received(sent)] == list(range(sent))
            await asyncio.to_thread(cloud.publish, "/devices/boiler1/commands/x", "after")
        await eventually(lambda: [m.payload for m in received] == [b"after"], "it still listens")


def test_four_fifths_of_its_life_are_used() -> None:
    assert renewal.JWTSettings(audience="plant-1", key="k", lifetime=3600).renew_after == 2880


@pytest.mark.parametrize("trouble", ["another key", "another audience", "clock", "name"])
async def test_a_token_that_is_refused_says_what_to_look_at(bridge: Bridge, trouble: str) -> None:
    key = bridge.register(ec.generate_private_key(CURVE))
    config = bridge.config(key)
    if trouble == "another key":
        other = ec.generate_private_key(CURVE).public_key()
        bridge.public = other.public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    elif trouble == "another audience":
        config["jwt"]["audience"] = "plant-2"
    elif trouble == "clock":
        bridge.skew = 7200
    else:
        config["client_id"] = "boiler1"
    device = MQTTConnector(config)
    with pytest.raises(AuthFailed, match=r"public key registered.*clock of this machine"):
        await device.connect()
    await device.close()


@pytest.mark.parametrize(
    ("jwt_", "more", "word"),
    [
        ({"audience": "plant-1"}, {}, "one of 'key'"),
        ({"audience": "plant-1", "key": "a", "key_pem": "b"}, {}, "one of 'key'"),
        ({"audience": "plant-1", "key": "a", "claims": {"exp": "1"}}, {}, "made from"),
        ({"audience": "plant-1", "key": "a", "lifetime": 90_000}, {}, "lifetime"),
        ({"audience": "plant-1", "key": "a"}, {"client_id": ""}, "client_id"),
        ({"audience": "plant-1", "key": "a"}, {"username": "u", "password": "p"}, "no password"),
    ],
)
def test_settings_that_cannot_work_are_refused(jwt_: Any, more: Any, word: str) -> None:
    with pytest.raises(ConfigError, match=word):
        MQTTConnector({"broker": "localhost", "client_id": DEVICE, "jwt": jwt_, **more})


@pytest.mark.parametrize(
    ("content", "mode", "word"),
    [
        (b"nonsense", 0o600, "cannot be read"),
        (None, 0o600, "No such file"),
        (b"anything", 0o644, "everyone may read"),
    ],
)
async def test_a_key_that_is_none_says_so(
    tmp_path: Path, content: bytes | None, mode: int, word: str
) -> None:
    file = tmp_path / "device.key"
    if content is not None:
        file.write_bytes(content)
        file.chmod(mode)
    jwt_ = {"audience": "plant-1", "key": str(file)}
    device = MQTTConnector({"broker": "127.0.0.1:1", "client_id": DEVICE, "jwt": jwt_})
    with pytest.raises(ConfigError, match=word):
        await device.connect()


async def test_another_curve_or_a_short_key_is_refused(bridge: Bridge) -> None:
    for key in (
        ec.generate_private_key(ec.SECP384R1()),
        rsa.generate_private_key(public_exponent=65537, key_size=1024),
    ):
        device = MQTTConnector(bridge.config(bridge.register(key)))
        with pytest.raises(ConfigError, match="of another kind"):
            await device.connect()
