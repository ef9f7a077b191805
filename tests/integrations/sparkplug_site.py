"""Edge nodes and hosts of Sparkplug B, and an ear that has Eclipse Tahu's codec."""

from __future__ import annotations

from typing import Any

from gl002.integrations.industrial import MQTTConnector
from gl002.model import Sample, now_ns
from gl002.wire.sparkplug_topic import parse
from peers.mosquitto import Watcher
from peers.tahu import Tahu

EDGE = {"sparkplug": {"group": "GL002", "node": "house"}}
ON_BEHALF = "spBv1.0/GL002/{}/house"


def sink_of(connector: MQTTConnector) -> Any:
    return connector.sink(
        MQTTConnector.Output.parse({"destination": "mqtt", "format": "sparkplug"})
    )


class Ear:
    """Sparkplug messages as another implementation reads them: (kind, device, payload)."""

    def __init__(self, watcher: Watcher, tahu: Tahu) -> None:
        self._watcher, self._tahu = watcher, tahu
        self._read = 0  # messages
        self._found: list[tuple[str, str, dict[str, Any]]] = []

    def heard(self) -> list[tuple[str, str, dict[str, Any]]]:
        for message in list(self._watcher.messages)[self._read :]:
            self._read += 1
            place = parse(message.topic)
            if place is not None and not place.message.endswith("CMD"):
                decoded = self._tahu.decode(message.payload)
                self._found.append((place.message, place.device, decoded))
        return list(self._found)

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.heard()]

    def last(self, kind: str) -> dict[str, Any]:
        return [payload for k, _, payload in self.heard() if k == kind][-1]


def bd_seq(payload: dict[str, Any]) -> int:
    (found,) = [m["value"] for m in payload["metrics"] if m["name"] == "bdSeq"]
    return int(found)


def sample(value: float, tag: str = "b1.steam_flow", **more: Any) -> Sample:
    return Sample(tag, value, now_ns(), **more)


def source_of(connector: MQTTConnector, **settings: Any) -> Any:
    spec = {"source": "mqtt", "format": "sparkplug", **settings}
    return connector.source(MQTTConnector.Input.parse(spec))
