"""The command line: one file per command, loaded when it is called."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from gl002 import __version__
from gl002.errors import (
    AuthFailed,
    ConfigError,
    ConnectFailed,
    ConnectorError,
    GL002Error,
    NotAllowed,
    RequestTimeout,
    WriteRefused,
)

COMMANDS = {
    "demo": "a simulated boiler house and the gateway on this machine, in one command",
    "run": "run the gateway on an integrations.yaml",
    "reload": "apply a changed configuration to a running gateway",
    "check": "check an integrations.yaml; with --online also its devices and servers",
    "schema": "print the JSON Schema of integrations.yaml, for your editor",
    "connectors": "list the connectors, what they can do, and how to install them",
    "browse": "browse a server: what there is to read",
    "read": "read values once",
    "modbus": "commission Modbus devices: scan, read, doctor",
    "write": "write a configured point, after checks and confirmation",
    "proposals": "writes that clouds and hosts propose: list, show, approve, reject",
    "outbox": "work orders and documents: list, show, approve, retry, drop",
    "tap": "live values of a running gateway, at any stage",
    "explain": "follow one tag: source, steps, users, outputs, current value",
    "top": "live state of a running gateway: inputs, store, outputs",
    "history": "recorded values: query, export to CSV or Parquet",
    "backfill": "copy history from a connector into an output, resumable",
    "ledger": "samples expected and delivered, by tag and hour",
    "dlq": "dead letters: list, retry, export, drop",
    "init": "propose a 'boilers:' section from the names and units of a server",
    "losses": "where each boiler's fuel went, from stored history",
    "advise": "what to do about the boilers, with savings, from stored history",
    "whatif": "recompute stored history with another oxygen or temperature",
    "learn": "learn what is normal for a boiler from a period when all was well",
    "savings": "verify the savings since a measure against the baseline learned before it",
    "report": "monthly report of the boilers, as HTML with plots or PDF",
    "pki": "certificates: our own, trusted, rejected",
    "audit": "show and verify the audit file",
    "sim": "the simulated boiler house alone, over OPC UA and Modbus TCP",
}

_EXAMPLES = """
examples:
  gl002 demo                                  see it work, without a plant
  gl002 check integrations.yaml --online      find mistakes before it runs
  gl002 run integrations.yaml                 run the gateway
  gl002 browse opc.tcp://10.0.0.5:4840        what is there to read

exit codes: 0 ok, 1 findings, 64 wrong usage, 69 device or server unavailable, 74 file or disk,
75 already running, 77 access denied, 78 configuration
"""

_EXIT_CODES: Sequence[tuple[type[GL002Error], int]] = (
    (ConfigError, 78),
    (AuthFailed, 77),
    (NotAllowed, 77),
    (WriteRefused, 77),
    (ConnectFailed, 69),
    (RequestTimeout, 69),
    (ConnectorError, 69),
)


class Parser(argparse.ArgumentParser):
    """argparse with sysexits' code for wrong usage."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and how to ask for help; ends the program with 64."""
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {message}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = next((a for a in arguments if not a.startswith("-")), "")
    try:
        args = _parser(name).parse_args(arguments)  # loads the command: seconds on a small machine
        _set_up_logging(args.verbose)
        return _carried_out(args)
    except GL002Error as error:
        return _explained(error)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        _write_no_more()
        return 0
    except OSError as error:
        _write_no_more()
        return _out_of_reach(error)


def _carried_out(args: argparse.Namespace) -> int:
    code = int(args.run(args))
    if sys.stdout is not None:
        sys.stdout.flush()  # here, where it can still be said that there was no room
    return code


def _write_no_more() -> None:
    """What is still to be printed goes nowhere: printing it would fail again."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _out_of_reach(error: OSError) -> int:
    """A file that may not be read or written, a folder that is not there, a full disk."""
    where = f"{error.filename}: " if error.filename else ""
    print(f"{where}{error.strerror or str(error) or type(error).__name__}", file=sys.stderr)
    logging.getLogger("gl002.cli").info("where it happened", exc_info=error)
    return 74


def _parser(command: str) -> Parser:
    """The parser, with the arguments of the one command that is called."""
    parser = Parser(
        prog="gl002",
        description="Integration gateway for boiler houses.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"gl002 {__version__}")
    common = Parser(add_help=False)
    common.add_argument("-v", "--verbose", action="count", default=0, help="log more; twice: all")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, summary in COMMANDS.items():
        called = name == command
        module: Any = import_module(f"gl002.cli.{name}") if called else None
        sub = commands.add_parser(
            name,
            help=summary,
            description=(module.__doc__ if module else summary),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            parents=[common],
        )
        if module is not None:
            module.add_arguments(sub)
            sub.set_defaults(run=module.run)
    return parser


class _Lines(logging.Formatter):
    """Log lines that nobody can forge: what goes on in another line stands further in."""

    def format(self, record: logging.LogRecord) -> str:
        """One record."""
        from gl002.cli.output import plain

        return plain(super().format(record)).replace("\n", "\n    ")


def _set_up_logging(verbose: int) -> None:
    from gl002.security.secrets import Redactor

    handler = logging.StreamHandler()
    handler.addFilter(Redactor())
    handler.setFormatter(_Lines("%(asctime)s %(levelname)-7s %(name)s  %(message)s"))
    level = (logging.WARNING, logging.INFO, logging.DEBUG)[min(verbose, 2)]
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("gl002").setLevel(level)


def _explained(error: GL002Error) -> int:
    from gl002.cli.output import say
    from gl002.flow.log import StoreInUse
    from gl002.security.secrets import Redactor

    message = str(error.args[0]) if error.args else type(error).__name__
    say(Redactor.redact(message))
    if error.hint:
        say(f"  hint: {Redactor.redact(error.hint)}")
    if isinstance(error, StoreInUse):
        return 75
    return next((code for kind, code in _EXIT_CODES if isinstance(error, kind)), 1)
