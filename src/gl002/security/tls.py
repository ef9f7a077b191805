"""TLS contexts: one way to make them, always verifying the other side."""

from __future__ import annotations

import ssl
from pathlib import Path

from gl002.errors import AuthFailed, ConfigError, ConnectFailed, GL002Error
from gl002.security.network import Endpoint

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
_OTHERS_MAY_READ = 0o007


def client_context(
    *,
    ca: str | None = None,
    cert: str | None = None,
    key: str | None = None,
    min_version: str = "1.2",
) -> ssl.SSLContext:
    """A context for connections we open. Certificate and host name are always checked.

    Args:
        ca: PEM file of the authorities to trust; the system's where absent.
        cert: PEM file of our own certificate, for mutual TLS.
        key: PEM file of our private key.
        min_version: '1.2' or '1.3'.

    Raises:
        ConfigError: a file is missing, unreadable, no PEM, encrypted, or a key that others may
            read; a key without a certificate; an unknown version.
    """
    _check_file(ca, "ca")
    _check_file(cert, "cert")
    _check_file(key, "key")
    if key is not None and cert is None:
        raise ConfigError("tls.key needs tls.cert", hint="name the certificate of this key")
    if min_version not in _VERSIONS:
        raise ConfigError(f"tls.min_version is '{min_version}'", hint="'1.2' or '1.3'")
    if key is not None and Path(key).stat().st_mode & _OTHERS_MAY_READ:
        raise ConfigError(f"{key}: everyone may read this private key", hint=f"chmod 600 {key}")
    try:
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
        if cert is not None:
            context.load_cert_chain(cert, key, password=_nobody_to_ask)
    except (ssl.SSLError, OSError) as error:
        raise ConfigError(f"TLS files {_names(ca, cert, key)}: {error}") from error
    context.minimum_version = _VERSIONS[min_version]
    return context


def explained(error: OSError | None, endpoint: Endpoint | str) -> GL002Error:
    """Why a connection to `endpoint` broke, in words: a certificate, TLS, or the line."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return AuthFailed(
            f"{endpoint}: its certificate is not trusted: {error.verify_message}",
            hint="set tls.ca to the authority that signed it, tls.server_name to the name in it",
        )
    if isinstance(error, ssl.SSLError):
        reason = (error.reason or str(error)).replace("_", " ").lower()
        if "certificate" in reason or "unknown ca" in reason:
            return AuthFailed(
                f"{endpoint}: it refused our certificate: {reason}",
                hint="set tls.cert and tls.key to a certificate that it trusts",
            )
        return ConnectFailed(
            f"{endpoint}: TLS failed: {reason}",
            hint="does that port speak TLS, and does it ask for a certificate (tls.cert, tls.key)?",
        )
    if error is None:
        return ConnectFailed(f"{endpoint}: it closed the connection")
    return ConnectFailed(f"{endpoint}: {error.strerror or error}")


def _nobody_to_ask() -> str:
    """OpenSSL would ask at the terminal for the passphrase of an encrypted key, and wait."""
    raise ConfigError(
        "tls.key: the private key is encrypted", hint="a service has nobody to ask: decrypt it"
    )


def _check_file(path: str | None, key: str) -> None:
    try:
        there = path is None or Path(path).is_file()
    except OSError as error:
        raise ConfigError(f"tls.{key}: {path}: {error.strerror}") from None
    if not there:
        raise ConfigError(f"tls.{key}: there is no file '{path}'")


def _names(*paths: str | None) -> str:
    return ", ".join(path for path in paths if path is not None)
