"""X.509 certificates of OPC UA applications: what they say, and whether to take them.

Rules: OPC 10000-6, 6.2.2 and OPC 10000-4, 6.1.3. Needs the package `cryptography`, which is
imported when a function is called.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha1
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509

_SMALLEST_KEY = 2048  # bits; the least that the policies in use take (OPC 10000-7, 6.6)
_LONGEST_CHAIN = 5
_SOON = timedelta(days=30)  # a certificate that ends sooner is worth a note
_ASN1_SEQUENCE = 0x30


class Unfit(Exception):
    """Why a certificate is not taken.

    Attributes:
        hint: what to do about it.
    """

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


# ---- reading ----------------------------------------------------------------------------------


def load_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates in PEM or DER data, told apart by content; at least one.

    Raises:
        ValueError: it is neither.
    """
    from cryptography import x509

    if is_pem(data):
        return x509.load_pem_x509_certificates(data)
    parts = list(_der_parts(data))
    if not parts:
        raise ValueError("no certificate in it")
    return [x509.load_der_x509_certificate(part) for part in parts]


def is_pem(data: bytes) -> bool:
    """Whether the data is text in PEM form; DER otherwise."""
    return b"-----BEGIN " in data


def _der_parts(data: bytes) -> Iterator[bytes]:
    """The certificates of a chain, each an ASN.1 SEQUENCE that says how long it is (X.690, 8.1)."""
    at = 0
    while len(data) - at > 1 and data[at] == _ASN1_SEQUENCE:
        size, head = data[at + 1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[at + 2 : at + head], "big")
        yield data[at : at + head + size]
        at += head + size


# ---- what it says -----------------------------------------------------------------------------


def der_of(certificate: x509.Certificate) -> bytes:
    """In DER form."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def thumbprint_of(certificate: x509.Certificate) -> str:
    """SHA-1 over the DER form in capital hexadecimal: a name for people, never a proof."""
    return sha1(der_of(certificate), usedforsecurity=False).hexdigest().upper()


def subject_of(certificate: x509.Certificate) -> str:
    """The subject without anything a terminal could take for a command."""
    text = certificate.subject.rfc4514_string()
    return "".join(c if c.isprintable() else "?" for c in text)


def application_uri_of(certificate: x509.Certificate) -> str:
    """The application it was made for; '' where it names none."""
    from cryptography import x509

    names = _alternative_names(certificate)
    return next((n.value for n in names if isinstance(n, x509.UniformResourceIdentifier)), "")


def hosts_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """The machines it was made for: names and addresses."""
    from cryptography import x509

    return tuple(
        str(name.value)
        for name in _alternative_names(certificate)
        if isinstance(name, x509.DNSName | x509.IPAddress)
    )


def _alternative_names(certificate: x509.Certificate) -> Iterable[x509.GeneralName]:
    from cryptography import x509

    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return ()


def may_sign(certificate: x509.Certificate, below: int = 0) -> bool:
    """Whether it is an authority's, with room for `below` more under it (RFC 5280, 4.2.1.9)."""
    from cryptography import x509

    try:
        found = certificate.extensions
        constraints = found.get_extension_for_class(x509.BasicConstraints).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    if not constraints.ca:
        return False
    try:
        if not found.get_extension_for_class(x509.KeyUsage).value.key_cert_sign:
            return False
    except x509.ExtensionNotFound:
        pass
    return constraints.path_length is None or below <= constraints.path_length


# ---- checking ---------------------------------------------------------------------------------


