"""Verify the savings since a measure: fuel burnt against fuel expected for the same steam.

The baseline is the fuel over steam flow and air temperature that `gl002 learn` found in a period
before the measure (in the manner of IPMVP, option B).

Examples:
  gl002 savings boiler1 --since 2026-11-01
  gl002 savings --since 2026-11-01 --until 2026-11-15 --json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gl002.cli.output import as_json, say, table
from gl002.cli.period import period
from gl002.cli.stored import Stored, add_boilers, over_boilers
from gl002.errors import DataError
from gl002.model import to_datetime

if TYPE_CHECKING:
    from gl002.boiler.savings import Verified


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_boilers(parser)
    parser.add_argument("--since", required=True, metavar="TIME", help="date or time, local")
    parser.add_argument("--until", default="", metavar="TIME", help="default now")


def run(args: argparse.Namespace) -> int:
    """Print; exits 1 where a boiler has no savings to show."""
    when = period(f"{args.since}..{args.until}")

    async def work(boilers: Iterable[Stored]) -> int:
        from gl002.boiler.learning import verified

        found, failed = [], 0
        for boiler in boilers:
            try:
                learned = await boiler.learned()
                record = await boiler.record(when)
                found.append((boiler.name, verified(boiler.bindings.boiler(), record, learned)))
            except DataError as error:
                say(str(error))
                failed += 1
        if args.json:
            for each in found:
                as_json(_plain(*each, when))
        else:
            _show(found)
        return 1 if failed else 0

    return over_boilers(args, work)


def _show(found: list[tuple[str, Verified]]) -> None:
    columns = ("boiler", "expected MWh", "burnt MWh", "saved MWh", "saved", "95 % band", "hours")
    rows: list[list[Any]] = []
    for name, each in found:
        low, high = (100 * end for end in each.share.band)
        rows.append(
            [
                name, round(_mwh(each.expected), 1), round(_mwh(each.burnt), 1),
                round(_mwh(each.saved.value), 1), f"{100 * each.share.value:.2f} %",
                f"{low:.2f} to {high:.2f} %", round(each.count / 6, 1),
            ]
        )  # fmt: skip
    if rows:
        table(columns, rows)
    for name, each in found:
        for reason in each.reasons:
            print(f"{name}: {reason}")


def _mwh(blocks: float) -> float:
    """From kW added up over means of ten minutes."""
    return blocks / 6000


def _plain(name: str, each: Verified, when: tuple[int, int]) -> dict[str, Any]:
    from gl002.boiler.recommend.plain import estimate

    start, end = when
    return {
        "boiler": name, "start": to_datetime(start).isoformat(),
        "end": to_datetime(end).isoformat(), "expected_MWh": _mwh(each.expected),
        "burnt_MWh": _mwh(each.burnt), "saved_MWh": estimate(each.saved, 1 / 6000),
        "saved_pct": estimate(each.share, 100.0), "hours": each.count / 6,
        "hours_left_out": each.left_out / 6, "reasons": list(each.reasons),
    }  # fmt: skip
