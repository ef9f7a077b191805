"""Blocks that several connectors share: TLS and retry."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from gl002.config.settings import Seconds, Settings
from gl002.retry import Backoff, RetryPolicy


class TlsSettings(Settings):
    """TLS of one connection. Verification of the other side cannot be switched off."""

    shorthand: ClassVar = {"ca_cert": "ca", "client_cert": "cert", "client_key": "key"}

    ca: str | None = Field(
        None, description="PEM file of the authorities to trust; the system's where absent."
    )
    cert: str | None = Field(None, description="PEM file of our own certificate.")
    key: str | None = Field(None, description="PEM file of our private key, not world-readable.")
    min_version: Literal["1.2", "1.3"] = Field("1.2", description="Oldest TLS version accepted.")
    server_name: str | None = Field(
        None,
        description="Name to expect in the other side's certificate; its host name where absent.",
    )


class RetrySettings(Settings):
    """How a failed request or delivery is tried again."""

    max_attempts: int | None = Field(3, ge=1, description="Tries in all; null tries for ever.")
    backoff: Backoff = Field("exponential", description="How the wait grows.")
    first: Seconds = Field(0.5, description="First wait.")
    most: Seconds = Field(30.0, description="Longest wait.")

    def policy(self) -> RetryPolicy:
        """As the policy the runtime uses."""
        return RetryPolicy(
            max_attempts=self.max_attempts, backoff=self.backoff, first=self.first, most=self.most
        )


class DeliveryRetrySettings(RetrySettings):
    """As `RetrySettings`, for what is to arrive in the end: for ever, where nothing else is said.

    Another wait alone does not turn what is tried for ever into what is given up.
    """

    max_attempts: int | None = Field(
        None, ge=1, description="Tries in all, then dead letters; null tries for ever."
    )


class ActionRetrySettings(DeliveryRetrySettings):
    """As `DeliveryRetrySettings`, for work orders and documents: patient."""

    max_attempts: int | None = Field(
        None, ge=1, description="Tries in all, then a person must act; null tries for ever."
    )
    first: Seconds = Field(10.0, description="First wait.")
    most: Seconds = Field(600.0, description="Longest wait.")
