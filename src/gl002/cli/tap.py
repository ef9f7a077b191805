"""Live values of a running gateway at any stage: as received, as accepted, as delivered.

Examples:
  gl002 tap                                   everything that is accepted
  gl002 tap "boiler1.*" --stage source        before scaling, units and limits
  gl002 tap --stage output:timescale --json   what that output has delivered
"""

from __future__ import annotations

import argparse
import time

from gl002.cli.output import as_json, say, shown
from gl002.cli.running import Running, state_dir_of
from gl002.cli.target import add_file


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("tags", nargs="*", metavar="TAG", help="only these; * for any characters")
    parser.add_argument(
        "--stage", default="store", metavar="STAGE", help="source, store (default), output:<name>"
    )
    parser.add_argument(
        "--for", dest="seconds", type=float, metavar="S", help="stop after S seconds"
    )
    parser.add_argument("--json", action="store_true", help="for scripts: one value per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Print until stopped or the gateway ends."""
    deadline = time.monotonic() + args.seconds if args.seconds else None
    running = Running(state_dir_of(args.config, even_if_wrong=True))
    for name, data in running.events("/api/stream", stage=args.stage, tag=args.tags):
        if name == "batch":
            for value in data:
                _print(value, json=args.json)
        elif name == "missed":
            say(f"... {data} values not shown: too many to keep up")
        if deadline is not None and time.monotonic() > deadline:
            return 0
    return 0


def _print(value: dict[str, object], *, json: bool) -> None:
    if json:
        as_json(value)
        return
    quality = "" if value["quality"] == 0 else f"  {value['quality_name']}"
    unit = f" {value['unit']}" if value.get("unit") else ""
    print(shown(f"{str(value['time'])[11:23]}  {value['tag']} = {value['value']}{unit}{quality}"))
