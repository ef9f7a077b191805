"""Dead letters: samples a destination refused for good, with its reason.

Works whether the gateway runs or not; a running gateway retries within seconds.

Examples:
  gl002 dlq list
  gl002 dlq list timescale --json
  gl002 dlq retry timescale                   once the cause is fixed
  gl002 dlq export timescale > refused.csv
  gl002 dlq drop timescale --id 17 --id 18
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from gl002.cli.output import as_json, harmless, sample_json, say, table
from gl002.cli.running import state_dir_of
from gl002.cli.target import add_file
from gl002.config.load import load
from gl002.config.problems import near
from gl002.errors import ConfigError
from gl002.flow.deadletter import DeadLetters, Letter
from gl002.model import quality_name, to_datetime

_PAGE = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("action", choices=("list", "retry", "export", "drop"))
    parser.add_argument("output", nargs="?", help="this output only")
    parser.add_argument("--id", type=int, action="append", metavar="ID", help="only this letter")
    parser.add_argument("--all", action="store_true", help="retry or drop all letters")
    parser.add_argument(
        "--limit", type=int, default=100, help="letters to list at most, default 100"
    )
    parser.add_argument("--json", action="store_true", help="for scripts: one letter per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Do what was asked; `list` and `export` exit 1 where there are letters."""
    letters = DeadLetters(state_dir_of(args.config) / "deadletters.sqlite")
    if args.output and not letters.count(args.output):
        _must_exist(args.output, args.config)
    if args.action == "list":
        return _list(letters, args)
    if args.action == "export":
        return _export(letters, args.output)
    if not (args.output or args.id or args.all):
        say(f"gl002 dlq {args.action}: name an output, letters by --id, or --all")
        return 64
    change = letters.retry if args.action == "retry" else letters.drop
    done = {"retry": "will be tried again", "drop": "dropped"}[args.action]
    say(f"{change(args.output, args.id)} letters {done}")
    return 0


def _must_exist(output: str, config: str) -> None:
    """A misspelt output has no letters, which would pass for good news."""
    if not Path(config).exists():
        return
    names = [settings.name or connection for connection, settings in load(config).outputs]
    if output not in names:
        raise ConfigError(f"there is no output '{output}'", hint=near(output, names))


def _list(letters: DeadLetters, args: argparse.Namespace) -> int:
    found = letters.list(args.output, limit=args.limit)
    if args.json:
        for letter in found:
            as_json(_as_dict(letter))
    elif found:
        columns = ("id", "output", "tag", "value", "time", "tries", "reason", "")
        table(
            columns,
            [
                (x.id, x.output, x.sample.tag, x.sample.value,
                 to_datetime(x.sample.time).isoformat(), x.tries, x.reason,
                 "waits for another try" if x.again else "")
                for x in found
            ],
        )  # fmt: skip
        say(f"{letters.count(args.output)} dead letters")
    else:
        say("no dead letters")
    return 1 if found else 0


def _as_dict(letter: Letter) -> dict[str, object]:
    return {
        "id": letter.id,
        "output": letter.output,
        **sample_json(letter.sample),
        "reason": letter.reason,
        "first_tried": to_datetime(letter.first_tried).isoformat(),
        "last_tried": to_datetime(letter.last_tried).isoformat(),
        "tries": letter.tries,
        "again": letter.again,
    }


def _export(letters: DeadLetters, output: str | None) -> int:
    """CSV for a spreadsheet; text that a spreadsheet would run as a formula is made harmless."""
    writer = csv.writer(sys.stdout)
    writer.writerow(("id", "output", "tag", "value", "time", "quality", "reason"))
    for letter in _every(letters, output):
        sample = letter.sample
        writer.writerow(
            harmless(cell)
            for cell in (
                letter.id, letter.output, sample.tag, sample.value,
                to_datetime(sample.time).isoformat(), quality_name(sample.quality), letter.reason,
            )
        )  # fmt: skip
    return 0


def _every(letters: DeadLetters, output: str | None) -> Iterator[Letter]:
    after = 0
    while page := letters.list(output, limit=_PAGE, after=after):
        yield from page
        after = page[-1].id
