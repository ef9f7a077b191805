"""Whose certificates we trust, and our own, in folders (OPC 10000-4, 6.1.3; 10000-12, 7.8).

    <state folder>/pki/
        own/       our certificate (cert.der) and its private key (key.pem, mode 0600)
        trusted/   of servers we talk to, and of authorities all of whose servers we talk to
        issuers/   of authorities that complete a chain, not trusted by themselves
        rejected/  what servers showed us and nobody has trusted yet

`*.crl` files in `trusted` and `issuers` are revocation lists. Files are PEM or DER, told apart by
content, and read anew for every check: trusting one takes effect without a restart. Methods work
on files: call them from a thread where a loop runs.
"""

from __future__ import annotations

import os
import re
import socket
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from gl002.errors import ConfigError, Untrusted, require
from gl002.security.certificates import (
    Unfit,
    application_uri_of,
    check_application,
    check_dates,
    check_host,
    check_strength,
    check_usage,
    der_of,
    hosts_of,
    is_pem,
    is_revoked,
    leads_to,
    load_certificates,
    may_sign,
    subject_of,
    thumbprint_of,
)
from gl002.security.folders import make_private
from gl002.security.identity import Identity, load_identity, make_identity

if TYPE_CHECKING:
    from cryptography import x509

Place: TypeAlias = Literal["own", "trusted", "issuers", "rejected"]
PLACES: tuple[Place, ...] = ("own", "trusted", "issuers", "rejected")

_MOST_REJECTED = 50  # so that a peer cannot fill the disk with certificates
_SHORTEST_PREFIX = 8  # hexadecimal digits of a thumbprint that people may type
_LARGEST_FILE = 1 << 20


@dataclass(frozen=True, slots=True)
class Card:
    """What a certificate says, for people.

    Attributes:
        place: folder it lies in.
        path: its file.
        thumbprint: SHA-1 of its DER form in capital hexadecimal, as OPC UA tools show it.
        subject: 'CN=...'.
        application_uri: of the application it names; '' where it names none.
        hosts: names and addresses of the machines it is for.
        not_before: start of its validity.
        not_after: end of its validity.
        authority: whether it may sign others.
    """

    place: Place
    path: Path
    thumbprint: str
    subject: str
    application_uri: str
    hosts: tuple[str, ...]
    not_before: datetime
    not_after: datetime
    authority: bool


