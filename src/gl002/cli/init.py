"""Propose a 'boilers:' section for a server: which tag plays which role, by name and unit.

It only reads names and units. A role that two tags fit equally well is left open; so is wet or dry
oxygen, unless a name tells. Read it, complete it, then run gl002 check.

Examples:
  gl002 init --from opc.tcp://10.0.0.5:4840
  gl002 init --from opc_ua.primary --depth 6 > boilers.yaml
  gl002 init --from sqlite:/var/lib/gl002/history.sqlite --json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

from gl002.boiler.naming import Proposal, Thing, propose
from gl002.cli.output import as_json, say
from gl002.cli.target import add_file, opened, with_connector
from gl002.connector import Connector, Found, first_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument(
        "--from", dest="target", required=True, metavar="TARGET",
        help="a URL (opc.tcp://host:4840) or a connection of the file",
    )  # fmt: skip
    add_file(parser)
    parser.add_argument("--depth", type=int, default=5, help="levels to go down, default 5")
    parser.add_argument("--limit", type=int, default=5000, help="items to look at, at most")
    parser.add_argument("--json", action="store_true", help="for scripts: one boiler per line")


def run(args: argparse.Namespace) -> int:
    """Browse, propose and print; exits 1 where nothing looks like a boiler."""

    async def browse(connector: Connector[Any]) -> list[Found]:
        return await first_of(connector.browse("", depth=args.depth), args.limit)

    found = with_connector(opened(args), browse)
    addresses = {thing.name: thing.address for thing in found if thing.type or thing.unit}
    proposals = propose(
        Thing(each.name, f"{each.path or each.name} {each.description}", each.unit)
        for each in found
        if each.name in addresses
    )
    for proposal in proposals:
        if args.json:
            as_json(_plain(proposal, addresses))
    if not args.json and proposals:
        print("\n".join(_yaml(proposals, addresses)))
    say(f"{len(found)} things looked at, {len(proposals)} boilers proposed")
    return 0 if proposals else 1


def _plain(proposal: Proposal, addresses: dict[str, str]) -> dict[str, Any]:
    return {
        "boiler": proposal.boiler,
        "roles": {
            role: {"tag": thing.name, "address": addresses[thing.name], "unit": thing.unit}
            for role, thing in proposal.roles.items()
        },
        "oxygen_basis": proposal.basis,
        "open": {role: [t.name for t in things] for role, things in proposal.open.items()},
    }


def _yaml(proposals: list[Proposal], addresses: dict[str, str]) -> Iterator[str]:
    yield "boilers:"
    for each in proposals:
        yield f"  {each.boiler}:"
        for role, thing in each.roles.items():
            value = f'"{thing.name}"'
            if role == "oxygen":
                basis = each.basis or '"wet or dry?"'
                value = f"{{tag: {value}, basis: {basis}}}"
            unit = f", {thing.unit}" if thing.unit else ""
            yield f"    {role}: {value}  # {addresses[thing.name]}{unit}"
        for role, things in each.open.items():
            names = ", ".join(thing.name for thing in things)
            yield f"    # {role}: one of {names}"
