"""Our own certificate and private key: read from files, or made (OPC 10000-6, 6.2.2).

Needs the package `cryptography`, which is imported when a function is called.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gl002.errors import ConfigError, require
from gl002.security.certificates import (
    application_uri_of,
    is_pem,
    load_certificates,
    thumbprint_of,
)

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

_KEY_SIZE = 2048  # bits; every policy in use takes it
_LIFETIME = timedelta(days=5 * 365)
_CLOCK_SKEW = timedelta(hours=1)  # a machine whose clock is behind ours takes a new certificate
_LONGEST_NAME = 64  # of a common name (RFC 5280, appendix A)
_OTHERS_MAY_READ = 0o007


@dataclass(frozen=True, slots=True)
class Identity:
    """Our own certificate with its private key, and the application URI it names."""

    certificate: x509.Certificate
    key: RSAPrivateKey
    application_uri: str

    @property
    def thumbprint(self) -> str:
        """Of the certificate, as servers list it."""
        return thumbprint_of(self.certificate)


def load_identity(certificate: Path, key: Path, password: str | None = None) -> Identity:
    """Our certificate and private key from files, PEM or DER by content.

    Raises:
        ConfigError: names the file and what is wrong with it: missing, not readable, a key that
            everybody may read, a key of another certificate, no application URI.
        MissingDependency: `cryptography` is not installed.
    """
    require("cryptography", extra="opc_ua")
    try:
        ours = load_certificates(_content(certificate))[0]
    except ValueError as error:
        raise ConfigError(f"{certificate}: no certificate in PEM or DER form: {error}") from None
    private = _load_key(key, password)
    if private.public_key() != ours.public_key():
        raise ConfigError(f"{key} is not the private key of {certificate}")
    uri = application_uri_of(ours)
    if not uri:
        raise ConfigError(
            f"{certificate}: names no application URI",
            hint="OPC UA wants one among the subject alternative names; leave certificate and "
            "private_key out, and a fitting pair is made",
        )
    return Identity(ours, private, uri)


def _load_key(path: Path, password: str | None) -> RSAPrivateKey:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    data = _content(path)
    if path.stat().st_mode & _OTHERS_MAY_READ:
        raise ConfigError(f"{path}: everyone may read this private key", hint=f"chmod 600 {path}")
    try:
        if is_pem(data):
            key = serialization.load_pem_private_key(data, _encoded(password))
        else:
            key = serialization.load_der_private_key(data, _encoded(password))
    except TypeError:
        said = "a password, and it has none" if password else "no password, and it has one"
        raise ConfigError(f"{path}: the configuration gives {said}") from None
    except (ValueError, UnsupportedAlgorithm):
        raise ConfigError(f"{path}: no private key, or not its password") from None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError(f"{path}: not an RSA key; the security policies in use need one")
    return key


def _encoded(password: str | None) -> bytes | None:
    return password.encode() if password else None


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None


def make_identity(application_uri: str, hosts: Sequence[str], *, name: str) -> Identity:
    """A new key of 2048 bits and a self-signed certificate for it, valid five years.

    Args:
        application_uri: 'urn:host:gl002'.
        hosts: names and addresses of the machine.
        name: common name, for people.

    Raises:
        MissingDependency: `cryptography` is not installed.
    """
    require("cryptography", extra="opc_ua")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_SIZE)
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name[:_LONGEST_NAME])])
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(now + _LIFETIME)
    )
    for extension, critical in _extensions(application_uri, hosts, key):
        builder = builder.add_extension(extension, critical=critical)
    return Identity(builder.sign(key, hashes.SHA256()), key, application_uri)


def _extensions(
    application_uri: str, hosts: Sequence[str], key: RSAPrivateKey
) -> Iterator[tuple[x509.ExtensionType, bool]]:
    """What OPC UA wants in an application's own certificate (OPC 10000-6, table 37)."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    names = [x509.UniformResourceIdentifier(application_uri), *map(_general_name, hosts)]
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    yield x509.SubjectAlternativeName(names), False
    yield x509.BasicConstraints(ca=False, path_length=None), True
    yield x509.ExtendedKeyUsage(purposes), False
    yield x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False
    yield x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), False
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=True,
        data_encipherment=True,
        key_cert_sign=True,  # it signs itself
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    yield usage, True


def _general_name(host: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
