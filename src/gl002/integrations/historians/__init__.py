"""Data historians: OSIsoft PI. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.historians.pi_system import AsyncPIConnector, PIConnector

__all__ = [
    "AsyncPIConnector",
    "PIConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncPIConnector": "pi_system",
        "PIConnector": "pi_system",
    },
)
