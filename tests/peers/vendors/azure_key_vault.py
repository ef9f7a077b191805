"""Microsoft's own client of Key Vault: arguments address, CA, tenant, client, client secret."""

from __future__ import annotations

import json
import sys
import time
import urllib.parse
import urllib.request
from ssl import create_default_context

from azure.core.credentials import AccessToken
from azure.core.exceptions import ResourceNotFoundError
from azure.keyvault.secrets import SecretClient

url, ca, tenant, client_id, client_secret = sys.argv[1:]


class Credential:
    """What azure-identity does: a token for the scope that the vault's challenge names."""

    scopes = ()

    def get_token(self, *scopes, **_):
        Credential.scopes = scopes
        form = {
            "grant_type": "client_credentials", "client_id": client_id,
            "client_secret": client_secret, "scope": scopes[0],
        }  # fmt: skip
        request = urllib.request.Request(
            f"{url}/{tenant}/oauth2/v2.0/token", urllib.parse.urlencode(form).encode()
        )
        context = create_default_context(cafile=ca)
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            content = json.loads(answer.read())
        return AccessToken(content["access_token"], int(time.time()) + content["expires_in"])


client = SecretClient(
    url, Credential(), verify_challenge_resource=False, connection_verify=ca, api_version="7.4"
)
client.set_secret("db-password", "of the SDK")
found = client.get_secret("db-password")
try:
    client.get_secret("absent")
    absent = "taken"
except ResourceNotFoundError as error:
    absent = error.error.code
print(
    json.dumps(
        {
            "value": found.value, "name": found.name, "enabled": found.properties.enabled,
            "scopes": Credential.scopes, "absent": absent,
        }
    )
)  # fmt: skip
