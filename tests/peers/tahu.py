"""The Sparkplug B codec of Eclipse Tahu in JavaScript, asked line by line."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any, Self

from peers import node
from peers.process import program

_SCRIPT = Path(__file__).parent / "sparkplug" / "codec.js"


class Tahu:
    """Another implementation of the payload, as a child process."""

    def __enter__(self) -> Self:
        modules = node.modules("sparkplug") / "node_modules"
        self._child = subprocess.Popen(
            [program("node", "nodejs"), str(_SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={"NODE_PATH": str(modules), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()

    def decode(self, payload: bytes) -> dict[str, Any]:
        return self._ask({"decode": base64.b64encode(payload).decode()})

    def encode(self, payload: dict[str, Any]) -> bytes:
        return base64.b64decode(self._ask({"encode": payload}))

    def _ask(self, request: dict[str, Any]) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps(request) + "\n")
        self._child.stdin.flush()
        answer = json.loads(self._child.stdout.readline())
        if isinstance(answer, dict) and "error" in answer:
            raise ValueError(answer["error"])
        return answer
