"""A PI Web API in front of a PI Data Archive: ours, from the published reference.

AVEVA's own can not be installed here. What it answers is read by the vendor's own client library
in the tests (`peers/pi_client.py`), so that ours is not the only reader. It refuses what the
reference says is refused: unknown points and times, values that do not fit the type of their
point, requests without X-Requested-With, bodies of 4 MB, counts beyond the limit.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from peers.pi import assets
from peers.pi.__main__ import PASSWORD, TOKEN, USER
from peers.pi.archive import SERVER, Archive, Event, system_state
from peers.pi.times import now
from peers.process import Process

__all__ = ["PASSWORD", "SERVER", "TOKEN", "USER", "PiWebApi", "assets"]

_TESTS = Path(__file__).parents[1]


class PiWebApi(Process):
    """The server as a process.

    Args:
        auth: 'basic', 'bearer', 'negotiate' or 'anonymous'.
        most: items it returns per call.
        read_only: DisableWrites.
        realm: environment of a Kerberos realm whose tickets it takes, with 'negotiate'.
    """

    def __init__(
        self,
        *,
        auth: str = "basic",
        most: int = 150_000,
        read_only: bool = False,
        realm: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._auth = auth
        self._realm = realm or os.environ
        self._limits = (str(most), "1" if read_only else "0")

    def command(self) -> Sequence[str]:
        return [sys.executable, "-m", "peers.pi", str(self.folder), str(self.port), self._auth,
                *self._limits]  # fmt: skip

    def environment(self) -> Mapping[str, str]:
        users = self.folder / "users.txt"
        users.write_text(f"PLANT:{USER}:{PASSWORD}\n")
        paths = [str(_TESTS), self._realm.get("PYTHONPATH", "")]
        path = os.pathsep.join(path for path in paths if path)
        return {**self._realm, "PYTHONPATH": path, "NTLM_USER_FILE": str(users)}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/piwebapi"

    @property
    def config(self) -> dict[str, Any]:
        """Settings that reach it and log in."""
        return {
            "server": self.url, "username": USER, "password": PASSWORD,
            "database": assets.DATABASE,
        }  # fmt: skip

    # ---- the archive, not through the API ---------------------------------------------------

    def open(self) -> Archive:
        return Archive(self.folder / "archive.db")

    def create(self, name: str, kind: str = "Float64", **keys: Any) -> None:
        base = self.open()
        if base.point(name) is None:
            base.create(name, kind, **keys)
        base.close()

    def put(self, name: str, *values: tuple[int, Any], questionable: bool = False) -> None:
        """Add values (tick, value) to a point."""
        base = self.open()
        point = base.point(name)
        assert point is not None, name
        base.begin()
        for tick, value in values:
            base.update(point, Event(tick, value, questionable), "Insert")
        base.commit()
        base.close()

    def delete(self, name: str) -> None:
        """Take a point away with its values."""
        base = self.open()
        base.delete(name)
        base.close()

    def requests(self, path: str) -> int:
        """How many requests there were to a path, those within batches included."""
        return sum(re.fullmatch(path, line) is not None for line in self.output.splitlines())

    def set(self, name: str, value: Any) -> None:
        self.put(name, (now(), value))

    def bad(self, name: str, state: int) -> None:
        self.set(name, system_state(state))

    def value(self, name: str) -> Any:
        """The newest value of a point."""
        base = self.open()
        point = base.point(name)
        assert point is not None, name
        newest = base.snapshot(point).value
        base.close()
        return newest

    def rows(self) -> list[tuple[str, int, str, bool, bool]]:
        """Name, tick, JSON of the value, questionable, substituted of everything there is."""
        file = sqlite3.connect(self.folder / "archive.db", timeout=30)
        try:
            return file.execute(
                "SELECT name, tick, value, questionable, substituted FROM event "
                "JOIN point ON point.id = event.point ORDER BY tick, event.rowid"
            ).fetchall()
        finally:
            file.close()
