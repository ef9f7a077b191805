"""The AWS IoT Core rig: mosquitto with client certificates, a shadow service behind it."""

from __future__ import annotations

from typing import Any, ClassVar

import trustme

from gl002.model import Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.aws_iot import AWSIoT
from peers.mosquitto import Subscriber, issue
from rigs.messages import samples_in

_VALUES: dict[str, Value] = {
    "steam_flow": 50000.5, "pressure": -12, "name": "B-001", "running": True,
}  # fmt: skip
_HOST = "xxxxx-ats.iot.us-west-2.amazonaws.com"

_BAD_CONFIGS = [
    ({}, "endpoint"),
    ({"endpoint": f"https://{_HOST}"}, "without a scheme"),
    ({"endpoint": _HOST, "region": "eu-west-1"}, "us-west-2"),
    ({"endpoint": f"{_HOST}:443", "port": 8883}, "keep one"),
    ({"endpoint": _HOST, "endpont": "x"}, "did you mean 'endpoint'"),
    ({"endpoint": _HOST, "thing_name": "a thing"}, "thing_name"),
    ({"endpoint": _HOST, "client_id": "x" * 129}, "client_id"),
    ({"endpoint": _HOST, "keepalive": 1}, "keepalive"),
    ({"endpoint": _HOST, "messages_per_second": 0}, "messages_per_second"),
    ({"endpoint": _HOST, "tls": {"verify": False}}, "verify"),
    ({"endpoint": _HOST, "cert_path": "a", "tls": {"cert": "b"}}, "keep one"),
    ({"endpoint": _HOST, "timeout": 0}, "timeout"),
]


class AWSRig(Rig):
    """Values are the desired state of the thing's shadow; what arrives, mosquitto_sub reads."""

    kind: ClassVar[str] = "aws"

    def __init__(self) -> None:
        self.readable = dict(_VALUES)
        self.input = {"source": "aws", "shadow": "classic"}
        self.output = {"destination": "aws", "topic": "plant/stored/{tag}"}
        self.bad_configs = _BAD_CONFIGS
        self.cloud = AWSIoT()
        self.link = Link(self.cloud.broker.mutual_port)
        self._subscriber = Subscriber(self.cloud.broker, "plant/stored/#")

    def start(self) -> None:
        self.cloud.start()
        self.link.start()
        self._subscriber.start()
        self.cloud.shadows.desire(dict(self.readable))

    def stop(self) -> None:
        self._subscriber.stop()
        self.link.stop()
        self.cloud.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        quick = {"messages_per_second": 1000}  # the pace that AWS asks for is shown elsewhere
        return self.cloud.config(self.link.port, **quick | changes)

    def restart(self) -> None:
        self.link.cut()  # or values come again while the broker is still being waited for
        self._subscriber.catch_up()
        self.cloud.restart()
        self.link.restore()

    def freeze(self) -> None:
        self.cloud.broker.freeze()

    def thaw(self) -> None:
        self.cloud.broker.thaw()

    def set(self, address: str, value: Value) -> None:
        self.cloud.shadows.desire({address: value})

    def wrong_credentials(self) -> dict[str, Any]:
        cert, key = issue(trustme.CA(), self.cloud.broker.folder, "canary-unknown")
        # Straight to the broker: the link sees the reset that follows the alert, and loses it.
        return self.cloud.config(cert_path=str(cert), key_path=str(key))

    def arrivals(self) -> list[str]:
        """Every message that arrived through `output`, also one that came again."""
        return self._subscriber.payloads

    def stored(self) -> list[Sample]:
        return samples_in(self.arrivals())

    def refused(self) -> Sample:
        return Sample("too.long", "x" * 200_000, now_ns())
