"""Browse a server: what there is to read, with types and units.

Examples:
  gl002 browse opc.tcp://10.0.0.5:4840
  gl002 browse opc.tcp://10.0.0.5:4840 "ns=2;s=Boiler1" --depth 3 --match "*flow*"
  gl002 browse opc_ua.primary -c integrations.yaml --json
  gl002 browse opc.tcp://10.0.0.5:4840 --yaml > integrations.yaml     a configuration to review
  gl002 browse opc.tcp://10.0.0.5:4840 --diff integrations.yaml       what has changed since
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from gl002.cli.output import as_json, say, shown, table
from gl002.cli.proposal import as_yaml
from gl002.cli.target import add_target, configured, opened, with_connector
from gl002.connector import Connector, Drift, Found, first_of

_LISTED, _LISTED_DEEP = 1000, 2
_SURVEYED, _SURVEYED_DEEP = 100_000, 20
_MARKS = {"new": "+", "gone": "-", "changed": "~"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)
    parser.add_argument("address", nargs="?", default="", help="where to start, default the top")
    parser.add_argument(
        "--depth", type=int, help="levels to go down, default 2; 20 with --yaml and --diff"
    )
    parser.add_argument(
        "--limit", type=int, help="items at most, default 1000; 100000 with --yaml and --diff"
    )
    parser.add_argument(
        "--match", metavar="PATTERN", action="append", default=[],
        help="only items whose path matches, ignoring case; '*' stands for any characters",
    )  # fmt: skip
    parser.add_argument("--type", action="append", default=[], help="only this data type: Double")
    parser.add_argument("--writable", action="store_true", help="only what can be written")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for scripts: one item per line")
    form.add_argument("--yaml", action="store_true", help="an integrations.yaml that reads it all")
    form.add_argument("--diff", metavar="FILE", help="what differs from FILE; exits 1 if anything")


def run(args: argparse.Namespace) -> int:
    """Browse and print; exits 1 where nothing was found, or where anything differs."""
    survey = args.yaml or args.diff is not None
    depth = args.depth or (_SURVEYED_DEEP if survey else _LISTED_DEEP)
    limit = args.limit or (_SURVEYED if survey else _LISTED)
    result: list[Drift] = []
    text = ""

    async def browse(connector: Connector[Any]) -> list[Found]:
        nonlocal result, text
        met = await first_of(connector.browse(args.address, depth=depth), limit)
        found = [thing for thing in met if _wanted(thing, args)]
        if args.diff is not None:
            result = list(await connector.drift(found))
        elif args.yaml:
            about = connector.settings_of(args.target) if "://" in args.target else {}
            text = as_yaml(connector, about, found)
        if len(met) >= limit:
            say(f"stopped after {limit} things: --limit")
        return found

    chosen = opened(args) if args.diff is None else configured(args.diff, args.target)
    found = with_connector(chosen, browse)
    if args.diff is not None:
        return _tell(result)
    if args.yaml:
        print(text, end="")
    elif args.json:
        for thing in found:
            as_json(thing)
    else:
        _list(found)
    return 0 if found else 1


def _wanted(thing: Found, args: argparse.Namespace) -> bool:
    path = (thing.path or thing.name).casefold()
    return (
        (not args.match or any(fnmatchcase(path, p.casefold()) for p in args.match))
        and (not args.type or thing.type in args.type)
        and (thing.writable or not args.writable)
    )


def _list(found: Sequence[Found]) -> None:
    table(
        ("address", "path", "type", "unit", "writable", "description"),
        [(f.address, f.path or f.name, f.type, f.unit, f.writable, f.description) for f in found],
    )
    say(f"{len(found)} found")


def _tell(drift: Sequence[Drift]) -> int:
    for one in drift:
        print(f"{_MARKS[one.what]} {shown(one.tag)}: {shown(one.detail)}")
    counts = [f"{sum(d.what == what for d in drift)} {what}" for what in _MARKS]
    say(", ".join(counts) if drift else "nothing has changed")
    return 1 if drift else 0
