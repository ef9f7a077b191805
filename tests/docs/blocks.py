"""The fenced blocks of a page, with the heading they stand under."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from gl002.bridge import Blocking
from gl002.connector import Connector

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=indent)```",
    re.MULTILINE | re.DOTALL,
)
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Block(NamedTuple):
    """One fenced block.

    Attributes:
        page: the file it stands in.
        line: of its first line.
        heading: the nearest heading above it.
        language: after the fence, '' for none.
        text: without the fence.
    """

    page: Path
    line: int
    heading: str
    language: str
    text: str

    @property
    def name(self) -> str:
        """For test ids: 'modbus.md:111'."""
        return f"{self.page.name}:{self.line}"


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """The blocks of a page in these languages, in order; all where none is named."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        above = _HEADING.findall(text[: match.start()])
        line = text[: match.start("text")].count("\n") + 1
        if not languages or match["language"] in languages:
            yield Block(page, line, above[-1] if above else "", match["language"], match["text"])


def names_of_tests(folder: Path) -> set[str]:
    """Every test below a folder, by its function's name."""
    return {
        name
        for file in folder.rglob("test_*.py")
        for name in re.findall(r"^(?:async )?def (test_\w+)", file.read_text(), re.MULTILINE)
    }


async def execute(
    block: Block,
    replaced: Callable[[str], str],
    names: dict[str, Any],
    *,
    then: Callable[[Mapping[str, Any]], Awaitable[None]] | None = None,
) -> None:
    """Run a Python block as a notebook cell would: with top-level await, in the given names.

    Args:
        block: what to run.
        replaced: its text with endpoints and credentials of the peers.
        names: what the page leaves undefined; what the block defines is added.
        then: looks at the outcome before the connectors that the block left open are closed.
    """
    code = compile(
        "\n" * (block.line - 1) + replaced(block.text),  # so that a traceback shows the page's line
        str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
    )  # fmt: skip
    try:
        outcome = eval(code, names)
        if inspect.isawaitable(outcome):
            await outcome
        if then is not None:
            await then(names)
    finally:
        await _close(names.values())


async def _close(values: Any) -> None:
    for value in list(values):
        if isinstance(value, Blocking):
            await asyncio.to_thread(value.close)
        elif isinstance(value, Connector):
            await value.close()
