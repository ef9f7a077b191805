"""Databases: SQLite, PostgreSQL, TimescaleDB, InfluxDB. Each name loads its module on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gl002.integrations.loading import lazily

if TYPE_CHECKING:
    from gl002.integrations.databases.influxdb import AsyncInfluxDBConnector, InfluxDBConnector
    from gl002.integrations.databases.postgresql import (
        AsyncPostgreSQLConnector,
        PostgreSQLConnector,
    )
    from gl002.integrations.databases.sqlite import AsyncSQLiteConnector, SQLiteConnector
    from gl002.integrations.databases.timescale import AsyncTimescaleConnector, TimescaleConnector

__all__ = [
    "AsyncInfluxDBConnector",
    "AsyncPostgreSQLConnector",
    "AsyncSQLiteConnector",
    "AsyncTimescaleConnector",
    "InfluxDBConnector",
    "PostgreSQLConnector",
    "SQLiteConnector",
    "TimescaleConnector",
]

__getattr__ = lazily(
    __name__,
    {
        "AsyncInfluxDBConnector": "influxdb",
        "AsyncPostgreSQLConnector": "postgresql",
        "AsyncSQLiteConnector": "sqlite",
        "AsyncTimescaleConnector": "timescale",
        "InfluxDBConnector": "influxdb",
        "PostgreSQLConnector": "postgresql",
        "SQLiteConnector": "sqlite",
        "TimescaleConnector": "timescale",
    },
)
