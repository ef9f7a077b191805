"""Certificates of OPC UA connections: our own, trusted, rejected.

Examples:
  gl002 pki init                              make our own certificate, and show it
  gl002 pki list
  gl002 pki trust 3f:9a:...                   trust a server whose certificate was rejected
  gl002 pki reject 3f:9a:...
  gl002 pki renew                             renew our own; servers must trust the new one
"""

from __future__ import annotations

import argparse
from dataclasses import asdict

from gl002.cli.output import as_json, say, table
from gl002.cli.running import state_dir_of
from gl002.cli.target import add_file
from gl002.security.pki import Card, Pki

_NEEDS_THUMBPRINT = {"trust", "reject"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.add_argument("action", choices=("init", "list", "trust", "reject", "renew"))
    parser.add_argument("thumbprint", nargs="?", help="of the certificate, as listed")
    parser.add_argument("--host", default="", help="name of this machine in our own certificate")
    parser.add_argument("--json", action="store_true", help="for scripts: one certificate per line")
    add_file(parser)


def run(args: argparse.Namespace) -> int:
    """Do what was asked, then show the certificates concerned."""
    pki = Pki(state_dir_of(args.config) / "pki")
    if args.action in _NEEDS_THUMBPRINT and not args.thumbprint:
        say(f"gl002 pki {args.action}: which one? gl002 pki list shows the thumbprints")
        return 64
    if args.action == "trust":
        cards = [pki.trust(args.thumbprint)]
    elif args.action == "reject":
        cards = [pki.reject(args.thumbprint)]
    else:
        if args.action == "init":
            pki.init(host=args.host)
        elif args.action == "renew":
            pki.renew(host=args.host)
        cards = list(pki.list())
    _show(cards, json=args.json)
    return 0


def _show(cards: list[Card], *, json: bool) -> None:
    if json:
        for card in cards:
            as_json({**asdict(card), "path": str(card.path)})
        return
    table(
        ("place", "subject", "application", "valid until", "thumbprint"),
        [
            (c.place, c.subject, c.application_uri, f"{c.not_after:%Y-%m-%d}", c.thumbprint)
            for c in cards
        ],
        whole=("thumbprint",),
    )
