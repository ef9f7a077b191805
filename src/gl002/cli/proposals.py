"""Writes to the plant that a cloud, a broker or a host proposes: a person decides on each.

Works whether the gateway runs or not. An approved proposal is checked, sent once and read
back, like `gl002 write`. Nothing is written without approval; undecided proposals expire.

Examples:
  gl002 proposals list
  gl002 proposals show 3                      who asks, and what the checks say now
  gl002 proposals approve 3 --reason "agreed with the shift"
  gl002 proposals reject 3 --reason "burner is being tuned"
"""

from __future__ import annotations

import argparse
import asyncio
from typing import TYPE_CHECKING, get_args

from gl002.cli.output import as_json, say, shown, table
from gl002.cli.target import add_file
from gl002.cli.write import confirmed, exact, show_plan, show_result
from gl002.errors import ConfigError
from gl002.model import now_ns, to_datetime
from gl002.proposal import ProposalState
from gl002.security.audit import user

if TYPE_CHECKING:
    from gl002.docket import Docket, Entry
    from gl002.flow.gateway import Gateway


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("action", choices=("list", "show", "approve", "reject"))
    parser.add_argument("id", nargs="?", help="number of a proposal")
    states = [state for state in get_args(ProposalState) if state != "refused"]
    parser.add_argument(
        "--state", action="append", choices=states, help="list: only those in this state"
    )
    parser.add_argument("--limit", type=int, default=50, help="list: the newest; default 50")
    parser.add_argument("--reason", default="", help="why; goes into the audit file")
    parser.add_argument("--yes", action="store_true", help="approve: confirm without asking")
    parser.add_argument("--json", action="store_true", help="for scripts; approve needs --yes")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Do what was asked; `list` exits 1 where one waits, the others where it did not succeed."""
    from gl002.config.load import load
    from gl002.flow.gateway import Gateway
    from gl002.writes.proposals import proposal_docket

    if args.action != "list" and not args.id:
        say(f"gl002 proposals {args.action}: name a proposal by its number")
        return 64
    config = load(args.config)
    docket = proposal_docket(config.state_dir, config.sections.writes)
    return asyncio.run(_session(args, Gateway(config), docket))


async def _session(args: argparse.Namespace, gateway: Gateway, docket: Docket) -> int:
    try:
        await gateway.proposals.settle()
        if args.action == "list":
            return _list(docket, args)
        entry = docket.get(args.id)
        if entry is None:
            raise ConfigError(f"there is no proposal '{args.id}'", hint="gl002 proposals list")
        if args.action == "show":
            return await _show(entry, gateway, json=args.json)
        if args.action == "reject":
            person = user()
            done = await gateway.proposals.reject(entry, person=person, reason=args.reason)
            return _told(docket, entry, done=done, json=args.json)
        return await _approve(entry, gateway, docket, args)
    finally:
        for connector in gateway.connectors.values():
            await connector.close()
        await asyncio.to_thread(gateway.context.audit.close)


def _list(docket: Docket, args: argparse.Namespace) -> int:
    found = docket.list(args.state, limit=args.limit, newest=True)
    if args.json:
        for entry in found:
            as_json(_as_dict(entry))
    elif found:
        table(
            ("no", "state", "point", "value", "from", "reason", "left or outcome"),
            [
                (str(e.id), e.state, e.subject,
                 f"{exact(e.body['value'])} {e.body['unit']}".strip(), _asker(e),
                 e.body["reason"], _left(e) or e.detail)
                for e in found
            ],
        )  # fmt: skip
    else:
        say("no proposals")
    return 1 if any(entry.state == "waiting" for entry in found) else 0


def _asker(entry: Entry) -> str:
    return ": ".join(filter(None, (entry.body["origin"], entry.body["asker"])))


def _left(entry: Entry) -> str:
    seconds = max(0, entry.expires - now_ns()) // 1_000_000_000
    return f"{seconds // 60} min {seconds % 60} s" if entry.state == "waiting" else ""


def _as_dict(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "state": entry.state,
        "point": entry.subject,
        **{key: entry.body[key] for key in ("value", "unit", "origin", "asker", "reason")},
        "message": entry.body["id"],
        "made": to_datetime(entry.made).isoformat(),
        "expires": to_datetime(entry.expires).isoformat(),
        "actor": entry.actor,
        "detail": entry.detail,
    }


async def _show(entry: Entry, gateway: Gateway, *, json: bool) -> int:
    """The proposal, and for one that waits what the guard says of it now."""
    plan = None
    if entry.state == "waiting":
        plan = await gateway.proposals.plan(entry, gateway.guard())
    if json:
        checks = [] if plan is None else [check._asdict() for check in plan.checks]
        as_json({**_as_dict(entry), "checks": checks})
        return 0
    table(("", ""), [(name, str(value)) for name, value in _as_dict(entry).items()])
    if plan is not None:
        show_plan(plan, json=False)
    return 0


async def _approve(
    entry: Entry, gateway: Gateway, docket: Docket, args: argparse.Namespace
) -> int:  # fmt: skip
    if entry.state != "waiting":
        return _told(docket, entry, done=False, json=args.json)
    person, guard = user(), gateway.guard()
    plan = await gateway.proposals.plan(entry, guard, reason=args.reason)
    if not args.json:
        say(f"asked for by {shown(_asker(entry))}")
        show_plan(plan, json=False)
    if not plan.ok:
        say("it goes on waiting: as it is, the write would be refused")
        return 1
    if not args.yes and not confirmed(plan):
        say("not confirmed: it goes on waiting")
        return 1
    done = await gateway.proposals.approve(entry, plan, guard, person=person)
    if done is None:
        return _told(docket, entry, done=False, json=args.json)
    show_result(plan, done[1], json=args.json)
    return 0 if done[0].state in {"written", "rehearsed"} else 1


def _told(docket: Docket, entry: Entry, *, done: bool, json: bool) -> int:
    now = docket.get(entry.key) or entry
    if json:
        as_json(_as_dict(now))
    else:
        unchanged = "" if done else "nothing was changed: it is "
        say(f"{now.id}: {unchanged}{now.state}: {shown(now.detail)}")
    return 0 if done else 1
