"""InfluxDB 1.6 of Debian: the vendor's own server, of the generation before Flux."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from typing import Any

from peers.process import Process, free_port, program

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
[monitor]
  store-enabled = false
"""


class InfluxDB(Process):
    """A server with the database `gl002` and an administrator."""

    user = database = "gl002"
    password = "canary-of-influxdb-4711"

    def __init__(self, *, auth: bool = True) -> None:
        super().__init__()
        self._auth = auth
        self._rpc = free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def config(self) -> dict[str, Any]:
        """Settings of a connector."""
        known = {"username": self.user, "password": self.password} if self._auth else {}
        return {"url": self.url, "api": "v1", "database": self.database, **known}

    def command(self) -> Sequence[str]:
        file = self.folder / "influxdb.conf"
        file.write_text(
            _CONFIG.format(
                folder=self.folder, port=self.port, rpc=self._rpc, auth=str(self._auth).lower()
            )
        )
        return [program("influxd", "influxdb"), "-config", str(file)]

    def ready(self) -> bool:
        try:
            self._request("ping")
        except OSError:
            return False
        return True

    def start(self) -> None:
        first = not (self.folder / "meta").exists()
        super().start()
        if first and self._auth:  # not each time: its hash takes the server half a second
            self.query(
                f"CREATE USER {self.user} WITH PASSWORD '{self.password}' WITH ALL PRIVILEGES"
            )
        if first:
            self.query(f"CREATE DATABASE {self.database}")

    def kill(self) -> None:
        """End it without a goodbye; a torn entry at the end of its log is cut off.

        InfluxDB 1.6 itself cuts it off when it starts, and yet writes on behind the place where
        it ended. When it starts once more it stumbles over the hole and throws away all that came
        after, which it had acknowledged. The torn entry itself never is acknowledged.
        """
        super().kill()
        for log in self.folder.glob("wal/**/*.wal"):
            whole = _whole(log.read_bytes())
            if whole < log.stat().st_size:
                os.truncate(log, whole)

    def query(self, text: str, database: str = "") -> list[dict[str, Any]]:
        """Rows of a statement, not through our connector: tags and columns together."""
        parameters = {"q": text, "db": database or self.database, "epoch": "ns"}
        body = urllib.parse.urlencode(parameters).encode()
        answer = json.loads(self._request("query", body))
        found = []
        for result in answer["results"]:
            assert "error" not in result, result["error"]
            for series in result.get("series", ()):
                for values in series["values"]:
                    columns = dict(zip(series["columns"], values, strict=True))
                    found.append({**series.get("tags", {}), **columns})
        return found

    def write(self, lines: str, database: str = "") -> None:
        """Line protocol as it is."""
        self._request(f"write?db={database or self.database}", lines.encode())

    def _request(self, path: str, body: bytes | None = None) -> bytes:
        request = urllib.request.Request(f"{self.url}/{path}", data=body)
        if self._auth:
            both = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            request.add_header("Authorization", f"Basic {both}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            with error:
                raise RuntimeError(f"{error.code}: {error.read().decode()}") from None


def _whole(log: bytes) -> int:
    """Bytes of the entries that are all there: a kind, four bytes of length, the rest."""
    end = 0
    while end + 5 <= len(log):
        after = end + 5 + int.from_bytes(log[end + 1 : end + 5], "big")
        if after > len(log):
            break
        end = after
    return end
