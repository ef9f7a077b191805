"""VictoriaMetrics of Debian: another make, which takes the writes of InfluxDB 1 and 2."""

from __future__ import annotations

import json
import urllib.parse
import urllib.request
from collections.abc import Sequence

from peers.process import Process, program


class VictoriaMetrics(Process):
    """It keeps numbers, to the millisecond; not tokens, organisations or texts."""

    def command(self) -> Sequence[str]:
        return [
            program("victoria-metrics", "victoria-metrics"),
            f"-httpListenAddr=127.0.0.1:{self.port}",
            f"-storageDataPath={self.folder / 'data'}",
            "-loggerLevel=ERROR",
            "-retentionPeriod=100y",
        ]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def exported(self, selector: str) -> list[dict]:
        """Series of a selector, with 'metric', 'values' and 'timestamps' in milliseconds."""
        urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=60).close()
        query = urllib.parse.urlencode({"match[]": selector})
        with urllib.request.urlopen(f"{self.url}/api/v1/export?{query}", timeout=60) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]
