"""Data historians: OSIsoft PI, Wonderware. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.historians.pi_system import AsyncPIConnector, PIConnector
    from gl002.integrations.historians.wonderware import (
        AsyncWonderwareConnector,
        WonderwareConnector,
    )

__all__ = [
    "AsyncPIConnector",
    "AsyncWonderwareConnector",
    "PIConnector",
    "WonderwareConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncPIConnector": "pi_system",
        "AsyncWonderwareConnector": "wonderware",
        "PIConnector": "pi_system",
        "WonderwareConnector": "wonderware",
    },
)
