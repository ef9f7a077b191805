"""The identity of the machine or the pod we run on, from its metadata server.

google-auth has a class for it that needs another HTTP library; this one asks as it is asked to.
Source: Compute Engine documentation, 'About VM metadata', 'Authenticate workloads'. On GKE the
metadata server gives tokens of the service account that is bound to the pod (workload identity).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from google.auth import exceptions
from google.auth.credentials import Credentials

_BASE = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default"
_FLAVOR = {"Metadata-Flavor": "Google"}
_OK = 200


class MachineCredentials(Credentials):  # type: ignore[misc] # google-auth is Any to us
    """Tokens of the machine's own service account."""

    def __init__(self, scope: str) -> None:
        super().__init__()
        self._scope = scope
        self.service_account_email = ""

    def refresh(self, request: Callable[..., Any]) -> None:
        """Get a token; google-auth calls it when there is none, or it ends soon.

        Raises:
            RefreshError: the metadata server refuses, or is none.
        """
        if not self.service_account_email:
            self.service_account_email = str(_asked(request, "/?recursive=true").get("email", ""))
        answer = _asked(request, f"/token?scopes={self._scope}")
        try:
            lifetime = timedelta(seconds=float(answer["expires_in"]))
            self.token = str(answer["access_token"])
        except (KeyError, TypeError, ValueError) as error:
            raise exceptions.RefreshError(f"no token from the metadata server: {error}") from None
        self.expiry = datetime.now(UTC).replace(tzinfo=None) + lifetime


def _asked(request: Callable[..., Any], path: str) -> dict[str, Any]:
    reply = request(url=_BASE + path, method="GET", headers=_FLAVOR)
    try:
        content = json.loads(reply.data)
    except ValueError:
        content = None
    if reply.status != _OK or not isinstance(content, dict):
        raise exceptions.RefreshError(
            f"the metadata server answers {reply.status}: has this machine a service account?"
        )
    return content
