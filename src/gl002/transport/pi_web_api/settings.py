"""Configuration of a PI System: where PI Web API is, who we are, what to read and write."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from gl002.config.flow import InputSettings, OutputSettings
from gl002.config.settings import Seconds
from gl002.security.secrets import Secret
from gl002.transport.http.settings import HTTPSettings, checked_url, is_this_machine

Authentication: TypeAlias = Literal["basic", "negotiate", "bearer", "anonymous"]
UpdateOption: TypeAlias = Literal[
    "Replace", "Insert", "NoReplace", "ReplaceOnly", "InsertNoCompression", "Remove"
]
"""What happens to a value at a time that has one already (PI Web API Reference, Update Option)."""
BufferOption: TypeAlias = Literal["DoNotBuffer", "BufferIfPossible", "Buffer"]

_PATH = "piwebapi/"


def _address(server: str) -> str:
    """The address of PI Web API.

    Raises:
        ValueError: it is none.
    """
    if "://" in server:
        url = checked_url(server)
        return url if url.split("://")[1].partition("/")[2] else url + _PATH
    return checked_url(f"https://{server}/{_PATH}")


def _checked(server: str) -> str:
    _address(server)
    return server


class PIConfig(HTTPSettings):
    """One PI Web API, and through it a Data Archive and an AF database."""

    server: Annotated[str, AfterValidator(_checked)] = Field(
        min_length=1,
        description="PI Web API: a host, 'host:port', or an address 'https://host/piwebapi'.",
    )
    authentication: Authentication | None = Field(
        None,
        description="How we log in: basic, negotiate (Kerberos, else NTLM), bearer, anonymous. "
        "Absent: bearer with a token, else basic with a user name, else anonymous.",
    )
    username: str = Field("", description="Windows account, 'DOMAIN\\user' or 'user'.")
    password: Secret | None = Field(None, description="Its password.")
    token: Secret | None = Field(None, description="Access token, for bearer.")
    database: str = Field("", description="AF database of addresses such as 'Boiler1|Level'.")
    data_server: str = Field(
        "",
        description="Name of the Data Archive; absent: the only one it is connected to.",
    )
    asset_server: str = Field(
        "",
        description="Name of the AF server; absent: the only one it is connected to.",
    )
    web_ids: Literal["client", "server"] = Field(
        "client",
        description="Who makes WebIDs: client, for PI Web API 2017 R2 and later; server asks it "
        "for each, once.",
    )
    batch_size: int = Field(500, ge=1, le=2000, description="Most requests in one batch.")
    page_size: int = Field(
        10_000, ge=1, le=150_000, description="Most values of one tag asked for at once."
    )
    max_values: int = Field(
        1_000_000, ge=1, description="Most values that `read_history` gives: more are an error."
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        scheme = self.log_in
        if scheme == "basic" and not (self.username and self.password):
            raise ValueError("basic authentication takes a username and a password")
        if scheme == "bearer" and not self.token:
            raise ValueError("bearer authentication takes a token")
        if scheme == "negotiate" and bool(self.username) != bool(self.password):
            raise ValueError("negotiate takes a username and a password, or neither (Kerberos)")
        if scheme != "anonymous" and not self.secure and not is_this_machine(self.endpoint.host):
            raise ValueError(
                "server: over http:// the password would go in clear: write https://, which "
                "PI Web API speaks"
            )
        return self

    @property
    def log_in(self) -> Authentication:
        """How we log in."""
        if self.authentication is not None:
            return self.authentication
        if self.token is not None:
            return "bearer"
        return "basic" if self.username or self.password is not None else "anonymous"

    @property
    def base_url(self) -> str:
        """'https://host/piwebapi/'."""
        return _address(self.server)


class PIInput(InputSettings):
    """What to read from a PI System."""

    tags: list[str] = Field(
        min_length=1,
        description="Points, 'BA:BOILER1.FLOW', or attributes, 'Boilers\\Boiler1|Steam Flow'.",
    )
    interval: Seconds = Field(
        5.0, gt=0, description="Seconds between two questions for what is new."
    )


class PIOutput(OutputSettings):
    """How an output writes."""

    point_prefix: str = Field(
        "", description="Put before each tag's name: 'GL002.' gives the point 'GL002.boiler1.o2'."
    )
    through: Literal["streams", "omf"] = Field(
        "streams",
        description="streams: values of points, each with an answer of its own. omf: Open Message "
        "Format, which makes the points, too.",
    )
    create_points: bool = Field(
        False, description="Make points that are missing: Float64 for numbers, String for text."
    )
    update: Literal["Replace", "NoReplace"] = Field(
        "Replace",
        description="A value at a time that has one: Replace overwrites it, NoReplace leaves it.",
    )
    buffer: BufferOption = Field(
        "DoNotBuffer",
        description="DoNotBuffer: delivered means that the Data Archive has it.",
    )
