"""The MQTT rig: mosquitto behind a fault link, with users, its sessions kept on disk."""

from __future__ import annotations

import json
import subprocess
from datetime import UTC, datetime
from typing import Any, ClassVar

from gl002.model import Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.mosquitto import PASSWORD, USER, Mosquitto, Subscriber
from peers.process import program
from rigs.messages import samples_in

_VALUES: dict[str, Value] = {
    "steam_flow": 50000.5, "pressure": -12, "name": "B-001", "running": True,
}  # fmt: skip
_LARGEST = 200_000  # bytes the broker takes in one packet

_BAD_CONFIGS = [
    ({}, "broker"),
    ({"broker": "h", "port": 0}, "port"),
    ({"broker": "h:1883", "port": 8883}, "keep one"),
    ({"broker": "h", "brokr": "x"}, "did you mean 'broker'"),
    ({"broker": "https://h"}, "mqtts://"),
    ({"broker": []}, "empty list"),
    ({"broker": ["mqtts://a", "mqtt://b"]}, "TLS"),
    ({"broker": "ws://h/mqtt", "tls": {}}, "plain"),
    ({"broker": "h", "will": {"topic": "a/+"}}, "wildcard"),
    ({"broker": "mqtt://h/path"}, "path"),
    ({"broker": "mqtt://user:word@h"}, "username"),
    ({"broker": "mqtt://h", "tls": {}}, "plain"),
    ({"broker": "h", "password": "a password"}, "username"),
    ({"broker": "h", "qos": 3}, "qos"),
    ({"broker": "h", "protocol": 4}, "3.1.1"),
    ({"broker": "h", "keepalive": 0}, "keepalive"),
    ({"broker": "h", "clean_start": False}, "client_id"),
    ({"broker": "h", "receive_maximum": 0}, "receive_maximum"),
    ({"broker": "h", "tls": {"verify": False}}, "verify"),
    ({"broker": "h", "timeout": 0}, "timeout"),
]


class MQTTRig(Rig):
    """Values are retained messages with a time of their own; what arrives, mosquitto_sub reads."""

    kind: ClassVar[str] = "mqtt"
    has_account = True
    in_websocket: ClassVar[bool] = False

    def __init__(self) -> None:
        self.readable = dict(_VALUES)
        self.input = {
            "source": "mqtt", "topics": ["plant/+/state"], "tag": "{1}",
            "only_keys": ["value"], "time_key": "time",
        }  # fmt: skip
        self.output = {"destination": "mqtt", "topic": "plant/stored/{tag}"}
        self.bad_configs = _BAD_CONFIGS
        self.broker = Mosquitto(
            users=True, persistent=True, websocket=self.in_websocket, largest=_LARGEST
        )
        self.link = Link(self.broker.websocket_port if self.in_websocket else self.broker.port)
        self._subscriber = Subscriber(self.broker, "plant/stored/#")

    def start(self) -> None:
        self.broker.start()
        self.link.start()
        self._subscriber.start()
        self._fill()

    def _fill(self) -> None:
        for address, value in self.readable.items():
            self.set(address, value)

    def stop(self) -> None:
        self._subscriber.stop()
        self.link.stop()
        self.broker.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        return {
            "broker": "127.0.0.1", "port": self.link.port,
            "username": USER, "password": PASSWORD, **changes,
        }  # fmt: skip

    def restart(self) -> None:
        self.link.cut()  # or values come again while the broker is still being waited for
        self._subscriber.catch_up()
        self.broker.restart()
        self.link.restore()

    def freeze(self) -> None:
        self.broker.freeze()

    def thaw(self) -> None:
        self.broker.thaw()

    def set(self, address: str, value: Value) -> None:
        payload = json.dumps({"time": datetime.now(UTC).isoformat(), "value": value})
        tool = program("mosquitto_pub", "mosquitto-clients")
        subprocess.run(
            [tool, *self.broker.access, "-q", "1", "-r", "-t", f"plant/{address}/state",
             "-m", payload],
            check=True, timeout=60,
        )  # fmt: skip

    def wrong_credentials(self) -> dict[str, Any] | None:
        return self.config(password="canary-wrong-password")

    def stored(self) -> list[Sample]:
        return samples_in(self._subscriber.payloads)

    def refused(self) -> Sample:
        return Sample("too.long", "x" * (_LARGEST + 1), now_ns())


class WebSocketRig(MQTTRig):
    """The same in the broker's WebSockets."""

    in_websocket = True

    def config(self, **changes: Any) -> dict[str, Any]:
        return super().config(**{"broker": "ws://127.0.0.1/mqtt", **changes})
