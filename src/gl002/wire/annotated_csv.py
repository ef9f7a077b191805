"""Annotated CSV, in which InfluxDB 2 answers a Flux query. Pure.

A table is a block of lines that begins with its annotations; a new block begins where they come
again. Values are typed by '#datatype', and empty ones replaced by '#default'. Times are kept to
the nanosecond. Where a query fails while its answer is under way, the server ends it with a table
that has an error column.
"""

from __future__ import annotations

import base64
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gl002.errors import DataError, RequestFailed

Cell = Any
"""bool, int, float, str, bytes, None, or nanoseconds where the column holds a time."""

TIME_TYPES = {"dateTime:RFC3339", "dateTime:RFC3339Nano"}
_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:\d\d)", re.IGNORECASE
)
_SECOND = 1_000_000_000
_ANNOTATIONS = ("datatype", "group", "default")


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a table.

    Attributes:
        name: as the query gave it.
        type: 'double', 'string', 'dateTime:RFC3339' and so on.
        group: whether its value is the same in all rows of a table.
        default: what stands for an empty cell.
    """

    name: str
    type: str
    group: bool = False
    default: str = ""

    @property
    def is_time(self) -> bool:
        """Whether its cells are nanoseconds UTC."""
        return self.type in TIME_TYPES


@dataclass(slots=True)
class Table:
    """Rows under one head. A stream has several tables of the query's under one head, told apart
    by the column 'table'.
    """  # noqa: D205 (one sentence)

    columns: Sequence[Column]
    rows: list[Sequence[Cell]] = field(default_factory=list)

    def records(self) -> Iterator[Mapping[str, Cell]]:
        """The rows by name of column."""
        names = [column.name for column in self.columns]
        return (dict(zip(names, row, strict=True)) for row in self.rows)


def decode(text: str) -> list[Table]:
    """The tables of an answer.

    Raises:
        RequestFailed: the server says in its answer that the query failed.
        DataError: the answer is cut short or garbled.
    """
    tables: list[Table] = []
    annotations: dict[str, list[str]] = {}
    head: _Head | None = None
    try:
        for row in csv.reader(io.StringIO(text, newline=""), strict=True):
            if not row or row == [""]:
                head, annotations = None, {}
            elif row[0].startswith("#"):
                if head is not None:
                    head, annotations = None, {}
                annotations[row[0].removeprefix("#")] = row[1:]
            elif head is None:
                head = _Head(annotations, row[1:])
                tables.append(head.table)
            else:
                head.add(row[1:])
    except csv.Error as error:
        raise DataError(f"an answer that is no annotated CSV: {error}") from None
    for table in tables:
        _raise_error(table)
    return tables


class _Head:
    """Columns of the table under way, and how each of its cells is read."""

    def __init__(self, annotations: Mapping[str, Sequence[str]], names: Sequence[str]) -> None:
        for annotation in _ANNOTATIONS:
            if len(annotations.get(annotation, names)) != len(names):
                raise DataError(f"#{annotation} has another number of columns than the head")
        empty = [""] * len(names)
        types = annotations.get("datatype", ["string"] * len(names))
        groups = annotations.get("group", empty)
        defaults = annotations.get("default", empty)
        columns = [
            Column(name, kind, group == "true", default)
            for name, kind, group, default in zip(names, types, groups, defaults, strict=True)
        ]
        self.table = Table(columns)
        self._readers = [_reader(column) for column in columns]

    def add(self, cells: Sequence[str]) -> None:
        if len(cells) != len(self._readers):
            raise DataError(f"a row of {len(cells)} cells under {len(self._readers)} columns")
        self.table.rows.append([r(c) for r, c in zip(self._readers, cells, strict=True)])


def _reader(column: Column) -> Callable[[str], Cell]:
    """How a cell of a column is read."""
    convert = _CONVERT.get(column.type)
    if convert is None:
        raise DataError(f"the column '{column.name}' has an unknown type '{column.type}'")
    absent = None if column.default == "" else _read(convert, column.default, column)

    def read(cell: str) -> Cell:
        return absent if cell == "" else _read(convert, cell, column)

    return read


def _read(convert: Callable[[str], Cell], cell: str, column: Column) -> Cell:
    try:
        return convert(cell)
    except (ValueError, OverflowError):
        raise DataError(f"{cell[:60]!r} in '{column.name}' is no {column.type}") from None


def _boolean(cell: str) -> bool:
    if cell not in {"true", "false"}:
        raise ValueError(cell)
    return cell == "true"


def _double(cell: str) -> float:
    """InfluxDB writes NaN and +Inf, which a query can compute."""
    return float(cell)


def nanoseconds(cell: str) -> int:
    """A time of RFC 3339 as nanoseconds UTC.

    Raises:
        ValueError: it is none.
    """
    match = _TIME.fullmatch(cell)
    if match is None:
        raise ValueError(cell)
    day, clock, fraction, zone = match.groups()
    whole = datetime.fromisoformat(f"{day}T{clock}{'+00:00' if zone in 'zZ' else zone}")
    since = whole - datetime(1970, 1, 1, tzinfo=UTC)
    seconds = since.days * 86_400 + since.seconds
    return seconds * _SECOND + int((fraction or "0").ljust(9, "0"))


_CONVERT: Mapping[str, Callable[[str], Cell]] = {
    "boolean": _boolean,
    "long": int,
    "unsignedLong": int,
    "double": _double,
    "string": str,
    "duration": str,
    "base64Binary": base64.b64decode,
    **dict.fromkeys(TIME_TYPES, nanoseconds),
}


def _raise_error(table: Table) -> None:
    """A table with the columns 'error' and 'reference' is the server's word on the query."""
    names = [column.name for column in table.columns]
    if names[:1] != ["error"] or not table.rows:
        return
    said = str(table.rows[0][0])
    raise RequestFailed(f"the query failed: {said}")
