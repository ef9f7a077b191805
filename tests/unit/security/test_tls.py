"""TLS contexts: they always check the other side, and say which file is wrong."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from gl002.errors import ConfigError
from gl002.security.tls import client_context


class Files(NamedTuple):
    """PEM files of one authority, a server on localhost and a client."""

    ca: str
    cert: str
    key: str


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Files:
    client = authority.issue_cert("gl002")
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "cert.pem", "key.pem"))
    authority.cert_pem.write_to_path(str(ca))
    client.cert_chain_pems[0].write_to_path(str(cert))
    client.private_key_pem.write_to_path(str(key))
    key.chmod(0o600)
    return Files(str(ca), str(cert), str(key))


@pytest.fixture
async def server(authority: trustme.CA) -> AsyncIterator[int]:
    """A TLS server for the name 'localhost' that wants a certificate of the authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    running = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context)
    yield running.sockets[0].getsockname()[1]
    running.close()
    await running.wait_closed()


async def _greeting(port: int, context: ssl.SSLContext, name: str = "localhost") -> bytes:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=context, server_hostname=name
    )
    try:
        return await reader.read(5)
    finally:
        writer.close()
        await writer.wait_closed()


async def test_a_trusted_server_is_reached_with_our_certificate(server: int, files: Files) -> None:
    assert await _greeting(server, client_context(**files._asdict())) == b"hello"


async def test_a_server_of_an_unknown_authority_is_refused(server: int, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    for context in (client_context(ca=str(other)), client_context()):
        with pytest.raises(ssl.SSLCertVerificationError):
            await _greeting(server, context)


async def test_a_certificate_for_another_name_is_refused(server: int, files: Files) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match="otherhost"):
        await _greeting(server, client_context(**files._asdict()), "otherhost")


@pytest.mark.parametrize(
    ("version", "oldest"), [("1.2", ssl.TLSVersion.TLSv1_2), ("1.3", ssl.TLSVersion.TLSv1_3)]
)
def test_old_versions_are_not_spoken(version: str, oldest: ssl.TLSVersion) -> None:
    context = client_context(min_version=version)
    assert context.minimum_version is oldest
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


def test_an_unknown_version_is_named() -> None:
    with pytest.raises(ConfigError, match=r"min_version is '1\.0'"):
        client_context(min_version="1.0")


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
def test_a_missing_file_is_named_with_its_key(files: Files, key: str) -> None:
    with pytest.raises(ConfigError, match=rf"tls\.{key}: there is no file '/none\.pem'"):
        client_context(**{**files._asdict(), key: "/none.pem"})


@pytest.mark.parametrize("key", ["ca", "cert", "key"])
def test_a_file_that_is_no_pem_is_named(files: Files, key: str, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("no certificate")
    wrong.chmod(0o600)
    with pytest.raises(ConfigError, match=r"wrong\.pem"):
        client_context(**{**files._asdict(), key: str(wrong)})


def test_a_key_of_another_certificate_is_refused(files: Files, authority: trustme.CA) -> None:
    authority.issue_cert("other").private_key_pem.write_to_path(files.key)
    with pytest.raises(ConfigError, match="TLS files"):
        client_context(**files._asdict())


def test_a_key_that_everyone_may_read_is_refused(files: Files) -> None:
    Path(files.key).chmod(0o644)
    with pytest.raises(ConfigError, match=r"everyone may read .*chmod 600"):
        client_context(**files._asdict())


def test_a_key_without_a_certificate_is_refused(files: Files) -> None:
    with pytest.raises(ConfigError, match=r"tls\.key needs tls\.cert"):
        client_context(ca=files.ca, key=files.key)


def test_an_encrypted_key_is_an_error_and_not_a_question_at_the_terminal(files: Files) -> None:
    key = serialization.load_pem_private_key(Path(files.key).read_bytes(), None)
    encryption = serialization.BestAvailableEncryption(b"passphrase")
    Path(files.key).write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
    )
    with pytest.raises(ConfigError, match="encrypted"):
        client_context(**files._asdict())
