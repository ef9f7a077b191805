"""Whose certificates we trust, and our own."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from gl002.errors import AuthFailed, ConfigError
from gl002.security.certificates import load_certificates, thumbprint_of
from gl002.security.identity import load_identity
from gl002.security.pki import Pki
from peers.certificates import Made, key, make, revocations

URI = "urn:test:server"


@pytest.fixture
def pki(tmp_path):
    return Pki(tmp_path / "pki")


def put(pki, place, made: Made, name="one.der", content=None):
    folder = pki.folder / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content or made.der)


def check(pki, made: Made, *, host="localhost", uri=URI, chain=()):
    shown = made.der + b"".join(m.der for m in chain)
    pki.check_server(shown, host=host, application_uri=uri)


def refused(pki, made: Made, **how) -> AuthFailed:
    with pytest.raises(AuthFailed) as caught:
        check(pki, made, **how)
    assert not caught.value.retryable
    return caught.value


# ---- trust ------------------------------------------------------------------------------------


def test_an_unknown_certificate_is_refused_with_the_one_command_that_trusts_it(pki):
    server = make()
    error = refused(pki, server)
    thumbprint = thumbprint_of(server.certificate)
    assert "is not trusted" in str(error)
    assert error.hint.endswith(f"gl002 pki trust {thumbprint}")


def test_the_command_of_the_error_makes_the_server_trusted(pki):
    server = make()
    error = refused(pki, server)
    card = pki.trust(error.hint.split()[-1])
    assert (card.place, card.application_uri, card.hosts) == (
        "trusted", URI, ("localhost", "127.0.0.1"),
    )  # fmt: skip
    check(pki, server)
    assert [c.place for c in pki.list()] == ["trusted"]


def test_a_trusted_certificate_can_be_rejected_again(pki):
    server = make()
    put(pki, "trusted", server)
    check(pki, server)
    pki.reject(thumbprint_of(server.certificate))
    assert "is not trusted" in str(refused(pki, server))


def test_a_refused_certificate_is_kept_once(pki):
    server = make()
    for _ in range(3):
        refused(pki, server)
    assert len(list((pki.folder / "rejected").iterdir())) == 1


def test_rejected_certificates_never_grow_beyond_a_bound(pki):
    for number in range(55):
        refused(pki, make(name=f"server {number}"))
    kept = [card for card in pki.list() if card.place == "rejected"]
    assert len(kept) == 50
    assert kept[0].subject != "CN=server 0"
    assert "CN=server 54" in {card.subject for card in kept}


@pytest.mark.parametrize(
    "spelling",
    [str.lower, lambda t: ":".join(t[i : i + 2] for i in range(0, 40, 2)), lambda t: t[:8]],
    ids=["lower case", "with colons", "its start"],
)
def test_a_thumbprint_may_be_spelled_as_other_tools_show_it(pki, spelling):
    server = make()
    refused(pki, server)
    pki.trust(spelling(thumbprint_of(server.certificate)))
    check(pki, server)


@pytest.mark.parametrize("thumbprint", ["", "AB", "00000000", "../../etc/passwd"])
def test_a_thumbprint_nobody_has_is_an_error_that_says_where_to_look(pki, thumbprint):
    refused(pki, make())
    with pytest.raises(ConfigError, match="gl002 pki list"):
        pki.trust(thumbprint)


def test_trusting_twice_is_harmless(pki):
    server = make()
    refused(pki, server)
    thumbprint = thumbprint_of(server.certificate)
    assert pki.trust(thumbprint) == pki.trust(thumbprint)


def test_the_folder_of_the_site_is_trusted_too(tmp_path):
    site = tmp_path / "certs" / "trusted"
    site.mkdir(parents=True)
    server = make()
    (site / "plc.pem").write_bytes(server.pem)
    check(Pki(tmp_path / "pki", also_trusted=site), server)


# ---- chains -----------------------------------------------------------------------------------


@pytest.fixture
def root():
    return make("", (), name="root", authority=True, which=1)


@pytest.fixture
def middle(root):
    return make("", (), name="middle", issuer=root, authority=True, which=2)


def test_a_trusted_authority_vouches_for_its_servers(pki, root):
    put(pki, "trusted", root)
    check(pki, make(issuer=root))


def test_a_chain_is_completed_by_what_the_server_shows(pki, root, middle):
    put(pki, "trusted", root)
    check(pki, make(issuer=middle), chain=[middle])


def test_a_chain_is_completed_from_the_issuers_folder(pki, root, middle):
    put(pki, "trusted", root)
    server = make(issuer=middle)
    refused(pki, server)
    put(pki, "issuers", middle)
    check(pki, server)


def test_an_issuer_is_not_trusted_by_itself(pki, root):
    put(pki, "issuers", root)
    assert "is not trusted" in str(refused(pki, make(issuer=root)))


def test_a_server_cannot_bring_its_own_authority(pki):
    rogue = make("", (), name="root", authority=True, which=3)
    assert "is not trusted" in str(refused(pki, make(issuer=rogue), chain=[rogue]))


def test_an_authority_of_the_same_name_with_another_key_vouches_for_nobody(pki, root):
    put(pki, "trusted", root)
    impostor = make("", (), name="root", authority=True, which=3)
    assert "is not trusted" in str(refused(pki, make(issuer=impostor)))


def test_a_server_certificate_vouches_for_no_other(pki):
    server = make(name="honest", which=1)
    put(pki, "trusted", server)
    assert "is not trusted" in str(refused(pki, make(issuer=server)))


def test_an_authority_vouches_no_deeper_than_it_may(pki):
    root = make("", (), name="root", authority=True, path_length=0, which=1)
    middle = make("", (), name="middle", issuer=root, authority=True, which=2)
    put(pki, "trusted", root)
    check(pki, make(issuer=root))
    assert "is not trusted" in str(refused(pki, make(issuer=middle), chain=[middle]))


def test_an_expired_authority_vouches_for_nobody(pki):
    old = make("", (), name="root", authority=True, which=1,
               start=timedelta(days=-9), end=timedelta(days=-1))  # fmt: skip
    put(pki, "trusted", old)
    assert "is not trusted" in str(refused(pki, make(issuer=old)))


def test_authorities_that_sign_each_other_do_not_hang_the_check(pki):
    first = make("", (), name="a", authority=True, which=1)
    second = make("", (), name="b", issuer=first, authority=True, which=2)
    circle = make("", (), name="a", issuer=second, authority=True, which=1)
    refused(pki, make(issuer=second), chain=[second, circle, first])


def test_a_revoked_certificate_is_refused_though_its_authority_is_trusted(pki, root):
    bad, good = make(name="bad", issuer=root), make(name="good", issuer=root)
    put(pki, "trusted", root)
    put(pki, "trusted", root, "root.crl", revocations(root, bad))
    check(pki, good)
    assert "was revoked" in str(refused(pki, bad))


def test_a_revocation_list_of_an_impostor_revokes_nothing(pki, root):
    server = make(issuer=root)
    impostor = make("", (), name="root", authority=True, which=3)
    put(pki, "trusted", root)
    put(pki, "issuers", root, "root.crl", revocations(impostor, server))
    check(pki, server)


# ---- the certificate itself -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("made", "how", "reason"),
    [
        ({"end": timedelta(hours=-1)}, {}, "expired on"),
        ({"start": timedelta(days=2)}, {}, "is valid only from"),
        ({"bits": 1024}, {}, "1024 bits"),
        ({}, {"host": "plc9.site"}, "is for localhost, 127.0.0.1, not for plc9.site"),
        ({"hosts": ()}, {}, "is for no host"),
        ({}, {"uri": "urn:someone:else"}, "the server says it is 'urn:someone:else'"),
        ({"uri": ""}, {}, "is for the application ''"),
        ({"purposes": [ExtendedKeyUsageOID.CODE_SIGNING]}, {}, "not made for a server"),
        ({"signing": False}, {}, "not made for a server"),
    ],
)
def test_even_a_trusted_certificate_must_be_fit(pki, made, how, reason):
    server = make(**made)
    put(pki, "trusted", server)
    error = refused(pki, server, **how)
    assert reason in str(error)
    assert thumbprint_of(server.certificate) in str(error)


def test_sha1_signatures_are_refused(pki):
    # 'cryptography' signs no SHA-1 certificate any more: openssl made this one
    folder = pki.folder.parent
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha1", "-days", "9",
         "-subj", "/CN=old", "-keyout", str(folder / "k"), "-out", str(folder / "c")],
        check=True, capture_output=True,
    )  # fmt: skip
    old = Made(load_certificates((folder / "c").read_bytes())[0], key())
    put(pki, "trusted", old)
    assert "is signed with sha1" in str(refused(pki, old))


@pytest.mark.parametrize("host", ["127.0.0.1", "LOCALHOST", "localhost."])
def test_host_names_are_compared_as_hosts(pki, host):
    server = make()
    put(pki, "trusted", server)
    check(pki, server, host=host)


def test_the_hint_of_a_wrong_host_says_how_to_expect_the_right_one(pki):
    server = make(hosts=["PLC7"])
    put(pki, "trusted", server)
    error = refused(pki, server, host="10.0.0.7")
    assert "security.server_name: PLC7" in error.hint
    check(pki, server, host="PLC7")


def test_an_application_uri_stands_in_for_a_missing_host_name(pki):
    server = make(hosts=())
    put(pki, "trusted", server)
    check(pki, server, host=URI)


@pytest.mark.parametrize("shown", [b"", b"garbage", b"\x30\x82\xff\xff", b"\x30\x03abc"])
def test_garbage_instead_of_a_certificate_is_refused(pki, shown):
    with pytest.raises(AuthFailed, match="no readable certificate"):
        pki.check_server(shown, host="localhost", application_uri=URI)


def test_a_subject_cannot_send_commands_to_a_terminal(pki):
    server = make(name="x\x1b[2J\r\nfake log line")
    assert "\x1b" not in str(refused(pki, server))
    assert "\n" not in str(refused(pki, server))


# ---- our own ----------------------------------------------------------------------------------


def test_our_own_certificate_is_made_once_and_is_what_opc_ua_asks_for(pki):
    identity = pki.init(host="gateway")
    certificate = identity.certificate
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [identity.application_uri]
    assert names.get_values_for_type(x509.DNSName) == ["gateway"]
    assert identity.application_uri == "urn:gateway:gl002"
    assert certificate.public_key().key_size == 2048
    assert certificate.not_valid_after_utc > datetime.now(UTC) + timedelta(days=4 * 365)
    assert certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value
    certificate.verify_directly_issued_by(certificate)
    assert pki.init(host="another").thumbprint == identity.thumbprint


def test_our_private_key_is_readable_by_nobody_else(pki):
    pki.init(host="gateway")
    assert (pki.folder / "own" / "key.pem").stat().st_mode & 0o777 == 0o600


def test_renewing_makes_another_pair_and_keeps_the_old_one(pki):
    before = pki.init(host="gateway")
    after = pki.renew(host="gateway")
    assert after.thumbprint != before.thumbprint
    (kept,) = pki.folder.glob("own-until-*/cert.der")
    assert thumbprint_of(load_certificates(kept.read_bytes())[0]) == before.thumbprint


def test_processes_that_start_together_agree_on_one_certificate(pki):
    code = (
        "import sys; from pathlib import Path; from gl002.security.pki import Pki; "
        "print(Pki(Path(sys.argv[1])).init(host='gateway').thumbprint)"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, str(pki.folder)], stdout=subprocess.PIPE)
        for _ in range(3)
    ]
    thumbprints = {process.communicate(timeout=60)[0] for process in started}
    assert thumbprints == {pki.init().thumbprint.encode() + b"\n"}
    assert [path.name for path in pki.folder.iterdir()] == ["own"]


@pytest.mark.parametrize("pem", [True, False], ids=["PEM", "DER"])
def test_files_are_read_by_content_whatever_they_are_called(tmp_path, pem):
    made = make("urn:us")
    encoding = serialization.Encoding.PEM if pem else serialization.Encoding.DER
    (tmp_path / "client.txt").write_bytes(made.pem if pem else made.der)
    (tmp_path / "client.key").write_bytes(made.key_as(encoding))
    (tmp_path / "client.key").chmod(0o600)
    identity = load_identity(tmp_path / "client.txt", tmp_path / "client.key")
    assert (identity.certificate, identity.application_uri) == (made.certificate, "urn:us")


def test_a_key_with_a_password_opens_with_it_only(tmp_path):
    made = make("urn:us")
    certificate, private = made.save(tmp_path, "client")
    private.write_bytes(made.key_as(password="opensesame"))
    assert load_identity(certificate, private, "opensesame").application_uri == "urn:us"
    for wrong in (None, "guess"):
        with pytest.raises(ConfigError, match="password") as caught:
            load_identity(certificate, private, wrong)
        assert "guess" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda c, k: c.unlink(), "No such file"),
        (lambda c, k: k.unlink(), "No such file"),
        (lambda c, k: c.write_bytes(b"nothing"), "no certificate"),
        (lambda c, k: k.write_bytes(b"nothing"), "no private key"),
        (lambda c, k: k.chmod(0o644), "everyone may read"),
        (lambda c, k: k.write_bytes(make(which=5).key_as()), "not the private key"),
        (lambda c, k: c.write_bytes(make("").pem), "names no application URI"),
    ],
)  # fmt: skip
def test_unusable_files_are_named(tmp_path, damage, reason):
    certificate, private = make("urn:us").save(tmp_path, "client")
    damage(certificate, private)
    with pytest.raises(ConfigError, match=reason):
        load_identity(certificate, private)


def test_an_elliptic_key_is_refused_before_a_server_does(tmp_path):
    from cryptography.hazmat.primitives.asymmetric import ec

    curve = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ec")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(curve.public_key()).serial_number(1)
        .not_valid_before(datetime.now(UTC)).not_valid_after(datetime.now(UTC) + timedelta(1))
        .sign(curve, hashes.SHA256())
    )  # fmt: skip
    path, private = Made(certificate, curve).save(tmp_path, "client")
    with pytest.raises(ConfigError, match="not an RSA key"):
        load_identity(path, private)


def test_files_that_are_no_certificates_do_not_disturb_the_list(pki):
    put(pki, "trusted", make())
    (pki.folder / "trusted" / "README.txt").write_text("hello")
    pki.init(host="gateway")
    assert [card.place for card in pki.list()] == ["own", "trusted"]


def test_listing_needs_no_folders(pki):
    assert pki.list() == []
