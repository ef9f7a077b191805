"""Samples a sink refused for good: kept with the reason until a person retries or drops them.

One SQLite file beside the store, safe to use from several processes: `gl002 dlq` works whether
the gateway runs or not. Blocking; the flow calls it in a thread.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec

from gl002.errors import BufferFull, GL002Error
from gl002.model import Sample, now_ns
from gl002.security.folders import make_private
from gl002.security.secrets import Redactor

_MOST = 1_000_000
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1  # of a whole number in MessagePack

_SCHEMA = """
CREATE TABLE IF NOT EXISTS letter (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    output TEXT NOT NULL,
    tag TEXT NOT NULL,
    sample BLOB NOT NULL,
    reason TEXT NOT NULL,
    first_tried INTEGER NOT NULL,
    last_tried INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 1,
    again INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS letter_again ON letter (output, id) WHERE again;
"""


class LettersUnreadable(GL002Error):
    """The file cannot be read or written just now: locked, disk full, somebody else's."""

    retryable = True


class Letter(NamedTuple):
    """One refused sample.

    Attributes:
        id: grows with time.
        output: whose sink refused it.
        sample: as it was to be delivered.
        reason: in the sink's words.
        first_tried: nanoseconds UTC.
        last_tried: nanoseconds UTC.
        tries: deliveries attempted.
        again: a person asked to try it once more.
    """

    id: int
    output: str
    sample: Sample
    reason: str
    first_tried: int
    last_tried: int
    tries: int
    again: bool


def _storable(sample: Sample) -> Sample:
    """A sample that the file can hold; of one that it cannot, what a person can read."""
    tag, value = _text(sample.tag), sample.value
    if isinstance(value, str):
        value = _text(value)
    elif isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        value = str(value)
    same = tag == sample.tag and value == sample.value
    return sample if same else Sample(tag, value, sample.time, sample.quality)


def _text(text: str) -> str:
    """A text without halves of characters, which no file takes."""
    return text.encode("utf-8", "backslashreplace").decode()


class DeadLetters:
    """The refused samples of one gateway.

    Every method raises LettersUnreadable where the file cannot be used; nothing has changed then.

    Args:
        path: the file, made on the first letter.
        most: letters kept; then `add` refuses, and the output waits for a person.
    """

    def __init__(self, path: Path, *, most: int = _MOST) -> None:
        self.path = path
        self._most = most
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(Sample).decode

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            make_private(self.path.parent)
            with closing(sqlite3.connect(self.path, timeout=10)) as db:
                db.execute("PRAGMA journal_mode = WAL")
                db.execute("PRAGMA synchronous = FULL")
                db.executescript(_SCHEMA)
                with db:
                    yield db
        except (sqlite3.Error, OSError) as error:
            raise LettersUnreadable(
                f"dead letters: {self.path}: {error}",
                hint="free disk space, or mend the file's permissions",
            ) from error

    def add(self, output: str, refused: Sequence[tuple[Sample, str]]) -> None:
        """Keep refused samples with their reasons; on disk when it returns.

        Raises:
            BufferFull: there are too many already.
        """
        now = now_ns()
        kept = [(_storable(sample), Redactor.redact(why)) for sample, why in refused]
        rows = [(output, s.tag, self._encode(s), _text(why), now, now) for s, why in kept]
        with self._open() as db:
            if self._count(db, None) + len(rows) > self._most:
                raise BufferFull(
                    f"{self.path}: {self._most} dead letters, no more are kept",
                    hint="gl002 dlq list; then gl002 dlq retry, export or drop",
                )
            db.executemany(
                "INSERT INTO letter (output, tag, sample, reason, first_tried, last_tried) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                rows,
            )

    def count(self, output: str | None = None) -> int:
        """Letters kept, of one output or of all."""
        if not self.path.exists():
            return 0
        with self._open() as db:
            return self._count(db, output)

    def _count(self, db: sqlite3.Connection, output: str | None) -> int:
        row = db.execute("SELECT count(*) FROM letter WHERE ?1 IS NULL OR output = ?1", (output,))
        return int(row.fetchone()[0])

    def list(
        self, output: str | None = None, *, limit: int = 100, after: int = 0, again: bool = False
    ) -> list[Letter]:
        """Letters in order of their ids.

        Args:
            output: of this output only.
            limit: at most so many.
            after: only those with a larger id, to page on.
            again: only those a person wants tried again.
        """
        if not self.path.exists():
            return []
        with self._open() as db:
            rows = db.execute(
                "SELECT id, output, sample, reason, first_tried, last_tried, tries, again "
                "FROM letter WHERE (?1 IS NULL OR output = ?1) AND id > ?2 AND again >= ?3 "
                "ORDER BY id LIMIT ?4",
                (output, after, int(again), limit),
            ).fetchall()
        return [
            Letter(id_, name, self._decode(sample), reason, first, last, tries, bool(again))
            for id_, name, sample, reason, first, last, tries, again in rows
        ]

    def retry(self, output: str | None = None, ids: Iterable[int] | None = None) -> int:
        """Ask that letters be delivered again: these ids, or all of an output; how many."""
        return self._change("UPDATE letter SET again = 1", output, ids)

    def drop(self, output: str | None = None, ids: Iterable[int] | None = None) -> int:
        """Forget letters for good: these ids, or all of an output; how many."""
        return self._change("DELETE FROM letter", output, ids)

    def _change(self, statement: str, output: str | None, ids: Iterable[int] | None) -> int:
        if not self.path.exists():
            return 0
        condition = " WHERE (?1 IS NULL OR output = ?1) AND (?2 IS NULL OR id = ?2)"
        wanted: Iterable[int | None] = [None] if ids is None else ids
        with self._open() as db:
            return sum(db.execute(statement + condition, (output, i)).rowcount for i in wanted)

    def refused_again(self, letters: Sequence[tuple[int, str]]) -> None:
        """Note that another try of these ids failed, for these reasons."""
        now = now_ns()
        with self._open() as db:
            db.executemany(
                "UPDATE letter SET again = 0, tries = tries + 1, last_tried = ?, reason = ? "
                "WHERE id = ?",
                [(now, Redactor.redact(reason), id_) for id_, reason in letters],
            )
