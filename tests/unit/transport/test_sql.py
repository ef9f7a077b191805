"""What the SQL connectors decide before they connect: encryption, names, settings of a URL."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.config.blocks import TlsSettings
from gl002.config.load import load
from gl002.errors import ConfigError, DataError
from gl002.integrations.databases.postgresql import PostgreSQLConfig
from gl002.integrations.databases.timescale import AsyncTimescaleConnector
from gl002.security.network import Address
from gl002.security.secrets import Secret
from gl002.transport.sql.connections import Login, _parameters
from gl002.transport.sql.names import checked_name, identifier

HERE = Address("db", "127.0.0.1", 5432, socket.AF_INET)
AWAY = Address("db", "10.1.2.3", 5432, socket.AF_INET)


def _login(tls: object) -> Login:
    return Login(
        host="db", port=5432, database="d", user="u", password=Secret("geheim"),
        tls=tls, application="gl002",  # type: ignore[arg-type]  # as parametrised
    )  # fmt: skip


def _mode(tls: object, *addresses: Address) -> str:
    return str(_parameters(_login(tls), addresses, 10.0)["sslmode"])


def test_another_machine_is_reached_by_verified_tls_unless_told_otherwise() -> None:
    assert _mode(None, AWAY) == "verify-full"
    assert _mode(None, HERE, AWAY) == "verify-full"
    assert _mode(None, HERE) == "disable"
    assert _mode(False, AWAY) == "disable"
    assert _mode(TlsSettings(), HERE) == "verify-full"


def test_on_a_line_in_clear_no_server_gets_the_password_in_clear() -> None:
    assert _parameters(_login(False), [AWAY], 10.0)["require_auth"] == "!password"


def test_the_driver_is_given_the_checked_addresses_and_the_name_to_verify() -> None:
    other = Address("db", "10.1.2.4", 5432, socket.AF_INET)
    told = _parameters(_login(None), [AWAY, other], 10.0)
    assert told["hostaddr"] == "10.1.2.3,10.1.2.4"
    assert told["host"] == "db,db"
    named = _parameters(_login(TlsSettings(server_name="db.plant")), [AWAY], 10.0)
    assert named["host"] == "db.plant"


@given(st.text())
def test_a_name_is_taken_or_refused_but_never_pasted(text: str) -> None:
    try:
        parts = checked_name(text)
    except DataError:
        return
    quoted = identifier(*parts).as_string()
    assert quoted == ".".join(f'"{part}"' for part in parts)
    assert '"' not in text


@pytest.mark.parametrize("name", ["samples", "plant.samples", "Kesselhöhe", "_1", "B" * 63])
def test_ordinary_names_are_taken_as_they_are(name: str) -> None:
    assert ".".join(checked_name(name)) == name


@pytest.mark.parametrize(
    "name", ["", ".", "a.", "a.b.c", "1a", "a b", "a-b", 'a"', "a;b", "a--", "ä" * 32, "a\n"]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(DataError, match="no name"):
        checked_name(name)


def test_a_url_is_the_same_as_its_parts() -> None:
    parts = {
        "host": "db.plant", "port": 5433, "database": "gl 002",
        "user": "u@x", "password": "p:/?#@ß",
    }  # fmt: skip
    url = "postgresql://u%40x:p%3A%2F%3F%23%40%C3%9F@db.plant:5433/gl%20002"
    assert PostgreSQLConfig.parse({"url": url}) == PostgreSQLConfig.parse(parts)


@pytest.mark.parametrize(
    ("query", "tls"),
    [
        ("", None),
        ("?sslmode=prefer", None),
        ("?sslmode=disable", False),
        ("?sslmode=require", TlsSettings()),
        ("?sslmode=verify-full&sslrootcert=/ca.pem", TlsSettings(ca="/ca.pem")),
    ],
)
def test_encryption_asked_for_in_a_url_is_verified_encryption(query: str, tls: object) -> None:
    assert PostgreSQLConfig.parse({"url": f"postgresql://u:p@h/d{query}"}).tls == tls


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:canary-7@h:port/d",
        "postgresql://u:canary-7@/d",
        "mysql://u:canary-7@h/d",
        "postgresql://u:canary-7@h/d?password=canary-7",
        "postgresql://:canary-7@h/d",
        "canary-7",
        ["canary-7"],
    ],
)
def test_what_is_wrong_with_a_url_is_said_without_showing_it(url: object) -> None:
    with pytest.raises(ConfigError) as caught:
        PostgreSQLConfig.parse({"url": url}, "postgresql")
    shown = f"{caught.value} {caught.value!r} {caught.value.__context__!r}"
    assert "canary" not in shown


def test_a_variable_alone_configures_the_database(tmp_path: Path) -> None:
    file = tmp_path / "integrations.yaml"
    file.write_text("integrations: {enabled: [timescale]}")
    url = "postgresql://user:pass@localhost/gl002"
    config = load(file, {"GL002_TIMESCALE_URL": url})
    connection = config.connections["timescale"]
    assert connection.kind is AsyncTimescaleConnector
    settings = connection.settings
    assert isinstance(settings, PostgreSQLConfig)
    assert (settings.host, settings.port, settings.database) == ("localhost", 5432, "gl002")
    assert settings.password == Secret("pass")
    assert settings.url is None
