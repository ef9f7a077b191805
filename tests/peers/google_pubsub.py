"""Pub/Sub of Google Cloud: ours, from the REST reference; and Google's own emulator.

Ours has what the emulator lacks: tokens, rights, quotas, and messages that outlive a restart. Its
answers are compared with the emulator's, and Google's own client works with it
(`tests/integrations/test_gcp_vendor.py`).
"""

from __future__ import annotations

import base64
import json
import os
import sqlite3
import sys
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.process import Process
from peers.pubsub.tokens import SUBJECT, make_key

PROJECT = "plant-1"
_TESTS = Path(__file__).parents[1]
_EMULATOR = Path("/usr/lib/google-cloud-sdk/platform/pubsub-emulator/bin/cloud-pubsub-emulator")


class _Server(Process):
    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """One request of an administrator; status and content."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/{path}", data, self.headers(), method=method)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def headers(self) -> dict[str, str]:
        return {"Content-Type": "application/json"}

    def create(self, topic: str, *subscriptions: str, ordered: bool = False) -> None:
        """A topic and subscriptions to it, where they are not there."""
        name = f"projects/{PROJECT}/topics/{topic}"
        self.ask("PUT", f"v1/{name}", {})
        for subscription in subscriptions:
            path = f"v1/projects/{PROJECT}/subscriptions/{subscription}"
            self.ask("PUT", path, {"topic": name, "enableMessageOrdering": ordered})

    def publish(self, topic: str, *payloads: Any, key: str = "", **attributes: str) -> None:
        """Messages with one ordering key, or none, and the same attributes."""
        also = {"attributes": attributes, **({"orderingKey": key} if key else {})}
        messages = [
            {"data": base64.b64encode(json.dumps(p).encode()).decode(), **also} for p in payloads
        ]
        path = f"v1/projects/{PROJECT}/topics/{topic}:publish"
        status, answer = self.ask("POST", path, {"messages": messages})
        assert status == 200, answer


class PubSub(_Server):
    """Ours. It wants tokens, unless it is open as an emulator is."""

    def __init__(self, *, open_to_all: bool = False) -> None:
        super().__init__()
        self._open = open_to_all
        self.key = make_key(self.folder, f"{self.url}/token")

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "peers.pubsub", str(self.folder), str(self.port)]

    def environment(self) -> Mapping[str, str]:
        return {**os.environ, "PYTHONPATH": str(_TESTS), "OPEN": "1" if self._open else ""}

    def headers(self) -> dict[str, str]:
        known = super().headers()
        return known if self._open else {**known, "Authorization": f"Bearer {self._admin()}"}

    def _admin(self) -> str:
        path = "/computeMetadata/v1/instance/service-accounts/default/token"
        request = urllib.request.Request(self.url + path, headers={"Metadata-Flavor": "Google"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(json.loads(answer.read())["access_token"])

    def key_file(self) -> Path:
        file = self.folder / "key.json"
        file.write_text(self.key)
        return file

    def federation(self) -> dict[str, Any]:
        """A configuration of workload identity federation, as gcloud makes it."""
        token = self.folder / "subject"
        token.write_text(SUBJECT)
        return {
            "type": "external_account", "token_url": f"{self.url}/sts",
            "audience": "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/"
            "providers/plant",
            "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
            "credential_source": {"file": str(token)},
        }  # fmt: skip

    def control(self, **changes: Any) -> list[str]:
        """Change what it does; the requests so far."""
        request = urllib.request.Request(
            f"{self.url}/control", json.dumps(changes).encode(), method="POST"
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            requests: list[str] = json.loads(answer.read())["requests"]
            return requests

    def config(self, port: int | None = None, **changes: Any) -> dict[str, Any]:
        return {
            "project": PROJECT, "url": f"http://127.0.0.1:{port or self.port}",
            "credentials_json": self.key, **changes,
        }  # fmt: skip

    # ---- messages, not through the interface ------------------------------------------------

    def _rows(self, query: str) -> list[Any]:
        file = sqlite3.connect(self.folder / "pubsub.db", timeout=30)
        try:
            return file.execute(query).fetchall()
        finally:
            file.close()

    def messages(self, topic: str) -> list[tuple[bytes, dict[str, str], str]]:
        """Data, attributes and ordering key of all that was ever published, in order."""
        rows = self._rows("SELECT topic, data, attributes, key FROM message ORDER BY id")
        return [(d, json.loads(a), k) for name, d, a, k in rows if name.endswith(f"/{topic}")]

    def backlog(self, subscription: str) -> int:
        """Messages that are not acknowledged."""
        return len(self._pending(subscription))

    def waiting(self, subscription: str) -> int:
        """Those of them that are with nobody: whoever pulls now gets them."""
        now = time.time()
        return sum(until <= now for until in self._pending(subscription))

    def _pending(self, subscription: str) -> list[float]:
        rows = self._rows("SELECT subscription, until FROM pending")
        return [until for name, until in rows if name.endswith(f"/{subscription}")]


class Emulator(_Server):
    """Google's own, where it is installed (google-cloud-cli-pubsub-emulator)."""

    start_timeout = 60.0

    def command(self) -> Sequence[str]:
        return [str(_EMULATOR), "--host=127.0.0.1", f"--port={self.port}"]

    @staticmethod
    def installed() -> bool:
        return _EMULATOR.exists()
