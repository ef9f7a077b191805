"""The clouds' own software development kits, in an environment of its own.

azure-iot-device wants paho-mqtt below 2 and moto an older python-dateutil than asyncua, so they
cannot live beside the gateway. Their scripts in `tests/peers/vendors/` run as processes.
"""

from __future__ import annotations

import fcntl
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent / "vendors"
_CACHE = Path(__file__).parents[2] / ".cache" / "peers" / "vendors"


def python() -> Path:
    """The interpreter of that environment, made from `tests/peers/vendors/requirements.txt`."""
    wanted, have = _HERE / "requirements.txt", _CACHE / "requirements.txt"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs beside each other
        if not have.exists() or have.read_bytes() != wanted.read_bytes():
            have.unlink(missing_ok=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", _CACHE / "venv"], check=True)
            subprocess.run(
                [_CACHE / "venv/bin/pip", "install", "--quiet", "--requirement", wanted],
                check=True, timeout=500, capture_output=True,
            )  # fmt: skip
            shutil.copy(wanted, have)
    return _CACHE / "venv" / "bin" / "python"


def run(script: str, *arguments: object, timeout: float = 60) -> Any:
    """Run a script of `tests/peers/vendors/`; the JSON it prints last.

    Raises:
        AssertionError: it fails; with what it printed.
    """
    done = subprocess.run(
        [python(), _HERE / script, *map(str, arguments)],
        capture_output=True, text=True, timeout=timeout, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return json.loads(done.stdout.splitlines()[-1])
