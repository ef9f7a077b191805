"""Configuration of an Ignition gateway: its OPC UA server, its history's database, its HTTP API."""

from __future__ import annotations

from pydantic import Field, model_validator

from gl002.config.settings import Seconds
from gl002.retry import RetryPolicy
from gl002.security.secrets import Secret
from gl002.transport.http.settings import URL, HTTPSettings, is_this_machine
from gl002.transport.opc_ua.settings import OpcUaConfig, OpcUaInput, ServerSettings
from gl002.transport.sql.settings import PostgreSQLConfig

_TIMEOUT = 10.0


class HistorySettings(PostgreSQLConfig):
    """The PostgreSQL database that the gateway's SQL historian writes."""

    table: str = Field("", exclude=True, description="Not used: the tables are Ignition's.")
    gateway: str | None = Field(
        None,
        description="System name of the gateway (sqlth_drv.name), where several store in it.",
    )

    @model_validator(mode="after")
    def _has_no_table(self) -> HistorySettings:
        if self.table:
            raise ValueError("'table': the tables are Ignition's, and found by themselves")
        return self


class APISettings(HTTPSettings):
    """The HTTP API of the gateway, Ignition 8.3 and later."""

    url: URL = Field(description="Address of its web server: 'https://gateway:8043'.")
    key: Secret = Field(description="An API key, the whole of it: 'name:secret'.")

    @model_validator(mode="after")
    def _is_not_in_clear(self) -> APISettings:
        if not self.secure and not is_this_machine(self.endpoint.host):
            raise ValueError("url: over http:// the API key would go in clear: write https://")
        return self

    @property
    def base_url(self) -> str:
        """Where paths begin."""
        return self.url


class IgnitionConfig(OpcUaConfig):
    """One Ignition gateway."""

    server: ServerSettings | None = Field(  # type: ignore[assignment]  # absent: history alone
        None, description="Its OPC UA server, 'opc.tcp://gateway:62541'. Absent: only history."
    )
    database: HistorySettings | None = Field(
        None, description="The database of its tag history. Absent: no history."
    )
    api: APISettings | None = Field(
        None, description="Its HTTP API, 8.3 and later: units and ranges. Absent: not used."
    )
    provider: str = Field(
        "default", min_length=1, description="Tag provider of paths that name none."
    )
    namespace: int = Field(
        2, ge=0, le=65535, description="Namespace index of exposed tags in its OPC UA server."
    )

    @model_validator(mode="after")
    def _there_is_something(self) -> IgnitionConfig:
        if self.server is None and self.database is None and self.api is None:
            raise ValueError("name its OPC UA server ('url'), its 'database', its 'api', or some")
        return self

    def request_timeout(self) -> float:
        """Seconds, of the OPC UA server; else of the database."""
        if self.server is not None:
            return super().request_timeout()
        if self.database is not None:
            return self.database.timeout
        return self.api.timeout if self.api is not None else _TIMEOUT

    def retry(self) -> RetryPolicy:
        """Of the OPC UA server, else of the database."""
        if self.server is not None:
            return super().retry()
        return self.database.retry() if self.database is not None else RetryPolicy(max_attempts=3)


class IgnitionInput(OpcUaInput):
    """What to read: over OPC UA where there is a server, else what is new in the history."""

    interval: Seconds = Field(
        10.0, gt=0, description="Of the history: time between two readings, in seconds."
    )
    lookback: Seconds = Field(
        60.0, description="Of the history: how much later others may be stored, in seconds."
    )
    from_start: bool = Field(
        False, description="Of the history: everything there is on the very first start."
    )
