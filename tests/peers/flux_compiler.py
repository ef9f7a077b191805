"""InfluxData's own compiler of Flux (npm flux-lsp-node, MIT): it parses and checks types, runs
nothing."""

from __future__ import annotations

import json
import subprocess
import threading
from pathlib import Path
from typing import Any, Self

from peers import node
from peers.process import program

_SCRIPT = Path(__file__).parent / "flux" / "compiler.js"


class FluxCompiler:
    """A child process, asked line by line; from several threads one after the other."""

    def __enter__(self) -> Self:
        modules = node.modules("flux") / "node_modules"
        self._turn = threading.Lock()
        self._child = subprocess.Popen(
            [program("node", "nodejs"), str(_SCRIPT)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env={"NODE_PATH": str(modules), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.close()
        self._child.wait(10)
        self._child.stdout.close()

    def valid(self, script: str) -> bool:
        """Whether it compiles, its types and the functions it calls included; takes 50 ms."""
        return self._ask({"check": script})["valid"]

    def parsed(self, script: str) -> dict[str, Any]:
        """'imports' and 'body': the syntax tree without places."""
        return self._ask({"script": script})

    def written(self, ast: dict[str, Any]) -> str:
        """A syntax tree as text."""
        return self._ask({"ast": ast})["script"]

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        with self._turn:
            self._child.stdin.write(json.dumps(request) + "\n")
            self._child.stdin.flush()
            answer = json.loads(self._child.stdout.readline())
        if "error" in answer:
            raise ValueError(answer["error"])
        return answer
