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


class Script:
    """A script of `tests/peers/vendors/` as a running process."""

    def __init__(self, name: str, *arguments: object) -> None:
        self._child = subprocess.Popen(
            [python(), _HERE / name, *map(str, arguments)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def line(self) -> str:
        """The next line it prints; '' at its end."""
        assert self._child.stdout is not None
        return self._child.stdout.readline().strip()

    def result(self, timeout: float = 60) -> Any:
        """The JSON that it prints last.

        Raises:
            AssertionError: it failed; with what it printed.
        """
        try:
            output, errors = self._child.communicate(timeout=timeout)
        except BaseException:
            self._child.kill()
            raise
        assert self._child.returncode == 0, f"{output}\n{errors}"
        return json.loads(output.splitlines()[-1])


def run(name: str, *arguments: object) -> Any:
    """Run a script to its end; the JSON it prints last."""
    return Script(name, *arguments).result()
