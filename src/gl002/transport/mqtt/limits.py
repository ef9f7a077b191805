"""What a broker has said it does not take (MQTT 5.0, section 3.2.2.3)."""

from __future__ import annotations

from collections.abc import Mapping

from gl002.errors import DataError, Unsupported
from gl002.security.network import Endpoint

_HEADER = 16  # bytes of a PUBLISH beside topic and payload, at most


class Limits:
    """The limits of one connection.

    Args:
        endpoint: the broker, for messages.
        told: property -> number, as the broker has told them; empty before MQTT 5.
    """

    def __init__(self, endpoint: Endpoint, told: Mapping[str, int]) -> None:
        self._endpoint = endpoint
        self._told = told

    def in_flight(self, ours: int) -> int:
        """Messages that may be under way at once, ours at most."""
        return min(ours, self._told.get("ReceiveMaximum", ours))

    def check(self, topic: str, payload: bytes, qos: int, *, retain: bool) -> None:
        """Raise where the broker cannot take such a message.

        Raises:
            DataError: it is too long.
            Unsupported: it takes none with this QoS, or keeps none.
        """
        where = f"{self._endpoint}: publish to '{topic}'"
        size = len(payload) + len(topic.encode()) + _HEADER
        largest = self._told.get("MaximumPacketSize", size)
        if size > largest:
            raise DataError(f"{where}: {size} bytes, and the broker takes {largest}")
        if qos > self._told.get("MaximumQoS", qos):
            raise Unsupported(f"{where}: the broker does not support QoS {qos}")
        if retain and not self._told.get("RetainAvailable", 1):
            raise Unsupported(f"{where}: the broker keeps no messages", hint="retain: false")
