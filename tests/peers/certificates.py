"""Certificates for tests, good and bad ones: made here, not by the code under test."""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime.now(UTC)


@functools.cache
def key(bits: int = 2048, which: int = 0) -> rsa.RSAPrivateKey:
    """A key; the same one for the same arguments, because making one takes long."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


@dataclass
class Made:
    certificate: x509.Certificate
    key: rsa.RSAPrivateKey

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_as(self, encoding=serialization.Encoding.PEM, password: str | None = None) -> bytes:
        encryption = (
            serialization.BestAvailableEncryption(password.encode())
            if password
            else serialization.NoEncryption()
        )
        return self.key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, encryption)

    def save(self, folder: Path, name: str) -> tuple[Path, Path]:
        """Write both as PEM; the guide's names, whose endings say nothing: 'x.pem' and 'x.key'."""
        folder.mkdir(parents=True, exist_ok=True)
        certificate, private = folder / f"{name}.pem", folder / f"{name}.key"
        certificate.write_bytes(self.pem)
        private.write_bytes(self.key_as())
        private.chmod(0o600)
        return certificate, private


def make(
    uri: str = "urn:test:server",
    hosts: Sequence[str] = ("localhost", "127.0.0.1"),
    *,
    name: str = "server",
    issuer: Made | None = None,
    authority: bool = False,
    path_length: int | None = None,
    bits: int = 2048,
    which: int = 0,
    digest: hashes.HashAlgorithm | None = None,
    start: timedelta = timedelta(days=-1),
    end: timedelta = timedelta(days=30),
    purposes: Sequence[x509.ObjectIdentifier] | None = (ExtendedKeyUsageOID.SERVER_AUTH,),
    signing: bool = True,
) -> Made:
    """A certificate, self-signed unless an `issuer` is given."""
    own = key(bits, which)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(own.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + start)
        .not_valid_after(NOW + end)
        .add_extension(
            x509.BasicConstraints(ca=authority, path_length=path_length), critical=True
        )
        .add_extension(_usage(authority=authority, signing=signing), critical=True)
    )  # fmt: skip
    names = [x509.UniformResourceIdentifier(uri)] if uri else []
    names += [_general_name(host) for host in hosts]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if purposes and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    return Made(builder.sign(issuer.key if issuer else own, digest or hashes.SHA256()), own)


def revocations(issuer: Made, *revoked: Made) -> bytes:
    """A revocation list in DER form."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(NOW - timedelta(hours=1))
        .next_update(NOW + timedelta(days=1))
    )
    for made in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(made.certificate.serial_number)
            .revocation_date(NOW - timedelta(hours=2))
            .build()
        )
    listed = builder.sign(issuer.key, hashes.SHA256())
    return listed.public_bytes(serialization.Encoding.DER)


def _usage(*, authority: bool, signing: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=signing, content_commitment=True, key_encipherment=signing,
        data_encipherment=signing, key_agreement=not signing, key_cert_sign=authority,
        crl_sign=authority, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
