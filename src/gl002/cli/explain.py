"""Follow one tag: where it comes from, what is done to it, what uses it, where it goes.

If the gateway runs, also its current value; if there is a ledger, what was delivered in the last
day. Connects to no device or server.

Examples:
  gl002 explain boiler1.steam_flow
  gl002 explain boiler1.oxygen -c plant.yaml
  gl002 explain boiler1.oxygen --json | jq .outputs
"""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from gl002.cli.moments import moment
from gl002.cli.output import as_json, say, shown
from gl002.cli.running import Running
from gl002.cli.target import add_file
from gl002.config.load import load
from gl002.errors import ConnectFailed
from gl002.flow.explaining import Explanation, explain
from gl002.flow.gateway import Gateway
from gl002.flow.ledger import Ledger

_COUNTS = ("expected", "bad", "delivered", "refused", "missing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("tag", metavar="TAG", help="name of the tag in the gateway")
    parser.add_argument("--json", action="store_true", help="for scripts: one document")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Explain; 1 where neither the file nor a running gateway knows the tag."""
    config = load(args.config)
    gateway = Gateway(config)
    told, now = explain(gateway, args.tag), _now(config.state_dir, args.tag)
    if now is None and not (told.source or told.used or args.tag in config.sections.tags):
        say(f"'{args.tag}' is no tag that {args.config} names; {_near(args.tag, gateway)}")
        return 1
    delivered = _delivered(config.state_dir, args.tag)
    if args.json:
        as_json({**msgspec.to_builtins(told), "now": now, "last_day": delivered})
        return 0
    for label, lines in _parts(told, now, delivered):
        for line in lines or ["-"]:
            print(f"  {label:11} {shown(line)}")
            label = ""  # noqa: PLW2901 (said once)
    return 0


def _near(name: str, gateway: Gateway) -> str:
    close = difflib.get_close_matches(name, list(gateway.context.tags), n=1)
    if close:
        return f"did you mean '{close[0]}'?"
    return "one whose name comes with its values is known while the gateway runs"


def _now(state_dir: Path, tag: str) -> dict[str, Any] | None:
    """The state of the tag in the gateway that runs; None where none does, or it has none."""
    try:
        found = Running(state_dir).get("/api/values", tag=[tag])
    except ConnectFailed:
        return None
    return next((state for state in found if state["tag"] == tag), None)


def _delivered(state_dir: Path, tag: str) -> list[dict[str, Any]]:
    """What each output had to deliver of it in the last day, and what it has."""
    sums: dict[str, dict[str, Any]] = {}
    for entry in Ledger(state_dir / "ledger.sqlite").entries(moment("24h"), moment("now")):
        if entry.tag == tag:
            of = sums.setdefault(
                entry.output, {"output": entry.output, **dict.fromkeys(_COUNTS, 0)}
            )
            for count in _COUNTS:
                of[count] += getattr(entry, count)
    return list(sums.values())


def _parts(
    told: Explanation, now: dict[str, Any] | None, delivered: list[dict[str, Any]]
) -> Iterator[tuple[str, list[str]]]:
    yield "tag", [f"{told.tag}  {told.description}".rstrip()]
    if now is not None:
        source, address, unit = now["source"], now["address"], now["unit"]
        age = "" if now["age_s"] is None else f", {now['age_s']:.1f} s old"
        value = "no value" if now["value"] is None else f"{shown(now['value'])} {unit}"
        yield "now", [f"{value}  {now['quality_name']}{age}"]
    else:
        source, address, unit = told.source, told.address, told.unit
    yield "comes from", [f"{source or 'unknown until it comes'}  {address}".rstrip()]
    yield "steps", told.steps or ["none: stored as it comes"]
    yield "stored in", [unit or "no unit known"]
    yield "used by", told.used
    yield "goes to", [f"{o.output}: {o.why}" for o in told.outputs if o.takes]
    if left := [f"{o.output}: {o.why}" for o in told.outputs if not o.takes]:
        yield "not to", left
    yield "writes", [told.writes]
    yield (
        "last day",
        [
            f"{of['output']}: {of['expected']:,} expected ({of['bad']:,} bad), {of['delivered']:,} "
            f"delivered, {of['refused']:,} refused, {of['missing']:,} on their way or missing"
            for of in delivered
        ],
    )
