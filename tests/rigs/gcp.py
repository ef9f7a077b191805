"""The Pub/Sub rig: a server of ours with Google's tokens, behind a fault link.

A subscription gives a message once, so the plant here says its values again and again.
"""

from __future__ import annotations

import contextlib
import threading
from typing import Any, ClassVar

from gl002.model import Sample, Value, now_ns
from gl002.testing.link import Link
from gl002.testing.rig import Rig
from peers.google_pubsub import PROJECT, PubSub
from rigs.messages import samples_in

_VALUES: dict[str, Value] = {
    "steam_flow": 50000.5, "pressure": -12, "name": "B-001", "running": True,
}  # fmt: skip
_EVERY = 0.1  # seconds between two reports of the plant
_MOST_WAITING = 20  # messages, so that a consumer that comes later sees the present
_URL = "https://pubsub.googleapis.com"
_BAD_CONFIGS = [
    ({}, "project"),
    ({"project": "Plant 1"}, "project"),
    ({"project": PROJECT, "projct": "x"}, "did you mean 'project'"),
    ({"project": PROJECT, "url": "http://pubsub.example"}, "in clear"),
    ({"project": PROJECT, "url": "pubsub.googleapis.com"}, "http://"),
    ({"project": PROJECT, "credentials": "a", "credentials_json": "{}"}, "keep one"),
    ({"project": PROJECT, "emulator": "h:99999"}, "emulator"),
    ({"project": PROJECT, "messages_per_second": 0}, "messages_per_second"),
    ({"project": PROJECT, "url": _URL, "tls": {"verify": False}}, "verify"),
    ({"project": PROJECT, "timeout": 0}, "timeout"),
]


class GCPRig(Rig):
    """Values come by a subscription; what arrives is looked at in the server's file."""

    kind: ClassVar[str] = "gcp"

    def __init__(self) -> None:
        self.readable = dict(_VALUES)
        self.input = {"source": "gcp", "subscription": "values", "wait": 2}
        self.output = {"destination": "gcp", "topic": "stored"}
        self.bad_configs = _BAD_CONFIGS
        self.peer = PubSub()
        self.link = Link(self.peer.port)
        self._values = dict(_VALUES)
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._reporter = threading.Thread(target=self._report, daemon=True)

    def start(self) -> None:
        self.peer.start()
        self.peer.create("values", "values")
        self.peer.create("stored")
        self.link.start()
        self._reporter.start()

    def stop(self) -> None:
        self._ended.set()
        if self._reporter.is_alive():
            self._reporter.join(40)
        self.link.stop()
        self.peer.stop()

    def _report(self) -> None:
        while not self._ended.wait(_EVERY):
            with contextlib.suppress(Exception):  # it is being restarted
                # What somebody took and did not acknowledge is away until its deadline.
                if self.peer.waiting("values") < _MOST_WAITING:
                    with self._turn:
                        self.peer.publish("values", self._values)

    def config(self, **changes: Any) -> dict[str, Any]:
        return self.peer.config(self.link.port, **changes)

    def restart(self) -> None:
        self.peer.restart()

    def freeze(self) -> None:
        self.peer.freeze()

    def thaw(self) -> None:
        self.peer.thaw()

    def set(self, address: str, value: Value) -> None:
        with self._turn:
            self._values[address] = value
            self.peer.publish("values", self._values)

    def wrong_credentials(self) -> dict[str, Any]:
        key = self.peer.key.replace("gateway@plant-1", "canary@plant-1")
        return self.config(credentials_json=key)

    def arrivals(self) -> list[bytes]:
        """Every message that arrived through `output`, also one that came again."""
        return [data for data, _, _ in self.peer.messages("stored")]

    def stored(self) -> list[Sample]:
        return samples_in(self.arrivals())

    def refused(self) -> Sample:
        return Sample("too.long", "x" * 2_000_000, now_ns())
