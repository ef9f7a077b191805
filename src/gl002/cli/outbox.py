"""The outbox: work orders and documents for business systems, and their outcome.

Works whether the gateway runs or not; only a running gateway sends, within seconds of approval.

Examples:
  gl002 outbox list                           what waits, what failed, what was done last
  gl002 outbox list oracle --state waiting --json
  gl002 outbox show 17 --rehearse             what would be sent; sends nothing
  gl002 outbox approve 17
  gl002 outbox retry 18                       once the cause is fixed; searched for first
  gl002 outbox drop 19 --reason "done by hand"
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from datetime import timedelta

from gl002.action import Action
from gl002.cli.output import as_json, say, table
from gl002.cli.running import state_dir_of
from gl002.cli.target import add_file
from gl002.docket import Docket, Entry
from gl002.errors import ConfigError
from gl002.flow.outbox import ENDS, outbox_docket
from gl002.model import now_ns, to_datetime
from gl002.security.audit import Audit, user

_OPEN = ("waiting", "approved", "sending", "failed")
_BEFORE = {
    "approve": ("waiting",),
    "retry": ("failed", "sending"),
    "drop": ("waiting", "approved", "failed", "sending"),
}
"""What one can do -> states it may be in."""
_AFTER = {"approve": "approved", "retry": "approved", "drop": "dropped"}
_NEEDS_A_PERSON = frozenset({"waiting", "failed"})


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("action", choices=("list", "show", *_BEFORE))
    parser.add_argument(
        "names", nargs="*", metavar="WHAT",
        help="list: a connection; otherwise numbers or keys of actions",
    )  # fmt: skip
    parser.add_argument(
        "--state", action="append", choices=(*_OPEN, *ENDS), help="list: only those in this state"
    )
    parser.add_argument("--limit", type=int, default=50, help="list: the newest; default 50")
    parser.add_argument("--rehearse", action="store_true", help="show: what would be sent")
    parser.add_argument("--all", action="store_true", help="every action it applies to")
    parser.add_argument("--reason", default="", help="why; goes into the audit file")
    parser.add_argument("--json", action="store_true", help="for scripts: one action per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Do what was asked; `list` exits 1 where a person is waited for."""
    state_dir = state_dir_of(args.config)
    docket = outbox_docket(state_dir)
    if args.action == "list":
        return _list(docket, args)
    if not args.names and not (args.all and args.action in _BEFORE):
        say(f"gl002 outbox {args.action}: name actions by their numbers")
        return 64
    if args.action == "show":
        return _show(docket, args)
    return asyncio.run(_change(docket, Audit(state_dir / "audit.jsonl"), args))


# ---- looking ----------------------------------------------------------------------------------


def _list(docket: Docket, args: argparse.Namespace) -> int:
    subject = args.names[0] if args.names else None
    found = docket.list(args.state, subject=subject, limit=args.limit, newest=True)
    if args.json:
        for entry in found:
            as_json(_as_dict(entry))
    elif found:
        columns = ("no", "state", "what", "about", "since", "outcome")
        table(columns, [_row(entry) for entry in found])
        counts = docket.counts()
        say(", ".join(f"{counts[s]} {s}" for s in (*_OPEN, *ENDS) if s in counts))
    else:
        say("no actions")
    return 1 if any(entry.state in _NEEDS_A_PERSON for entry in found) else 0


def _row(entry: Entry) -> tuple[object, ...]:
    outcome = ": ".join(filter(None, (entry.number, entry.detail)))
    about = str(entry.body.get("text", ""))
    return (str(entry.id), entry.state, entry.subject, about, _when(entry.since), outcome)


def _when(nanoseconds: int) -> str:
    return to_datetime(nanoseconds).astimezone().strftime("%m-%d %H:%M")


