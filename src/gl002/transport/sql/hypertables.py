"""Hypertables, continuous aggregates and their policies, in the old and the new API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, LiteralString, NamedTuple, TypeAlias

from gl002.errors import RequestFailed
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.names import checked_column, checked_name, identifier

Interval: TypeAlias = str | timedelta
Version: TypeAlias = tuple[int, ...]

_BY_RANGE_SINCE = (2, 13)  # create_hypertable(relation, by_range(column))
_COLUMNSTORE_SINCE = (2, 18)  # add_columnstore_policy, enable_columnstore

_VERSION = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
_AVAILABLE = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb')"
_TABLE: LiteralString = "CREATE TABLE IF NOT EXISTS {table} ({time} timestamptz NOT NULL)"
_HYPERTABLE = """
SELECT create_hypertable(%s::regclass, by_range(%s, %s::interval), if_not_exists => true)
"""
_HYPERTABLE_BEFORE = """
SELECT create_hypertable(%s::regclass, %s, chunk_time_interval => %s::interval,
                         if_not_exists => true)
"""
_CHUNKS = "SELECT set_chunk_time_interval(%s::regclass, %s::interval)"
_FACTS = """
SELECT compression_enabled FROM timescaledb_information.hypertables
WHERE format('%%I.%%I', hypertable_schema, hypertable_name)::regclass = %s::regclass
"""
_CUT_BY = """
SELECT column_name FROM timescaledb_information.dimensions
WHERE dimension_number = 1
AND format('%%I.%%I', hypertable_schema, hypertable_name)::regclass = %s::regclass
"""
_HAS_ROWS: LiteralString = "SELECT EXISTS (SELECT FROM {table})"
_AGGREGATE: LiteralString = """
CREATE MATERIALIZED VIEW IF NOT EXISTS {name}
WITH (timescaledb.continuous, timescaledb.materialized_only = false) AS {query} WITH NO DATA
"""
_REFRESH_POLICY = """
SELECT add_continuous_aggregate_policy(%(name)s::regclass, start_offset => %(start)s::interval,
    end_offset => %(every)s::interval, schedule_interval => %(every)s::interval,
    if_not_exists => true)
"""
_REFRESH = "CALL refresh_continuous_aggregate(%s::regclass, %s::timestamptz, %s::timestamptz)"

_POLICY = """
SELECT (config ->> %s)::interval = %s::interval FROM timescaledb_information.jobs
WHERE proc_name = ANY (%s) AND (hypertable_schema, hypertable_name) = (
    SELECT nspname, relname FROM pg_class JOIN pg_namespace AS space ON space.oid = relnamespace
    WHERE pg_class.oid = %s::regclass)
"""
_COMPRESSED: dict[bool, LiteralString] = {
    True: "ALTER {kind} {table} SET (timescaledb.enable_columnstore = true{more})",
    False: "ALTER {kind} {table} SET (timescaledb.compress = true{more})",
}
_SEGMENT: dict[bool, LiteralString] = {
    True: ", timescaledb.segmentby = {columns}",
    False: ", timescaledb.compress_segmentby = {columns}",
}
_COMPRESS: dict[bool, LiteralString] = {
    True: "CALL add_columnstore_policy(%s::regclass, after => %s::interval)",
    False: "SELECT add_compression_policy(%s::regclass, compress_after => %s::interval)",
}
_NO_COMPRESS: dict[bool, LiteralString] = {
    True: "CALL remove_columnstore_policy(%s::regclass, if_exists => true)",
    False: "SELECT remove_compression_policy(%s::regclass, if_exists => true)",
}
_RETAIN = "SELECT add_retention_policy(%s::regclass, drop_after => %s::interval)"
_NO_RETAIN = "SELECT remove_retention_policy(%s::regclass, if_exists => true)"

_WINDOWS = """
SELECT format('%%I.%%I', view_schema, view_name),
    extract(epoch FROM (config ->> 'start_offset')::interval)::float8
