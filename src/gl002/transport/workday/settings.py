"""Configuration of a Workday tenant: where it is, who we are, defaults of a journal."""

from __future__ import annotations

from typing import Self

from pydantic import Field, model_validator

from gl002.config.settings import Seconds
from gl002.security.secrets import Secret
from gl002.transport.http.settings import URL, HTTPSettings, is_this_machine

_PART = r"^[A-Za-z0-9_.\-]+$"  # of a path


class WorkdayConfig(HTTPSettings):
    """One tenant."""

    url: URL = Field(description="Host of its services: 'https://wd2-impl-services1.workday.com'.")
    tenant: str = Field(pattern=_PART, description="Name of the tenant.")
    username: str = Field("", description="Integration system user; '@tenant' is added.")
    password: Secret | None = Field(None, description="Its password.")
    client_id: str = Field("", description="API client for integrations, instead of a user.")
    client_secret: Secret | None = Field(None, description="Its secret.")
    refresh_token: Secret | None = Field(None, description="Its refresh token.")
    version: str = Field(
        "v43.0", pattern=r"^v\d{2,3}\.\d$", description="Of the web services that we speak."
    )
    page_size: int = Field(100, ge=1, le=999, description="Results of one page.")
    report_timeout: Seconds = Field(
        300.0, gt=0, le=1800, description="Seconds a report, or a piece of one, may take."
    )
    report_rows: int = Field(50_000, ge=1, description="Most rows of a report or a piece of one.")
    report_mb: int = Field(16, ge=1, le=2048, description="Most megabytes of one, likewise.")
    company: str = Field("", description="Company_Reference_ID of a journal that names none.")
    currency: str = Field("", max_length=3, description="Currency_ID, likewise; absent: as there.")
    ledger: str = Field("Actuals", min_length=1, description="Ledger_Type_ID of a journal.")
    journal_source: str = Field("", description="Journal_Source_ID of our journals.")
    account_set: str = Field("Standard", min_length=1, description="Where its accounts are from.")
    submit: bool = Field(
        True, description="Submit a journal to its business process; false leaves it a draft."
    )

    @model_validator(mode="after")
    def _one_way_in(self) -> Self:
        as_user = bool(self.username and self.password)
        as_client = bool(self.client_id and self.refresh_token)
        if as_user == as_client:
            raise ValueError(
                "takes username and password, or client_id and refresh_token, one of the two"
            )
        if not self.secure and not is_this_machine(self.endpoint.host):
            raise ValueError("url: over http:// the password would go in clear: write https://")
        return self

    @property
    def base_url(self) -> str:
        """Where paths begin."""
        return self.url

    @property
    def user(self) -> str:
        """The user with its tenant."""
        return self.username if "@" in self.username else f"{self.username}@{self.tenant}"
