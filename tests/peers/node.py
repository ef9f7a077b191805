"""Packages of npm that a peer needs, installed once for all tests."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from pathlib import Path

from peers.process import program

_HERE = Path(__file__).parent
_CACHE = _HERE.parents[1] / ".cache" / "peers"


def modules(peer: str) -> Path:
    """The folder with the `node_modules` that `tests/peers/<peer>/package.json` names."""
    wanted, folder = _HERE / peer / "package.json", _CACHE / peer
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs beside each other
        have = folder / "package.json"
        if not have.exists() or have.read_bytes() != wanted.read_bytes():
            shutil.copy(wanted, folder / "wanted.json")
            _install(folder)
    return folder


def _install(folder: Path) -> None:
    (folder / "package.json").unlink(missing_ok=True)
    (folder / "wanted.json").rename(folder / "package.json")
    try:
        subprocess.run(
            [program("npm", "npm"), "install", "--no-audit", "--no-fund", "--no-package-lock"],
            cwd=folder, check=True, timeout=300, capture_output=True,
        )  # fmt: skip
    except BaseException:
        (folder / "package.json").unlink()
        raise
