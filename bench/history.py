"""Trends of the embedded history: milliseconds for 2,000 points of one tag, over many ranges.

    bench/history.py [ROWS]     100,000,000 where absent: 3 GB in the folder for temporary files

Twenty tags at 1 Hz. The samples are put into the file by one SQL statement, as a file of the first
format has them, and get their minutes and hours by the migration that every such file goes through.
Each range is read from a file that was opened afresh; the system may have parts of it in memory.
"""

from __future__ import annotations

import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from gl002.model import Sample, TagTable
from gl002.transport.sqlite import HistoryFile

TAGS, POINTS = 20, 2_000
START, SECOND = 1_600_000_000_000_000_000, 1_000_000_000
_FILL = """
WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ?2 - 1)
INSERT INTO sample
SELECT ?1, ?3 + i * 1000000000, (i * 7919 % 10007) * 0.01 + (i % 100003 = 0) * 1000, NULL, 0 FROM n
"""


def fill(path: Path, rows: int) -> None:
    with closing(HistoryFile(path)) as file:
        file.open()
        file.write(
            [Sample(f"boiler{n}.flow", 0.5, START - SECOND) for n in range(TAGS)], TagTable()
        )
        file.settle()
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for level in ("minute", "hour"):
            db.execute(f"DROP VIEW history_by_{level}")
            db.execute(f"DROP TABLE {level}")
        db.execute("DROP TABLE kept")
        db.execute("PRAGMA user_version = 1")
        for (tag_id,) in db.execute("SELECT id FROM tag").fetchall():
            db.execute("BEGIN")
            db.execute(_FILL, (tag_id, rows // TAGS, START))
            db.execute("COMMIT")
        db.execute("UPDATE tag SET settled = (SELECT max(time) FROM sample WHERE tag_id = id)")


def trends(path: Path, seconds: int) -> None:
    for share in (1, 2, 5, 10, 50, 80, 100, 200, 1000, 100_000):
        length = max(seconds // share, 60) * SECOND
        for place, begin in (("oldest", START), ("newest", START + seconds * SECOND - length)):
            with closing(HistoryFile(path)) as file:
                file.open()
                since = time.perf_counter()
                found = file.trend("boiler7.flow", begin, begin + length, POINTS)
                taken = (time.perf_counter() - since) * 1000
            assert sum(b.samples for b in found) >= length // SECOND
            print(f"{length / SECOND / 86400:>10.3f} days, {place}: {len(found):>5} points "
                  f"{taken:>7.1f} ms")  # fmt: skip


def main() -> None:
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000_000
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "history.sqlite"
        fill(path, rows)
        since, before = time.perf_counter(), path.stat().st_size
        with closing(HistoryFile(path)) as file:
            file.open()
        taken, after = time.perf_counter() - since, path.stat().st_size
        print(f"{rows:,} rows, {before / rows:.1f} bytes a row; minutes and hours computed in "
              f"{taken:.0f} s, {(after - before) / rows:.2f} bytes a row more")  # fmt: skip
        trends(path, rows // TAGS)


if __name__ == "__main__":
    main()
