"""Enterprise systems: SAP. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.enterprise.sap import AsyncSAPConnector, SAPConnector

__all__ = [
    "AsyncSAPConnector",
    "SAPConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncSAPConnector": "sap",
        "SAPConnector": "sap",
    },
)
