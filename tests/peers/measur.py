"""MEASUR, the calculator of Oak Ridge National Laboratory, asked line by line."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Self

from peers import node
from peers.process import program

_SCRIPT = Path(__file__).parent / "measur" / "stack.js"


class Measur:
    """Another implementation of the stack loss of natural gas, as a child process."""

    def __enter__(self) -> Self:
        modules = node.modules("measur") / "node_modules"
        self._child = subprocess.Popen(
            [program("node", "nodejs"), str(_SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"NODE_PATH": str(modules), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._child.communicate(timeout=60)

    def stack(self, oxygen: float, stack: float, air: float, *, repeat: int = 1) -> dict[str, Any]:
        """Share of the HHV that the stack leaves ('available') and seconds for all repeats.

        Args:
            oxygen: percent of dry gas.
            stack: degF.
            air: degF.
            repeat: how often it is computed.
        """
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        request = {"oxygen": oxygen / 100, "stack": stack, "air": air, "repeat": repeat}
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        answer: dict[str, Any] = json.loads(self._child.stdout.readline())
        return answer
