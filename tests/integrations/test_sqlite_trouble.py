"""The embedded history in trouble: other processes, kills, full disks, files of others."""

from __future__ import annotations

import asyncio
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import gl002.transport.sqlite.file
import gl002.transport.sqlite.retention
from gl002.connector import State
from gl002.errors import Busy, ConnectFailed, RequestFailed
from gl002.model import Batch, Sample, TagTable, now_ns
from gl002.transport.sqlite import HistoryFile
from integrations.sqlite_site import ALWAYS, SECOND, START, context, make, query, recorded, series

fixtures = context, make


# ---- other processes --------------------------------------------------------------------------


async def test_two_connectors_write_the_same_file_and_lose_nothing(make, monkeypatch) -> None:
    one, two = make(), make()
    await asyncio.gather(one.connect(), two.connect())
    for connector in (one, two):
        connector._file._settle_at = 50
    batch = series(2000)
    for i in range(0, len(batch), 20):
        await asyncio.gather(one.store(batch[i : i + 12]), two.store(batch[i + 8 : i + 20]))
        assert query(one.path, "SELECT count(*) FROM history") == [(i + 20,)], "nothing twice"
    expected = [s for s in batch if s.tag == "boiler0.flow"]
    assert await recorded(one, "boiler0.flow") == expected
    assert await recorded(two, "boiler0.flow") == expected


async def test_others_read_while_we_write(make) -> None:
    connector = make()
    await connector.store(series(2))
    with closing(sqlite3.connect(connector.path, timeout=0)) as reader:
        for i in range(50):
            await connector.store(series(20, start=START + i * 10 * SECOND))
            (count,) = reader.execute("SELECT count(*) FROM history").fetchone()
            assert count >= i * 20


