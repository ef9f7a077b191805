"""The identity of the machine or the pod we run on, from its metadata server.

google-auth has a class for it that needs another HTTP library; this one asks as it is asked to.
Source: Compute Engine documentation, 'About VM metadata', 'Authenticate workloads'. On GKE the
metadata server gives tokens of the service account that is bound to the pod (workload identity).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from gl002.errors import AuthFailed

_BASE = "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default"
_FLAVOR = {"Metadata-Flavor": "Google"}
_OK = 200
_EARLY = 225.0  # seconds before its end at which google-auth renews a token, too
_HINT = "has this machine or pod a service account? Elsewhere, set credentials"


class MachineCredentials:
    """Tokens of the machine's own service account, in the form of google-auth's credentials."""

    def __init__(self, scope: str) -> None:
        self._scope = scope
        self._ends = 0.0
        self.token = ""
        self.service_account_email = ""

    @property
    def token_state(self) -> Any:
        """Whether there is a token, and for long."""
        from google.auth.credentials import TokenState

        left = self._ends - time.time()
        if left <= 0:
            return TokenState.INVALID
        return TokenState.FRESH if left > _EARLY else TokenState.STALE

    def refresh(self, request: Callable[..., Any]) -> None:
        """Get a token.

        Raises:
            AuthFailed: the metadata server refuses, or is none.
        """
        if not self.service_account_email:
            self.service_account_email = str(_asked(request, "/?recursive=true").get("email", ""))
        answer = _asked(request, f"/token?scopes={self._scope}")
        try:
            lifetime = float(answer["expires_in"])
            self.token = str(answer["access_token"])
        except (KeyError, TypeError, ValueError):
            raise AuthFailed("the metadata server gives us no token", hint=_HINT) from None
        self._ends = time.time() + lifetime


def _asked(request: Callable[..., Any], path: str) -> dict[str, Any]:
    reply = request(url=_BASE + path, method="GET", headers=_FLAVOR)
    try:
        content = json.loads(reply.data)
    except ValueError:
        content = None
    if reply.status != _OK or not isinstance(content, dict):
        raise AuthFailed(f"the metadata server answers {reply.status}", hint=_HINT)
    return content
