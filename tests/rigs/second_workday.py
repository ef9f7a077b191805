"""The second rig of Workday: the same tenant, entered with a refresh token."""

from __future__ import annotations

from typing import Any

from rigs.workday import WorkdayRig


class WorkdayClientRig(WorkdayRig):
    """As an API client."""

    has_account = False

    def config(self, **changes: Any) -> dict[str, Any]:
        return {**self.peer.as_client, **self.there(), **changes}

    def wrong_credentials(self) -> dict[str, Any]:
        return self.config(refresh_token="wrong-canary-0815")
