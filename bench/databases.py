"""Rows per second into the databases, beside the fastest raw path into the same one.

PostgreSQL writes with fsync on; the embedded history with `synchronous=FULL`. Server and client
share this machine. The batch is the gateway's default, 5,000 samples.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import resource
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from gl002.context import Context
from gl002.integrations.databases import AsyncInfluxDBConnector, AsyncPostgreSQLConnector
from gl002.model import Batch, Sample, TagTable
from gl002.security.audit import Audit
from gl002.security.network import Network
from gl002.transport.sqlite import HistoryFile
from gl002.wire.influx_sample import SampleLines
from peers.influxdb import InfluxDB
from peers.postgresql import PostgreSQL
from peers.process import program
from peers.victoria import VictoriaMetrics

ROWS, BATCH = 400_000, 5_000
START, SECOND = 1_760_000_000_000_000_000, 1_000_000_000


def batches(tags: int, size: int = BATCH) -> list[Batch]:
    """One sample of each tag a second."""
    samples = [
        Sample(f"boiler{i % tags}.steam_flow", i * 0.37, START + i // tags * SECOND)
        for i in range(ROWS)
    ]
    return [samples[i : i + size] for i in range(0, ROWS, size)]


def written_bytes() -> int:
    """What this process has sent to the disk (proc(5), io)."""
    lines = Path("/proc/self/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def report(what: str, seconds: float, note: str = "") -> float:
    rate = ROWS / seconds
    print(f"{what:<58} {rate:>10,.0f} rows/s  {note}")
    return rate


# ---- the embedded history -----------------------------------------------------------------------


def sqlite(folder: Path) -> None:
    for tags, size in ((200, 5000), (1000, 1000), (1000, 5000)):
        file = HistoryFile(folder / f"{tags}-{size}.sqlite")
        file.open()
        given, about = batches(tags, size), TagTable()
        for run in ("new", "replayed"):
            before, start = written_bytes(), time.perf_counter()
            for batch in given:
                file.write(batch, about)
            seconds = time.perf_counter() - start
            per_row = (written_bytes() - before) / ROWS
            what = f"sqlite, {tags} tags, {size} a batch, {run}"
            report(what, seconds, f"{per_row:,.0f} bytes to disk a row")
        file.close()
        clustered(folder / f"clustered-{tags}-{size}.sqlite", given, f"{tags} tags, {size} a batch")


def clustered(path: Path, given: list[Batch], what: str) -> None:
    """The simplest layout instead: every row at once in its place among those of its tag."""
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("PRAGMA synchronous = FULL")
    db.execute(
        "CREATE TABLE sample (tag TEXT, time INTEGER, value, quality INTEGER, "
        "PRIMARY KEY (tag, time)) WITHOUT ROWID"
    )
    before, start = written_bytes(), time.perf_counter()
    for batch in given:
        db.execute("BEGIN")
        rows = [(s.tag, s.time, s.value, s.quality) for s in batch]
        db.executemany("INSERT INTO sample VALUES (?, ?, ?, ?)", rows)
        db.execute("COMMIT")
    seconds = time.perf_counter() - start
    db.close()
    per_row = (written_bytes() - before) / ROWS
    report(f"  one table clustered by tag instead, {what}", seconds, f"{per_row:,.0f} bytes")


# ---- PostgreSQL ---------------------------------------------------------------------------------


async def postgresql(server: PostgreSQL, folder: Path) -> None:
    context = Context(network=Network(), audit=Audit(folder / "audit.jsonl"), state_dir=folder)
    for tags in (200, 1000):
        given = batches(tags)
        plain = psql(server, folder, given, "", f"psql \\copy, no key, {tags} tags")
        key = ", PRIMARY KEY (tag, time)"
        keyed = psql(server, folder, given, key, f"psql \\copy, the same key, {tags} tags")
        for run in ("append, new", "merge, replayed", "merge, every value changed"):
            if run.endswith("changed"):
                given = [[Sample(s.tag, -1.0, s.time) for s in batch] for batch in given]
            busy = Busy(server)
            async with AsyncPostgreSQLConnector(server.config, context=context) as connector:
                sink = connector.sink(connector.Output.parse({"destination": "postgresql"}))
                await sink.prepare()
                await sink.write(given[0])  # so that the sink knows the tags
                seconds = await timed(given, sink.write)
            rate = report(f"postgresql {run}, {tags} tags", seconds, busy.said())
            print(f"{'':<58} {rate / plain:.2f} of \\copy, {rate / keyed:.2f} with the key")
        server.execute("DROP TABLE samples")
    context.audit.close()


class Busy:
    """Processor time that this program, its children and sessions of the server that have ended
    take from now on: on a machine that others use too it says more than the clock."""

    def __init__(self, server: PostgreSQL) -> None:
        self._server = server
        self._before = self._now()

    def _now(self) -> tuple[float, float]:
        """Ours, and that of the server's children it has waited for (proc(5), stat)."""
        fields = Path(f"/proc/{self._server.pid}/stat").read_text().rpartition(")")[2].split()
        of_server = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
        ours = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + ours.ru_utime + ours.ru_stime, of_server

    def said(self) -> str:
        time.sleep(0.5)  # until the server has waited for its child
        ours, theirs = (
            (after - before) / ROWS * 1e6
            for after, before in zip(self._now(), self._before, strict=True)
        )
        return f"processor: client {ours:.1f}, server {theirs:.1f} us a row"


