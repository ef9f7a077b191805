"""Things that wait for a person or for their turn: one durable file, a state for each.

    docket = Docket(state_dir / "outbox.sqlite")
    docket.add(Draft(key="gl002-7d3k...", subject="oracle create_work_order", body={...}))
    docket.move(key, {"waiting"}, "approved", actor="ann")    # None: it does not wait any more

A state changes only from a state that is named, in one transaction: of two who act at the same
time one finds that it is done. Several processes may share the file, so a command works whether
the gateway runs or not. What `move` and `add` have returned is on disk, also after a power cut.
Blocking; the flow calls it in a thread.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from gl002.errors import BufferFull, GL002Error
from gl002.model import now_ns
from gl002.security.folders import make_private
from gl002.security.secrets import Redactor

__all__ = ["Docket", "DocketUnreadable", "Draft", "Entry"]

_PATIENCE: Final = 10.0  # seconds another process may hold the file
_BATCH: Final = 10_000  # rows forgotten at once
_DIGITS: Final = 19  # of the largest number SQLite holds

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    made INTEGER NOT NULL,
    since INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    due INTEGER NOT NULL DEFAULT 0,
    tries INTEGER NOT NULL DEFAULT 0,
    actor TEXT NOT NULL DEFAULT '',
    number TEXT NOT NULL DEFAULT '',
    detail TEXT NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS entry_state ON entry (state, id);
CREATE TABLE IF NOT EXISTS mark (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""
_COLUMNS = "id, key, state, subject, body, made, since, expires, due, tries, actor, number, detail"


class DocketUnreadable(GL002Error):
    """The file cannot be read or written just now: locked, disk full, damaged."""

    retryable = True


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be put on a docket.

    Attributes:
        key: the same however often the same cause is met.
        subject: what a person looks for: the point, or destination and action.
        body: all that is needed to carry it out; plain JSON values.
        expires: nanoseconds UTC after which it is pointless; 0 for never.
        state: to begin with.
        actor: who asks; '' where nobody does.
        detail: a phrase for people.
    """

    key: str
    subject: str
    body: Mapping[str, Any]
    expires: int = 0
    state: str = "waiting"
    actor: str = ""
    detail: str = ""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing on a docket.

    Attributes:
        id: small number for people; grows with time.
        key: as given.
        state: now.
        subject: as given.
        body: as given.
        made: when it was put here, nanoseconds UTC.
        since: when it came into its state.
        expires: nanoseconds UTC; 0 for never.
        due: not to be tried before; nanoseconds UTC.
        tries: begun so far.
        actor: who put it into its state.
        number: of the document that was made, where there is one.
        detail: a phrase for people: the outcome, or what was wrong last.
    """

    id: int
    key: str
    state: str
    subject: str
    body: dict[str, Any]
    made: int
    since: int
    expires: int
    due: int
    tries: int
    actor: str
    number: str
    detail: str


class Docket:
    """One file. Makes it on the first entry.

    Args:
        path: the file.
        ends: states in which nothing more happens; such entries are forgotten one day.
        most: entries that are not at their end; then `add` refuses.
        keep: seconds that entries at their end are kept; their keys are known as long.
    """

    def __init__(
        self, path: Path, *, ends: Collection[str], most: int = 10_000, keep: float = 400 * 86_400.0
    ) -> None:
        self.path = path
        self._ends = json.dumps(sorted(ends))
        self._most = most
        self._keep = round(keep * 1e9)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """One transaction; it has the file for itself from its begin on.

        Raises:
            DocketUnreadable: as its text says.
        """
        try:
            make_private(self.path.parent)
            with closing(sqlite3.connect(self.path, timeout=_PATIENCE, isolation_level=None)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.execute("BEGIN IMMEDIATE")
                for statement in filter(str.strip, _SCHEMA.split(";")):
                    db.execute(statement)
                try:
                    yield db
                except BaseException:
                    db.execute("ROLLBACK")
                    raise
                db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise DocketUnreadable(
                f"{self.path}: {error}", hint="free disk space, or mend the file's permissions"
            ) from error

    # ---- putting ----------------------------------------------------------------------------

    def add(self, draft: Draft) -> tuple[Entry, bool]:
        """Put something here; returns it, and whether it is new. A known key changes nothing.

        Raises:
            BufferFull: too many wait already.
            DocketUnreadable: nothing was put here.
        """
        with self._open() as db:
            return self._added(db, draft)

    def add_marked(
        self, drafts: Collection[Draft], marks: Mapping[str, Any], *, renew: Collection[str] = ()
    ) -> list[Entry]:
        """Put several here, and remember how far the cause was looked at, all or nothing.

        Args:
            drafts: what to put here.
            marks: name -> plain JSON value, for `marks`.
            renew: states in which a known entry takes the later `expires` of its draft; one that
                has expired untried begins again with the draft.

        Returns:
            Entries that are new or have begun again.

        Raises:
            BufferFull: too many wait already; nothing was put here.
            DocketUnreadable: the same.
        """
        with self._open() as db:
            found = []
            for draft in drafts:
                entry, new = self._added(db, draft)
                if not new and entry.state in renew and draft.expires > entry.expires:
                    db.execute(
                        "UPDATE entry SET expires = ? WHERE id = ?", (draft.expires, entry.id)
                    )
                elif not new and entry.state == "expired" and not entry.tries:
                    entry, new = self._begun_again(db, entry, draft), True
                if new:
                    found.append(entry)
            db.executemany(
                "INSERT OR REPLACE INTO mark (name, value) VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in marks.items()],
            )
            return found

    def _added(self, db: sqlite3.Connection, draft: Draft) -> tuple[Entry, bool]:
        known = self._one(db, "key = ?", draft.key)
        if known is not None:
            return known, False
        count = "SELECT count(*) FROM entry WHERE state NOT IN (SELECT value FROM json_each(?))"
        if db.execute(count, (self._ends,)).fetchone()[0] >= self._most:
            raise BufferFull(
                f"{self.path}: {self._most} entries wait, no more are taken",
                hint="decide on them, or drop what will never be done",
            )
        now = now_ns()
        db.execute(
            "INSERT INTO entry (key, state, subject, body, made, since, expires, actor, detail) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (draft.key, draft.state, draft.subject, json.dumps(draft.body), now, now,
             draft.expires, draft.actor, draft.detail),
        )  # fmt: skip
        self._forget(db, now - self._keep)
        return self._known(db, draft.key), True

    def _begun_again(self, db: sqlite3.Connection, entry: Entry, draft: Draft) -> Entry:
        db.execute(
            "UPDATE entry SET state = ?, body = ?, since = ?, expires = ?, actor = ?, detail = ? "
            "WHERE id = ?",
            (draft.state, json.dumps(draft.body), now_ns(), draft.expires, draft.actor,
             draft.detail, entry.id),
        )  # fmt: skip
        return self._known(db, draft.key)

    def _forget(self, db: sqlite3.Connection, before: int) -> None:
        """Entries that came to their end so long ago that nobody asks."""
        db.execute(
            "DELETE FROM entry WHERE id IN (SELECT id FROM entry WHERE since < ? AND state IN "
            "(SELECT value FROM json_each(?)) LIMIT ?)",
            (before, self._ends, _BATCH),
        )

    # ---- changing ---------------------------------------------------------------------------

    def move(
        self,
        key: str,
        before: Collection[str],
        after: str,
        *,
        actor: str | None = None,
        number: str | None = None,
        detail: str | None = None,
        due: int = 0,
        tried: bool = False,
    ) -> Entry | None:
        """Put an entry into another state; None where it is in none of the states `before`.

        Args:
            key: of the entry.
            before: states it may be in.
            after: state it comes into.
            actor: who does it; as before where None.
            number: of the document; as before where None.
            detail: a phrase for people, secrets are taken out of it; as before where None.
            due: not to be tried before; nanoseconds UTC.
            tried: one more try begins.

        Raises:
            DocketUnreadable: nothing was changed.
        """
        with self._open() as db:
            changed = db.execute(
                "UPDATE entry SET state = ?, since = CASE state WHEN ? THEN since ELSE ? END, "
                "actor = coalesce(?, actor), number = coalesce(?, number), "
                "detail = coalesce(?, detail), due = ?, tries = tries + ? "
                "WHERE key = ? AND state IN (SELECT value FROM json_each(?))",
                (after, after, now_ns(), _storable(actor), _storable(number),
                 None if detail is None else _storable(Redactor.redact(detail)),
                 due, int(tried), key,
                 json.dumps(list(before))),
            ).rowcount  # fmt: skip
            return self._known(db, key) if changed else None

    # ---- looking ----------------------------------------------------------------------------

    def get(self, name: str | int) -> Entry | None:
        """The entry of this id or key; None where there is none."""
        if not self.path.exists():
            return None
        text = str(name)
        number = int(text) if len(text) < _DIGITS and text.isascii() and text.isdigit() else -1
        with self._open() as db:
            return self._one(db, "key = ?", text) or (
                self._one(db, "id = ?", number) if number > 0 else None
            )

    def list(
        self,
        states: Collection[str] | None = None,
        *,
        subject: str | None = None,
        limit: int = 100,
        after: int = 0,
        newest: bool = False,
        due_by: int = 1 << 62,
        expired_by: int | None = None,
    ) -> list[Entry]:
        """Entries in order of their ids.

        Args:
            states: only those in one of these.
            subject: only those of it, or whose subject begins with it and a space.
            limit: at most so many.
            after: only those with a larger id, to page on.
            newest: the last ones instead of the first.
            due_by: only those that may be tried at this time, nanoseconds UTC.
            expired_by: only those that are pointless at this time.
        """
        if not self.path.exists():
            return []
        order = "DESC" if newest else "ASC"
        with self._open() as db:
            rows = db.execute(
                f"SELECT {_COLUMNS} FROM entry WHERE id > ?1 "  # noqa: S608 (our own words)
                "AND (?2 IS NULL OR state IN (SELECT value FROM json_each(?2))) "
                "AND (?3 IS NULL OR substr(subject || ' ', 1, length(?3) + 1) = ?3 || ' ') "
                "AND due <= ?5 "
                "AND (?6 IS NULL OR expires BETWEEN 1 AND ?6) "
                f"ORDER BY id {order} LIMIT ?4",
                (
                    after,
                    None if states is None else json.dumps(list(states)),
                    subject,
                    limit,
                    due_by,
                    expired_by,
                ),
            ).fetchall()
        found = [_entry(row) for row in rows]
        return found[::-1] if newest else found

    def counts(self) -> dict[str, int]:
        """State -> entries in it."""
        if not self.path.exists():
            return {}
        with self._open() as db:
            return dict(db.execute("SELECT state, count(*) FROM entry GROUP BY state").fetchall())

    def marks(self) -> dict[str, Any]:
        """What `add_marked` remembered."""
        if not self.path.exists():
            return {}
        with self._open() as db:
            rows = db.execute("SELECT name, value FROM mark").fetchall()
        return {name: json.loads(value) for name, value in rows}

    def _one(self, db: sqlite3.Connection, condition: str, value: object) -> Entry | None:
        row = db.execute(
            f"SELECT {_COLUMNS} FROM entry WHERE {condition}",  # noqa: S608 (our own words)
            (value,),
        ).fetchone()
        return None if row is None else _entry(row)

    def _known(self, db: sqlite3.Connection, key: str) -> Entry:
        entry = self._one(db, "key = ?", key)
        assert entry is not None, "put or found in this transaction"
        return entry


def _storable(text: str | None) -> str | None:
    """A text that UTF-8 can hold: HTTP headers bring bytes that are none, as half characters."""
    return None if text is None else text.encode("utf-8", "backslashreplace").decode()


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(_COLUMNS.split(", "), row, strict=True))
    return Entry(**{**values, "body": json.loads(values["body"])})
