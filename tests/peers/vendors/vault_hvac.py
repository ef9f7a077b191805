"""hvac, the usual client of Vault: arguments address, token, role, secret id. Prints JSON."""

from __future__ import annotations

import json
import sys

import hvac
from hvac import exceptions

url, token, role, secret_id = sys.argv[1:]
client = hvac.Client(url=url, token=token)
kv = client.secrets.kv.v2
kv.create_or_update_secret(path="plant/db", secret={"password": "first"}, mount_point="secret")
kv.create_or_update_secret(path="plant/db", secret={"password": "second"}, mount_point="secret")
read = kv.read_secret_version(
    path="plant/db", mount_point="secret", raise_on_deleted_version=True
)["data"]  # fmt: skip


def refused(call):
    try:
        call()
    except exceptions.VaultError as error:
        return type(error).__name__
    return "taken"


def absent():
    kv.read_secret_version(path="absent", mount_point="secret", raise_on_deleted_version=True)


by_role = hvac.Client(url=url)
by_role.auth.approle.login(role_id=role, secret_id=secret_id)
print(
    json.dumps(
        {
            "data": read["data"],
            "version": read["metadata"]["version"],
            "by_role": by_role.secrets.kv.v2.read_secret_version(
                path="plant/db", mount_point="secret", raise_on_deleted_version=True
            )["data"]["data"],
            "refused": [
                refused(absent),
                refused(lambda: by_role.auth.approle.login(role_id=role, secret_id="wrong")),
                refused(
                    lambda: hvac.Client(url=url, token="wrong").secrets.kv.v2.read_secret_version(
                        path="plant/db", mount_point="secret", raise_on_deleted_version=True
                    )
                ),
            ],
        }
    )
)
