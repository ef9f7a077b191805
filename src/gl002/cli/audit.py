"""Show the audit file (who did what to which point), and verify that nobody changed it.

Examples:
  gl002 audit show -n 20
  gl002 audit show --json | jq 'select(.action == "write")'
  gl002 audit verify                          exit 1 at the first broken entry
"""

from __future__ import annotations

import argparse
from collections import deque
from pathlib import Path

from gl002.cli.output import as_json, say, table
from gl002.cli.target import add_file
from gl002.errors import ConfigError
from gl002.security.audit import read, verify


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("action", choices=("show", "verify"))
    parser.add_argument("file", nargs="?", help="an audit file, default that of the configuration")
    parser.add_argument("-n", type=int, default=50, metavar="COUNT", help="newest entries to show")
    parser.add_argument("--json", action="store_true", help="for scripts: one entry per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Show the newest entries, or check the chain."""
    from gl002.cli.running import state_dir_of

    path = Path(args.file) if args.file else state_dir_of(args.config) / "audit.jsonl"
    if not path.exists():
        raise ConfigError(f"{path}: there is no audit file yet")
    if args.n < 0:
        raise ConfigError(f"-n {args.n}: 0 or more")
    return _verify(path) if args.action == "verify" else _show(path, args.n, json=args.json)


def _show(path: Path, count: int, *, json: bool) -> int:
    entries = deque(read(path), maxlen=count)
    if json:
        for entry in entries:
            as_json(entry)
        return 0
    known = {"seq", "time", "actor", "action", "subject", "prev", "hash"}
    table(
        ("no", "time (UTC)", "actor", "action", "subject", "details"),
        [
            (e["seq"], e["time"][:19], e["actor"], e["action"], e["subject"],
             "  ".join(f"{key}={value}" for key, value in e.items() if key not in known))
            for e in entries
        ],
    )  # fmt: skip
    return 0


def _verify(path: Path) -> int:
    broken = list(verify(path))
    for line, reason in broken:
        print(f"{path}:{line}: {reason}")
    if not broken:
        say(f"{path}: whole, {sum(1 for _ in read(path))} entries")
    return 1 if broken else 0
