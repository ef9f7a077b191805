"""One message that arrived."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from gl002.wire.json_payload import decode

_DIGEST = 6  # bytes; a packet identifier beside it makes a chance match all but impossible


class Message(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A message from a broker. Two are the same only if they are the same object.

    Attributes:
        topic: it was published to.
        payload: as it came.
        qos: it was delivered with: the lower of those it was published and subscribed with.
        retain: the broker had kept it for new subscribers; it may be old.
        duplicate: the broker has sent it before and got no acknowledgement.
        properties: of MQTT 5, such as 'content_type' and 'user_property'; empty in 3.1.1.
        received: nanoseconds UTC.
        packet_id: the broker's number for it until it is acknowledged, 0 with QoS 0.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    duplicate: bool = False
    properties: Mapping[str, Any] = {}
    received: int = 0
    packet_id: int = 0

    def json(self) -> Any:
        """The payload read as JSON.

        Raises:
            DataError: it is none, larger than 1 MiB, or nested too deeply.
        """
        return decode(self.payload)

    def digest(self) -> bytes:
        """A few bytes that tell this topic and payload from others."""
        content = hashlib.blake2b(self.topic.encode(), digest_size=_DIGEST)
        content.update(b"\0")
        content.update(self.payload)
        return content.digest()
