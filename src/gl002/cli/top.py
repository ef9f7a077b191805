"""Live state of a running gateway: inputs, store and outputs, in a table that updates itself.

Examples:
  gl002 top
  gl002 top --once --json | jq '.outputs[] | {name, pending, error}'
"""

from __future__ import annotations

import argparse
import sys
import time

import msgspec

from gl002.cli.live import display
from gl002.cli.output import as_json
from gl002.cli.running import Running, state_dir_of
from gl002.cli.target import add_file
from gl002.flow.status import GatewayStatus


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--once", action="store_true", help="print once and exit")
    parser.add_argument("--json", action="store_true", help="for scripts: one status per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Show until stopped; the gateway's end is an error."""
    running = Running(state_dir_of(args.config, even_if_wrong=True))
    if args.json or args.once or not sys.stdout.isatty():
        while True:
            status = running.get("/api/status")
            if args.json:
                as_json(status)
            else:
                _print(msgspec.convert(status, GatewayStatus))
            if args.once:
                return 0
            time.sleep(1.0)
    return _watch(running)


def _print(status: GatewayStatus) -> None:
    from rich.console import Console

    Console().print(display(status))


def _watch(running: Running) -> int:
    from rich.live import Live

    with Live(screen=True, auto_refresh=False) as live:
        while True:
            status = msgspec.convert(running.get("/api/status"), GatewayStatus)
            live.update(display(status), refresh=True)
            time.sleep(0.5)
