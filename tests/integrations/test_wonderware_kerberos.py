"""A historian with a Kerberos ticket, of a real key distribution centre, and without one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.kerberos import Kerberos
from peers.wonderware import Wonderware

CONFIG = """
integrations:
  enabled: [wonderware]
  wonderware: {{server: "localhost:{port}", timeout: 60}}
"""


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[Wonderware, Kerberos]]:
    server = Wonderware()
    with Kerberos(f"MSSQLSvc/localhost:{server.port}") as realm:
        server.realm = realm.environment()
        with server:
            server.create("Boiler1.Flow")
            server.set("Boiler1.Flow", 12.5)
            yield server, realm


def _read(folder: Path, server: Wonderware) -> subprocess.CompletedProcess[str]:
    file = folder / "integrations.yaml"
    file.write_text(CONFIG.format(port=server.port))
    return subprocess.run(
        [sys.executable, "-m", "gl002", "read", "wonderware", "Boiler1.Flow", "-c", str(file)],
        env={**server.realm, "GL002_STATE_DIR": str(folder)}, check=False,
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_the_ticket_of_the_account_opens_the_historian(
    tmp_path: Path, both: tuple[Wonderware, Kerberos]
) -> None:
    server, realm = both
    realm.ticket()
    done = _read(tmp_path, server)
    assert (done.returncode, "12.5" in done.stdout) == (0, True), done.stderr
    assert f"MSSQLSvc/localhost:{server.port}" in realm.output, "the ticket came from the realm"


def test_without_a_ticket_a_person_learns_what_to_do(
    tmp_path: Path, both: tuple[Wonderware, Kerberos]
) -> None:
    server, realm = both
    realm.log_out()
    done = _read(tmp_path, server)
    assert done.returncode != 0
    assert "kinit" in done.stderr
