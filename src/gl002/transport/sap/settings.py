"""Configuration of an SAP system: where it is, who we are, which ways lead in."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gl002.config.settings import Settings
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret
from gl002.transport.http.settings import HTTPSettings, checked_url, is_this_machine
from gl002.wire.idoc import Control

Way: TypeAlias = Literal["auto", "soap", "nwrfc"]
LogIn: TypeAlias = Literal["basic", "bearer", "anonymous"]

_HTTPS = 44300  # and the instance number: SAP Help, "TCP/IP Ports of All SAP Products"
_GATEWAY = 3300
_NUMBER = re.compile(r"[0-9]{2}\Z")
_CLIENT = re.compile(r"[0-9]{3}\Z")


def _digits(length: int) -> BeforeValidator:
    """In YAML, 00 is a number."""
    return BeforeValidator(
        lambda value: (
            str(value).zfill(length)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0
            else value
        )
    )


def _path(path: str) -> str:
    """A path below the host, without '/' at its ends.

    Raises:
        ValueError: it is an address or has a query.
    """
    if "://" in path or "?" in path or "#" in path or ".." in path.split("/"):
        raise ValueError("expected a path such as 'sap/bc/soap/rfc'")
    return path.strip("/")


def _address(ashost: str) -> str:
    """A host, with or without a port, or an address.

    Raises:
        ValueError: it is none.
    """
    checked_url(ashost if "://" in ashost else f"https://{ashost}")
    return ashost


Path: TypeAlias = Annotated[str, AfterValidator(_path), Field(min_length=1)]


class SoapSettings(Settings):
    """Where SAP takes function calls over SOAP."""

    path: Path = Field(
        "sap/bc/soap/rfc",
        description="The service of SICF; or a service of SOAMANAGER with the functions in it.",
    )
    wsdl: str = Field(
        "sap/bc/soap/wsdl11",
        description="Where it describes functions; '' to send values without types.",
    )


class ServiceSettings(Settings):
    """Where its OData services are; paths of other releases differ."""

    products: Path = Field("sap/opu/odata/sap/API_PRODUCT_SRV", description="API_PRODUCT_SRV.")
    notifications: Path = Field(
        "sap/opu/odata/sap/API_MAINTNOTIFICATION", description="API_MAINTNOTIFICATION."
    )
    orders: Path = Field(
        "sap/opu/odata/sap/API_MAINTENANCEORDER;v=0002", description="API_MAINTENANCEORDER."
    )
    measurements: Path = Field(
        "sap/opu/odata4/sap/api_measurementdocument/srvd_a2x/sap/MeasurementDocument/0001",
        description="API_MEASUREMENTDOCUMENT.",
    )
    points: Path = Field(
        "sap/opu/odata4/sap/api_measuringpoint/srvd_a2x/sap/measuringpoint/0001",
        description="API_MEASURINGPOINT.",
    )


class IdocSettings(Settings):
    """The partner profile that IDocs are sent under (WE20, WE21)."""

    path: Path = Field("sap/bc/idoc_xml", description="The service of SICF that takes IDocs.")
    sender_port: str = Field(min_length=1, max_length=10, description="SNDPOR.")
    sender_partner: str = Field(
        min_length=1, max_length=10, description="SNDPRN: our logical system."
    )
    receiver_port: str = Field(min_length=1, max_length=10, description="RCVPOR, such as SAPPRD.")
    receiver_partner: str = Field(
        min_length=1, max_length=10, description="RCVPRN: the logical system of the client."
    )

    def control(
        self, basic_type: str, message_type: str, reference: str, extension: str
    ) -> Control:
        """The control record of an IDoc under this profile."""
        return Control(
            basic_type=basic_type, message_type=message_type, reference=reference,
            extension=extension, sender_port=self.sender_port, sender_partner=self.sender_partner,
            receiver_port=self.receiver_port, receiver_partner=self.receiver_partner,
        )  # fmt: skip


class SAPConfig(HTTPSettings):
    """One client of one SAP system."""

    ashost: Annotated[str, AfterValidator(_address)] = Field(
        min_length=1,
        description="Application server: host, 'host:port', or 'https://host:44300'.",
    )
    sysnr: Annotated[str, _digits(2)] = Field("00", description="Instance number, two digits.")
    client: Annotated[str, _digits(3)] = Field(
        "", description="Three digits; absent: the system's own default."
    )
    user: str = Field("", description="A user of type system or communication.")
    passwd: Secret | None = Field(None, description="Its password.")
    token: Secret | None = Field(
        None, description="OAuth 2.0 access token; over HTTP it is used before a password."
    )
    lang: str = Field("EN", pattern=r"^[A-Za-z]{2}$", description="Language of SAP's messages.")
    functions: Way = Field(
        "auto",
        description="How functions are called: soap, or nwrfc, SAP's library with the package "
        "pyrfc. auto: nwrfc where that package is installed.",
    )
    documents: Literal["auto", "odata", "functions"] = Field(
        "auto",
        description="How documents are read and made. auto: OData, and functions where SAP has "
        "not activated the service.",
    )
    soap: SoapSettings = Field(SoapSettings(), description="Functions over SOAP.")
    services: ServiceSettings = Field(ServiceSettings(), description="Paths of OData services.")
    idoc: IdocSettings | None = Field(None, description="Partner profile, to send IDocs.")
    time_zone: str = Field(
        "", description="Of dates and times in SAP, 'Europe/Berlin'; absent: of this machine."
    )
    decimal_point: Literal[".", ","] = Field(
        ".", description="In numbers that SAP takes as text: as the user's master record says."
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if _NUMBER.match(self.sysnr) is None:
            raise ValueError("sysnr: expected two digits, such as '00'")
        if self.client and _CLIENT.match(self.client) is None:
            raise ValueError("client: expected three digits, such as '100'")
        if bool(self.user) != bool(self.passwd):
            raise ValueError("logging in takes a user and its passwd")
        if ":" in self.user:
            raise ValueError("user: SAP has no ':' in names")
        if (
            self.log_in != "anonymous"
            and not self.secure
            and not is_this_machine(self.endpoint.host)
        ):
            raise ValueError(
                "ashost: over http:// the password would go in clear: write https://, whose port "
                "SMICM shows"
            )
        if self.time_zone:
            try:
                ZoneInfo(self.time_zone)
            except (ZoneInfoNotFoundError, ValueError, OSError):
                raise ValueError(f"time_zone: there is no '{self.time_zone}'") from None
        return self

    @property
    def log_in(self) -> LogIn:
        """How we say who we are over HTTP."""
        if self.token:
            return "bearer"
        return "basic" if self.user else "anonymous"

    @property
    def query(self) -> list[tuple[str, str]]:
        """What every address has: the client and the language."""
        client = [("sap-client", self.client)] if self.client else []
        return [*client, ("sap-language", self.lang.upper())]

    @property
    def base_url(self) -> str:
        """'https://host:44300/'."""
        if "://" in self.ashost:
            return checked_url(self.ashost)
        port = _HTTPS + int(self.sysnr) if self.sysnr.isdigit() else _HTTPS
        return checked_url(f"https://{Endpoint.of(self.ashost, port)}")

    @property
    def gateway(self) -> Endpoint:
        """Where SAP's own protocol is spoken."""
        return Endpoint(self.endpoint.host, _GATEWAY + int(self.sysnr))

    @property
    def zone(self) -> ZoneInfo | None:
        """Of dates and times in SAP; None for that of this machine."""
        return ZoneInfo(self.time_zone) if self.time_zone else None
