"""AWS IoT Core: who may; policies and certificates."""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta

import pytest

from gl002.connector import State
from gl002.context import Context
from gl002.errors import AuthFailed, ConfigError, RequestFailed
from gl002.integrations.cloud import AWSIoTConnector
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.testing.contract.requests import eventually
from gl002.transport.mqtt import line
from integrations.aws_site import Make, cloud, make, server_side, shared
from peers import certificates
from peers.aws_iot import THING, AWSBroker
from peers.front import Connect, Front, Verdict

fixtures = shared, cloud, make


async def test_what_the_policy_does_not_allow_is_refused_and_said(make: Make) -> None:
    aws = make()
    with pytest.raises(RequestFailed, match="Not authorized"):
        await aws.publish("elsewhere/o2", 1)
    await aws.publish("plant/o2", 1)


async def test_without_a_certificate_it_says_where_one_is_looked_for(make: Make, tmp_path) -> None:
    aws = make(cert_path=None, key_path=None)
    with pytest.raises(ConfigError, match="cert_path") as caught:
        await aws.connect()
    assert str(tmp_path / "aws" / "device.pem.crt") in str(caught.value)


async def test_the_certificate_in_the_state_folder_is_enough(make: Make, cloud, tmp_path) -> None:
    cert, key = cloud.certificate()
    (tmp_path / "aws").mkdir()
    (tmp_path / "aws" / "device.pem.crt").write_bytes(cert.read_bytes())
    private = tmp_path / "aws" / "private.pem.key"
    private.write_bytes(key.read_bytes())
    private.chmod(0o600)
    aws = make(cert_path=None, key_path=None)
    await aws.connect()
    assert (await aws.check()).ok


async def test_a_certificate_that_was_replaced_is_used_without_a_restart(
    make: Make, cloud, tmp_path, monkeypatch, caplog
) -> None:
    monkeypatch.setattr(line, "_LOOK_AT_FILES", 0.05)
    cert, key = cloud.certificate()
    ours, held, good = tmp_path / "ours.pem", tmp_path / "ours.key", tmp_path / "good.pem"
    for source, target in ((cert, good), (cert, ours), (key, held)):
        shutil.copy(source, target)
    aws = make(cert_path=str(ours), key_path=str(held))
    await aws.connect()
    first = aws._session
    ours.write_text("half a file")
    await eventually(lambda: "goes on with the certificate it has" in caplog.text, "told")
    assert aws._session is first
    shutil.copy(good, ours)
    await eventually(lambda: aws._session not in {first, None}, "the session is renewed")
    await aws.publish("plant/o2", 1)


async def test_a_revoked_certificate_is_refused_and_a_person_is_asked(tmp_path, cloud) -> None:
    authority = certificates.make(name="authority", authority=True, hosts=(), uri="")
    ours = certificates.make(
        uri="", hosts=(), name=THING, issuer=authority, which=1, purposes=None
    )  # fmt: skip
    revoked = certificates.revocations(authority, ours)
    with RevokingBroker(authority, revoked) as broker:
        cert, key = ours.save(tmp_path, "ours")
        settings = {
            "endpoint": f"localhost:{broker.mutual_port}", "client_id": THING,
            "cert_path": str(cert), "key_path": str(key), "ca_path": str(broker.server_ca),
        }  # fmt: skip
        context = Context(
            network=Network(), audit=Audit(tmp_path / "a.jsonl"), state_dir=tmp_path
        )  # fmt: skip
        aws = AWSIoTConnector(settings, context=context)
        with pytest.raises(AuthFailed, match=r"refused our certificate.*revoked"):
            await aws.connect()
        assert aws.state is State.FAILED
        await aws.close()
        context.audit.close()


class RevokingBroker(AWSBroker):
    """Trusts clients of one authority, but for those on its list."""

    def __init__(self, clients: certificates.Made, revoked: bytes) -> None:
        from cryptography import x509
        from cryptography.hazmat.primitives.serialization import Encoding

        as_text = x509.load_der_x509_crl(revoked).public_bytes(Encoding.PEM)
        super().__init__(revoked=as_text)
        self.server_ca = self.folder / "server-ca.pem"
        self.server_ca.write_bytes(self.ca.read_bytes())
        self.ca.write_bytes(clients.pem)


async def test_a_certificate_that_ends_soon_is_a_note_of_the_check(
    make: Make, cloud, tmp_path
) -> None:
    aws = make()
    assert (await aws.check()).notes == ()
    short = certificates.make(name=THING, end=timedelta(days=11, hours=1))
    cert, key = short.save(tmp_path, "short")
    health = await make(cert_path=str(cert), key_path=str(key)).check()
    assert "our certificate ends on" in health.notes[0]
    assert health.notes[0].endswith("in 11 days")


async def test_port_443_says_in_the_handshake_that_this_is_mqtt(make: Make, cloud) -> None:
    server = server_side(cloud)
    server.set_alpn_protocols(["x-amzn-mqtt-ca", "http/1.1"])

    def only_mqtt(connect: Connect) -> Verdict:
        return Verdict(0 if connect.alpn == "x-amzn-mqtt-ca" else 0x87)

    with Front(server, cloud.broker.port, only_mqtt) as front:
        aws = make(front.port, alpn=True)
        await aws.publish("plant/o2", 1)
        (seen,) = front.seen
        assert (seen.client_id, seen.level, seen.username) == (THING, 5, "")
        assert seen.certificate["subject"][-1:] == ((("commonName", THING),),)
        await aws.close()
    assert make(443).config.says_alpn
    assert not make(8883).config.says_alpn


async def test_a_second_client_of_the_same_name_is_named_as_the_cause(make: Make, caplog) -> None:
    first, second = make(), make()
    await first.connect()
    caplog.set_level(logging.WARNING)
    await second.connect()
    await eventually(lambda: first.state is State.RETRYING, "the first was cut off")
    assert f"another client use the client_id '{THING}'" in caplog.text
