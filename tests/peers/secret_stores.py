"""Secret stores: moto for AWS Secrets Manager; Vault and Key Vault of ours, from their references.

hvac, the usual client of Vault, and Microsoft's own client of Key Vault work with ours
(`tests/integrations/test_secret_stores_vendor.py`).
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from peers import vendors
from peers.process import Process
from peers.web_server import Reply, Seen, WebServer

TOKEN, ROLE, SECRET_ID = "hvs.root-canary", "role-0815", "secret-id-canary"
TENANT, CLIENT, CLIENT_SECRET = "tenant-1", "client-1", "client-secret-canary"


class Moto(Process):
    """AWS as moto has it, over HTTP; it checks no signature."""

    def command(self) -> Sequence[str]:
        server = vendors.python().parent / "moto_server"
        return [str(server), "-H", "127.0.0.1", "-p", str(self.port)]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> dict[str, Any]:
        return {
            "region": "eu-central-1", "access_key_id": "AKIACANARY", "url": self.url,
            "secret_access_key": "wJalr-canary-key",
        }  # fmt: skip

    def put(self, name: str, text: str) -> None:
        """Make a secret, or give it a new version."""
        there = self._ask("CreateSecret", {"Name": name, "SecretString": text})
        if there != 200:
            assert self._ask("PutSecretValue", {"SecretId": name, "SecretString": text}) == 200

    def _ask(self, operation: str, body: Mapping[str, Any]) -> int:
        scope = "x/20260101/eu-central-1/secretsmanager/aws4_request"
        headers = {
            "X-Amz-Target": f"secretsmanager.{operation}",
            "Content-Type": "application/x-amz-json-1.1",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=, Signature=",
        }
        request = urllib.request.Request(self.url, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            with error:
                return error.code


class Vault(WebServer):
    """A Vault with one engine KV version 2 at 'secret/' and AppRole.

    Attributes:
        secrets: path -> versions, each a mapping.
        sealed: answers 503 to everything.
        denied: paths that may not be read.
    """

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.secrets: dict[str, list[dict[str, Any]]] = {}
        self.sealed = False
        self.denied: set[str] = set()
        self._tokens = {TOKEN}

    def put(self, path: str, **values: Any) -> None:
        self.secrets.setdefault(path, []).append(values)

    def _answer(self, seen: Seen) -> Reply:
        if self.sealed:
            return _errors(503, "Vault is sealed")
        path = seen.path.removeprefix("/v1/")
        if path == "auth/approle/login" and seen.method in {"POST", "PUT"}:
            given = json.loads(seen.body)
            if (given.get("role_id"), given.get("secret_id")) != (ROLE, SECRET_ID):
                return _errors(400, "invalid role or secret ID")
            token = f"hvs.of-role-{len(self._tokens)}"
            self._tokens.add(token)
            return _json({"auth": {"client_token": token, "lease_duration": 1200}})
        if seen.headers.get("x-vault-token") not in self._tokens:
            return _errors(403, "permission denied", "invalid token")
        if path == "auth/token/renew-self":
            return _json({"auth": {"client_token": seen.headers["x-vault-token"]}})
        return self._secret(seen, path)

    def _secret(self, seen: Seen, path: str) -> Reply:
        mount, _, rest = path.partition("/data/")
        if mount != "secret" or not rest or rest in self.denied:
            return _errors(403, "1 error occurred:\n\t* permission denied\n\n")
        if seen.method in {"POST", "PUT"}:
            self.put(rest, **json.loads(seen.body)["data"])
            return _json({"data": {"version": len(self.secrets[rest]), "destroyed": False}})
        versions = self.secrets.get(rest, [])
        if not versions:
            return _errors(404)
        metadata = {"version": len(versions), "destroyed": False, "deletion_time": ""}
        return _json({"data": {"data": versions[-1], "metadata": metadata}})


class KeyVault(WebServer):
    """Entra ID and one key vault, with TLS, as Microsoft's client wants it.

    Attributes:
        secrets: name -> value.
        denied: answers 403.
    """

    def __init__(self, tls: ssl.SSLContext) -> None:
        super().__init__(self._answer, tls=tls)
        self.secrets: dict[str, str] = {}
        self.denied = False

    @property
    def base(self) -> str:
        return f"https://localhost:{self.port}"

    def _answer(self, seen: Seen) -> Reply:
        if seen.path == f"/{TENANT}/oauth2/v2.0/token":
            form = {k: v[0] for k, v in parse_qs(seen.body.decode()).items()}
            if (form.get("client_id"), form.get("client_secret")) != (CLIENT, CLIENT_SECRET):
                return _json(
                    {
                        "error": "invalid_client",
                        "error_description": "AADSTS7000215: Invalid client secret provided.",
                    },
                    401,
                )
            assert form["scope"] == "https://vault.azure.net/.default"
            return _json({"token_type": "Bearer", "expires_in": 3599, "access_token": "eyJcanary"})
        if seen.headers.get("authorization") != "Bearer eyJcanary":
            challenge = (
                f'Bearer authorization="{self.base}/{TENANT}", resource="https://vault.azure.net"'
            )
            error = {"code": "Unauthorized", "message": "AKV10000: Request is missing a token."}
            return _json({"error": error}, 401, {"WWW-Authenticate": challenge})
        if self.denied:
            error = {"code": "Forbidden", "message": "Caller is not authorized to perform action"}
            return _json({"error": error}, 403)
        assert "api-version" in seen.query
        name = seen.path.split("/")[2]
        if seen.method == "PUT":
            self.secrets[name] = json.loads(seen.body)["value"]
        if name not in self.secrets:
            error = {"code": "SecretNotFound", "message": f"A secret with (name/id) {name}"}
            return _json({"error": error}, 404)
        identity = f"{self.base}/secrets/{name}/0123456789abcdef0123456789abcdef"
        attributes = {"enabled": True, "created": 1, "updated": 1}
        return _json({"value": self.secrets[name], "id": identity, "attributes": attributes})


def _json(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    also = {"Content-Type": "application/json", **(headers or {})}
    return Reply(status, json.dumps(content).encode(), also)


def _errors(status: int, *words: str) -> Reply:
    return _json({"errors": list(words)}, status)
