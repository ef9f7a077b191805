"""Any query as a source: asked at an interval, from a cursor on that moves with its rows.

    query: SELECT timestamp, boiler_id, efficiency FROM boiler_data
           WHERE timestamp > %(cursor)s ORDER BY timestamp LIMIT 10000
    cursor: timestamp
    tag_column: boiler_id

gives 'B001.efficiency'. Each further column is a tag; of a column 'value' beside a tag column the
tag column is the whole name.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from gl002.errors import RequestFailed
from gl002.model import Batch, Quality, Sample, Tag, TagTable, Value, now_ns, to_datetime, to_ns
from gl002.source import Source
from gl002.transport.sql.settings import PostgreSQLInput

Select = Callable[[str, Mapping[str, Any]], Awaitable[list[dict[str, Any]]]]

log = logging.getLogger("gl002.query")

_FULL = 1000  # rows at which it asks again at once, where the cursor has moved


class _Position(msgspec.Struct, array_like=True):
    cursor: int | float | str
    is_time: bool


class QuerySource(Source):
    """Delivers the rows of a query.

    Args:
        name: connector instance.
        spec: the query.
        select: rows of a query that only reads.
        about: told about the tags.
    """

    acknowledges = True

    def __init__(
        self, name: str, spec: PostgreSQLInput, *, select: Select, about: TagTable
    ) -> None:
        assert spec.query is not None
        self.name = name
        self._spec = spec
        self._query = spec.query
        self._select = select
        self._about = about
        self._cursor: Any = _first(spec.start)
        self._known: set[str] = set()

    def tags(self) -> Sequence[Tag]:
        """None before the first rows."""
        return [Tag(name=name, source=self.name) for name in sorted(self._known)]

    def position(self) -> bytes:
        """The cursor."""
        if isinstance(self._cursor, datetime):
            return msgspec.msgpack.encode(_Position(to_ns(self._cursor), is_time=True))
        return msgspec.msgpack.encode(_Position(self._cursor, is_time=False))

    def resume(self, position: bytes) -> None:
        """Go on behind what was delivered."""
        known = msgspec.msgpack.decode(position, type=_Position)
        self._cursor = to_datetime(int(known.cursor)) if known.is_time else known.cursor

    async def batches(self) -> AsyncIterator[Batch]:
        """The rows of each interval."""
        while True:
            began, before = time.monotonic(), self._cursor
            rows = await self._select(self._query, {"cursor": self._cursor})
            full = len(rows) >= _FULL
            if full:
                rows = self._without_the_last(rows)
            batch = [sample for row in rows for sample in self._samples(row)]
            if rows:
                self._cursor = max(self._moved(row) for row in rows)
            if batch:
                self._declare(batch)
                yield batch
            if not full or self._cursor == before:
                await asyncio.sleep(max(0.0, began + self._spec.interval - time.monotonic()))

    def _without_the_last(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Rows of a full page but those of its last cursor: a LIMIT may have cut some of them off.

        They come with the next page.
        """
        last = max(self._moved(row) for row in rows)
        whole = [row for row in rows if self._moved(row) < last]
        if not whole:
            log.warning(
                "%s: %d rows have the cursor %s: if a LIMIT cut off more of them, they are not "
                "seen; write FETCH FIRST %d ROWS WITH TIES instead",
                self.name, len(rows), last, len(rows),
            )  # fmt: skip
        return whole or rows

    def _moved(self, row: Mapping[str, Any]) -> Any:
        """The cursor behind a row.

        Raises:
            RequestFailed: the row has none that can be compared.
        """
        column = self._spec.cursor or ""
        given = value = row.get(column)
        if isinstance(value, Decimal):
            whole = value.is_finite() and value == int(value)
            value = int(value) if whole else float(value)
        if isinstance(value, float) and not math.isfinite(value):
            value = None
        if value is None or not isinstance(value, type(self._cursor) | int | float):
            raise RequestFailed(
                f"{self.name}: the query's column '{column}' gives {given!s:.40} for a cursor",
                hint=f"select '{column}', never empty, and set 'start' to a value of its type",
            )
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    def _samples(self, row: Mapping[str, Any]) -> Iterator[Sample]:
        spec = self._spec
        at = self._time_of(row)
        if at is None:
            if not self.skipped:
                log.warning("%s: a row without '%s' is left out", self.name, spec.time_column)
            self.skipped += 1
            return
        key = row.get(spec.tag_column) if spec.tag_column else None
        others = {spec.cursor, spec.time_column, spec.tag_column}
        for column, value in row.items():
            if column in others or value is None:
                continue
            name = column if key is None else f"{key}.{column}"
            if key is not None and column == "value":
                name = str(key)
            yield Sample(spec.prefix + name, _value(value), at, int(Quality.GOOD))

    def _time_of(self, row: Mapping[str, Any]) -> int | None:
        """Of the samples of a row; a day begins at midnight, local time. None: the row has none.

        Raises:
            RequestFailed: the column that is named for it holds something else.
        """
        named = self._spec.time_column
        moment = row.get(named or self._spec.cursor or "")
        if isinstance(moment, date) and not isinstance(moment, datetime):
            moment = datetime.combine(moment, datetime.min.time())
        if isinstance(moment, datetime):
            return to_ns(moment)
        if named is None:
            return now_ns()
        if moment is not None:
            raise RequestFailed(
                f"{self.name}: the query's column '{named}' gives '{moment!s:.40}' for a time",
                hint=f"cast it: {named}::timestamptz",
            )
        return None

    def _declare(self, batch: Batch) -> None:
        for name in {sample.tag for sample in batch} - self._known:
            self._known.add(name)
            self._about.declare(Tag(name=name, source=self.name, address=name))


def _first(start: float | str | None) -> Any:
    """Where a cursor begins: now, a number, a time, a text."""
    if start is None:
        return datetime.now(UTC)
    if not isinstance(start, str):
        return start
    try:
        return datetime.fromisoformat(start).astimezone(UTC)
    except ValueError:
        return start


def _value(value: Any) -> Value:
    """A column as the value of a sample."""
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else str(value)
