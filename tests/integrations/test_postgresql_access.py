"""Who may connect to PostgreSQL, and how the way there is protected."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gl002.connector import State
from gl002.context import Context
from gl002.errors import (
    AuthFailed,
    ConfigError,
    ConnectFailed,
    DataError,
    NotAllowed,
    RequestFailed,
)
from gl002.integrations.databases import AsyncPostgreSQLConnector, PostgreSQLConnector
from gl002.retry import RetryPolicy
from gl002.security.audit import Audit
from gl002.security.network import Network
from integrations.postgresql_site import (
    Make,
    context,
    empty,
    make,
    ready,
    role,
    series,
    server,
    sink_of,
)
from peers.postgresql import PostgreSQL

fixtures = server, empty, context, make


# ---- who may connect --------------------------------------------------------------------------


async def test_a_wrong_password_needs_a_person_and_is_not_shown(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    connector = make(password="wrong-canary-0815")
    connector._retry = RetryPolicy()
    with pytest.raises(AuthFailed) as caught:
        await connector.connect()
    assert connector.state is State.FAILED
    shown = f"{caught.value!r} {caught.value} {connector!r} {caplog.text}"
    assert "canary" not in shown
    health = await connector.check()
    assert not health.ok
    assert "canary" not in health.detail


@pytest.mark.parametrize(
    ("changes", "kind", "word"),
    [
        ({"user": "nobody_here"}, AuthFailed, "nobody_here"),
        ({"database": "not_there"}, ConnectFailed, "not_there"),
        ({"host": "name.invalid"}, ConnectFailed, "does not resolve"),
        ({"tls": {}}, AuthFailed, "tls: false"),
    ],
)
async def test_what_keeps_it_from_connecting_is_said_in_plain_words(
    make: Make, changes: dict[str, Any], kind: type[Exception], word: str
) -> None:
    with pytest.raises(kind, match=word):
        await make(**changes).connect()


async def test_a_port_where_nobody_listens_is_said_in_plain_words(make: Make) -> None:
    with socket.socket() as silent:  # it has the port, so that nobody else listens there
        silent.bind(("127.0.0.1", 0))
        with pytest.raises(ConnectFailed, match="nothing listens"):
            await make(port=silent.getsockname()[1]).connect()


async def test_an_address_off_the_allowlist_is_not_dialled(
    server: PostgreSQL, tmp_path: Path
) -> None:
    audit = Audit(tmp_path / "audit.jsonl")
    closed = Context(network=Network(allow=["10.0.0.1"]), audit=audit, state_dir=tmp_path)
    connector = AsyncPostgreSQLConnector(server.config, context=closed)
    with pytest.raises(NotAllowed):
        await connector.connect()
    await connector.close()
    audit.close()


async def test_rights_that_are_missing_are_named_and_nothing_is_dead(
    make: Make, server: PostgreSQL
) -> None:
    role(server, "reader", "LOGIN")
    server.execute("GRANT USAGE ON SCHEMA public TO reader")
    sink = sink_of(make(user="reader", password="role-canary-1"))
    with pytest.raises(RequestFailed, match="GRANT"):
        await sink.prepare()
    await ready(make())
    server.execute("GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader")
    await sink.prepare()
    with pytest.raises(RequestFailed, match="permission denied") as caught:
        await sink.write(series(2))
    assert not isinstance(caught.value, DataError), "or the flow would bury every sample"
    server.execute("DROP OWNED BY reader")


def test_a_server_that_asks_for_the_password_in_clear_does_not_get_it(
    context: Context, server: PostgreSQL
) -> None:
    heard = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_ask_for_password, args=(listener, heard))
        thread.start()
        face = PostgreSQLConnector(
            {**server.config, "port": listener.getsockname()[1]}, context=context
        )
        with pytest.raises(AuthFailed, match="cleartext"):
            face.connect()
        face.close()
        thread.join(30)
    context.audit.close()
    assert b"gl002" in heard
    assert server.password.encode() not in heard


def _ask_for_password(listener: socket.socket, heard: bytearray) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(30)
        heard += connection.recv(4096)
        connection.sendall(b"R\0\0\0\x08\0\0\0\x03")  # AuthenticationCleartextPassword
        with contextlib.suppress(OSError):
            while more := connection.recv(4096):
                heard.extend(more)


@pytest.mark.parametrize("answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\0" * 64, b"", b"R"])
async def test_what_is_no_database_is_a_connection_error(make: Make, answer: bytes) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(8)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(ConnectFailed):
            await make(port=port).connect()


# ---- encryption -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def encrypted(authority: trustme.CA) -> Iterator[PostgreSQL]:
    with PostgreSQL(tls=authority) as running:
        yield running


async def test_a_certificate_of_the_named_authority_is_accepted(
    make: Make, encrypted: PostgreSQL, authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    connector = make(**{**encrypted.config, "host": "localhost", "tls": {"ca": str(ca)}})
    assert "TLS" in (await connector.check()).detail
    rows = await connector.query(
        "SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    )
    assert rows[0]["ssl"] is True
    assert rows[0]["version"] in {"TLSv1.2", "TLSv1.3"}


async def test_a_certificate_of_another_authority_is_refused_before_the_password_is_sent(
    make: Make, encrypted: PostgreSQL, tmp_path: Path
) -> None:
    ca = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(ca))
    connector = make(**{**encrypted.config, "host": "localhost", "tls": {"ca": str(ca)}})
    with pytest.raises(AuthFailed, match=r"tls\.ca"):
        await connector.connect()


async def test_a_certificate_of_another_name_is_refused(
    make: Make, encrypted: PostgreSQL, authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with pytest.raises(AuthFailed, match="does not match"):
        await make(**{**encrypted.config, "tls": {"ca": str(ca)}}).connect()
    tls = {"ca": str(ca), "server_name": "localhost"}
    assert (await make(**{**encrypted.config, "tls": tls}).check()).ok


async def test_a_server_that_wants_encryption_says_so(make: Make, encrypted: PostgreSQL) -> None:
    with pytest.raises(AuthFailed, match="add a 'tls' block"):
        await make(**encrypted.config).connect()


async def test_a_certificate_of_ones_own_can_stand_for_the_password(
    make: Make, encrypted: PostgreSQL, authority: trustme.CA, tmp_path: Path
) -> None:
    ca, cert, key = (tmp_path / name for name in ("ca.pem", "client.pem", "client.key"))
    issued = authority.issue_cert(common_name="by_certificate")
    authority.cert_pem.write_to_path(str(ca))
    issued.cert_chain_pems[0].write_to_path(str(cert))
    issued.private_key_pem.write_to_path(str(key))
    encrypted.execute("CREATE ROLE by_certificate LOGIN")
    of_the_role = {"host": "localhost", "user": "by_certificate", "password": None}
    config = {**encrypted.config, **of_the_role, "tls": {"ca": str(ca)}}
    with pytest.raises(AuthFailed, match=r"tls\.cert"):
        await make(**config).connect()
    config["tls"] |= {"cert": str(cert), "key": str(key)}
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        await make(**config).connect()
    key.chmod(0o600)
    (row,) = await make(**config).query("SELECT current_user AS me")
    assert row == {"me": "by_certificate"}


async def test_an_authority_file_that_is_missing_is_named(
    make: Make, encrypted: PostgreSQL
) -> None:
    tls = {"ca": "/nowhere/ca.pem"}
    with pytest.raises(ConfigError, match=r"/nowhere/ca\.pem"):
        await make(**{**encrypted.config, "tls": tls}).connect()
