"""Write a configured point: checked, shown, confirmed by you, sent once, read back, recorded.

Off unless `writes.mode` says otherwise; only points listed under `writes.points`.

Examples:
  gl002 write b1.o2_setpoint 3.1 --reason "excess air above curve"
  gl002 write b1.o2_setpoint 3.1 --check      what would be decided; sends nothing
  gl002 write b1.supply_setpoint --relinquish take back what was written (BACnet)
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from typing import TYPE_CHECKING

from gl002.cli.output import as_json, say, shown, table
from gl002.cli.target import add_file

if TYPE_CHECKING:
    from gl002.flow.gateway import Gateway
    from gl002.writes.guard import Plan, Result


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("point", help="id of a point under writes.points")
    parser.add_argument("value", type=float, nargs="?")
    parser.add_argument(
        "--relinquish", action="store_true", help="take back what was written; takes no value"
    )
    parser.add_argument("--unit", default="", help="unit of the value, default the point's own")
    parser.add_argument("--reason", default="", help="why; goes into the audit file")
    parser.add_argument("--check", action="store_true", help="only show what would be decided")
    parser.add_argument("--yes", action="store_true", help="confirm without asking")
    parser.add_argument("--json", action="store_true", help="for scripts; needs --check or --yes")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Check, ask, write; exits 1 where the outcome is anything but read back."""
    from gl002.config.load import load
    from gl002.flow.gateway import Gateway

    if (args.value is None) is not args.relinquish:
        say(f"gl002 write {args.point}: give either a value or --relinquish")
        return 64
    return asyncio.run(_session(args, Gateway(load(args.config))))


async def _session(args: argparse.Namespace, gateway: Gateway) -> int:
    from gl002.security.audit import user
    from gl002.writes.guard import WriteRequest

    person = user()
    request = WriteRequest(args.point, args.value, args.unit, person, args.reason)
    guard = gateway.guard()
    try:
        plan = await guard.check(request)
        if args.check or not args.json:  # for scripts there is one thing a line
            show_plan(plan, json=args.json)
        if args.check:
            return 0 if plan.ok else 1
        by = person if args.yes or (plan.ok and confirmed(plan)) else ""
        result = await guard.operate(plan, confirmed_by=by)
    finally:
        for connector in gateway.connectors.values():
            await connector.close()
        await asyncio.to_thread(gateway.context.audit.close)
    show_result(plan, result, json=args.json)
    return 0 if result.outcome in {"read_back_ok", "relinquished", "dry_run"} else 1


def show_plan(plan: Plan, *, json: bool) -> None:
    """What would be written, and every check."""
    if json:
        current = plan.current.value if plan.current else None
        checks = [check._asdict() for check in plan.checks]
        as_json({"ok": plan.ok, "value": plan.value, "current": current, "checks": checks})
        return
    now = shown(plan.current.value) if plan.current else "?"
    value = (
        "to be taken back" if plan.value is None else f"proposed {exact(plan.value)} {plan.unit}"
    )
    say(f"{plan.request.point}: now {now} {plan.unit}, {value}")
    rows = [("ok" if check.ok else "NO", check.code, check.detail) for check in plan.checks]
    table(("", "check", "detail"), rows)


def confirmed(plan: Plan) -> bool:
    """Whether the person at the keyboard types the value."""
    if not sys.stdin.isatty():
        say("nobody to ask: confirm with --yes")
        return False
    word, what = ("relinquish", "take it back") if plan.value is None else (
        exact(plan.value), "write it"
    )  # fmt: skip
    return input(f"Type {word} to {what}: ").strip() == word


def exact(value: float) -> str:
    """A value to decide on: nothing of it is rounded away but what a conversion left behind."""
    return f"{value:.12g}"


def show_result(plan: Plan, result: Result, *, json: bool) -> None:
    """What became of it, in words."""
    if json:
        as_json(result._asdict())
        return
    words = {
        "dry_run": "dry run: nothing was sent",
        "read_back_ok": f"written; the point now has {shown(result.after)} {plan.unit}",
        "relinquished": f"taken back; {_seen(result, plan)}",
        "read_back_differs": f"sent, but it has {shown(result.after)} {plan.unit}: look there",
        "unknown": f"sent, but there was no answer: {shown(result.detail)}. Nobody knows whether "
        f"it was written: look there; {_seen(result, plan)}. It is not repeated",
    }
    say(words[result.outcome])


def _seen(result: Result, plan: Plan) -> str:
    if result.after is None:
        return "the point cannot be read"
    return f"the point now reads {shown(result.after)} {plan.unit}"
