"""Secrets that change in their store while we run, or whose store is down; never shown."""

from __future__ import annotations

import asyncio
import base64
import logging
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml

from gl002.config.load import GatewayConfig, load
from gl002.flow.gateway import Gateway
from gl002.security.secrets import Redactor
from gl002.testing.contract.requests import eventually
from integrations.secret_stores_site import loaded, of_vault, password, vault
from peers.postgresql import PostgreSQL
from peers.secret_stores import Vault

fixtures = (vault,)


async def test_a_new_value_is_used_without_a_restart_and_the_last_one_while_the_store_is_down(
    tmp_path: Path, vault: Vault, caplog
) -> None:
    caplog.set_level(logging.INFO)
    secrets = of_vault(vault) | {"refresh": 1}
    config = await asyncio.to_thread(loaded, tmp_path, secrets, "${vault:secret/plant/db#password}")
    gateway = Gateway(config)
    running = asyncio.create_task(gateway.run())
    await gateway.started()
    try:
        vault.put("plant/db", password="rotated-canary")
        await eventually(lambda: password(config).reveal() == "rotated-canary", "it was rotated")
        vault.sealed = True
        await eventually(lambda: "last value is used on" in caplog.text, "it was said")
        assert password(config).reveal() == "rotated-canary"
        vault.sealed = False
        vault.put("plant/db", password="third-canary")
        await eventually(lambda: password(config).reveal() == "third-canary", "it goes on")
    finally:
        gateway.stop()
        await running
    assert caplog.text.count("last value is used on") == 1, "once, and not at each round"
    assert "can be read again" in caplog.text
    assert "integrations.postgresql.db0.password: a new value" in caplog.text
    assert "canary" not in Redactor.redact(caplog.text)
    assert "rotated-canary" not in caplog.text
    assert gateway.status().faults == 0


async def test_after_a_reload_a_connection_that_goes_on_still_follows_its_secret(
    tmp_path: Path, vault: Vault
) -> None:
    secrets = of_vault(vault) | {"refresh": 1}
    reference = "${vault:secret/plant/db#password}"
    gateway = Gateway(await asyncio.to_thread(loaded, tmp_path, secrets, reference))
    running = asyncio.create_task(gateway.run())
    await gateway.started()
    try:
        goes_on = gateway.connectors["postgresql.db0"]
        tag = {"one": {"expression": "1 + 1"}}
        changed = await asyncio.to_thread(
            loaded, tmp_path, secrets, reference, calculated=tag
        )  # fmt: skip
        await gateway.reload(changed)
        del changed
        assert gateway.connectors["postgresql.db0"] is goes_on
        vault.put("plant/db", password="rotated-canary")
        await eventually(
            lambda: goes_on.config.password.reveal() == "rotated-canary", "it was rotated"
        )
        assert len(gateway._secrets) == 2, "of the settings in use, and of those in the file"
        vault.put("plant/db", password="third-canary")
        again = await asyncio.to_thread(loaded, tmp_path, secrets, reference, calculated=tag)
        await gateway.reload(again)
        assert gateway.connectors["postgresql.db0"] is goes_on, "a new value is no new file"
    finally:
        gateway.stop()
        await running


KEYS = [base64.b64encode(f"canary-{n}-of-a-device".encode()).decode() for n in range(2)]
FIRST, SECOND = "first/canary?", "second canary@"


@pytest.mark.parametrize(
    "case",
    [
        (
            "postgresql",
            {"url": "postgresql://u:${vault:secret/plant/it#whole}@localhost/d"},
            [quote(FIRST, safe=""), quote(SECOND, safe="")], "password", [FIRST, SECOND],
        ),
        (
            "postgresql", {"url": "${vault:secret/plant/it#whole}"},
            [f"postgresql://u:{quote(each, safe='')}@localhost/d" for each in (FIRST, SECOND)],
            "password", [FIRST, SECOND],
        ),
        (
            "azure",
            {"connection_string": "HostName=h;DeviceId=d;SharedAccessKey="
             "${vault:secret/plant/it#whole}"},
            KEYS, "shared_access_key", KEYS,
        ),
        (
            "influxdb", {"url": "http://localhost:8086?org=o&bucket=b&token="
                         "${vault:secret/plant/it#whole}"},
            ["first-canary", "second-canary"], "token", ["first-canary", "second-canary"],
        ),
    ],
    ids=["in a URL", "a whole URL", "in a connection string", "in a query"],
)  # fmt: skip
async def test_a_secret_within_a_longer_text_follows_its_store(
    tmp_path, vault, caplog, case
) -> None:
    kind, block, held, field, shown = case
    vault.put("plant/it", whole=held[0])
    config = await asyncio.to_thread(configured, tmp_path, vault, kind, block)
    settings = config.connections[kind].settings
    assert getattr(settings, field).reveal() == shown[0]
    vault.put("plant/it", whole=held[1])
    await config.secrets.refresh()
    assert getattr(settings, field).reveal() == shown[1]
    vault.put("plant/it", whole="@no:such/thing;=&")
    await config.secrets.refresh()
    assert "the last is used on" in caplog.text or kind == "influxdb"
    assert Redactor.redact(f"seen: {shown[1]}") == "seen: ***"
    assert shown[1] not in caplog.text


