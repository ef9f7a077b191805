"""What commands print: tables for people, JSON for scripts; data on stdout, talk on stderr."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import msgspec

from gl002.model import Sample, quality_name, severity, to_datetime

_UNLIMITED = 10_000  # columns
_MARKS = {"good": "", "uncertain": "?", "bad": "!"}
_STYLES = {"good": "", "uncertain": "yellow", "bad": "bold red"}


def say(text: str) -> None:
    """Talk to the person; never part of the data.

    What others say may be in it, and must not command the terminal.
    """
    print(plain(text), file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """Lines and tabs as they are, other control characters as spaces."""
    return "".join(c if c.isprintable() or c in "\n\t" else " " for c in text)


def as_json(data: Any) -> None:
    """One JSON document a line."""
    print(json.dumps(msgspec.to_builtins(data), ensure_ascii=False), flush=True)


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    whole: Collection[str] = (),
) -> None:
    """A table; numbers to the right. Where no terminal is, a row is one line, however long.

    Args:
        columns: their names.
        rows: their cells.
        title: above it.
        whole: columns that stay on one line however narrow the terminal is: what is to be copied.
    """
    from rich.console import Console

    looked_at = sys.stdout is not None and sys.stdout.isatty()
    console = Console(width=None if looked_at or "COLUMNS" in os.environ else _UNLIMITED)
    with console.capture() as text:  # rich itself ends the program with 1 where a reader has gone
        console.print(rich_table(columns, rows, title=title, whole=whole))
    print(text.get(), end="")


def rich_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
    *,
    title: str = "",
    whole: Collection[str] = (),
) -> Any:
    """The same as an object of rich, for live displays."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, title=title or None, title_justify="left", pad_edge=False)
    rows = [list(row) for row in rows]
    for i, column in enumerate(columns):
        number = any(isinstance(row[i], int | float) for row in rows)
        made.add_column(
            column,
            justify="right" if number else "left",
            overflow="fold",
            no_wrap=column in whole,
        )
    for row in rows:
        made.add_row(*(cell if isinstance(cell, Text) else Text(shown(cell)) for cell in row))
    return made


def shown(cell: Any) -> str:
    """A value as a person reads it: six figures at most, no control characters."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return f"{cell:,.6g}" if abs(cell) < 1e6 else f"{cell:,.0f}"  # noqa: PLR2004
    return "".join(c if c.isprintable() else " " for c in str(cell))


def sample_row(sample: Sample, unit: str = "") -> list[Any]:
    """Tag, value, unit, time, quality: quality in words and, where it is not good, in colour."""
    from rich.text import Text

    grave = severity(sample.quality)
    quality = Text(f"{_MARKS[grave]}{quality_name(sample.quality)}", style=_STYLES[grave])
    time = to_datetime(sample.time).astimezone().strftime("%H:%M:%S.%f")[:-3]
    return [sample.tag, sample.value, unit, time, quality]


def sample_json(sample: Sample, unit: str = "") -> dict[str, Any]:
    """A sample for scripts: ISO time in UTC, quality as code and name."""
    return {
        "tag": sample.tag,
        "value": sample.value,
        "unit": unit,
        "time": to_datetime(sample.time).isoformat(),
        "quality": sample.quality,
        "quality_name": quality_name(sample.quality),
    }


def harmless(cell: object) -> object:
    """A cell of a CSV file; text that a spreadsheet would run as a formula is made harmless."""
    formula = isinstance(cell, str) and cell[:1] in {"=", "+", "-", "@", "\t", "\r"}
    return f"'{cell}" if formula else cell


SAMPLE_COLUMNS = ("tag", "value", "unit", "time", "quality")
