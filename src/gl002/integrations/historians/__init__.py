"""Data historians: OSIsoft PI, Wonderware, Ignition. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.historians.ignition import AsyncIgnitionConnector, IgnitionConnector
    from gl002.integrations.historians.pi_system import AsyncPIConnector, PIConnector
    from gl002.integrations.historians.wonderware import (
        AsyncWonderwareConnector,
        WonderwareConnector,
    )

__all__ = [
    "AsyncIgnitionConnector",
    "AsyncPIConnector",
    "AsyncWonderwareConnector",
    "IgnitionConnector",
    "PIConnector",
    "WonderwareConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncIgnitionConnector": "ignition",
        "AsyncPIConnector": "pi_system",
        "AsyncWonderwareConnector": "wonderware",
        "IgnitionConnector": "ignition",
        "PIConnector": "pi_system",
        "WonderwareConnector": "wonderware",
    },
)
