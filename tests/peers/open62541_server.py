"""An OPC UA server of a third make: open62541 (C), installed once for all tests.

Its Python package o6 is not free software; without a licence key it may be used, commercially too,
for ten minutes at a time ("Script Mode"). It runs as a process of its own and is no dependency.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from peers.node_opcua import Controlled
from peers.process import Process, free_port

_HERE = Path(__file__).parent / "open62541"
_CACHE = Path(__file__).parents[2] / ".cache" / "peers" / "open62541"


def installed() -> Path:
    """The folder with the package that `open62541/requirements.txt` names."""
    wanted, have = _HERE / "requirements.txt", _CACHE / "requirements.txt"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs beside each other
        if not have.exists() or have.read_bytes() != wanted.read_bytes():
            subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--upgrade",
                 "--target", str(_CACHE / "packages"), "--requirement", str(wanted)],
                check=True, timeout=300, capture_output=True,
            )  # fmt: skip
            have.write_bytes(wanted.read_bytes())
    return _CACHE / "packages"


class Open62541(Controlled, Process):
    """The server, without security."""

    def __init__(self) -> None:
        super().__init__()
        self._packages = installed()
        self._control = free_port()

    def command(self) -> Sequence[str]:
        return [sys.executable, str(_HERE / "server.py")]

    def environment(self) -> Mapping[str, str]:
        return {
            **os.environ,
            "PORT": str(self.port),
            "CONTROL": str(self._control),
            "PYTHONPATH": str(self._packages),
        }
