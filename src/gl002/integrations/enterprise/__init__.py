"""Business systems: Oracle, SAP, Workday. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.enterprise.oracle import AsyncOracleConnector, OracleConnector
    from gl002.integrations.enterprise.sap import AsyncSAPConnector, SAPConnector
    from gl002.integrations.enterprise.workday import AsyncWorkdayConnector, WorkdayConnector

__all__ = [
    "AsyncOracleConnector",
    "AsyncSAPConnector",
    "AsyncWorkdayConnector",
    "OracleConnector",
    "SAPConnector",
    "WorkdayConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncOracleConnector": "oracle",
        "AsyncSAPConnector": "sap",
        "AsyncWorkdayConnector": "workday",
        "OracleConnector": "oracle",
        "SAPConnector": "sap",
        "WorkdayConnector": "workday",
    },
)