async def test_a_file_locked_for_long_by_another_is_busy_and_comes_again(make, monkeypatch) -> None:
    monkeypatch.setattr(gl002.transport.sqlite.file, "_BUSY_TIMEOUT", 0.05)
    connector = make()
    await connector.store(series(2))
    connector._retry = type(connector._retry)(max_attempts=1)
    with closing(sqlite3.connect(connector.path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(Busy, match="another process") as caught:
            await connector.store(series(10))
        assert caught.value.retryable
    await connector.store(series(10))
    assert len(await recorded(connector, "boiler0.flow")) == 5


WRITER = """
import sys
from pathlib import Path
from gl002.model import Sample, TagTable
from gl002.transport.sqlite import HistoryFile
file = HistoryFile(Path(sys.argv[1]), settle_at=200)
file.open()
first = int(sys.argv[2])
for i in range(first, first + 1_000_000):
    file.write([Sample(f"t{n}", i, i) for n in range(5)], TagTable())
    print(i, flush=True)
"""


@pytest.mark.timeout(600)
def test_kill_9_while_writing_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    path, last = tmp_path / "h.sqlite", -1
    for _ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(last + 1)],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert writer.stdout is not None
        for _ in range(random.randint(50, 200)):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        last = max([last, *map(int, writer.stdout.read().split())])
        writer.stdout.close()
        writer.wait()
    file = HistoryFile(path)
    file.open()
    with closing(file):
        for n in range(5):
            values = [s.value for s in file.page(f"t{n}", *ALWAYS, 10**6)]
            assert values[: last + 1] == list(range(last + 1))
            assert len(values) <= last + 2, "at most the one whose acknowledgement was not read"


# ---- trouble ----------------------------------------------------------------------------------


async def test_a_full_disk_loses_nothing_and_writing_goes_on_when_there_is_room(make) -> None:
    connector, batch = make(), series(20_000, tags=4)
    await connector.store(series(100))
    connector._retry = type(connector._retry)(max_attempts=1)
    await connector._in_thread(lambda: connector._file._db.execute("PRAGMA max_page_count = 40"))
    with pytest.raises(Busy, match="make room"):
        await connector.store(batch)
    assert len(await recorded(connector, "boiler0.flow")) == 50
    await connector._in_thread(lambda: connector._file._db.execute("PRAGMA max_page_count = 99999"))
    await connector.store(batch)
    for tag in ("boiler0.flow", "boiler1.flow", "boiler2.flow", "boiler3.flow"):
        assert await recorded(connector, tag) == [s for s in batch if s.tag == tag]


async def test_every_commit_waits_for_the_disk(make) -> None:
    connector = make()
    await connector.connect()
    (level,) = await connector._in_thread(
        lambda: connector._file._db.execute("PRAGMA synchronous").fetchone()
    )
    assert level == 2, "FULL: NORMAL loses acknowledged rows at a power cut"


async def test_the_folder_is_made_where_it_is_missing(make, tmp_path: Path) -> None:
    connector = make(path=str(tmp_path / "a" / "b" / "h.sqlite"))
    await connector.store(series(2))
    assert (tmp_path / "a" / "b" / "h.sqlite").exists()


async def test_the_file_is_in_the_state_folder_unless_told_otherwise(make, tmp_path: Path) -> None:
    assert make().path == tmp_path / "history.sqlite"
    assert make(path="x/y.sqlite").path == tmp_path / "x" / "y.sqlite"


async def test_a_folder_that_cannot_be_made_is_named(make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    connector = make(path=str(tmp_path / "file" / "h.sqlite"))
    with pytest.raises(ConnectFailed, match=r"file/h\.sqlite"):
        await connector.connect()


async def test_another_programs_file_is_refused_and_left_as_it_is(make, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE theirs (x)")
        db.commit()
    before = path.read_bytes()
    with pytest.raises(RequestFailed, match="another program's"):
        await make(path=str(path)).connect()
    assert path.read_bytes() == before


async def test_what_is_no_database_is_refused_and_left_as_it_is(make, tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("no database, but longer than its header would be" * 30)
    before = path.read_bytes()
    with pytest.raises(RequestFailed, match="not a database"):
        await make(path=str(path)).connect()
    assert path.read_bytes() == before


async def test_a_file_of_a_newer_version_is_refused(make) -> None:
    connector = make()
    await connector.store(series(2))
    await connector.close()
    with closing(sqlite3.connect(connector.path)) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(RequestFailed, match="newer version"):
        await connector.connect()


class Watched(list):
    """A batch that calls somebody each time it is gone through, which the file's thread does."""

    def __init__(self, batch: Batch, call: Callable[[], None]) -> None:
        super().__init__(batch)
        self._call = call

    def __iter__(self) -> Iterator[Sample]:
        self._call()
        return super().__iter__()


def test_an_interrupt_that_comes_between_two_statements_is_kept_too(tmp_path: Path) -> None:
    """SQLite itself forgets one that meets no statement."""
    file, batch = HistoryFile(tmp_path / "h.sqlite"), series(100_000)
    file.open()
    with closing(file):
        file.write(batch[:10], TagTable())
        with pytest.raises(sqlite3.OperationalError, match="interrupted"):
            file.write(Watched(batch, file.interrupt), TagTable())
    assert query(file.path, "SELECT count(*) FROM history") == [(10,)]


async def test_closing_while_it_writes_cuts_the_batch_short_and_leaves_whole_ones(make) -> None:
    connector, batch = make(), series(100_000)
    connector._retry = type(connector._retry)(max_attempts=1)
    await connector.store(batch[:10])
    file, begun = connector._file, threading.Event()

    def until_it_is_closed() -> None:
        begun.set()
        while not file._ending:
            time.sleep(0.001)

    writing = asyncio.create_task(connector.store(Watched(batch, until_it_is_closed)))
    assert await asyncio.to_thread(begun.wait, 30)
    await connector.close()
    with pytest.raises(ConnectFailed):
        await writing
    assert connector.state is State.CLOSED
    assert query(connector.path, "SELECT count(*) FROM history") == [(10,)]


async def test_what_is_older_than_the_retention_goes_and_the_rest_stays(make, monkeypatch) -> None:
    monkeypatch.setattr(gl002.transport.sqlite.retention, "_TRIM_CHUNK", 300)
    day = 86_400 * SECOND
    now = now_ns()
    connector = make(retention="2 days")
    await connector.connect()
    connector._file._settle_at = 500
    old = [Sample(f"t{i % 3}", i, now - 3 * day + i) for i in range(3000)]
    young = [Sample(f"t{i % 3}", i, now - day + i) for i in range(3000)]
    await connector.store(old + young)
    connector._trim_at = 0.0
    while connector._trim_at == 0.0:  # each look has but a moment
        await connector.store([Sample("t0", 0, now)])
    read = await recorded(connector, "t0", "t1", "t2")
    assert len(read) == 3001
    assert min(s.time for s in read) >= now - day
