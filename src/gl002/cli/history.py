"""Recorded values: query them, or export them to a file. Changes nothing.

Without --source it reads what the outputs of the configuration have stored, whether the gateway
runs or not.

Examples:
  gl002 history tags "boiler1.*"
  gl002 history query boiler1.steam_flow --from 2h
  gl002 history query boiler1.steam_flow --from "30 days" --points 30
  gl002 history query boiler1.steam_flow --from 2026-11-01 --to 2026-11-02 --json
  gl002 history export "boiler1.*" --from "7 days" -o week.csv
  gl002 history export --from 2026-01-01 -o year.parquet
  gl002 history export --source sqlite:///var/lib/gl002/history.sqlite > all.csv
"""

from __future__ import annotations

import argparse
import asyncio
import fnmatch
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gl002.cli.moments import add_range, iso, moment
from gl002.cli.output import (
    SAMPLE_COLUMNS,
    as_json,
    sample_json,
    sample_row,
    say,
    shown,
    table,
)
from gl002.cli.progress import Progress
from gl002.cli.samplefile import FORMATS
from gl002.cli.target import add_source, history, with_connector
from gl002.connector import Connector, Found
from gl002.errors import ConfigError
from gl002.model import Batch, quality_name
from gl002.wire.narrow import EARLIEST


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("action", choices=("tags", "query", "export"))
    parser.add_argument(
        "tags", nargs="*", metavar="TAG", help="'*' stands for any characters; default all"
    )
    add_range(parser, since="query: 1h ago; export: everything")
    parser.add_argument(
        "--points", type=int, metavar="N", help="query: low, mean and high of N intervals"
    )
    parser.add_argument(
        "--limit", type=int, default=1000, help="query: most samples to print, default 1000"
    )
    parser.add_argument("-o", "--file", type=Path, metavar="FILE", help="export: file to write")
    parser.add_argument(
        "--format", choices=FORMATS, help="export: if the name of FILE does not tell; default csv"
    )
    parser.add_argument("--json", action="store_true", help="query, tags: one item per line")
    add_source(parser)


def run(args: argparse.Namespace) -> int:
    """Print or write; exits 1 where there was nothing."""
    _refuse_what_it_does_not_do(args)
    if args.start is None:
        args.start = moment("1h") if args.action == "query" else EARLIEST
    if args.start >= args.end:
        raise ConfigError(f"the range {iso(args.start)} to {iso(args.end)} is empty")
    work = {"tags": _tags, "query": _query, "export": _export}[args.action]

    async def session(connector: Connector[Any]) -> int:
        found = await _matching(connector, args.tags)
        code = await work(connector, found, args) if found else 1
        names = [thing.address for thing in found]
        absent = [asked for asked in args.tags if not any(_means(asked, name) for name in names)]
        if absent:
            say(f"no tag there is called {' or '.join(absent)}")
        elif not found:
            say("it has no tags")
        return 1 if absent else code

    return with_connector(history(args), session)


def _refuse_what_it_does_not_do(args: argparse.Namespace) -> None:
    """Options of another action would else be passed over without a word."""
    if args.action != "export" and (args.file or args.format):
        raise ConfigError(
            f"'{args.action}' prints", hint="'gl002 history export' writes files: -o, --format"
        )
    if args.action != "query" and args.points is not None:
        raise ConfigError("--points belongs to 'query'")
    if args.action == "export" and args.json:
        raise ConfigError("--json belongs to 'query' and 'tags'")
    if args.limit < 1:
        raise ConfigError("--limit: at least 1")


def _means(asked: str, name: str) -> bool:
    """Whether a name is what was asked for: itself, whatever it looks like, or by a pattern."""
    return asked == name or fnmatch.fnmatchcase(name, asked)


async def _matching(connector: Connector[Any], patterns: Sequence[str]) -> list[Found]:
    return [
        thing
        async for thing in connector.browse()
        if not patterns or any(_means(pattern, thing.address) for pattern in patterns)
    ]


async def _tags(_: Connector[Any], found: Sequence[Found], args: argparse.Namespace) -> int:
    if args.json:
        for thing in found:
            as_json(thing)
    else:
        rows = [(thing.address, thing.unit, thing.type, thing.description) for thing in found]
        table(("tag", "unit", "type", "description"), rows)
    return 0


# ---- query --------------------------------------------------------------------------------------


async def _query(
    connector: Connector[Any], found: Sequence[Found], args: argparse.Namespace
) -> int:
    if args.points is not None:
        return await _trend(connector, found, args)
    units = {thing.address: thing.unit for thing in found}
    samples, more = await _samples(connector, list(units), args)
    if args.json:
        for sample in samples:
            as_json({**sample_json(sample, units[sample.tag]), "time": iso(sample.time)})
    else:
        rows = [sample_row(sample, units[sample.tag]) for sample in samples]
        for row, sample in zip(rows, samples, strict=True):
            row[3] = iso(sample.time)
        table(SAMPLE_COLUMNS, rows)
    say(f"{len(samples)} samples" + (", more not shown: --limit" if more else ""))
    return 0 if samples else 1


async def _samples(
    connector: Connector[Any], tags: Sequence[str], args: argparse.Namespace
) -> tuple[Batch, bool]:
    """At most --limit samples, and whether there are more."""
    samples: Batch = []
    async for batch in connector.history(tags, args.start, args.end):
        samples += batch
        if len(samples) > args.limit:
            return samples[: args.limit], True
    return samples, False


async def _trend(
    connector: Connector[Any], found: Sequence[Found], args: argparse.Namespace
) -> int:
    if args.points < 1:
        raise ConfigError("--points: at least 1")
    rows = [
        (thing, bucket)
        for thing in found
        for bucket in await connector.trend(thing.address, args.start, args.end, points=args.points)
    ]
    if args.json:
        for thing, b in rows:
            as_json(
                {"tag": thing.address, "unit": thing.unit, "start": iso(b.start),
                 "end": iso(b.end), "low": b.low, "mean": b.mean, "high": b.high,
                 "samples": b.samples, "used": b.used, "quality": b.quality}
            )  # fmt: skip
    else:
        table(
            ("tag", "from", "low", "mean", "high", "unit", "samples", "quality"),
            [
                (thing.address, iso(b.start), b.low, b.mean, b.high, thing.unit, b.samples,
                 quality_name(b.quality))
                for thing, b in rows
            ],
        )  # fmt: skip
    return 0 if rows else 1


# ---- export -------------------------------------------------------------------------------------


async def _export(
    connector: Connector[Any], found: Sequence[Found], args: argparse.Namespace
) -> int:
    kind = FORMATS[_format_of(args)]
    units = {thing.address: thing.unit for thing in found}
    count = 0
    with kind(args.file, units) as file, Progress(len(units)) as progress:
        for done, tag in enumerate(units):
            async for batch in connector.history([tag], args.start, args.end):
                await asyncio.to_thread(file.write, batch)
                count += len(batch)
                progress.show(done, f"{tag}: {count:,} samples")
    say(f"{shown(count)} samples of {len(units)} tags in {args.file or 'standard output'}")
    return 0 if count else 1


def _format_of(args: argparse.Namespace) -> str:
    """What was asked for, or what the name of the file says."""
    ending = args.file.suffix.removeprefix(".").lower() if args.file else ""
    if args.format or not ending or (args.file.exists() and not args.file.is_file()):
        return args.format or "csv"
    if ending not in FORMATS:
        raise ConfigError(
            f"{args.file}: files are {', '.join(FORMATS)}", hint="say which by --format"
        )
    return ending
