"""Rows for people: reading by any query, safely, and inserting dicts into any table."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, LiteralString, TypeAlias, cast

from gl002.errors import DataError, RequestFailed
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.names import checked_column, checked_name, identifier

if TYPE_CHECKING:
    from psycopg import Column

Row: TypeAlias = Mapping[str, Any]
Parameters: TypeAlias = Sequence[Any] | Mapping[str, Any]

_CHUNK = 500  # rows fetched at once
_CHUNKED_SINCE = 170_000  # version of libpq

_TYPES: Mapping[type, LiteralString] = {
    bool: "boolean",
    int: "double precision",  # a meter that reads 3500 now may read 3500.5 next
    float: "double precision",
    str: "text",
    datetime: "timestamp with time zone",
}

_INCOMING: LiteralString = """
CREATE TEMPORARY TABLE gl002_rows ON COMMIT DROP AS SELECT {columns} FROM {table} WITH NO DATA
"""
_COPY: LiteralString = "COPY gl002_rows ({columns}) FROM STDIN"
_INSERT: LiteralString = """
INSERT INTO {table} ({columns})
SELECT DISTINCT {columns} FROM gl002_rows AS new
WHERE NOT EXISTS (SELECT FROM {table} AS kept WHERE {same})
"""
_DROP = "DROP TABLE gl002_rows"
_ADD_COLUMN: LiteralString = "ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {kind}"
_HAS = """
SELECT attname FROM pg_attribute
WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped
"""


async def limit(connection: Connection, seconds: float) -> None:
    """End statements of this transaction that take longer, on the server."""
    question = "SELECT set_config('statement_timeout', %s, true)"
    await connection.execute(question, (f"{max(1, int(seconds * 1000))}ms",))


@asynccontextmanager
async def limited(connection: Connection, seconds: float) -> AsyncIterator[None]:
    """The same outside of a transaction, for what wants to make its own."""
    question = "SELECT set_config('statement_timeout', %s, false)"
    await connection.execute(question, (f"{max(1, int(seconds * 1000))}ms",))
    try:
        yield
    finally:
        if not connection.closed:
            await connection.execute("RESET statement_timeout")


async def select(
    connection: Connection, query: str, parameters: Parameters, *, most: int, seconds: float
) -> list[dict[str, Any]]:
    """Rows of one statement, in a transaction that cannot write.

    Args:
        connection: a connection outside of a transaction.
        query: one statement; `%s` and `%(name)s` take parameters if there are any.
        parameters: passed beside the statement, never put into it.
        most: rows; more are an error.
        seconds: how long the server may take.

    Raises:
        RequestFailed: too many rows, or too slow.
    """
    from psycopg.errors import QueryCanceled, ReadOnlySqlTransaction
    from psycopg.pq import version
    from psycopg.rows import dict_row

    rows: list[dict[str, Any]] = []
    size = _CHUNK if version() >= _CHUNKED_SINCE else 1
    async with (
        connection.transaction(force_rollback=True),  # READ ONLY lets large objects be made
        connection.cursor(row_factory=dict_row) as cursor,
    ):
        await connection.execute("SET TRANSACTION READ ONLY")
        await limit(connection, seconds)
        stream = cursor.stream(query.encode(), parameters or None, size=size)
        try:
            async with aclosing(cast("AsyncGenerator[dict[str, Any]]", stream)) as found:
                async for row in found:
                    if not rows:
                        _check_names(cursor.description or ())
                    rows.append(row)
                    if len(rows) > most:
                        raise RequestFailed(
                            f"the query gives more than {most} rows",
                            hint="add a LIMIT, aggregate, or raise 'max_rows'",
                        )
        except ReadOnlySqlTransaction as error:
            raise RequestFailed(
                f"a query only reads: {error.diag.message_primary}",
                hint="'insert_data' inserts; for anything else use a tool of the database",
            ) from None
        except QueryCanceled:
            raise RequestFailed(
                f"the query was stopped after {seconds:g} s",
                hint="ask for less at once, or raise 'timeout'",
            ) from None
    return rows


def _check_names(columns: Sequence[Column]) -> None:
    """Columns of one name would be one entry of a dict.

    Raises:
        RequestFailed: there are such.
    """
    names = [column.name for column in columns]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise RequestFailed(
            f"two columns are called '{min(double)}'", hint="give one another name: AS ..."
        )


async def insert(connection: Connection, table: str, rows: Sequence[Row]) -> int:
    """Insert dicts that may have different keys; a row that is there already is left out.

    A row is there already when a row of the table has the same value for each of its keys.

    Args:
        connection: a connection inside a transaction.
        table: 'name' or 'schema.name'.
        rows: column -> value; a key with None is as good as absent.

    Returns:
        How many rows were inserted.

    Raises:
        DataError: a key is no name of a column, or a value is not of its column's type.
    """
    inserted = 0
    for names, group in _by_columns(rows):
        inserted += await _insert_group(connection, checked_name(table), names, group)
    return inserted


async def _insert_group(
    connection: Connection,
    table: tuple[str, ...],
    names: tuple[str, ...],
    rows: Sequence[Sequence[Any]],
) -> int:
    from psycopg.sql import SQL

    quoted = [identifier(name) for name in names]
    same = [SQL("kept.{name} = new.{name}").format(name=name) for name in quoted]
    parts = {
        "table": identifier(*table),
        "columns": SQL(", ").join(quoted),
        "same": SQL(" AND ").join(same),
    }
    await connection.execute(SQL(_INCOMING).format(**parts))
    async with connection.cursor() as cursor, cursor.copy(SQL(_COPY).format(**parts)) as copy:
        for row in rows:
            await copy.write_row(row)
    result = await connection.execute(SQL(_INSERT).format(**parts))
    await connection.execute(_DROP)
    return result.rowcount


async def missing_columns(
    connection: Connection, table: str, rows: Sequence[Row]
) -> dict[str, LiteralString] | None:
    """Columns the rows have and the table has not, with the type each would need.

    None where the table does not exist.
    """
    quoted = identifier(*checked_name(table)).as_string()
    cursor = await connection.execute(_HAS, (quoted,))
    there = {name for (name,) in await cursor.fetchall()}
    if not there:
        return None
    missing: dict[str, LiteralString] = {}
    for row in rows:
        for name, value in row.items():
            if value is not None and checked_column(name) not in {*there, *missing}:
                missing[name] = _type_of(name, value)
    return missing


async def add_columns(
    connection: Connection, table: str, columns: Mapping[str, LiteralString]
) -> None:
    """Add columns to a table; they may be empty."""
    from psycopg.sql import SQL

    for name, kind in columns.items():
        names = {"table": identifier(*checked_name(table)), "name": identifier(name)}
        await connection.execute(SQL(_ADD_COLUMN).format(**names, kind=SQL(kind)))


def _by_columns(rows: Iterable[Row]) -> Iterator[tuple[tuple[str, ...], list[list[Any]]]]:
    """Rows in groups that have the same keys: the keys, and the values in their order."""
    groups: dict[tuple[str, ...], list[list[Any]]] = {}
    for row in rows:
        given = {name: _storable(name, v) for name, v in sorted(row.items()) if v is not None}
        if not given:
            raise DataError("a row without a value")
        groups.setdefault(tuple(given), []).append(list(given.values()))
    yield from groups.items()


def _storable(name: str, value: Any) -> Any:
    """The value as it is sent: a time in UTC; one without a zone is local."""
    checked_column(name)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def _type_of(name: str, value: Any) -> LiteralString:
    for known, column_type in _TYPES.items():
        if isinstance(value, known):
            return column_type
    raise DataError(
        f"'{name}' is a {type(value).__name__}, for which no column can be made",
        hint="true and false, numbers, text and datetimes have a type of their own",
    )
