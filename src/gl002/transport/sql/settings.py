"""Settings of the databases of the PostgreSQL family: connection, input, output."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, Field, model_validator

from gl002.config.blocks import TlsSettings
from gl002.config.flow import OutputSettings
from gl002.config.settings import Port, Seconds, Settings
from gl002.security.secrets import Secret, part_of
from gl002.transport.following import FollowInput
from gl002.transport.sql.names import checked_column, checked_name

_SCHEMES = ("postgresql", "postgres", "timescale")


def _table(name: str) -> str:
    checked_name(name)
    return name


TableName = Annotated[str, AfterValidator(_table)]
ColumnName = Annotated[str, AfterValidator(checked_column)]


class PostgreSQLConfig(Settings):
    """One database on one server."""

    url: str | None = Field(
        None,
        description="Instead of host, port, database, user and password: "
        "postgresql://user:password@host:5432/database. It is taken apart when it is read.",
    )
    host: str = Field(min_length=1, description="Server, by name or address.")
    port: Port = Field(5432, description="TCP port.")
    database: str = Field(min_length=1, description="Database on it.")
    user: str = Field(min_length=1, description="Role to log in as.")
    password: Secret | None = Field(None, description="Its password.")
    tls: TlsSettings | Literal[False] | None = Field(
        None,
        description="The server's certificate is always verified. Absent: TLS, except to this "
        "machine. false: everything in clear, for a network you trust.",
    )
    table: TableName = Field(
        "samples", description="Table that is read, and written where an output names no other."
    )
    timeout: Seconds = Field(10.0, gt=0, description="Longest time one request may take.")
    max_connections: int = Field(4, ge=1, le=100, description="Connections at the same time.")
    max_rows: int = Field(100_000, ge=1, description="Most rows a query may give.")

    def request_timeout(self) -> float:
        """The key `timeout`."""
        return self.timeout

    @model_validator(mode="before")
    @classmethod
    def _take_apart(cls, data: Any) -> Any:
        """Split the URL, so that the password in it is a secret like any other."""
        url = data.get("url") if isinstance(data, Mapping) else None
        if url is None:
            return data
        rest = {key: value for key, value in data.items() if key != "url"}
        parts = _parts(url if isinstance(url, str) else str(url))
        for key in sorted(parts.keys() & rest.keys()):
            raise ValueError(f"'url' and '{key}' say the same thing: keep one")
        return parts | rest


def _parts(url: str) -> dict[str, Any]:
    """The settings in a URL. What is wrong is said without showing it.

    Raises:
        ValueError: it is no URL of a database.
    """
    first, password = _split(url)

    def again(later: str) -> str:
        now, password = _split(later)
        if now != first or not password:
            raise ValueError("url: more than its password has changed; is it percent-encoded?")
        return password

    found = {"password": Secret(part_of(url, again))} if password else {}
    return first | found


def _split(url: str) -> tuple[dict[str, Any], str]:
    """The settings in a URL but for the password, and that."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise ValueError("url: expected postgresql://user:password@host:5432/database")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("url: its port is no number up to 65535") from None
    found = {
        "host": parts.hostname,
        "port": port,
        "database": unquote(parts.path.removeprefix("/")),
        "user": unquote(parts.username or ""),
    }
    said = {key: value for key, value in found.items() if value}
    return said | _encryption(parts.query), unquote(parts.password or "")


def _encryption(query: str) -> dict[str, Any]:
    """`sslmode` and `sslrootcert` of a URL; every mode with TLS verifies."""
    options = dict(parse_qsl(query))
    mode, ca = options.pop("sslmode", None), options.pop("sslrootcert", None)
    for name in options:
        raise ValueError(f"url: the parameter '{name}' is not known here: sslmode, sslrootcert are")
    if mode == "disable":
        return {"tls": False}
    return {"tls": {"ca": ca}} if mode in {"require", "verify-ca", "verify-full"} or ca else {}


class PostgreSQLInput(FollowInput):
    """What an input reads."""

    table: TableName | None = Field(
        None, description="Table of samples to read; the connection's where absent."
    )
    query: str | None = Field(
        None,
        description="Instead of a table of samples: a query that reads rows behind %(cursor)s, "
        "in the order of the cursor. Each column is a tag.",
    )
    cursor: ColumnName | None = Field(
        None, description="Column of the query whose greatest value is the next %(cursor)s."
    )
    start: float | str | None = Field(
        None, description="The first %(cursor)s: a time or a number; the moment of start if absent."
    )
    time_column: ColumnName | None = Field(
        None, description="Column of the query with the time; the cursor's where absent."
    )
    tag_column: ColumnName | None = Field(
        None, description="Column of the query whose text stands before each tag: 'boiler_id'."
    )

    @model_validator(mode="after")
    def _query_and_cursor(self) -> PostgreSQLInput:
        if self.query is None:
            for key in ("cursor", "start", "time_column", "tag_column"):
                if getattr(self, key) is not None:
                    raise ValueError(f"'{key}' belongs to a 'query'")
            return self
        if self.cursor is None or "%(cursor)s" not in self.query:
            raise ValueError("a 'query' reads behind %(cursor)s, and 'cursor' names its column")
        if self.table is not None or self.tags is not None:
            raise ValueError("give either a 'query', or a 'table' and 'tags'")
        return self


class PostgreSQLOutput(OutputSettings):
    """Where an output writes."""

    table: TableName | None = Field(
        None, description="Table to write, made where missing; the connection's where absent."
    )
    layout: Literal["narrow", "wide"] | None = Field(
        None,
        description="narrow: a row for each sample, with its quality. wide: a row for each moment, "
        "a column for each tag. Absent: wide where the table is there, has the column "
        "'time_column' and no column 'tag'; else narrow.",
    )
    time_column: ColumnName = Field("timestamp", description="Of a wide table: its times.")
    key_column: ColumnName | None = Field(
        None,
        description="Of a wide table: takes the part of a tag before its first dot ('boiler_id').",
    )
