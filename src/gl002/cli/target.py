"""What `browse` and `read` are pointed at: a URL, or a connection of an integrations.yaml."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from gl002.connector import Capability, Connector
from gl002.context import Context
from gl002.errors import ConfigError
from gl002.registry import connector, kind_of

R = TypeVar("R")

DEFAULT_FILE = "integrations.yaml"


def add_target(parser: argparse.ArgumentParser) -> None:
    """The arguments TARGET and --config."""
    parser.add_argument(
        "target",
        metavar="TARGET",
        help="a URL (opc.tcp://host:4840, modbus://host:502/1) or a connection of the file",
    )
    add_file(parser)


def add_file(parser: argparse.ArgumentParser) -> None:
    """The argument --config."""
    parser.add_argument(
        "-c", "--config", metavar="FILE", default=DEFAULT_FILE, help=f"default {DEFAULT_FILE}"
    )


def add_source(parser: argparse.ArgumentParser) -> None:
    """The arguments --source and --config, for a history."""
    parser.add_argument(
        "-s", "--source", metavar="TARGET", default="",
        help="a URL (sqlite:///path/history.sqlite) or a connection of the file; where absent the "
        "first output of the file that keeps a history",
    )  # fmt: skip
    add_file(parser)


def history(args: argparse.Namespace) -> Connector[Any]:
    """The history that --source means; not connected yet.

    Raises:
        ConfigError: no such connection, or it keeps no history.
    """
    if not args.source and not Path(args.config).exists() and args.config == DEFAULT_FILE:
        from gl002.config.load import EMBEDDED

        return connector(EMBEDDED)({})
    if args.source:
        found: Connector[Any] | None = opened(argparse.Namespace(**vars(args), target=args.source))
    else:
        from gl002.config.load import load
        from gl002.flow.gateway import Gateway

        found = Gateway(load(args.config)).historian
    if found is None or Capability.HISTORY not in found.can:
        hint = "name one that keeps a history" if args.source else "name one with --source"
        raise ConfigError(f"{args.source or args.config}: there is no history", hint=hint)
    return found


def opened(args: argparse.Namespace) -> Connector[Any]:
    """The connector that TARGET means; not connected yet.

    Raises:
        ConfigError: no such connection or kind of URL.
    """
    target = str(args.target)
    if "://" in target or target.startswith("sqlite:"):
        cls = connector(kind_of(target))
        return cls(cls.settings_of(target), name=cls.kind)
    from gl002.config.load import load
    from gl002.config.problems import near
    from gl002.flow.gateway import Gateway

    if not Path(args.config).exists():
        raise ConfigError(
            f"'{target}' is no URL, and there is no {args.config} that could name it",
            hint="give a URL such as opc.tcp://10.0.0.5:4840, or -c FILE",
        )
    gateway = Gateway(load(args.config))
    if target not in gateway.connectors:
        raise ConfigError(
            f"{args.config} has no connection '{target}'", hint=near(target, gateway.connectors)
        )
    return gateway.connectors[target]


def configured(file: str, target: str) -> Connector[Any]:
    """The connection of a file that TARGET means: its name, or the URL it goes to.

    Raises:
        ConfigError: the file has none, or more than one.
    """
    from gl002.config.load import load
    from gl002.config.problems import near
    from gl002.flow.gateway import Gateway

    connectors = Gateway(load(file)).connectors
    if target in connectors:
        return connectors[target]
    meant: list[Connector[Any]] = []
    if "://" in target:
        cls = connector(kind_of(target))
        there = list(cls(cls.settings_of(target), name=cls.kind).endpoints())
        meant = [
            c for c in connectors.values() if c.kind == cls.kind and list(c.endpoints()) == there
        ]
    if len(meant) != 1:
        raise ConfigError(
            f"{file} has {len(meant) or 'no'} connections to '{target}'",
            hint=near(target, connectors) or f"it has: {', '.join(connectors)}",
        )
    return meant[0]


def with_connector(connector_: Connector[Any], work: Callable[[Connector[Any]], Awaitable[R]]) -> R:
    """Connect, do the work, close."""

    async def session() -> R:
        context: Context = connector_.context
        try:
            await connector_.connect()
            return await work(connector_)
        finally:
            await connector_.close()
            context.audit.close()

    return asyncio.run(session())