FROM timescaledb_information.continuous_aggregates AS aggregate
JOIN timescaledb_information.jobs AS job
    ON job.proc_name = 'policy_refresh_continuous_aggregate'
    AND (job.hypertable_schema, job.hypertable_name) IN (
        (view_schema, view_name),
        (materialization_hypertable_schema, materialization_hypertable_name))
WHERE format('%%I.%%I', aggregate.hypertable_schema, aggregate.hypertable_name)::regclass
    = %s::regclass
AND config ->> 'start_offset' IS NOT NULL
"""


class Windowed(NamedTuple):
    """A continuous aggregate whose policy looks back only so far.

    Attributes:
        name: quoted.
        seconds: how far.
    """

    name: str
    seconds: float


async def version_of(connection: Connection) -> Version | None:
    """Version of the extension in this database; None where it is not made."""
    row = await (await connection.execute(_VERSION)).fetchone()
    return None if row is None else tuple(map(int, row[0].partition("-")[0].split(".")))


async def is_available(connection: Connection) -> bool:
    """Whether the extension is installed on the server."""
    row = await (await connection.execute(_AVAILABLE)).fetchone()
    return row is not None and bool(row[0])


def quoted(name: str) -> str:
    """A table or view, 'name' or 'schema.name', as the server takes it in a text."""
    return identifier(*checked_name(name)).as_string()


# ---- hypertables --------------------------------------------------------------------------------


async def make_table(connection: Connection, table: str, time_column: str) -> None:
    """Make a table with its time column where it is missing."""
    from psycopg.sql import SQL

    names = {
        "table": identifier(*checked_name(table)),
        "time": identifier(checked_column(time_column)),
    }
    await connection.execute(SQL(_TABLE).format(**names))


async def _facts(connection: Connection, table: str) -> tuple[Any, ...] | None:
    return await (await connection.execute(_FACTS, (quoted(table),))).fetchone()


async def is_hypertable(connection: Connection, table: str) -> bool:
    """Whether a table is one."""
    return await _facts(connection, table) is not None


async def make_hypertable(
    connection: Connection, version: Version, table: str, time_column: str, interval: Interval
) -> None:
    """Make a table one; of one that is one already, set the interval of further chunks.

    Raises:
        RequestFailed: the table has rows: to move them takes a lock, maybe for hours. Or it is a
            hypertable on another column.
    """
    if await is_hypertable(connection, table):
        row = await (await connection.execute(_CUT_BY, (quoted(table),))).fetchone()
        if row is not None and row[0] != time_column:
            raise RequestFailed(
                f"the hypertable '{table}' is cut by '{row[0]}', not by '{time_column}'",
                hint="name that column, or another table",
            )
        await connection.execute(_CHUNKS, (quoted(table), interval))
        return
    if await _has_rows(connection, table):
        raise RequestFailed(
            f"the table '{table}' has rows already",
            hint="an administrator moves them: create_hypertable(..., migrate_data => true)",
        )
    statement = _HYPERTABLE if version >= _BY_RANGE_SINCE else _HYPERTABLE_BEFORE
    await connection.execute(statement, (quoted(table), checked_column(time_column), interval))


async def _has_rows(connection: Connection, table: str) -> bool:
    from psycopg.sql import SQL

    question = SQL(_HAS_ROWS).format(table=identifier(*checked_name(table)))
    row = await (await connection.execute(question)).fetchone()
    return row is not None and bool(row[0])


# ---- policies -----------------------------------------------------------------------------------


async def set_compression(
    connection: Connection, version: Version, table: str, after: Interval, segment_by: Sequence[str]
) -> None:
    """Compress chunks older than `after` (columnstore); safe to repeat, also with another time.

    Args:
        connection: inside a transaction.
        version: of the extension; the API has two forms.
        table: a hypertable.
        after: age.
        segment_by: columns by whose value rows are kept together.
    """
    from psycopg.sql import SQL

    new = version >= _COLUMNSTORE_SINCE
    facts = await _facts(connection, table)
    if facts is None:
        raise RequestFailed(f"'{table}' is no hypertable", hint=f"create_hypertable('{table}')")
    if not facts[0]:
        await _enable(connection, table, new=new, segment_by=segment_by)
    if not await _has_policy(connection, table, "compress_after", after, _COMPRESSIONS):
        await connection.execute(SQL(_NO_COMPRESS[new]), (quoted(table),))
        await connection.execute(SQL(_COMPRESS[new]), (quoted(table), after))


_COMPRESSIONS = ("policy_compression", "policy_columnstore")


async def _enable(
    connection: Connection,
    table: str,
    *,
    new: bool,
    kind: LiteralString = "TABLE",
    segment_by: Sequence[str] = (),
) -> None:
    from psycopg.sql import SQL, Literal

    columns = ", ".join(quoted(checked_column(name)) for name in segment_by)
    more = SQL(_SEGMENT[new]).format(columns=Literal(columns)) if columns else SQL("")
    names = {"table": identifier(*checked_name(table)), "kind": SQL(kind), "more": more}
    await connection.execute(SQL(_COMPRESSED[new]).format(**names))


async def set_retention(connection: Connection, table: str, after: Interval) -> None:
    """Drop chunks older than `after`; safe to repeat, also with another time."""
    if not await _has_policy(connection, table, "drop_after", after, ("policy_retention",)):
        await connection.execute(_NO_RETAIN, (quoted(table),))
        await connection.execute(_RETAIN, (quoted(table), after))


async def _has_policy(
    connection: Connection, table: str, key: str, after: Interval, kinds: Sequence[str]
) -> bool:
    asked = (key, after, list(kinds), quoted(table))
    row = await (await connection.execute(_POLICY, asked)).fetchone()
    return row is not None and bool(row[0])


# ---- continuous aggregates ----------------------------------------------------------------------


async def make_aggregate(connection: Connection, name: str, query: str) -> None:
    """Make a continuous aggregate where it is missing. The query is trusted text."""
    from psycopg.sql import SQL

    names = {"name": identifier(*checked_name(name)), "query": SQL(query.strip().rstrip(";"))}
    # The protocol for binary results takes one statement only.
    await connection.execute(SQL(_AGGREGATE).format(**names), binary=True)


async def set_aggregate_policies(
    connection: Connection,
    version: Version,
    name: str,
    *,
    every: Interval,
    start: Interval | None,
    compress_after: Interval | None,
    retention: Interval | None,
) -> None:
    """Refresh, compress and drop by themselves; what is there already stays as it is."""
    from psycopg.sql import SQL

    new = version >= _COLUMNSTORE_SINCE
    asked = {"name": quoted(name), "every": every, "start": start}
    await connection.execute(_REFRESH_POLICY, asked)
    if compress_after is not None:
        await _enable(connection, name, new=new, kind="MATERIALIZED VIEW")
        await connection.execute(SQL(_NO_COMPRESS[new]), (quoted(name),))
        await connection.execute(SQL(_COMPRESS[new]), (quoted(name), compress_after))
    if retention is not None:
        await connection.execute(_NO_RETAIN, (quoted(name),))
        await connection.execute(_RETAIN, (quoted(name), retention))


async def windowed(connection: Connection, table: str) -> list[Windowed]:
    """Continuous aggregates of a hypertable whose policies do not look back to its beginning."""
    rows = await (await connection.execute(_WINDOWS, (quoted(table),))).fetchall()
    return [Windowed(*row) for row in rows]


async def refresh(connection: Connection, name: str, start: Any, end: Any) -> None:
    """Compute a range of a continuous aggregate anew.

    Args:
        connection: outside of a transaction: the server wants one of its own.
        name: quoted.
        start: aware datetime; None for the beginning.
        end: aware datetime; None for the end.
    """
    await connection.execute(_REFRESH, (name, start, end))
