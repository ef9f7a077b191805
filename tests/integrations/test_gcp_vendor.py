"""Our Pub/Sub is true: Google's own client works with it, and Google's emulator agrees with it."""

from __future__ import annotations

from typing import Any

import pytest

from peers import vendors
from peers.google_pubsub import Emulator, PubSub

EXPECTED: dict[str, Any] = {
    "deadline": 30,
    "ids": 5,
    "first": [[f"{i}", {"id": f"m{i}"}] for i in range(5)],
    "key": "boiler1",
    "again": True,
    "time": True,
    "last": ["last"],
    "refused": [
        "Conflict",
        "BadRequest",
        "BadRequest",
        "BadRequest",
        "NotFound",
        "BadRequest",
        "NotFound",
        "BadRequest",
        "BadRequest",
        "taken",
    ],
}
PEERS = [PubSub, *([Emulator] if Emulator.installed() else [])]
"""Google's emulator is no package of Debian: where it is installed, it is asked the same."""


@pytest.mark.parametrize("peer", PEERS)
def test_the_client_of_google_publishes_pulls_and_acknowledges(peer: type[Any]) -> None:
    with peer() as there:
        key = there.key_file() if isinstance(there, PubSub) else ""
        assert vendors.run("google_pubsub.py", there.url, key) == EXPECTED
