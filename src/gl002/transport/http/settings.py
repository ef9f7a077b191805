"""Settings that every connection over HTTP has; a kind adds its address and its credentials."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from gl002.config.blocks import RetrySettings, TlsSettings
from gl002.config.settings import Seconds, Settings
from gl002.errors import ConfigError
from gl002.retry import RetryPolicy
from gl002.security.network import Endpoint

PORTS = {"http": 80, "https": 443}


def checked_url(url: str) -> str:
    """An address of a server, with a '/' at its end: 'https://host:8086/'.

    Raises:
        ValueError: no http or https, no host, or a user, a query or a fragment in it.
    """
    scheme = url.partition("://")[0].lower()
    if scheme not in PORTS:
        raise ValueError("expected an address that begins with http:// or https://")
    try:
        Endpoint.of(url, PORTS[scheme])
    except ConfigError as error:
        raise ValueError(str(error)) from None
    parts = urlsplit(url)
    if "@" in parts.netloc:
        raise ValueError("the address holds a user: write it as keys of its own")
    if parts.query or parts.fragment:
        raise ValueError("the address ends with its path: no '?' and no '#'")
    return f"{scheme}://{parts.netloc}{parts.path.rstrip('/')}/"


def is_this_machine(host: str) -> bool:
    """Whether a host is this machine, so that nothing is on a wire."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


URL = Annotated[str, AfterValidator(checked_url)]
"""Field type: the address of a server, with or without a path."""


def _switch(value: object) -> object:
    """`tls: true` is a block without keys."""
    return {True: {}, False: None}.get(value, value) if isinstance(value, bool) else value


class HTTPSettings(Settings):
    """One origin over HTTP. Where the address is https, the certificate is always verified."""

    tls: Annotated[TlsSettings | None, BeforeValidator(_switch)] = Field(
        None,
        description="TLS files of an https address; absent: the authorities of the system.",
    )
    timeout: Seconds = Field(10.0, gt=0, description="Seconds one request may take.")
    retry_policy: RetrySettings = Field(
        RetrySettings(), description="How a request is tried again when the connection fails."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.tls is not None and not self.secure:
            raise ValueError("there is a tls block, and the address is http://, which is plain")
        return self

    @property
    def base_url(self) -> str:
        """Where every path begins, '/' at its end. Kinds make it from their own keys."""
        raise NotImplementedError

    @property
    def secure(self) -> bool:
        """Whether the address is https."""
        return self.base_url.startswith("https:")

    @property
    def endpoint(self) -> Endpoint:
        """Host and port of the address."""
        return Endpoint.of(self.base_url, PORTS["https" if self.secure else "http"])

    def request_timeout(self) -> float:
        """Seconds one request may take."""
        return self.timeout

    def retry(self) -> RetryPolicy:
        """How a request is tried again."""
        return self.retry_policy.policy()
