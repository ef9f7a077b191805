"""Configuration of a Wonderware Historian: where its SQL Server is, who we are, what to move."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gl002.config.blocks import TlsSettings
from gl002.config.flow import OutputSettings
from gl002.config.settings import Port, Seconds, Settings
from gl002.errors import ConfigError
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.transport.following import FollowInput

_PORT = 1433
_NAME = re.compile(r"[A-Za-z_][\w$#@-]{0,127}")


def _server(text: str) -> str:
    if "\\" in text:
        raise ValueError(
            "name the TCP port of a named instance, 'historian:50123': it is not looked for"
        )
    try:
        Endpoint.of(text, _PORT)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return text


def _database(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise ValueError("letters, digits and '_', no digit first")
    return text


class WonderwareConfig(Settings):
    """One historian: its SQL Server, and the database in it."""

    server: Annotated[str, AfterValidator(_server)] = Field(
        min_length=1, description="The historian's SQL Server: a host, or 'host:port'."
    )
    port: Port | None = Field(None, description="Its TCP port; 1433 where absent.")
    database: Annotated[str, AfterValidator(_database)] = Field(
        "Runtime", description="The historian's database."
    )
    integrated_security: bool | None = Field(
        None,
        description="Windows authentication: Kerberos with the ticket of the gateway's account, or "
        "username and password of a Windows account. Absent: where there is no username.",
    )
    username: str = Field("", description="SQL login; with integrated security 'DOMAIN\\user'.")
    password: Secret | None = Field(None, description="Its password.")
    tls: TlsSettings | Literal[False] | None = Field(
        None,
        description="The server's certificate is always verified. Absent: TLS, except to this "
        "machine. false: everything in clear, for a network you trust.",
    )
    timeout: Seconds = Field(30.0, gt=0, description="Longest time one request may take.")
    max_rows: int = Field(1_000_000, ge=1, description="Most rows a query may give.")

    def request_timeout(self) -> float:
        """The key `timeout`."""
        return self.timeout

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.port is not None and ":" in self.server.rpartition("]")[2]:
            raise ValueError("'server' names a port already: keep one")
        if not self.integrated and not (self.username and self.password):
            raise ValueError("a SQL login takes a username and a password")
        if self.integrated and bool(self.username) != bool(self.password):
            raise ValueError(
                "integrated security takes a username and a password, or neither (Kerberos)"
            )
        if self.tls and self.tls.min_version == "1.3":
            raise ValueError("tls.min_version: TDS 7 ends at TLS 1.2")
        return self

    @property
    def integrated(self) -> bool:
        """Whether we log in with a Windows account."""
        if self.integrated_security is None:
            return not self.username and self.password is None
        return self.integrated_security

    @property
    def endpoint(self) -> Endpoint:
        """Host and port."""
        return Endpoint.of(self.server, self.port or _PORT)


class WonderwareInput(FollowInput):
    """What is read from a historian."""

    read: Literal["history", "live"] = Field(
        "history",
        description="history: every value that is stored, also those of an outage. live: only "
        "what each tag is at the moment of asking; needs 'tags' without '*'.",
    )

    @model_validator(mode="after")
    def _live_takes_names(self) -> Self:
        if self.read == "live" and (not self.tags or any("*" in tag for tag in self.tags)):
            raise ValueError("'read: live' takes 'tags' without '*'")
        return self


class WonderwareOutput(OutputSettings):
    """How an output writes."""

    tag_prefix: str = Field(
        "", description="Put before each tag's name: 'GL002.' gives the tag 'GL002.boiler1.o2'."
    )
    create_tags: bool = Field(
        False, description="Make tags that are missing: analog for numbers, string for text."
    )
