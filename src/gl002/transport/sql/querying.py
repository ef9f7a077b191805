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
            batch = [sample for row in rows for sample in self._samples(row)]
            if rows:
                self._cursor = max(self._moved(row) for row in rows)
            if batch:
                self._declare(batch)
                yield batch
            if len(rows) < _FULL or self._cursor == before:
                await asyncio.sleep(max(0.0, began + self._spec.interval - time.monotonic()))

    def _moved(self, row: Mapping[str, Any]) -> Any:
        """The cursor behind a row.

        Raises:
            RequestFailed: the row has none that can be compared.
        """
        column = self._spec.cursor or ""
        value = row.get(column)
        if isinstance(value, Decimal):
            value = int(value) if value == int(value) else float(value)
        if value is None or not isinstance(value, type(self._cursor) | int | float):
            raise RequestFailed(
                f"{self.name}: the query's column '{column}' gives {value!r:.40} for a cursor",
                hint=f"select '{column}', never empty, and set 'start' to a value of its type",
            )
        return value.astimezone(UTC) if isinstance(value, datetime) else value

    def _samples(self, row: Mapping[str, Any]) -> Iterator[Sample]:
        spec = self._spec
        moment = row.get(spec.time_column or spec.cursor or "")
        at = to_ns(moment) if isinstance(moment, datetime) else now_ns()
        key = row.get(spec.tag_column) if spec.tag_column else None
        others = {spec.cursor, spec.time_column, spec.tag_column}
        for column, value in row.items():
            if column in others or value is None:
                continue
            name = column if key is None else f"{key}.{column}"
            if key is not None and column == "value":
                name = str(key)
            yield Sample(spec.prefix + name, _value(value), at, int(Quality.GOOD))

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
