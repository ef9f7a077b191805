"""Look around in a server: what there is to read, with types and units.

Examples:
  gl002 browse opc.tcp://10.0.0.5:4840
  gl002 browse opc.tcp://10.0.0.5:4840 "ns=2;s=Boiler1" --depth 3
  gl002 browse opc_ua.primary -c integrations.yaml --json
"""

from __future__ import annotations

import argparse
from typing import Any

from gl002.cli.output import as_json, say, table
from gl002.cli.target import add_target, opened, with_connector
from gl002.connector import Connector, Found, first_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_target(parser)
    parser.add_argument("address", nargs="?", default="", help="where to start; the top otherwise")
    parser.add_argument("--depth", type=int, default=2, help="levels to go down, default 2")
    parser.add_argument("--limit", type=int, default=1000, help="most things to list, default 1000")
    parser.add_argument("--json", action="store_true", help="for scripts: one thing a line")


def run(args: argparse.Namespace) -> int:
    """Browse and print; exits 1 where nothing was found."""

    async def browse(connector: Connector[Any]) -> list[Found]:
        return await first_of(connector.browse(args.address, depth=args.depth), args.limit)

    found = with_connector(opened(args), browse)
    if args.json:
        for thing in found:
            as_json(thing)
    else:
        table(
            ("address", "path", "type", "unit", "writable", "description"),
            [
                (f.address, f.path or f.name, f.type, f.unit, f.writable, f.description)
                for f in found
            ],
        )
        say(
            f"{len(found)} found"
            + (", more not shown: --limit" if len(found) >= args.limit else "")
        )
    return 0 if found else 1