def check_strength(certificate: x509.Certificate) -> None:
    """RSA of 2048 bits or more, signed with SHA-256 or better.

    Raises:
        Unfit: it is weaker.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import rsa

    hint = "make a new one on the server"
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Unfit("has no RSA key", hint)
    if key.key_size < _SMALLEST_KEY:
        raise Unfit(f"has a key of {key.key_size} bits, at least {_SMALLEST_KEY} are needed", hint)
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    if not isinstance(algorithm, hashes.SHA256 | hashes.SHA384 | hashes.SHA512):
        raise Unfit(f"is signed with {algorithm.name if algorithm else 'an unknown hash'}", hint)


def check_dates(certificate: x509.Certificate) -> None:
    """Valid now, by our clock.

    Raises:
        Unfit: not yet, or no more.
    """
    now = datetime.now(UTC)
    if now > certificate.not_valid_after_utc:
        raise Unfit(
            f"expired on {certificate.not_valid_after_utc:%Y-%m-%d}", "renew it on the server"
        )
    if now < certificate.not_valid_before_utc:
        raise Unfit(
            f"is valid only from {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on",
            "is the clock of this machine, or was that of the server, wrong?",
        )


def notes_on(certificates: Mapping[str, x509.Certificate]) -> tuple[str, ...]:
    """What a person should know about certificates that end within a month.

    Args:
        certificates: whose ('our') -> the certificate.
    """
    now = datetime.now(UTC)
    ends = {whose: found.not_valid_after_utc for whose, found in certificates.items()}
    return tuple(
        f"{whose} certificate ends on {end:%Y-%m-%d}, in {(end - now).days} days"
        for whose, end in ends.items()
        if end - now < _SOON
    )


def check_usage(certificate: x509.Certificate) -> None:
    """Made for servers, as far as it says what it was made for.

    Raises:
        Unfit: made for something else.
    """
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    try:
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        fits = usage.digital_signature and (usage.key_encipherment or usage.data_encipherment)
    except x509.ExtensionNotFound:
        fits = True
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        fits &= bool(
            {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
            & set(purposes)
        )
    except x509.ExtensionNotFound:
        pass
    if not fits:
        raise Unfit("was not made for a server", "make a new one on the server")


def check_application(certificate: x509.Certificate, uri: str) -> None:
    """Made for that application.

    Raises:
        Unfit: made for another, or for none.
    """
    named = application_uri_of(certificate)
    if named != uri:
        raise Unfit(f"is for the application '{named}', and the server says it is '{uri}'")


def check_host(certificate: x509.Certificate, host: str) -> None:
    """Made for that machine. An application URI may stand in for a name the certificate lacks.

    Raises:
        Unfit: made for others; the hint says how to expect one of them.
    """
    uri, hosts = application_uri_of(certificate), hosts_of(certificate)
    if any(_same_host(host, name) for name in hosts) or (uri and host == uri):
        return
    meant = hosts[0] if hosts else uri
    raise Unfit(
        f"is for {', '.join(hosts) or 'no host'}, not for {host}",
        f"if that is the machine you mean, set security.server_name: {meant}",
    )


def _same_host(host: str, name: str) -> bool:
    try:
        return ipaddress.ip_address(host) == ipaddress.ip_address(name)
    except ValueError:
        return host.rstrip(".").lower() == name.rstrip(".").lower()


def leads_to(
    certificate: x509.Certificate,
    trusted: Sequence[x509.Certificate],
    known: Sequence[x509.Certificate],
    *,
    above: int = 0,
) -> bool:
    """Whether a chain of valid signatures leads from a certificate to a trusted authority.

    Args:
        certificate: where to start.
        trusted: where the chain may end.
        known: what it may pass through, the trusted ones included.
        above: authorities passed so far.
    """
    if above >= _LONGEST_CHAIN:
        return False
    issuers = [c for c in known if _signed(certificate, c, above)]
    return any(c in trusted for c in issuers) or any(
        leads_to(c, trusted, known, above=above + 1) for c in issuers if c != certificate
    )


def _signed(certificate: x509.Certificate, issuer: x509.Certificate, below: int) -> bool:
    from cryptography.exceptions import InvalidSignature

    if certificate.issuer != issuer.subject or not may_sign(issuer, below):
        return False
    try:
        certificate.verify_directly_issued_by(issuer)
        check_dates(issuer)
    except (ValueError, TypeError, InvalidSignature, Unfit):
        return False
    return True


def is_revoked(
    certificate: x509.Certificate,
    lists: Iterable[x509.CertificateRevocationList],
    known: Sequence[x509.Certificate],
) -> bool:
    """Whether a list signed by the certificate's own issuer names it."""
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

    for revoked in lists:
        if revoked.issuer != certificate.issuer:
            continue
        keys: list[CertificateIssuerPublicKeyTypes] = [
            c.public_key()  # type: ignore[misc]  # authorities sign, so theirs is a signing key
            for c in known
            if c.subject == revoked.issuer
        ]
        genuine = any(revoked.is_signature_valid(key) for key in keys)
        if genuine and revoked.get_revoked_certificate_by_serial_number(certificate.serial_number):
            return True
    return False
