"""Modbus/TCP Security: libmodbus behind OpenSSL (socat) that asks for our certificate."""

from __future__ import annotations

import struct

import pytest
import trustme

from gl002.connector import State
from gl002.context import Context
from gl002.errors import AuthFailed, ConfigError, ConnectFailed
from gl002.integrations.industrial import AsyncModbusConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from peers.libmodbus import TlsLibModbus
from peers.mosquitto import issue


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority, tmp_path_factory):
    """The authority's certificate, and folders for what it issues."""
    folder = tmp_path_factory.mktemp("tls")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    return folder


@pytest.fixture(scope="module")
def peer(authority, files):
    issued = authority.issue_cert("plc.local", "127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(files / "plc.pem")
    issued.private_key_pem.write_to_path(files / "plc.key")
    with TlsLibModbus(files / "ca.pem", files / "plc.pem", files / "plc.key") as server:
        yield server


@pytest.fixture
async def make(peer, tmp_path, no_leaks):
    context = Context(network=Network(), audit=Audit(tmp_path / "audit.jsonl"), state_dir=tmp_path)
    made = []

    def maker(port=peer.secure_port, **tls):
        settings = {
            "type": "tls", "host": "127.0.0.1", "port": port, "timeout": 30,
            "retry_count": 0, "tls": tls,
        }  # fmt: skip
        made.append(AsyncModbusConnector(settings, context=context))
        return made[-1]

    yield maker
    for connector in made:
        await connector.close()
    context.audit.close()


@pytest.fixture(scope="module")
def client(authority, files):
    certificate, key = issue(authority, files, "gateway")
    return {"ca": str(files / "ca.pem"), "cert": str(certificate), "key": str(key)}


async def test_registers_are_read_and_written_over_mutual_tls(peer, make, client):
    peer.set_bytes(1, "holding", 0, struct.pack(">f", 485.25))
    modbus = make(**client)
    assert await modbus.read_holding_registers(40001, data_type="float32") == [485.25]
    await modbus.write_register(3000, 1234)
    assert peer.get(1, "holding", 3000) == [1234]


async def test_a_device_whose_certificate_is_not_trusted_is_not_spoken_to(peer, make, client):
    peer.asked()
    stranger = {**client, "ca": None}
    modbus = make(**stranger)
    with pytest.raises(AuthFailed, match=r"its certificate is not trusted.*tls\.ca"):
        await modbus.read_holding_registers(1)
    assert modbus.state is State.FAILED, "a person must act"
    assert peer.asked() == []


async def test_the_name_in_the_certificate_must_be_that_of_the_device(make, client):
    with pytest.raises(AuthFailed, match=r"tls\.server_name"):
        await make(**client, server_name="other.local").connect()
    modbus = make(**client, server_name="plc.local")
    assert await modbus.read_holding_registers(4001) == [0]


async def test_without_our_certificate_the_device_refuses_and_the_error_says_so(make, client):
    modbus = make(ca=client["ca"])
    with pytest.raises(ConnectFailed, match=r"tls\.cert and tls\.key"):
        await modbus.read_holding_registers(1)


async def test_a_plain_port_is_not_taken_for_a_secure_one(peer, make, client):
    modbus = make(port=peer.port, **client)
    modbus.set_timeout(500)
    with pytest.raises(ConnectFailed):
        await modbus.connect()


def test_port_802_is_assumed_and_a_plain_type_takes_no_certificates():
    secure = AsyncModbusConnector({"type": "tls", "host": "h"})
    assert [endpoint.port for endpoint in secure.endpoints()] == [802]
    with pytest.raises(ConfigError, match="type: tls"):
        AsyncModbusConnector({"type": "tcp", "host": "h", "tls": {"ca": "ca.pem"}})


async def test_a_certificate_file_that_is_missing_is_named(make, client):
    with pytest.raises(ConfigError, match=r"tls\.ca: there is no file"):
        await make(**{**client, "ca": "/nowhere/ca.pem"}).connect()
