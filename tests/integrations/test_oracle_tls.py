"""SQL*Net over TLS: certificates count, and a listener that hands over is followed."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gl002.errors import AuthFailed, ConnectFailed
from gl002.integrations.enterprise import OracleConnector
from peers.certificates import make
from peers.oracle_ebs import OracleEBS
from peers.tcps import Tcps

ONCE = {"max_attempts": 1}


@pytest.fixture(scope="module")
def ebs() -> Iterator[OracleEBS]:
    with OracleEBS() as running:
        yield running


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make().save(tmp_path_factory.mktemp("tls"), "listener")


@pytest.fixture
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*certificate)
    return made


def connected(ebs: OracleEBS, port: int, **tls: Any) -> OracleConnector:
    return OracleConnector({**ebs.config, "port": port, "tls": tls, "retry_policy": ONCE})


@pytest.mark.parametrize("handshakes", [1, 2])
def test_a_work_order_is_made_over_tls(
    ebs: OracleEBS, context: ssl.SSLContext, certificate: tuple[Path, Path], handshakes: int
) -> None:
    with (
        Tcps(context, ebs.port, hands_over=handshakes == 2) as front,
        connected(ebs, front.port, ca=str(certificate[0])) as oracle,
    ):
        wo = oracle.create_work_order({"asset_number": "BOILER-001", "description": "over TLS"})
        assert wo.number
        assert front.handshakes == handshakes


def test_a_listener_with_a_foreign_certificate_is_not_spoken_to(
    ebs: OracleEBS, context: ssl.SSLContext, tmp_path: Path
) -> None:
    other, _ = make(which=1).save(tmp_path, "other")
    with (
        Tcps(context, ebs.port, hands_over=False) as front,
        pytest.raises(AuthFailed, match="certificate is not trusted"),
    ):
        connected(ebs, front.port, ca=str(other)).connect()


def test_a_hand_over_to_a_foreign_certificate_is_the_end(
    ebs: OracleEBS, context: ssl.SSLContext, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    foreign = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    foreign.load_cert_chain(*make(which=1).save(tmp_path, "foreign"))

    class Turncoat(Tcps):
        def _wrap(self, sock: Any) -> ssl.SSLSocket:
            secure = super()._wrap(sock)
            self._context = foreign
            return secure

    with (
        Turncoat(context, ebs.port, hands_over=True) as front,
        pytest.raises(AuthFailed, match="certificate is not trusted"),
    ):
        connected(ebs, front.port, ca=str(certificate[0])).connect()


def test_a_listener_in_clear_is_not_spoken_to_where_tls_is_configured(
    ebs: OracleEBS, certificate: tuple[Path, Path]
) -> None:
    oracle = connected(ebs, ebs.port, ca=str(certificate[0]))
    oracle.set_timeout(500)  # it takes the greeting for a long packet, and waits for its end
    with pytest.raises(ConnectFailed):
        oracle.connect()


def test_without_tls_a_remote_listener_is_warned_of() -> None:
    from gl002.integrations.enterprise import AsyncOracleConnector

    here, there, safe = (
        AsyncOracleConnector({"host": host, "password": "p", "tls": tls}).warnings([])
        for host, tls in (("127.0.0.1", None), ("oracle.example", None), ("oracle.example", {}))
    )
    assert not here
    assert not safe
    assert "in clear" in there[0]
