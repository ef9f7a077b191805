"""How far a long command has come, on standard error, where a person looks at it."""

from __future__ import annotations

import sys
from typing import Self


class Progress:
    """A bar that leaves nothing behind; silent where standard error is no terminal.

    Args:
        total: steps of the whole.
    """

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._bar = Bar(
            console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True
        )
        self._task = self._bar.add_task("", total=total)

    def show(self, done: int, text: str) -> None:
        """Steps done, and what is being done now."""
        self._bar.update(self._task, completed=done, description=text)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
