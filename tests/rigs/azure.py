"""The Azure IoT Hub rig: a front that checks tokens, mosquitto, a twin service behind it."""

from __future__ import annotations

import base64
from typing import Any, ClassVar

from gl002.model import Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.azure_iot import DEVICE, HUB, KEY, AzureIoT, connection_string
from peers.mosquitto import Subscriber
from rigs.messages import samples_in

_VALUES: dict[str, Value] = {
    "steam_flow": 50000.5, "pressure": -12, "name": "B-001", "running": True,
}  # fmt: skip
_GOOD = connection_string()
_SERVICE = {"id_scope": "0ne00000A0A", "registration_id": "boiler1"}

_BAD_CONFIGS = [
    ({}, "host"),
    ({"connection_string": "hub.azure-devices.net"}, "name=value"),
    ({"connection_string": "HostName=hub;SharedAccessKey=aGk="}, "DeviceId"),
    ({"connection_string": "HostName=hub;DeviceId=d"}, "no credential"),
    ({"connection_string": "HostName=h;SharedAccessKeyName=iothubowner"}, "of the device"),
    ({"connection_string": "HostName=h;DeviceId=d;SharedAccessKey=no base64"}, "base64"),
    ({"connection_string": _GOOD, "host": "other"}, "keep one"),
    ({"connection_string": _GOOD, "provisioning": _SERVICE}, "leave out the others"),
    ({"provisioning": _SERVICE}, "no credential"),
    ({"provisioning": {**_SERVICE, "registration_id": "a b"}}, "registration_id"),
    ({"provisioning": {**_SERVICE, "endpoint": "h:99999"}}, "endpoint"),
    ({"connection_string": _GOOD, "cert_path": "a.pem"}, "one of both"),
    ({"connection_string": _GOOD, "protocol": "amqp"}, "protocol"),
    ({"connection_string": _GOOD, "port": 0}, "port"),
    ({"connection_string": _GOOD, "token_lifetime": 0}, "token_lifetime"),
    ({"connection_string": _GOOD, "devce_id": "x"}, "did you mean 'device_id'"),
    ({"connection_string": _GOOD, "tls": {"verify": False}}, "verify"),
    ({"connection_string": _GOOD, "timeout": 0}, "timeout"),
]


class AzureRig(Rig):
    """Values are the twin's desired properties; what arrives, mosquitto_sub reads."""

    kind: ClassVar[str] = "azure"

    def __init__(self) -> None:
        self.readable = dict(_VALUES)
        self.input = {"source": "azure"}
        self.output = {"destination": "azure"}
        self.bad_configs = _BAD_CONFIGS
        self.cloud = AzureIoT()
        self.link = Link(self.cloud.front.port)
        self._subscriber = Subscriber(self.cloud.broker, "devices/+/messages/events/#")

    def start(self) -> None:
        self.cloud.start()
        self.link.start()
        self._subscriber.start()
        self.cloud.hub.desire(dict(self.readable))

    def stop(self) -> None:
        self._subscriber.stop()
        self.link.stop()
        self.cloud.stop()

    def config(self, **changes: Any) -> dict[str, Any]:
        taken_apart = {
            "connection_string": None, "host": HUB, "device_id": DEVICE, "gateway": "localhost",
            "shared_access_key": KEY, **changes,
        }  # fmt: skip
        settings = self.cloud.config(self.link.port, **taken_apart)
        return {key: value for key, value in settings.items() if value is not None}

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
        self.cloud.hub.desire({address: value})

    def wrong_credentials(self) -> dict[str, Any]:
        wrong = base64.b64encode(b"canary, another key altogether").decode()
        return self.config(shared_access_key=wrong)

    def arrivals(self) -> list[str]:
        """Every message that arrived through `output`, also one that came again."""
        return self._subscriber.payloads

    def stored(self) -> list[Sample]:
        return samples_in(self.arrivals())

    def refused(self) -> Sample:
        return Sample("too.long", "x" * 300_000, now_ns())
