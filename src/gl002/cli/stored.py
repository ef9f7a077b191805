"""What the commands over stored history share: which boilers, which time, which history."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from gl002.boiler.tariff import Tariff
from gl002.cli.period import Period
from gl002.cli.target import add_file
from gl002.config.boilers import AdviceSettings
from gl002.connector import Capability, Connector
from gl002.errors import ConfigError, require

if TYPE_CHECKING:
    from gl002.boiler.learned import Learned
    from gl002.boiler.record import Record
    from gl002.flow.bindings import Bindings
    from gl002.flow.gateway import Gateway

R = TypeVar("R")


def add_boilers(parser: argparse.ArgumentParser) -> None:
    """The arguments BOILER, --config, --history and --json."""
    parser.add_argument("boilers", nargs="*", metavar="BOILER", help="default all in the file")
    add_file(parser)
    parser.add_argument(
        "--history",
        metavar="CONNECTION",
        help="where to read, default the first output that keeps a history",
    )
    parser.add_argument("--json", action="store_true", help="for scripts: one boiler per line")


def add_range(parser: argparse.ArgumentParser, default: str) -> None:
    """The argument --range."""
    parser.add_argument(
        "--range", metavar="TIME", default=default,
        help="'7d', '2026-10', '2026-10-01..2026-10-15'; local time; default %(default)s",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Stored:
    """One boiler and its history.

    Attributes:
        gateway: the configuration.
        history: opened.
        bindings: of the boiler, in the units that values are stored in.
        tariff: what its fuel costs; None where none is configured.
    """

    gateway: Gateway
    history: Connector[Any]
    bindings: Bindings
    tariff: Tariff | None

    @property
    def name(self) -> str:
        """Of the boiler."""
        return self.bindings.name

    @property
    def currency(self) -> str:
        """Of its tariff."""
        return "" if self.tariff is None else self.tariff.currency

    @property
    def advice(self) -> AdviceSettings:
        """What is known about it beyond its instruments."""
        return self.bindings.settings.advice or AdviceSettings.parse({})

    async def record(self, period: Period, *, step: float = 60.0, means: bool = True) -> Record:
        """What its instruments showed."""
        from gl002.flow.past import read_record

        start, end = period
        return await read_record(
            self.history, self.bindings, start, end, step=step, means=means
        )  # fmt: skip

    async def learned(self) -> Learned | None:
        """What was learned about it."""
        from gl002.flow.studying import learned_of

        return await learned_of(self.gateway.config.state_dir, self.name)


def over_boilers(
    args: argparse.Namespace, work: Callable[[Iterable[Stored]], Awaitable[R]]
) -> R:  # fmt: skip
    """Open the history, do the work over the boilers that are meant, close it.

    Raises:
        ConfigError: no such boiler, no boilers at all, or no history.
        MissingDependency: the extra 'boiler' is not installed.
    """
    require("numpy", extra="boiler")
    require("seuif97", extra="boiler")

    async def session() -> R:
        async with _opened(args) as boilers:
            return await work(boilers)

    return asyncio.run(session())


@asynccontextmanager
async def _opened(args: argparse.Namespace) -> AsyncIterator[list[Stored]]:
    from gl002.config.load import load
    from gl002.flow.bindings import Bindings
    from gl002.flow.gateway import Gateway
    from gl002.flow.past import stored_units
    from gl002.flow.studying import tariff_of

    gateway = Gateway(load(args.config))
    sections = gateway.config.sections
    names = _meant(args, sections.boilers)
    history = _history(gateway, args.history)
    try:
        await history.connect()
        table = await stored_units(history, gateway.context.tags)
        yield [
            Stored(
                gateway, history, Bindings(name, sections.boilers[name], table),
                tariff_of(sections.boilers[name], sections.tariffs),
            )
            for name in names
        ]  # fmt: skip
    finally:
        await history.close()
        gateway.context.audit.close()


def _meant(args: argparse.Namespace, configured: Iterable[str]) -> list[str]:
    from gl002.config.problems import near

    known = list(configured)
    if not known:
        raise ConfigError(
            f"{args.config} has no boilers", hint="add a section 'boilers:', see docs/boiler.md"
        )
    for name in args.boilers:
        if name not in known:
            raise ConfigError(f"{args.config} has no boiler '{name}'", hint=near(name, known))
    return list(args.boilers) or known


def _history(gateway: Gateway, name: str | None) -> Connector[Any]:
    from gl002.config.problems import near

    if name is None:
        return gateway.history()
    if name not in gateway.connectors:
        raise ConfigError(f"no connection '{name}'", hint=near(name, gateway.connectors))
    if Capability.HISTORY not in gateway.connectors[name].can:
        raise ConfigError(f"{name} keeps no history that can be read back")
    return gateway.connectors[name]
