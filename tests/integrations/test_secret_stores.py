"""Secrets in stores: filled in when a file is read; what is wrong is named."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gl002.errors import ConfigError
from gl002.testing.link import Link
from gl002.testing.stalls import Stalls
from integrations.secret_stores_site import loaded, of_vault, password, vault
from peers.secret_stores import (
    CLIENT,
    CLIENT_SECRET,
    ROLE,
    SECRET_ID,
    TENANT,
    TOKEN,
    KeyVault,
    Moto,
    Vault,
)
from peers.web_server import Reply, WebServer

fixtures = (vault,)


@pytest.fixture(scope="module")
def moto() -> Iterator[Moto]:
    with Moto() as server:
        yield server


@pytest.fixture
def key_vault(tmp_path: Path) -> Iterator[KeyVault]:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    with KeyVault(context) as server:
        server.secrets["db-password"] = "of-azure-canary"
        yield server


def of_azure(server: KeyVault, folder: Path, **changes: Any) -> dict[str, Any]:
    known = {
        "tenant_id": TENANT, "client_id": CLIENT, "client_secret": CLIENT_SECRET,
        "authority": server.base, "vault_url": server.base, "tls": {"ca": str(folder / "ca.pem")},
    }  # fmt: skip
    return {"azure": known | changes}


# ---- filling in -------------------------------------------------------------------------------


def test_a_file_may_name_secrets_of_all_three_stores(
    tmp_path: Path, vault: Vault, moto: Moto, key_vault: KeyVault
) -> None:
    moto.put("plant/db", '{"password": "of-aws-canary"}')
    moto.put("plain", "of-aws-plain")
    secrets = {
        **of_vault(vault), "aws": moto.config, **of_azure(key_vault, tmp_path),
    }  # fmt: skip
    config = loaded(
        tmp_path, secrets,
        "${vault:secret/plant/db#password}", "${vault:secret/data/plant/db#password}",
        "${aws-sm:plant/db#password}", "${aws-sm:plain}", "${azure-kv:boilers/db-password}",
        "${vault:secret/plant/db#user}-${aws-sm:plain}",
    )  # fmt: skip
    assert [password(config, i).reveal() for i in range(6)] == [
        "of-vault-canary", "of-vault-canary", "of-aws-canary", "of-aws-plain", "of-azure-canary",
        "gl002-of-aws-plain",
    ]  # fmt: skip


def test_an_approle_logs_in_and_a_secret_is_asked_for_once(tmp_path: Path, vault: Vault) -> None:
    secrets = of_vault(vault, token=None, role_id=ROLE, secret_id=SECRET_ID)
    config = loaded(
        tmp_path, secrets, "${vault:secret/plant/db#password}", "${vault:secret/plant/db#user}"
    )
    assert password(config, 1).reveal() == "gl002"
    assert [seen.path.rpartition("/")[2] for seen in vault.seen] == ["login", "db"]


def test_a_file_without_such_references_asks_no_store(tmp_path: Path, vault: Vault) -> None:
    loaded(tmp_path, of_vault(vault), "plain")
    assert vault.seen == []


def test_a_secret_may_come_from_a_file_that_the_store_is_reached_with(
    tmp_path: Path, vault: Vault
) -> None:
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    config = loaded(
        tmp_path, of_vault(vault, token="${file:token}"), "${vault:secret/plant/db#password}"
    )
    assert password(config).reveal() == "of-vault-canary"


# ---- what is wrong ----------------------------------------------------------------------------


def refused(folder: Path, secrets: dict[str, Any], reference: str, **more: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, secrets, reference, **more)
    text = str(caught.value)
    assert f"{folder}/integrations.yaml:9:" in text, "file and line"
    assert "integrations.postgresql.db0.password" in text, "the key"
    for canary in (TOKEN, SECRET_ID, CLIENT_SECRET, "of-vault-canary"):
        assert canary not in text
    return text


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("${vault:secret/absent#password}", "there is no secret 'secret/absent'"),
        ("${vault:secret/plant/db#pass}", "it has password, user"),
        ("${vault:secret/plant/db}", "name one: secret/plant/db#key"),
        ("${vault:other/plant/db#password}", "capabilities"),
        ("${vault:secret#password}", "names no secret"),
        ("${vault:}", "names no secret"),
        ("${aws-sm:plant/db#password}", "add a block 'secrets:' with 'aws:'"),
    ],
)
def test_what_is_not_there_is_named_with_its_place(
    tmp_path: Path, vault: Vault, reference: str, words: str
) -> None:
    assert words in refused(tmp_path, of_vault(vault), reference)


def test_a_vault_that_refuses_or_is_sealed_says_what_to_do(tmp_path: Path, vault: Vault) -> None:
    reference = "${vault:secret/plant/db#password}"
    assert "token has ended" in refused(tmp_path, of_vault(vault, token="hvs.wrong"), reference)
    wrong = of_vault(vault, token=None, role_id=ROLE, secret_id="wrong-canary")
    assert "AppRole is refused: invalid role" in refused(tmp_path, wrong, reference)
    vault.sealed = True
    assert "vault operator unseal" in refused(tmp_path, of_vault(vault), reference)


def test_aws_and_azure_say_what_is_missing(tmp_path: Path, moto: Moto, key_vault: KeyVault) -> None:
    text = refused(tmp_path, {"aws": moto.config}, "${aws-sm:absent#x}")
    assert "'absent': there is no such secret" in text
    moto.put("plain", "one value")
    assert "is one value" in refused(tmp_path, {"aws": moto.config}, "${aws-sm:plain#x}")
    azure = of_azure(key_vault, tmp_path)
    assert "there is no secret" in refused(tmp_path, azure, "${azure-kv:boilers/absent}")
    assert "letters, digits" in refused(tmp_path, azure, "${azure-kv:db-password}")
    wrong = of_azure(key_vault, tmp_path, client_secret="wrong-canary")
    assert "Invalid client secret" in refused(tmp_path, wrong, "${azure-kv:boilers/db-password}")
    key_vault.denied = True
    assert "Key Vault Secrets User" in refused(tmp_path, azure, "${azure-kv:boilers/db-password}")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("AccessDeniedException", "secretsmanager:GetSecretValue"),
        ("UnrecognizedClientException", "check access_key_id"),
        ("InvalidSignatureException", "clock of this machine"),
        ("ThrottlingException", "ThrottlingException"),
    ],
)
def test_refusals_of_aws_have_a_way_out(tmp_path: Path, kind: str, words: str) -> None:
    body = f'{{"__type": "com.amazonaws.secretsmanager#{kind}", "message": "no"}}'.encode()
    with WebServer(lambda _: Reply(400, body)) as aws:
        settings = {
            "region": "eu-central-1", "access_key_id": "A", "secret_access_key": "s-canary",
            "url": aws.url,
        }  # fmt: skip
        assert words in refused(tmp_path, {"aws": settings}, "${aws-sm:plant/db#password}")


@pytest.mark.parametrize(
    "reply", [Reply(200, b"<html>"), Reply(200, b"[1]"), Reply(200, b"{}", promised=99),
              Reply(200, b'{"data": {"data": 5}}'), Reply(502, b"<html>of-vault-canary"),
              Reply(200, b"x" * 2_000_000)],
)  # fmt: skip
def test_an_answer_that_is_none_is_an_error_with_its_place(tmp_path: Path, reply: Reply) -> None:
    with WebServer(lambda _: reply) as liar:
        refused(tmp_path, of_vault(liar), "${vault:secret/plant/db#password}")


def test_a_store_that_is_not_there_or_silent_costs_its_time_out(
    tmp_path: Path, vault: Vault
) -> None:
    with Link(vault.port) as link:
        secrets = of_vault(vault, url=f"http://127.0.0.1:{link.port}") | {"timeout": 0.5}
        link.blackhole()
        start = time.monotonic()
        with Stalls() as stalls:
            assert "no answer within 0.5 s" in refused(
                tmp_path, secrets, "${vault:secret/plant/db#password}"
            )
        assert time.monotonic() - start - stalls.total < 5
        link.cut()
        refused(tmp_path, secrets, "${vault:secret/plant/db#password}")


def test_one_name_that_is_none_spoils_no_other(tmp_path: Path, key_vault: KeyVault) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(
            tmp_path, of_azure(key_vault, tmp_path),
            "${azure-kv:no-vault}", "${azure-kv:boilers/db-password}",
        )  # fmt: skip
    assert "db0.password" in str(caught.value)
    assert "db1.password" not in str(caught.value)


def test_the_allowlist_covers_the_stores(tmp_path: Path, vault: Vault) -> None:
    text = refused(
        tmp_path, of_vault(vault), "${vault:secret/plant/db#password}",
        network={"allow": ["10.0.0.0/8"]},
    )  # fmt: skip
    assert "network.allow" in text
    assert vault.seen == []


@pytest.mark.parametrize(
    ("block", "words"),
    [
        ({"vault": {"url": "http://vault.plant.example", "token": "x"}}, "in clear"),
        ({"vault": {"url": "https://vault.plant.example"}}, "one of both"),
        ({"vault": {"url": "vault", "token": "x"}}, "https://"),
        ({"vault": {"url": "https://v", "token": "x", "tls": {"verify": False}}}, "verify"),
        ({"aws": {"region": "nowhere"}}, "region"),
        ({"azure": {"client_secret": "x"}}, "tenant_id"),
        ({"refresh": 0}, "refresh"),
        ({"valt": {}}, "did you mean 'vault'"),
    ],
)
def test_a_section_that_is_wrong_is_said(tmp_path: Path, block: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        loaded(tmp_path, block, "plain")


def test_a_store_cannot_hold_what_it_is_reached_with(tmp_path: Path, vault: Vault) -> None:
    with pytest.raises(ConfigError, match=r"secrets\.vault\.token"):
        loaded(
            tmp_path, of_vault(vault, token="${vault:secret/plant/db#password}"),
            "${vault:secret/plant/db#password}",
        )  # fmt: skip
