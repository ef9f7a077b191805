"""What to do about the boilers: recommendations with savings and their band, from history.

Instruments come first, then operation, then new equipment. What is not recommended is listed
with the reason. It is advice: nothing is written to the plant.

Examples:
  gl002 advise                                 all boilers, from the last seven days
  gl002 advise boiler1 --range 14d
  gl002 advise boiler1 --json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gl002.boiler.recommend.kinds import Recommendation
from gl002.cli.output import as_json, say, table
from gl002.cli.period import Period, period
from gl002.cli.stored import Stored, add_boilers, add_range, over_boilers
from gl002.errors import DataError

_COLUMNS = ("what to do", "fuel saved", "95 % band", "a year", "CO2 a year")

if TYPE_CHECKING:
    from gl002.boiler.recommend.advice import Advised
    from gl002.boiler.recommend.kinds import Advice, Saving
    from gl002.boiler.record import Record


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_boilers(parser)
    add_range(parser, "7d")


def run(args: argparse.Namespace) -> int:
    """Print; exits 1 where there is something to do, or nothing is known."""
    when = period(args.range)

    async def work(stored: Iterable[Stored]) -> int:
        todo, boilers = 0, list(stored)
        for boiler in boilers:
            try:
                found = await advised_from(boiler, await boiler.record(when), when)
            except DataError as error:
                say(str(error))
                todo += 1
                continue
            todo += len(found.recommendations)
            _show(boiler, found, json=args.json)
        for advice in await shared(boilers, when):
            todo += isinstance(advice, Recommendation)
            _show_shared(advice, boilers[0].currency, json=args.json)
        return 1 if todo else 0

    return over_boilers(args, work)


async def shared(boilers: list[Stored], when: Period) -> list[Advice]:
    """How the steam of each header should be shared whose boilers are all among these."""
    from gl002.flow.studying import allocation_of

    bindings = {boiler.name: boiler.bindings for boiler in boilers}
    found: list[Advice] = []
    for header, settings in boilers[0].gateway.config.sections.headers.items():
        if settings.boilers.keys() <= bindings.keys():
            first = next(b for b in boilers if b.name in settings.boilers)
            found.append(
                await allocation_of(
                    first.history, header, settings, bindings, when, tariff=first.tariff
                )
            )
    return found


def _show_shared(advice: Advice, currency: str, *, json: bool) -> None:
    if json:
        from gl002.boiler.recommend.plain import advice as plain

        as_json({"header": advice.boiler, **plain(advice, currency)})
    elif isinstance(advice, Recommendation):
        rows = [[advice.title, *_amounts(advice.saving, currency)]]
        table(_COLUMNS, rows, title=advice.boiler)
        for reason in advice.reasons:
            print(f"  {advice.kind}: {reason}")
    else:
        print(f"{advice.boiler}: not {advice.kind.replace('_', ' ')}: {advice.reason}")


async def advised_from(boiler: Stored, record: Record, when: Period) -> Advised:
    """All advice for a boiler.

    Args:
        boiler: with its history.
        record: of that time.
        when: the time.

    Raises:
        DataError: nothing is known of it in this time.
    """
    from gl002.flow.studying import (
        instruments_now,
        last_cleaning,
        study_record,
        wishes_of,
    )

    start, end = when
    learned = await boiler.learned()
    cleaned = await last_cleaning(boiler.history, boiler.advice, start, end)
    findings = await instruments_now(boiler.history, boiler.bindings, learned, end)
    return study_record(
        boiler.bindings, record, wishes_of(boiler.advice, cleaned), tariff=boiler.tariff,
        learned=learned, findings=findings,
    )  # fmt: skip


def _show(boiler: Stored, found: Advised, *, json: bool) -> None:
    if json:
        from gl002.boiler.recommend.plain import advised as plain

        as_json({"boiler": boiler.name, **plain(found, boiler.currency)})
        return
    rows = [[each.title, *_amounts(each.saving, boiler.currency)] for each in found.recommendations]
    for said, saving in (("together", found.combined), ("projects after that", found.projects)):
        if saving is not None:
            rows.append([said, *_amounts(saving, boiler.currency)])
    if rows:
        table(_COLUMNS, rows, title=boiler.name)
    else:
        print(f"{boiler.name}: nothing to do")
    for each in found.recommendations:
        for reason in each.reasons:
            print(f"  {each.kind}: {reason}")
    for no in found.declined:
        print(f"  not {no.kind.replace('_', ' ')}: {no.reason}")


def _amounts(saving: Saving | None, currency: str) -> list[Any]:
    if saving is None:
        return ["", "", "", ""]
    low, high = (100 * each for each in saving.share.band)
    year = saving.per_year
    money = f"{year.money.value:,.0f} {currency}" if currency else f"{year.fuel.value:,.0f} MWh"
    return [
        f"{100 * saving.share.value:.2f} %", f"{low:.2f} to {high:.2f} %", money,
        f"{year.co2.value:,.0f} t",
    ]  # fmt: skip
