"""The connectors this version has, what each can do, and whether its driver is installed.

Examples:
  gl002 connectors
  gl002 connectors --json | jq '.[] | select(.installed | not)'
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from typing import Any

from gl002.cli.output import as_json, table
from gl002.errors import install_line
from gl002.registry import connector, entry, kinds


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("--json", action="store_true", help="for scripts")


def run(args: argparse.Namespace) -> int:
    """Print the table."""
    rows = [_about(kind) for kind in kinds()]
    if args.json:
        as_json(rows)
        return 0
    table(
        ("kind", "what", "can", "input", "output", "install"),
        [
            (
                row["kind"],
                row["summary"],
                " ".join(row["can"]),
                row["input"],
                row["output"],
                "" if row["installed"] else install_line(row["kind"]),
            )
            for row in rows
        ],
    )
    return 0


def _about(kind: str) -> dict[str, Any]:
    known, cls = entry(kind), connector(kind)
    return {
        "kind": kind,
        "summary": known.summary,
        "can": [(ability.name or "").lower() for ability in cls.can],
        "input": cls.Input is not None,
        "output": cls.Output is not None,
        "actions": {name: sorted(form.model_fields) for name, form in cls.actions.items()},
        "installed": not known.driver or find_spec(known.driver) is not None,
    }
