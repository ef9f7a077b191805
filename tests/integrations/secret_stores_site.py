"""Secret stores, and files that name secrets in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gl002.config.load import GatewayConfig, load
from gl002.security.secrets import Secret
from peers.secret_stores import TOKEN, Vault
from peers.web_server import WebServer


@pytest.fixture
def vault() -> Iterator[Vault]:
    with Vault() as server:
        server.put("plant/db", password="of-vault-canary", user="gl002")
        yield server


def of_vault(server: WebServer, **changes: Any) -> dict[str, Any]:
    settings = {"url": server.url, "token": TOKEN, **changes}
    return {"vault": {key: value for key, value in settings.items() if value is not None}}


def loaded(folder: Path, secrets: dict[str, Any], *passwords: str, **more: Any) -> GatewayConfig:
    """A configuration with one connection for each password."""
    blocks = {
        f"db{i}": {"host": "localhost", "database": "d", "user": "u", "password": password}
        for i, password in enumerate(passwords)
    }
    file = folder / "integrations.yaml"
    content = {
        "integrations": {"enabled": ["postgresql"], "postgresql": blocks},
        "secrets": secrets, "gateway": {"state_dir": str(folder / "state")}, **more,
    }  # fmt: skip
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    return load(file, {})


def password(config: GatewayConfig, number: int = 0) -> Secret:
    secret: Secret = config.connections[f"postgresql.db{number}"].settings.password  # type: ignore[attr-defined]
    return secret
