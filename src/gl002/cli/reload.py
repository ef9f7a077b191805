"""Apply a changed configuration to a running gateway, without a restart.

Only the inputs that the change touches restart; all others keep their sessions and miss nothing.
If the change needs a restart (outputs, the store, the dashboard, writes), the gateway says what
needs it and goes on as before. The same happens on SIGHUP ('systemctl reload').

Examples:
  gl002 reload
  gl002 reload integrations.yaml --json
"""

from __future__ import annotations

import argparse
import os
import signal
import time

from gl002.cli.output import as_json, say
from gl002.cli.target import DEFAULT_FILE
from gl002.errors import ConfigError, RequestTimeout

_PATIENCE = 60.0  # seconds for sources to end
_LOOK = 0.2


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("file", nargs="?", default=DEFAULT_FILE, help=f"default {DEFAULT_FILE}")
    parser.add_argument("--json", action="store_true", help="the outcome for scripts")


def run(args: argparse.Namespace) -> int:
    """0 when it was taken up, 78 when it was not."""
    from gl002.cli.running import Running
    from gl002.config.load import load

    state_dir = load(args.file).state_dir  # its mistakes are said here, before anything is sent
    gateway = Running(state_dir)
    before = gateway.get("/api/status")["loaded"]["time"]
    os.kill(gateway.pid, signal.SIGHUP)
    deadline = time.monotonic() + _PATIENCE
    while (loaded := gateway.get("/api/status")["loaded"])["time"] == before:
        if time.monotonic() > deadline:
            raise RequestTimeout(
                f"the gateway has not taken up {args.file} after {_PATIENCE:g} s",
                hint="what does its log say?",
            )
        time.sleep(_LOOK)
    if loaded["error"]:
        raise ConfigError(loaded["error"])  # with its hint
    if args.json:
        as_json(loaded)
    else:
        say(
            f"{args.file} is taken up: {loaded['begun']} inputs begun, {loaded['ended']} ended, "
            f"{loaded['kept']} go on"
        )
    return 0
