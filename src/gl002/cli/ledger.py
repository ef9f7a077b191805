"""Samples expected and delivered, by output and hour; with TAG, for each tag separately.

Works whether the gateway runs or not; a running gateway writes its counts every five seconds.

Examples:
  gl002 ledger
  gl002 ledger --from "7 days" --missing
  gl002 ledger "boiler1.*" --from 2026-11-25 --to 2026-11-26
  gl002 ledger "*" --output timescale --json
"""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Sequence

from gl002.cli.moments import add_range, iso, moment
from gl002.cli.output import as_json, say, table
from gl002.cli.running import state_dir_of
from gl002.cli.target import add_file
from gl002.config.problems import near
from gl002.errors import ConfigError
from gl002.flow.ledger import HOUR, Entry, Ledger

_COUNTS = ("expected", "bad", "delivered", "refused", "missing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("tags", nargs="*", metavar="TAG", help="'*' stands for any characters")
    add_range(parser, since="24h ago")
    parser.add_argument("--output", help="this output only")
    parser.add_argument("--missing", action="store_true", help="only where samples are missing")
    parser.add_argument("--json", action="store_true", help="for scripts: one row per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Show; exits 1 where more is missing than is still on its way."""
    ledger = Ledger(state_dir_of(args.config) / "ledger.sqlite")
    start = moment("24h") if args.start is None else args.start
    if start >= args.end:
        raise ConfigError(f"the range {iso(start)} to {iso(args.end)} is empty")
    names = [output for output, _ in ledger.progress()]
    if names and args.output and args.output not in names:
        raise ConfigError(f"there is no output '{args.output}'", hint=near(args.output, names))
    found = [e for e in ledger.entries(start, args.end) if args.output in {None, e.output}]
    if args.tags:
        rows = [e for e in found if any(fnmatch.fnmatchcase(e.tag, p) for p in args.tags)]
    else:
        rows = _by_hour(found)
    _show([row for row in rows if row.missing or not args.missing], args)
    if args.tags and not args.json:
        _say_silent(rows)
    return _sum_up(ledger, found)


def _by_hour(entries: Sequence[Entry]) -> list[Entry]:
    """The tags of an hour and output as one entry, with their number in place of a name."""
    groups: dict[tuple[int, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.hour, entry.output), []).append(entry)
    return [
        Entry(
            hour, output, f"{len(group)} tags",
            expected=sum(e.expected for e in group), bad=sum(e.bad for e in group),
            delivered=sum(e.delivered for e in group), refused=sum(e.refused for e in group),
        )
        for (hour, output), group in groups.items()
    ]  # fmt: skip


def _show(rows: Sequence[Entry], args: argparse.Namespace) -> None:
    if args.json:
        for row in rows:
            counts = {name: getattr(row, name) for name in _COUNTS}
            as_json({"hour": iso(row.hour), "output": row.output, "tag": row.tag, **counts})
    elif rows:
        table(
            ("hour", "output", "tag" if args.tags else "tags", *_COUNTS),
            [
                (iso(row.hour), row.output, row.tag, *(getattr(row, name) for name in _COUNTS))
                for row in rows
            ],
        )


def _say_silent(rows: Sequence[Entry]) -> None:
    """Hours between two others in which nothing of a tag came in at all."""
    hours: dict[tuple[str, str], set[int]] = {}
    for row in rows:
        hours.setdefault((row.output, row.tag), set()).add(row.hour // HOUR)
    for (output, tag), seen in hours.items():
        silent = max(seen) - min(seen) + 1 - len(seen)
        if silent:
            say(f"{tag}: nothing in {silent} hours between its first and its last ({output})")


def _sum_up(ledger: Ledger, found: Sequence[Entry]) -> int:
    lost = False
    for output, waiting in ledger.progress():
        missing = sum(entry.missing for entry in found if entry.output == output)
        lost = lost or missing > waiting
        say(f"{output}: {missing:,} missing, {waiting:,} samples on their way")
    if not found:
        say("nothing was counted in this time")
    return 1 if lost else 0
