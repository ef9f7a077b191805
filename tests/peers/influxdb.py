"""InfluxDB 1.6 of Debian: the vendor's own server, of the generation before Flux."""

from __future__ import annotations

import base64
import json
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
        super().start()
        if self._auth:
            self.query(
                f"CREATE USER {self.user} WITH PASSWORD '{self.password}' WITH ALL PRIVILEGES"
            )
        self.query(f"CREATE DATABASE {self.database}")

    @property
    def lost_its_own_log(self) -> bool:
        """Whether it has thrown away what it had acknowledged.

        Killed in the middle of a write to its log, InfluxDB 1.6 cuts off the torn entry when it
        starts and yet writes on behind it; when it starts again it stumbles over the torn place
        and cuts off all that came after. The first cut is said as 'unexpected EOF', the second is
        not.
        """
        cuts = [line for line in self.output.splitlines() if 'msg="File corrupt"' in line]
        return any('error="unexpected EOF"' not in line for line in cuts)

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
