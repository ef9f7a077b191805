"""Vendors' own software development kits and clients, in an environment of their own.

azure-iot-device wants paho-mqtt below 2 and moto an older python-dateutil than asyncua, so they
cannot live beside the gateway. Their scripts in `tests/peers/vendors/` run as processes.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent / "vendors"
_CACHE = Path(__file__).parents[2] / ".cache" / "peers" / "vendors"


def python() -> Path:
    """The interpreter of that environment, made from the lists in `tests/peers/vendors/`."""
    lists = [_HERE / "requirements.txt", _HERE / "without_dependencies.txt"]
    wanted, have = "".join(list_.read_text() for list_ in lists), _CACHE / "requirements.txt"
    _CACHE.mkdir(parents=True, exist_ok=True)
    with (_CACHE / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # test runs beside each other
        if not have.exists() or have.read_text() != wanted:
            have.unlink(missing_ok=True)
            subprocess.run([sys.executable, "-m", "venv", "--clear", _CACHE / "venv"], check=True)
            for list_, options in zip(lists, ([], ["--no-deps"]), strict=True):
                subprocess.run(
                    [_CACHE / "venv/bin/pip", "install", "--quiet", *options, "-r", list_],
                    check=True, timeout=500, capture_output=True,
                )  # fmt: skip
            have.write_text(wanted)
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

    def result(self, timeout: float = 100) -> Any:
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
