"""Tables of the embedded history, and how a file of an older format becomes one of the newest."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gl002.errors import RequestFailed
from gl002.transport.sqlite import aggregates

FORMAT = 2
_APPLICATION = 0x474C3032  # 'GL02': tells our files from others

_SAMPLES = """
CREATE TABLE tag (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    unit TEXT NOT NULL DEFAULT '',
    description TEXT NOT NULL DEFAULT '',
    type TEXT,                          -- bool, int, float, str; NULL while it had no value
    settled INTEGER NOT NULL DEFAULT (-9223372036854775808)  -- last time of it in `sample`
);
CREATE TABLE sample (
    tag_id INTEGER NOT NULL REFERENCES tag,
    time INTEGER NOT NULL,              -- nanoseconds since 1970-01-01 UTC
    value,                              -- number
    text TEXT,
    quality INTEGER NOT NULL,           -- OPC UA status code
    PRIMARY KEY (tag_id, time)
) WITHOUT ROWID;
CREATE TABLE recent (
    time INTEGER NOT NULL,
    tag_id INTEGER NOT NULL REFERENCES tag,
    value,
    text TEXT,
    quality INTEGER NOT NULL,
    PRIMARY KEY (time, tag_id)
) WITHOUT ROWID;
CREATE VIEW history AS
    SELECT tag.name AS tag, time, value, text, quality, unit
    FROM tag JOIN sample ON sample.tag_id = tag.id
    UNION ALL
    SELECT tag.name, time, value, text, quality, unit
    FROM tag JOIN recent ON recent.tag_id = tag.id
"""

_AGGREGATES = """
CREATE TABLE {level} (
    tag_id INTEGER NOT NULL REFERENCES tag,
    time INTEGER NOT NULL,              -- when it begins
    samples INTEGER NOT NULL,           -- all of them
    used INTEGER NOT NULL,              -- those with a number and not bad: what follows is of these
    low, high, total,
    quality INTEGER NOT NULL,           -- gravest of all samples
    PRIMARY KEY (tag_id, time)
) WITHOUT ROWID;
CREATE VIEW history_by_{level} AS
    SELECT tag.name AS tag, time, samples, used, low, high, total / used AS mean, quality, unit
    FROM tag JOIN {level} ON {level}.tag_id = tag.id
"""

# From when on each level has everything; older rows were deleted.
_KEPT = "CREATE TABLE kept (level TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID"


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """One transaction that writes; undone where the block raises."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def make_or_migrate(db: sqlite3.Connection, path: Path) -> None:
    """Make the tables in an empty file; bring one of an older format up to date.

    A migration that is interrupted goes on where it was, when the file is opened again.

    Raises:
        RequestFailed: another program's file, or one of a newer format.
    """
    with transaction(db):
        version, application, tables = (
            db.execute(question).fetchone()[0]
            for question in (
                "PRAGMA user_version",
                "PRAGMA application_id",
                "SELECT count(*) FROM sqlite_schema",
            )
        )
        if not tables:
            _execute(db, _SAMPLES)
            _add_aggregates(db)
            db.execute(f"PRAGMA user_version = {FORMAT}")
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            return
        if application != _APPLICATION:
            raise RequestFailed(f"{path} is another program's file", hint="change 'path'")
        if version > FORMAT:
            raise RequestFailed(
                f"{path} has format {version}, this version knows {FORMAT}",
                hint="it was written by a newer version of gl002: install that",
            )
        if version < FORMAT and not _has_aggregates(db):
            _add_aggregates(db)
    if version < FORMAT:
        _aggregate_everything(db)


def _execute(db: sqlite3.Connection, script: str) -> None:
    for statement in script.split(";\n"):
        db.execute(statement)


def _add_aggregates(db: sqlite3.Connection) -> None:
    for level in aggregates.LEVELS:
        _execute(db, _AGGREGATES.format(level=level))
    db.execute(_KEPT)


def _has_aggregates(db: sqlite3.Connection) -> bool:
    found = db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'kept'").fetchone()
    return bool(found[0])


def _aggregate_everything(db: sqlite3.Connection) -> None:
    """From format 1: aggregates of what is there, a transaction for each tag."""
    aggregates.prepare(db)
    for (tag_id,) in db.execute("SELECT id FROM tag ORDER BY id").fetchall():
        with transaction(db):
            aggregates.touch_tag(db, tag_id)
            aggregates.update(db)
    with transaction(db):
        db.execute(f"PRAGMA user_version = {FORMAT}")
