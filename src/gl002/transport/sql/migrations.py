"""Versioned tables: what has been done to them is noted, and done once.

    gl002_migration    subject text, version integer, applied_at timestamptz; one per schema

A table that is there without a note, from before notes were kept or made by an administrator with
the same columns, counts as version 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, LiteralString

from gl002.errors import RequestFailed
from gl002.transport.sql.connections import Connection
from gl002.transport.sql.names import identifier

if TYPE_CHECKING:
    from psycopg.sql import Composable

_ALONE = "SELECT pg_advisory_xact_lock(hashtext('gl002 tables'))"
_EXISTS = "SELECT to_regclass(%s) IS NOT NULL"
_CREATE: LiteralString = """
CREATE TABLE IF NOT EXISTS {notes} (
    subject text NOT NULL,
    version integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject, version)
)
"""
_VERSION: LiteralString = "SELECT coalesce(max(version), 0) FROM {notes} WHERE subject = %s"
_NOTE: LiteralString = "INSERT INTO {notes} (subject, version) VALUES (%s, %s)"


async def alone(connection: Connection) -> None:
    """Until the end of the transaction nobody else makes or changes tables of ours."""
    await connection.execute(_ALONE)


async def exists(connection: Connection, parts: Sequence[str]) -> bool:
    """Whether there is a table."""
    quoted = identifier(*parts).as_string()
    row = await (await connection.execute(_EXISTS, (quoted,))).fetchone()
    return row is not None and bool(row[0])


async def migrate(
    connection: Connection,
    parts: Sequence[str],
    steps: Sequence[LiteralString],
    names: Mapping[str, Composable],
) -> int:
    """Bring a table to the newest version; safe to repeat, and for many at once.

    Args:
        connection: a connection inside a transaction.
        parts: of the table's name.
        steps: the first makes the table, each further one changes it. A step that was ever
            released stays as it is.
        names: what stands for the fields of the steps.

    Returns:
        How many steps were taken.

    Raises:
        RequestFailed: the table has a newer version than we know.
    """
    from psycopg.sql import SQL

    await alone(connection)
    notes_parts = (*parts[:-1], "gl002_migration")
    notes = {"notes": identifier(*notes_parts)}
    noted = await exists(connection, notes_parts)
    version = 0
    if noted:
        question = SQL(_VERSION).format(**notes)
        row = await (await connection.execute(question, (parts[-1],))).fetchone()
        version = row[0] if row is not None else 0
    if not await exists(connection, parts):
        version = 0  # somebody dropped it
    elif not version:
        version = 1
    if version > len(steps):
        raise RequestFailed(
            f"the table '{'.'.join(parts)}' has version {version}, we know {len(steps)}",
            hint="it was made by a newer version of gl002: install that",
        )
    for step in steps[version:]:
        await connection.execute(SQL(step).format(**names))
    if steps[version:]:
        await _note(connection, notes, parts[-1], range(version + 1, len(steps) + 1))
    return len(steps) - version


async def _note(
    connection: Connection, notes: Mapping[str, Composable], subject: str, versions: range
) -> None:
    from psycopg.sql import SQL

    await connection.execute(SQL(_CREATE).format(**notes))
    forget: LiteralString = "DELETE FROM {notes} WHERE subject = %s AND version >= %s"
    await connection.execute(SQL(forget).format(**notes), (subject, versions[0]))
    for version in versions:
        await connection.execute(SQL(_NOTE).format(**notes), (subject, version))
