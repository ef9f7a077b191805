"""A password that is a JSON Web Token of the device, renewed before it ends.

The form of Google's former IoT Core, which services that took over its MQTT bridge still take: the
broker looks at the password alone, and hangs up when the token has ended.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from gl002.config.settings import Seconds, Settings
from gl002.errors import ConfigError, require
from gl002.security.secrets import Secret
from gl002.wire.jwt import token

_OTHERS_MAY_READ = 0o007
_RENEW_AFTER = 0.8  # of a token's life
REFUSED = (
    "is the device's public key registered there, is it enabled, is client_id its full name, and "
    "is the clock of this machine right? A token holds for a time"
)
"""What to look at when the broker refuses us."""


class JWTSettings(Settings):
    """A token for each connection, signed with the device's private key."""

    audience: str = Field(
        min_length=1, description="Whom it is for: id of the project, or what the service says."
    )
    key: str = Field("", description="PEM file of the device's private key: RSA or P-256.")
    key_pem: Secret | None = Field(None, description="Its content, from a secret store.")
    lifetime: Seconds = Field(
        3600.0, ge=10, le=86_400, description="How long a token holds. A new one after 4/5 of it."
    )
    claims: dict[str, str] = Field({}, description="Further claims: iss, sub.")

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if bool(self.key) == (self.key_pem is not None):
            raise ValueError("a jwt has one of 'key', a file, and 'key_pem', its content")
        if known := self.claims.keys() & {"aud", "iat", "exp"}:
            raise ValueError(f"claims: '{min(known)}' is made from the other keys")
        return self

    @property
    def renew_after(self) -> float:
        """Seconds after which a token is replaced."""
        return self.lifetime * _RENEW_AFTER

    def token(self) -> Secret:
        """A token that holds from now on.

        Raises:
            ConfigError: the key cannot be read, is none, or everyone may read it.
            MissingDependency: cryptography is not installed.
        """
        require("cryptography", extra="gcp")
        claims = {"aud": self.audience, **self.claims}
        return token(self._pem(), claims, now=time.time(), lifetime=self.lifetime)

    def _pem(self) -> bytes:
        if self.key_pem is not None:
            return self.key_pem.reveal().encode()
        path = Path(self.key).expanduser()
        try:
            if path.stat().st_mode & _OTHERS_MAY_READ:
                raise ConfigError(f"{path}: everyone may read this private key", hint="chmod 600")
            return path.read_bytes()
        except OSError as error:
            raise ConfigError(f"jwt.key: {path}: {error.strerror}") from None
