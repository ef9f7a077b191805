"""Our secret stores are true: the usual clients work with them; AWS's own makes our signatures."""

from __future__ import annotations

import json
import ssl
from pathlib import Path

import pytest
import trustme

from gl002.security.secrets import Secret
from gl002.wire.sigv4 import Keys, Scope, signed_headers, signed_path
from peers import vendors
from peers.secret_stores import (
    CLIENT,
    CLIENT_SECRET,
    ROLE,
    SECRET_ID,
    TENANT,
    TOKEN,
    KeyVault,
    Vault,
)


def test_hvac_writes_and_reads_our_vault() -> None:
    with Vault() as vault:
        seen = vendors.run("vault_hvac.py", vault.url, TOKEN, ROLE, SECRET_ID)
    assert seen == {
        "data": {"password": "second"},
        "version": 2,
        "by_role": {"password": "second"},
        "refused": ["InvalidPath", "InvalidRequest", "Forbidden"],
    }


def test_the_client_of_microsoft_writes_and_reads_our_key_vault(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(ca)
    with KeyVault(context) as vault:
        seen = vendors.run(
            "azure_key_vault.py", vault.base, ca, TENANT, CLIENT, CLIENT_SECRET
        )  # fmt: skip
    assert seen == {
        "value": "of the SDK",
        "name": "db-password",
        "enabled": True,
        "scopes": ["https://vault.azure.net/.default"],
        "absent": "SecretNotFound",
    }


@pytest.mark.parametrize("token", [None, "session/token+canary=="])
def test_our_signatures_are_those_of_botocore(token: str | None) -> None:
    given = {
        "id": "AKIAIOSFODNN7EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG", "token": token,
        "host": "secretsmanager.eu-central-1.amazonaws.com", "region": "eu-central-1",
        "target": "secretsmanager.GetSecretValue", "body": '{"SecretId":"plant/db ü"}',
        "now": 1_800_000_000, "expires": 300,
    }  # fmt: skip
    theirs = vendors.run("sigv4.py", json.dumps(given))
    keys = Keys(str(given["id"]), Secret(str(given["secret"])), Secret(token) if token else None)
    host, region, now = str(given["host"]), str(given["region"]), float(given["now"])  # type: ignore[arg-type]
    headers = signed_headers(
        keys, Scope(region, "secretsmanager"), host=host, target=str(given["target"]),
        body=str(given["body"]).encode(), now=now,
    )  # fmt: skip
    assert headers["authorization"] == theirs["authorization"]
    path = signed_path(
        keys, Scope(region, "iotdevicegateway"), host=host, path="/mqtt", now=now, expires=300
    )
    base, _, after = path.partition("&X-Amz-Security-Token=")
    assert f"https://{host}{base}" == theirs["url"]
    assert bool(after) == bool(token), "the session token follows what is signed"
