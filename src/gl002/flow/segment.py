"""One file of the store: consecutive batches in SQLite, on disk when `append` returns.

Segments are only ever appended to and, once every output has passed them, unlinked: freeing space
needs no space, so a full disk drains. SQLite keeps the file whole over a crash (WAL,
`synchronous=FULL`); a checksum per batch tells bit rot, which SQLite does not.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

FORMAT = 1

_SCHEMA = (
    f"PRAGMA user_version = {FORMAT}",
    """CREATE TABLE batch (
        start INTEGER PRIMARY KEY,  -- offset of the first sample in the stream of all samples
        length INTEGER NOT NULL,
        only TEXT,                  -- the one output it is meant for; NULL for all
        crc INTEGER NOT NULL,       -- of data
        data BLOB NOT NULL          -- list of samples, MessagePack
    )""",
    "CREATE TABLE position (source TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
)


class Record(NamedTuple):
    """One batch as it lies in the store.

    Attributes:
        start: offset of its first sample.
        length: samples in it; 0 for a position alone.
        only: the one output it is meant for, '' for all.
        data: MessagePack of the samples.
        source: who delivered it.
        position: where that source's stream stood after it, b'' where it needs none.
    """

    start: int
    length: int
    only: str
    data: bytes
    source: str = ""
    position: bytes = b""

    @property
    def end(self) -> int:
        """Offset after its last sample."""
        return self.start + self.length


class Segment:
    """One file, used by one thread at a time.

    While it is appended to, it is in WAL mode. A sealed one is a plain database without a log
    beside it: reading it makes no file and so needs no disk space.

    Attributes:
        path: the file, named after the offset of its first sample.
        start: that offset.
        end: offset after the last sample on disk.
        rotten: batches left out because their checksum was wrong.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.start = int(path.stem)
        self.end = self.start
        self.rotten = 0
        self._db: sqlite3.Connection | None = None
        self._writable = False
        self._sealed_size = 0

    @classmethod
    def create(cls, folder: Path, start: int, positions: Mapping[str, bytes]) -> Segment:
        """A new file for samples from `start` on, which carries the sources' positions along."""
        segment = cls(folder / f"{start:020d}.segment")
        with segment._for_writing() as db:
            db.execute("BEGIN IMMEDIATE")
            for statement in _SCHEMA:
                db.execute(statement)
            db.executemany("INSERT INTO position VALUES (?, ?)", positions.items())
        return segment

    @classmethod
    def open(cls, path: Path) -> Segment | None:
        """A file left by an earlier run; a torn end is already taken care of by SQLite.

        Returns:
            None for a file whose making was interrupted: nothing was ever accepted into it.

        Raises:
            sqlite3.DatabaseError: it is damaged, or of another format.
        """
        segment = cls(path)
        db = segment._for_reading()
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0 and not db.execute("SELECT 1 FROM sqlite_schema").fetchone():
            segment.close()
            return None
        if version != FORMAT:
            raise sqlite3.DatabaseError(f"{path}: format {version}, this version reads {FORMAT}")
        row = db.execute("SELECT start + length FROM batch ORDER BY start DESC LIMIT 1").fetchone()
        segment.end = row[0] if row else segment.start
        return segment

    def positions(self) -> dict[str, bytes]:
        """The last position of every source, as of the last batch in this file."""
        return dict(self._for_reading().execute("SELECT source, value FROM position"))

    def append(self, records: Iterable[Record]) -> None:
        """Add batches in one transaction; they are on disk when it returns.

        Raises:
            sqlite3.DatabaseError: no space, an I/O error, or it is damaged; nothing was added.
        """
        end = self.end
        with self._for_writing() as db:
            db.execute("BEGIN IMMEDIATE")
            for r in records:
                if r.length:
                    row = (r.start, r.length, r.only or None, zlib.crc32(r.data), r.data)
                    db.execute("INSERT INTO batch VALUES (?, ?, ?, ?, ?)", row)
                if r.position:
                    db.execute("REPLACE INTO position VALUES (?, ?)", (r.source, r.position))
                end = r.end
        self.end = end

    def read(self, offset: int, limit: int) -> list[Record]:
        """Batches that end after `offset`, oldest first, until they hold `limit` samples.

        Rotten ones are counted and left out.

        Raises:
            sqlite3.OperationalError: it cannot be read now.
            sqlite3.DatabaseError: it is damaged.
        """
        found: list[Record] = []
        rows = self._for_reading().execute(
            "SELECT start, length, only, crc, data FROM batch WHERE start >= "
            "(SELECT coalesce(max(start), 0) FROM batch WHERE start <= ?) ORDER BY start",
            (offset,),
        )
        with closing(rows):
            for start, length, only, crc, data in rows:
                if zlib.crc32(data) != crc:
                    self.rotten += 1
                elif start + length > offset:
                    found.append(Record(start, length, only or "", data))
                    limit -= length
                    if limit <= 0:
                        break
        return found

    @property
    def size(self) -> int:
        """Bytes it takes on disk, the write-ahead log included."""
        return self._sealed_size or sum(_size(file) for file in self._files())

    def _files(self) -> Iterator[Path]:
        for suffix in ("", "-wal", "-shm", "-journal"):
            yield self.path.with_name(self.path.name + suffix)

    # ---- its connection ---------------------------------------------------------------------

    def _for_writing(self) -> sqlite3.Connection:
        if self._db is None or not self._writable:
            self.close()
            self._db = sqlite3.connect(
                self.path, isolation_level=None, timeout=5, check_same_thread=False
            )
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._writable, self._sealed_size = True, 0
        return self._db

    def _for_reading(self) -> sqlite3.Connection:
        if self._db is None:
            self._db = sqlite3.connect(
                f"file:{quote(str(self.path))}?mode=ro",
                uri=True,
                isolation_level=None,
                timeout=5,
                check_same_thread=False,
            )
            self._writable = False
        return self._db

    def seal(self) -> None:
        """No more appending: fold the write-ahead log into the file. Safe to call twice.

        Where there is no space to do so, or it is damaged, it stays as it is, open: reading it
        tells which.
        """
        if self._db is not None and self._writable:
            with suppress(sqlite3.DatabaseError):
                self._db.execute("PRAGMA journal_mode = DELETE")
                self.close()
        self._sealed_size = self.size

    def close(self) -> None:
        """Close the connection; the next use opens one. Safe to call twice."""
        db, self._db = self._db, None
        self._writable = False
        if db is not None:
            db.close()

    def unlink(self) -> None:
        """Remove the file and what SQLite keeps beside it."""
        self.close()
        for file in self._files():
            file.unlink(missing_ok=True)


def _size(file: Path) -> int:
    """0 where it is not there: SQLite removes what it keeps beside a file at any moment."""
    try:
        return file.stat().st_size
    except FileNotFoundError:
        return 0
