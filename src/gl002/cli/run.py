"""Run the gateway on an integrations.yaml until it is stopped with Ctrl-C or SIGTERM.

On a stop it accepts nothing more, keeps delivering for at most `gateway.drain` seconds and ends.
What could not be delivered waits in the store for the next start.

Examples:
  gl002 run integrations.yaml
  gl002 run integrations.yaml -v              with more log messages
"""

from __future__ import annotations

import argparse

from gl002.cli.target import DEFAULT_FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", default=DEFAULT_FILE, help=f"default {DEFAULT_FILE}")


def run(args: argparse.Namespace) -> int:
    """Run until stopped; 0 after a stop in good order."""
    import asyncio

    from gl002.cli.output import say
    from gl002.cli.service import run_until_stopped, serve
    from gl002.config.load import load
    from gl002.errors import ConfigError
    from gl002.flow.gateway import Gateway

    config = load(args.file)
    if not config.inputs:
        raise ConfigError(
            f"{args.file}: integrations.data_flow.input is empty, so there is nothing to do",
            hint="add '- source: ...' there",
        )
    gateway = Gateway(config)
    say(f"gl002 runs on {args.file}; state in {config.state_dir}")
    try:
        run_until_stopped(serve(gateway, announce=lambda url: say(f"dashboard: {url}")))
    except asyncio.CancelledError:
        return 130
    return 0