def _as_dict(entry: Entry) -> dict[str, object]:
    return {
        "id": entry.id,
        "key": entry.key,
        "state": entry.state,
        "destination": entry.body["destination"],
        "action": entry.body["action"],
        "fields": entry.body["fields"],
        "dry_run": entry.body["dry_run"],
        "text": entry.body["text"],
        "made": to_datetime(entry.made).isoformat(),
        "since": to_datetime(entry.since).isoformat(),
        "expires": to_datetime(entry.expires).isoformat() if entry.expires else None,
        "tries": entry.tries,
        "actor": entry.actor,
        "number": entry.number,
        "detail": entry.detail,
    }


def _show(docket: Docket, args: argparse.Namespace) -> int:
    for entry in _named(docket, args.names):
        details = _as_dict(entry)
        if args.rehearse:
            details["rehearsal"] = asyncio.run(_rehearsed(args.config, entry))
        if args.json:
            as_json(details)
        else:
            fields = details.pop("fields")
            rows = [*details.items()]
            if isinstance(fields, dict):
                rows += [(f"fields.{name}", value) for name, value in fields.items()]
            table(("", ""), [(name, _text(value)) for name, value in rows])
    return 0


def _text(value: object) -> str:
    return "" if value is None else str(value)


async def _rehearsed(file: str, entry: Entry) -> str:
    """What the connector would send."""
    from gl002.config.load import load
    from gl002.flow.gateway import Gateway

    gateway = Gateway(load(file))
    connector = gateway.connectors.get(str(entry.body["destination"]))
    if connector is None:
        raise ConfigError(f"{file}: there is no connection '{entry.body['destination']}'")
    action = Action(key=entry.key, name=entry.body["action"], fields=entry.body["fields"])
    try:
        return await connector.rehearse(action)
    finally:
        await connector.close()
        await asyncio.to_thread(gateway.context.audit.close)


def _named(docket: Docket, names: list[str]) -> Iterator[Entry]:
    for name in names:
        entry = docket.get(name)
        if entry is None:
            raise ConfigError(f"there is no action '{name}'", hint="gl002 outbox list")
        yield entry


# ---- deciding ---------------------------------------------------------------------------------


async def _change(docket: Docket, audit: Audit, args: argparse.Namespace) -> int:
    """Approve, retry or drop; each on the audit file before it holds."""
    person, before, after = user(), _BEFORE[args.action], _AFTER[args.action]
    named = list(_named(docket, args.names))
    missed = 0
    try:
        for entry in named or docket.list(before, limit=10_000):
            if not _may(entry, args.action):
                say(f"{entry.id}: is {entry.state}{_too_late(entry)}: nothing was changed")
                missed += 1
                continue
            await audit.record(
                f"action.{after}" if args.action != "retry" else "action.retry", entry.subject,
                actor=person, key=entry.key, reason=args.reason or None,
            )  # fmt: skip
            detail = args.reason or ("" if args.action == "approve" else None)
            moved = docket.move(entry.key, before, after, actor=person, detail=detail)
            missed += moved is None
            _say(args, moved, entry)
    finally:
        await asyncio.to_thread(audit.close)
    return 1 if missed else 0


def _say(args: argparse.Namespace, moved: Entry | None, before: Entry) -> None:
    if args.json:
        as_json(_as_dict(moved or before))
    elif moved is None:
        say(f"{before.id}: has changed meanwhile: gl002 outbox show {before.id}")
    elif moved.state == "dropped" and before.tries:
        say(f"{moved.id}: dropped after {before.tries} tries: look there whether it was made")
    else:
        say(f"{moved.id}: {moved.state}")


def _may(entry: Entry, action: str) -> bool:
    return entry.state in _BEFORE[action] and not (action == "approve" and _too_late(entry))


def _too_late(entry: Entry) -> str:
    """That what caused it does not hold any more, where it does not."""
    over = now_ns() - entry.expires
    if not entry.expires or over < 0:
        return ""
    return f", and expired {timedelta(seconds=over // 1_000_000_000)} ago"
