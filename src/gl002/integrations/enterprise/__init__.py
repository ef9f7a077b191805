"""Business systems: Oracle, Workday. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.enterprise.oracle import AsyncOracleConnector, OracleConnector
    from gl002.integrations.enterprise.workday import AsyncWorkdayConnector, WorkdayConnector

__all__ = [
    "AsyncOracleConnector",
    "AsyncWorkdayConnector",
    "OracleConnector",
    "WorkdayConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncOracleConnector": "oracle",
        "AsyncWorkdayConnector": "workday",
        "OracleConnector": "oracle",
        "WorkdayConnector": "workday",
    },
)
