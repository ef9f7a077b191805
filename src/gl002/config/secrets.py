"""Where secrets are kept: the section `secrets` of the configuration."""

from __future__ import annotations

from typing import Self

from pydantic import Field, field_validator, model_validator

from gl002.config.blocks import TlsSettings
from gl002.config.settings import Seconds, Settings
from gl002.errors import ConfigError
from gl002.security.network import Endpoint
from gl002.security.secrets import Secret

_PORTS = {"http": 80, "https": 443}


def _checked(url: str) -> str:
    """An address; over http only where nothing is on a wire, for tests and agents."""
    scheme = url.partition("://")[0].lower()
    if scheme not in _PORTS:
        raise ValueError("expected an address that begins with https://")
    try:
        host = Endpoint.of(url, _PORTS[scheme]).host
    except ConfigError as error:
        raise ValueError(str(error)) from None
    if scheme == "http" and host not in {"localhost", "127.0.0.1", "::1"}:
        raise ValueError("over http:// the secrets would go in clear: write https://")
    return url.rstrip("/")


class VaultSettings(Settings):
    """HashiCorp Vault (or OpenBao), engine KV version 2."""

    url: str = Field(description="Address, 'https://vault.plant.example:8200'.")
    token: Secret | None = Field(None, description="A token; it is renewed while we run.")
    role_id: str = Field("", description="Of an AppRole, instead of a token.")
    secret_id: Secret | None = Field(None, description="Of the AppRole.")
    namespace: str = Field("", description="Namespace (Vault Enterprise).")
    mount: str = Field(
        "", description="Where the engine is mounted; absent: the first part of each path."
    )
    auth_mount: str = Field("approle", description="Where AppRole is mounted.")
    tls: TlsSettings = Field(TlsSettings(), description="The authorities to trust.")

    _url = field_validator("url")(_checked)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.token is None) == (not self.role_id):
            raise ValueError("a token, or role_id and secret_id: one of both")
        if bool(self.role_id) != (self.secret_id is not None):
            raise ValueError("role_id and secret_id go together")
        return self


class AWSSettings(Settings):
    """AWS Secrets Manager."""

    region: str = Field(pattern=r"^[a-z]{2}(-[a-z]+)+-\d$", description="'eu-central-1'.")
    access_key_id: str = Field(description="Name of the access key.")
    secret_access_key: Secret = Field(description="The access key.")
    session_token: Secret | None = Field(None, description="Of a temporary key.")
    url: str = Field("", description="Address in the stead of AWS's own: a VPC endpoint.")
    tls: TlsSettings = Field(TlsSettings(), description="The authorities to trust.")

    @field_validator("url")
    @classmethod
    def _is_url(cls, url: str) -> str:
        return _checked(url) if url else url

    @property
    def address(self) -> str:
        """Of the service."""
        china = ".cn" if self.region.startswith("cn-") else ""
        return self.url or f"https://secretsmanager.{self.region}.amazonaws.com{china}"


class AzureSettings(Settings):
    """Azure Key Vault, with a service principal or the identity of this machine."""

    tenant_id: str = Field("", description="Directory of the service principal.")
    client_id: str = Field("", description="Its application id; of a managed identity, too.")
    client_secret: Secret | None = Field(
        None, description="Its secret. Absent: the managed identity of this machine."
    )
    authority: str = Field(
        "https://login.microsoftonline.com", description="Where tokens come from."
    )
    vault_url: str = Field(
        "https://{vault}.vault.azure.net", description="Address of a vault, given its name."
    )
    tls: TlsSettings = Field(TlsSettings(), description="The authorities to trust.")

    _authority = field_validator("authority")(_checked)

    @field_validator("vault_url")
    @classmethod
    def _names_vault(cls, url: str) -> str:
        _checked(url.replace("{vault}", "vault"))
        return url.rstrip("/")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.client_secret is not None and not (self.tenant_id and self.client_id):
            raise ValueError("client_secret goes with tenant_id and client_id")
        return self


class SecretsSettings(Settings):
    """Secret stores, and how often they are asked."""

    vault: VaultSettings | None = Field(None, description="For ${vault:path#key}.")
    aws: AWSSettings | None = Field(None, description="For ${aws-sm:name#key}.")
    azure: AzureSettings | None = Field(None, description="For ${azure-kv:vault/name}.")
    refresh: Seconds = Field(
        300.0, ge=1, description="How often they are asked again while the gateway runs."
    )
    timeout: Seconds = Field(10.0, gt=0, le=60, description="How long one request may take.")