class Pki:
    """The certificate folders of one gateway.

    Every method raises `MissingDependency` where the package `cryptography` is not installed.

    Args:
        folder: holds `own`, `trusted`, `issuers`, `rejected`; they are made when first needed.
        also_trusted: a further folder of trusted certificates, kept by the site itself.
    """

    def __init__(self, folder: Path, *, also_trusted: Path | None = None) -> None:
        self.folder = folder
        self._also_trusted = also_trusted

    # ---- our own ----------------------------------------------------------------------------

    def init(self, *, host: str = "") -> Identity:
        """Our own certificate, made on the first call: self-signed, five years.

        Args:
            host: name of this machine to put into it; its host name where absent.
        """
        own = self.folder / "own"
        if not (own / "cert.der").exists():
            self._make_own(host or socket.gethostname())
        return load_identity(own / "cert.der", own / "key.pem")

    def renew(self, *, host: str = "") -> Identity:
        """A new certificate and key; the old ones are kept beside them. Servers must trust it."""
        require("cryptography", extra="opc_ua")
        own = self.folder / "own"
        if own.exists():
            own.rename(self.folder / f"own-until-{datetime.now(UTC):%Y%m%dT%H%M%S%f}")
        return self.init(host=host)

    def _make_own(self, host: str) -> None:
        """Written aside and moved into place at once, so that no half of a pair is ever seen."""
        from cryptography.hazmat.primitives import serialization

        identity = make_identity(f"urn:{host}:gl002", [host], name=f"gl002@{host}")
        key = identity.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        make_private(self.folder)
        aside = Path(tempfile.mkdtemp(prefix="own-new-", dir=self.folder))
        write_whole(aside / "key.pem", key, mode=0o600)
        write_whole(aside / "cert.der", der_of(identity.certificate), mode=0o644)
        try:
            aside.rename(self.folder / "own")
        except OSError:  # another process was first: its pair is as good
            (aside / "key.pem").unlink()
            (aside / "cert.der").unlink()
            aside.rmdir()

    # ---- those of others --------------------------------------------------------------------

    def list(self) -> Sequence[Card]:
        """Every certificate in the folders; files that hold none are left out."""
        require("cryptography", extra="opc_ua")
        return [
            _card(certificate, place, path)
            for place in PLACES
            for path, certificate in self._certificates(place)
        ]

    def trust(self, thumbprint: str) -> Card:
        """Move a rejected certificate to the trusted ones; harmless where it is trusted already.

        Args:
            thumbprint: as in the error that named it, or its first eight digits or more.

        Raises:
            ConfigError: no certificate, or more than one, has that thumbprint.
        """
        return self._move(thumbprint, "rejected", "trusted")

    def reject(self, thumbprint: str) -> Card:
        """Move a trusted certificate to the rejected ones: takes `trust` back.

        Raises:
            ConfigError: no certificate, or more than one, has that thumbprint.
        """
        return self._move(thumbprint, "trusted", "rejected")

    def check_server(self, shown: bytes, *, host: str, application_uri: str) -> None:
        """Whether to talk to a server that shows this certificate.

        Checks key, signature, dates, trust in it or in an authority above it, revocation, usage,
        host name and application URI. One that is not trusted is kept in `rejected`.

        Args:
            shown: DER of the certificate, those of its chain behind it where the server sends them.
            host: the machine it must be for.
            application_uri: what the server says it is.

        Raises:
            Untrusted: names the reason, the thumbprint and, where it helps, the command to trust.
        """
        require("cryptography", extra="opc_ua")
        try:
            leaf, *above = load_certificates(shown)
        except ValueError:
            raise Untrusted(f"{host}: the server shows no readable certificate") from None
        try:
            check_strength(leaf)
            check_dates(leaf)
            self._check_trust(leaf, above)
            check_usage(leaf)
            check_host(leaf, host)
            check_application(leaf, application_uri)
        except Unfit as unfit:
            raise Untrusted(
                f"the certificate of {host} {unfit}: {subject_of(leaf)}, "
                f"thumbprint {thumbprint_of(leaf)}",
                hint=unfit.hint,
            ) from None

    def _check_trust(self, leaf: x509.Certificate, above: Sequence[x509.Certificate]) -> None:
        trusted = [c for _, c in self._certificates("trusted")]
        known = [*trusted, *(c for _, c in self._certificates("issuers")), *above]
        if is_revoked(leaf, self._revocation_lists(), known):
            raise Unfit("was revoked by its issuer", "the server needs a new one")
        if leaf not in trusted and not leads_to(leaf, trusted, known):
            self._keep_rejected(leaf)
            raise Unfit(
                "is not trusted",
                "compare the thumbprint with the one the server itself shows, then: "
                f"gl002 pki trust {thumbprint_of(leaf)}",
            )

    def _keep_rejected(self, certificate: x509.Certificate) -> None:
        if any(c == certificate for _, c in self._certificates("rejected")):
            return
        folder = self._folder("rejected")
        by_age = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in by_age[: max(0, len(by_age) - _MOST_REJECTED + 1)]:
            path.unlink(missing_ok=True)
        write_whole(folder / _file_name(certificate), der_of(certificate), mode=0o644)

    def _move(self, thumbprint: str, source: Place, target: Place) -> Card:
        require("cryptography", extra="opc_ua")
        wanted = re.sub(r"[\s:]", "", thumbprint).upper()
        found = [
            (place, path, certificate)
            for place in (target, source)
            for path, certificate in self._certificates(place)
            if thumbprint_of(certificate).startswith(wanted)
        ]
        which = {thumbprint_of(certificate) for *_, certificate in found}
        if len(wanted) < _SHORTEST_PREFIX or len(which) != 1:
            raise ConfigError(
                f"{len(which) or 'no'} certificates in {self.folder} match '{thumbprint}'",
                hint=f"give {_SHORTEST_PREFIX} digits or more of one; gl002 pki list shows them",
            )
        certificate = found[0][2]
        kept = self._folder(target) / _file_name(certificate)
        write_whole(kept, der_of(certificate), mode=0o644)
        for place, path, _ in found:
            if place == source:
                path.unlink()
        return _card(certificate, target, kept)

    # ---- files ------------------------------------------------------------------------------

    def _folder(self, place: Place) -> Path:
        folder = self.folder / place
        make_private(folder)
        return folder

    def _certificates(self, place: Place) -> Iterator[tuple[Path, x509.Certificate]]:
        """The first certificate of every file of a place that holds one."""
        for path, data in self._files(place):
            try:
                certificate = load_certificates(data)[0]
            except ValueError:
                continue
            yield path, certificate

    def _revocation_lists(self) -> Sequence[x509.CertificateRevocationList]:
        from cryptography import x509

        places: tuple[Place, ...] = ("trusted", "issuers")
        lists = []
        for path, data in (file for place in places for file in self._files(place)):
            if path.suffix == ".crl":
                load = x509.load_pem_x509_crl if is_pem(data) else x509.load_der_x509_crl
                try:
                    lists.append(load(data))
                except ValueError as error:
                    raise ConfigError(f"{path}: no revocation list: {error}") from None
        return lists

    def _files(self, place: Place) -> Iterator[tuple[Path, bytes]]:
        folders = [self.folder / place]
        if place == "trusted" and self._also_trusted is not None:
            folders.append(self._also_trusted)
        for folder in folders:
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.is_file() and path.stat().st_size <= _LARGEST_FILE:
                    yield path, path.read_bytes()


def _card(certificate: x509.Certificate, place: Place, path: Path) -> Card:
    return Card(
        place=place,
        path=path,
        thumbprint=thumbprint_of(certificate),
        subject=subject_of(certificate),
        application_uri=application_uri_of(certificate),
        hosts=hosts_of(certificate),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
        authority=may_sign(certificate),
    )


def _file_name(certificate: x509.Certificate) -> str:
    words = re.sub(r"[^A-Za-z0-9@.=-]+", "_", subject_of(certificate))[:60]
    return f"{words} [{thumbprint_of(certificate)}].der"


def write_whole(path: Path, content: bytes, *, mode: int) -> None:
    """Whole or not at all, and never readable by others than `mode` says, not even for a moment."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
