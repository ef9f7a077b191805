"""Endpoints and hosts: how they are written, and that each host has one spelling."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gl002.errors import ConfigError, NotAllowed
from gl002.security.network import Endpoint, normal_host

# ---- endpoints --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("plc", "plc", 502),
        ("PLC.Local:1502", "plc.local", 1502),
        ("opc.tcp://10.0.0.5:4840/path", "10.0.0.5", 4840),
        ("opc.tcp://10.0.0.5", "10.0.0.5", 502),
        ("[::1]:99", "::1", 99),
        ("[fe80::1%eth0]", "fe80::1%eth0", 502),
        ("postgresql://user:p%40ss@db/gl002", "db", 502),
    ],
)
def test_an_endpoint_is_read_from_a_url_or_host_and_port(text: str, host: str, port: int) -> None:
    assert Endpoint.of(text, 502) == (host, port)


@pytest.mark.parametrize("text", ["", "//", ":502", "plc:99999", "plc:x", "[::1", "plc:0", "a:b:c"])
def test_what_is_no_address_is_a_configuration_error(text: str) -> None:
    with pytest.raises(ConfigError, match=r"no address|names no"):
        Endpoint.of(text, 502)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://user:canary@host:99999/db",
        "user:canary@host:99999",
        "http://user:can/canary@host:99999",
        "http://user:can@canary@host:99999",
        "mqtt://canary@:99",
    ],
)
def test_the_error_about_an_address_shows_no_password(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Endpoint.of(text, 502)
    assert "canary" not in str(caught.value)


def test_an_endpoint_is_written_as_people_write_it() -> None:
    assert str(Endpoint("plc", 502)) == "plc:502"
    assert str(Endpoint("::1", 502)) == "[::1]:502"


# ---- hosts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "normal"),
    [
        ("PLC-1.Local.", "plc-1.local"),
        ("kessel_2", "kessel_2"),
        ("[::1]", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::FFFF:7f00:1", "127.0.0.1"),
        ("straße.de", "strasse.de"),
        ("bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_a_host_has_one_spelling(host: str, normal: str) -> None:
    assert normal_host(host) == normal


@pytest.mark.parametrize(
    "host",
    [
        "2130706433", "0x7f000001", "0x7f.1", "127.1", "127.0.1", "0177.0.0.1", "010.0.0.1",
        "127.0.0.1.5", "256.0.0.1", "0x7F.0.0.1", "127.0.0.0x1", "0", "\uff11\uff12\uff17.1",
    ],
)  # fmt: skip
def test_an_address_in_disguise_is_refused(host: str) -> None:
    with pytest.raises(NotAllowed, match="is no plain address"):
        normal_host(host)


def test_full_width_digits_are_the_address_they_look_like() -> None:
    assert normal_host("\uff11\uff12\uff17\u30020.0.1") == "127.0.0.1"


@pytest.mark.parametrize(
    "host",
    ["", "a b", "a\x00b", "host/path", "host:80", "a..b", "x" * 64, "a\nb", "user@host", "*"],
)
def test_what_is_no_host_name_is_refused(host: str) -> None:
    with pytest.raises(NotAllowed, match="no host name"):
        normal_host(host)


@given(st.text(max_size=40))
def test_a_normal_host_is_stable_or_refused(host: str) -> None:
    try:
        normal = normal_host(host)
    except NotAllowed:
        return
    assert normal_host(normal) == normal


@given(st.ip_addresses())
def test_every_spelling_of_an_address_is_one_host(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> None:
    assert normal_host(str(ip)) == normal_host(ip.exploded) == normal_host(ip.exploded.upper())
