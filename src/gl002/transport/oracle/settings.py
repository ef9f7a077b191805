"""Configuration of Oracle's maintenance: which product, where it is, as whom we act."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from gl002.config.settings import Port, Settings
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.transport.http.settings import URL, HTTPSettings, is_this_machine

_ZONE_PROBLEM = "expected a zone of the IANA database, such as 'Europe/Berlin'"


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (OSError, ValueError, KeyError):
        raise ValueError(_ZONE_PROBLEM) from None
    return name


_SEQUENCE_PROBLEM = "expected the name of a sequence, with its schema: 'CSI.NAME_S'"


def _sequence(name: str) -> str:
    """A name that is written into a statement, so nothing else may be in it."""
    if not re.fullmatch(r"(?:[A-Za-z][\w$#]{0,29}\.)?[A-Za-z][\w$#]{0,29}", name, re.ASCII):
        raise ValueError(_SEQUENCE_PROBLEM)
    return name.upper()


class ReadingsInterface(Settings):
    """Meter readings as rows of CSI_CTR_READINGS_INTERFACE, which a concurrent program imports."""

    batch: str = Field(
        "GL002", min_length=1, max_length=30, description="BATCH_NAME that the program imports."
    )
    sequence: Annotated[str, AfterValidator(_sequence)] = Field(
        description="Sequence that numbers COUNTER_INTERFACE_ID, with its schema."
    )


class OracleConfig(HTTPSettings):
    """E-Business Suite where there is a `host`, Fusion Maintenance where there is a `url`."""

    host: str | None = Field(None, min_length=1, description="Database host of E-Business Suite.")
    port: Port = Field(1521, description="Of its listener; 2484 is usual with TLS.")
    service: str = Field("PROD", min_length=1, description="Service name of the database.")
    url: URL | None = Field(
        None, description="Fusion Applications: 'https://pod.fa.ocs.oraclecloud.com'."
    )
    username: str = Field("apps", min_length=1, description="Database user, or user of Fusion.")
    password: Secret | None = Field(None, description="Its password.")
    token: Secret | None = Field(None, description="Access token of Fusion, instead of a password.")
    apps_user: str = Field(
        "GL002", min_length=1, description="E-Business Suite: user (FND_USER) that we act as."
    )
    responsibility: str = Field(
        "",
        description="E-Business Suite: key or name of the responsibility we act with; absent: the "
        "only one that the user has.",
    )
    operating_unit: int | None = Field(
        None, description="E-Business Suite: ORG_ID for MO_GLOBAL, where the set-up needs it."
    )
    organization: str = Field(
        "", description="Fusion: code of the organization that maintains; needed for work orders."
    )
    time_zone: Annotated[str, AfterValidator(_zone)] | None = Field(
        None,
        description="E-Business Suite: zone its database keeps dates in; absent: the gateway's.",
    )
    meters: dict[str, str] = Field(
        {},
        description="Quantity -> name, template or code of the asset's meter; absent: the "
        "quantity's own name.",
    )
    work_order_status: str = Field(
        "Unreleased", min_length=1, description="Status of a new work order, unless it says one."
    )
    key_attribute: Literal[
        "ATTRIBUTE1", "ATTRIBUTE2", "ATTRIBUTE3", "ATTRIBUTE4", "ATTRIBUTE5", "ATTRIBUTE6",
        "ATTRIBUTE7", "ATTRIBUTE8", "ATTRIBUTE9", "ATTRIBUTE11", "ATTRIBUTE12", "ATTRIBUTE13",
        "ATTRIBUTE14", "ATTRIBUTE15",
    ] = Field(
        "ATTRIBUTE15",
        description="E-Business Suite: column of a meter reading that keeps an action's key.",
    )  # fmt: skip

    readings_interface: ReadingsInterface | None = Field(
        None,
        description="E-Business Suite: readings by the open interface table; absent: by the "
        "public package, which answers at once.",
    )

    @model_validator(mode="after")
    def _one_product(self) -> Self:
        if (self.host is None) == (self.url is None):
            raise ValueError("takes a host (E-Business Suite) or a url (Fusion), one of them")
        if self.url is not None and self.readings_interface is not None:
            raise ValueError("readings_interface: is of E-Business Suite, and url is Fusion")
        if self.url is not None and not self.secure and not is_this_machine(self.endpoint.host):
            raise ValueError("url: over http:// the password would go in clear: write https://")
        return self

    @property
    def is_suite(self) -> bool:
        """Whether it is E-Business Suite."""
        return self.host is not None

    @property
    def base_url(self) -> str:
        """Where paths of Fusion begin."""
        return self.url or f"http{'s' if self.tls else ''}://{self.host}:{self.port}/"

    @property
    def endpoint(self) -> Endpoint:
        """Host and port."""
        if self.host is not None:
            return Endpoint(self.host, self.port)
        return super().endpoint