async def test_what_is_no_secret_stays_and_is_said_when_it_changes(tmp_path, vault, caplog) -> None:
    vault.put("plant/it", host="db1.example", password="canary-of-db1")
    block = {
        "host": "${vault:secret/plant/it#host}", "database": "d", "user": "u",
        "password": "${vault:secret/plant/it#password}",
    }  # fmt: skip
    config = await asyncio.to_thread(configured, tmp_path, vault, "postgresql", block)
    vault.put("plant/it", host="db2.example", password="canary-of-db2")
    for _ in range(2):
        await config.secrets.refresh()
    settings = config.connections["postgresql"].settings
    assert (settings.host, settings.password.reveal()) == ("db1.example", "canary-of-db2")
    told = "integrations.postgresql.host: a new value is there; it is no secret"
    assert caplog.text.count(told) == 1
    assert "postgresql.password: a new value is there; it is no secret" not in caplog.text


def configured(folder: Path, vault: Vault, kind: str, block: dict[str, Any]) -> GatewayConfig:
    file = folder / "integrations.yaml"
    content = {
        "integrations": {"enabled": [kind], kind: block},
        "secrets": of_vault(vault), "gateway": {"state_dir": str(folder / "state")},
    }  # fmt: skip
    file.write_text(yaml.safe_dump(content))
    return load(file, {})


def test_what_came_from_a_store_is_never_shown(tmp_path: Path, vault: Vault) -> None:
    config = loaded(tmp_path, of_vault(vault), "${vault:secret/plant/db#password}")
    settings = config.connections["postgresql.db0"].settings
    for text in (repr(settings), str(settings), settings.model_dump_json(), repr(config)):
        assert "of-vault-canary" not in text
    assert Redactor.redact("seen: of-vault-canary") == "seen: ***"


async def test_a_database_whose_password_was_changed_is_written_to_again_without_a_restart(
    tmp_path: Path, vault: Vault
) -> None:
    with PostgreSQL() as database:
        database.execute("CREATE ROLE plant LOGIN SUPERUSER PASSWORD 'first-canary'")
        vault.put("plant/db", password="first-canary")
        file = tmp_path / "integrations.yaml"
        reference = "${vault:secret/plant/db#password}"
        block = {**database.config, "user": "plant", "password": reference}
        patience = {"max_attempts": None, "first": 0.1, "most": 1}
        output = {"destination": "postgresql", "interval": 0.1, "retry_policy": patience}
        calculated = {"one": {"expression": "1 + 1", "interval": 0.1}}
        file.write_text(
            yaml.safe_dump({
                "integrations": {
                    "enabled": ["postgresql"], "postgresql": block,
                    "data_flow": {"output": [output]},
                },
                "secrets": of_vault(vault) | {"refresh": 1},
                "gateway": {"state_dir": str(tmp_path / "state")},
                "calculated": calculated,
            })
        )  # fmt: skip
        gateway = Gateway(await asyncio.to_thread(load, file, {}))
        running = asyncio.create_task(gateway.run())
        await gateway.started()
        try:
            delivery = lambda: gateway.status().outputs[0]  # noqa: E731 (read often)
            await eventually(lambda: delivery().delivered > 0, "values arrive")
            database.execute("ALTER ROLE plant PASSWORD 'second-canary'")
            database.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'plant'"
            )
            await eventually(lambda: delivery().state != "up", "the old password is refused")
            vault.put("plant/db", password="second-canary")
            before = delivery().delivered
            await eventually(
                lambda: delivery().delivered > before, lambda: f"again: {delivery()}", within=90
            )
        finally:
            gateway.stop()
            await running
