"""PostgreSQL of the distribution, with a database of its own in a scratch folder."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import trustme

from peers.process import Process, program

_UNPRIVILEGED = "postgres"  # the server refuses to run as root
_REASONABLE = 60.0  # seconds a server may take to end on a busy machine
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "fsync": "on",
    "max_wal_size": "2GB",
    "max_connections": "20",
    "log_statement": "none",
    "log_min_messages": "warning",
}


class PostgreSQL(Process):
    """A server with the database and the superuser `gl002`; it really writes to the disk.

    Args:
        tls: an authority: the server takes only encrypted connections, with a certificate of it;
            of the role `by_certificate` it wants one of the client.
        settings: of `postgresql.conf`.
    """

    user = database = "gl002"
    password = "canary-of-postgresql-4711"

    def __init__(self, *, tls: trustme.CA | None = None, **settings: str) -> None:
        super().__init__()
        self._settings = _SETTINGS | settings | {"port": str(self.port)}
        self._tls = tls
        self._data = self.folder / "data"

    @property
    def config(self) -> dict[str, Any]:
        """Settings of a connector."""
        return {
            "host": "127.0.0.1", "port": self.port, "database": self.database,
            "user": self.user, "password": self.password,
        }  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def command(self) -> Sequence[str]:
        options = [
            part for name, value in self._settings.items() for part in ("-c", f"{name}={value}")
        ]
        return [*_as_unprivileged(), _program("postgres"), "-D", str(self._data), *options]

    def ready(self) -> bool:
        try:
            self.execute("SELECT 1", database="postgres")
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> None:
        if not self._data.exists():
            self._initialise()
        super().start()
        with contextlib.suppress(psycopg.errors.DuplicateDatabase):
            self.execute(f"CREATE DATABASE {self.database}", database="postgres")

    def _initialise(self) -> None:
        password = self.folder / "password.txt"
        password.write_text(self.password)
        _give(self.folder)
        subprocess.run(
            [*_as_unprivileged(), _program("initdb"), "-D", str(self._data), "-U", self.user,
             "--auth=scram-sha-256", f"--pwfile={password}", "--encoding=UTF8", "--locale=C"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        if self._tls is not None:
            self._encrypt(self._tls)

    def _encrypt(self, authority: trustme.CA) -> None:
        issued = authority.issue_cert("localhost")
        key, chain = self._data / "server.key", self._data / "server.crt"
        issued.private_key_pem.write_to_path(key)
        chain.write_bytes(b"".join(pem.bytes() for pem in issued.cert_chain_pems))
        key.chmod(0o600)
        trusted = self._data / "root.crt"
        authority.cert_pem.write_to_path(trusted)
        (self._data / "pg_hba.conf").write_text(
            "hostssl all by_certificate 127.0.0.1/32 cert\n"
            "hostssl all all 127.0.0.1/32 scram-sha-256\n"
        )
        _give(self.folder)
        self._settings |= {"ssl": "on", "ssl_ca_file": str(trusted)}

    def execute(self, statement: str, parameters: Any = None, *, database: str = "") -> list[tuple]:
        """Rows of a statement, not through our connector."""
        with psycopg.connect(
            host="127.0.0.1", port=self.port, user=self.user, password=self.password,
            dbname=database or self.database, autocommit=True, connect_timeout=30,
            options="-c timezone=UTC",
        ) as connection:  # fmt: skip
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    # The server's children leave its process group, so each is dealt with by its id.

    def kill(self) -> None:
        """End the server and its children without a goodbye, as a power cut does."""
        if self._child is not None:
            self.freeze()  # or they start others meanwhile
            family = self._family()
            self._each(signal.SIGKILL)
            super().kill()
            _wait_until_gone(family)

    def freeze(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)  # first, or it starts another behind our back
        self._each(signal.SIGSTOP)

    def thaw(self) -> None:
        self._each(signal.SIGCONT)

    def stop(self) -> None:
        if self._child is not None:
            self.thaw()
            family = self._family()
            os.kill(self.pid, signal.SIGINT)  # fast shutdown: open sessions are ended
            self._child.wait(_REASONABLE)
            _wait_until_gone(family)
        super().stop()

    def _each(self, number: int) -> None:
        for pid in self._family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _family(self) -> list[int]:
        """The server and its children, as they are now."""
        tasks = Path(f"/proc/{self.pid}/task").iterdir()
        children = " ".join((task / "children").read_text() for task in tasks)
        return [self.pid, *map(int, children.split())]


def _program(name: str) -> str:
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return program(name, "postgresql", *map(str, versions))


def _as_unprivileged() -> list[str]:
    if os.geteuid() != 0:
        return []
    return [program("setpriv", "util-linux"), f"--reuid={_UNPRIVILEGED}",
            f"--regid={_UNPRIVILEGED}", "--clear-groups"]  # fmt: skip


def _give(folder: Path) -> None:
    if os.geteuid() == 0:
        for path in (folder, *folder.rglob("*")):
            shutil.chown(path, _UNPRIVILEGED, _UNPRIVILEGED)


def _wait_until_gone(pids: Sequence[int]) -> None:
    deadline = time.monotonic() + _REASONABLE
    while any(Path(f"/proc/{pid}").exists() for pid in pids):
        assert time.monotonic() < deadline, f"still there: {pids}"
        time.sleep(0.01)
