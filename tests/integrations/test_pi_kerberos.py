"""PI with a Kerberos ticket, of a real key distribution centre, and without one."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from peers.kerberos import Kerberos
from peers.pi_web_api import PiWebApi

CONFIG = """
integrations:
  enabled: [pi_system]
  pi_system: {{server: "http://localhost:{port}/piwebapi", authentication: negotiate, timeout: 60}}
"""


@pytest.fixture(scope="module")
def realm() -> Iterator[Kerberos]:
    with Kerberos() as running:
        yield running


@pytest.fixture(scope="module")
def server(realm: Kerberos) -> Iterator[PiWebApi]:
    with PiWebApi(auth="negotiate", realm=realm.environment()) as running:
        running.create("BA:FLOW")
        running.set("BA:FLOW", 12.5)
        yield running


def read(folder: Path, realm: Kerberos, server: PiWebApi) -> subprocess.CompletedProcess[str]:
    file = folder / "integrations.yaml"
    file.write_text(CONFIG.format(port=server.port))
    return subprocess.run(
        [sys.executable, "-m", "gl002", "read", "pi_system", "BA:FLOW", "-c", str(file)],
        env={**realm.environment(), "GL002_STATE_DIR": str(folder)}, check=False,
        capture_output=True, text=True, timeout=100,
    )  # fmt: skip


def test_the_ticket_of_the_account_opens_pi(
    tmp_path: Path, realm: Kerberos, server: PiWebApi
) -> None:
    realm.ticket()
    done = read(tmp_path, realm, server)
    assert (done.returncode, "12.5" in done.stdout) == (0, True), done.stderr
    assert "HTTP/localhost" in realm.output, "the ticket for the service came from the realm"


def test_without_a_ticket_a_person_learns_what_to_do(
    tmp_path: Path, realm: Kerberos, server: PiWebApi
) -> None:
    realm.log_out()
    done = read(tmp_path, realm, server)
    assert done.returncode != 0
    assert "kinit" in done.stderr