async def timed(given: list[Batch], write: Callable[[Batch], Awaitable[None]]) -> float:
    start = time.perf_counter()
    for batch in given:
        await write(batch)
    return time.perf_counter() - start


def psql(server: PostgreSQL, folder: Path, given: list[Batch], key: str, what: str) -> float:
    """The rate that PostgreSQL's own client takes from a file, a transaction per batch."""
    server.execute("DROP TABLE IF EXISTS raw")
    server.execute(
        "CREATE TABLE raw (time timestamptz, tag text, value float8, text text, "
        f"quality bigint{key})"
    )
    script = folder / "copy.sql"
    with script.open("w") as file:
        for batch in given:
            file.write("COPY raw FROM STDIN;\n")
            file.writelines(lines(batch))
            file.write("\\.\n")
    busy, start = Busy(server), time.perf_counter()
    subprocess.run(
        [program("psql", "postgresql-client"), "-qX", "-f", str(script), server.url], check=True
    )
    return report(what, time.perf_counter() - start, busy.said())


def lines(batch: Batch) -> Iterator[str]:
    for s in batch:
        moment = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(s.time // SECOND))
        yield f"{moment}\t{s.tag}\t{s.value}\t\\N\t{s.quality}\n"


# ---- InfluxDB -----------------------------------------------------------------------------------


async def influxdb(folder: Path) -> None:
    """Our sink beside a client that only sends lines which were made before."""
    context = Context(network=Network(), audit=Audit(folder / "influx.jsonl"), state_dir=folder)
    with InfluxDB(auth=False) as one, VictoriaMetrics() as victoria:
        two = {"url": victoria.url, "bucket": "gl002"}
        for name, config, path in (
            ("InfluxDB 1.6", one.config, f"/write?db={one.database}"),
            ("VictoriaMetrics, v2 writes", two, "/api/v2/write?org=gl002&bucket=gl002"),
        ):
            given = batches(200)
            raw = report(f"{name}: ready lines, posted", posted(config["url"], path, given))
            for gzip in (False, True):
                settings = {**config, "gzip": gzip, "measurement": f"ours_{gzip}".lower()}
                async with AsyncInfluxDBConnector(settings, context=context) as connector:
                    sink = connector.sink(connector.Output.parse({"destination": "influxdb"}))
                    rate = report(f"{name}: influxdb, gzip {gzip}", await timed(given, sink.write))
                    print(f"{'':<58} {rate / raw:.2f} of posting")
    context.audit.close()


def posted(url: str, path: str, given: list[Batch]) -> float:
    """Seconds to post what is already in line protocol, over one connection."""
    written = SampleLines("raw")
    bodies = ["\n".join(map(written.line, batch)).encode() for batch in given]
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    start = time.perf_counter()
    for body in bodies:
        connection.request("POST", path, body)
        answer = connection.getresponse()
        assert answer.status == 204, answer.read()
        answer.read()
    seconds = time.perf_counter() - start
    connection.close()
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", nargs="*", help="sqlite, postgresql, influxdb; all where absent")
    which = parser.parse_args().which or ["sqlite", "postgresql", "influxdb"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if "sqlite" in which:
            sqlite(folder)
        if "postgresql" in which:
            with PostgreSQL() as server:
                asyncio.run(postgresql(server, folder))
        if "influxdb" in which:
            asyncio.run(influxdb(folder))


if __name__ == "__main__":
    main()
