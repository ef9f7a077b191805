"""What if: recompute stored history with another oxygen, stack or air temperature.

Each minute is computed at its own load and price. Oxygen is never taken below the commissioned
burner curve, if the file gives one.

Examples:
  gl002 whatif boiler1 --o2 3.0 --range 2026-10
  gl002 whatif --stack 150 --range 7d
  gl002 whatif boiler1 --o2 2.8 --air 40 --json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gl002.cli.output import as_json, say, table
from gl002.cli.period import period
from gl002.cli.stored import Stored, add_boilers, add_range, over_boilers
from gl002.errors import ConfigError, DataError
from gl002.model import to_datetime

if TYPE_CHECKING:
    from gl002.boiler.replay import Replayed

_OPTIONS = {
    "o2": ("oxygen", "percent, on the basis of the boiler's analyser"),
    "stack": ("stack_temperature", "degC"),
    "air": ("air_temperature", "degC"),
    "co": ("carbon_monoxide", "ppm of dry gas"),
}
_POSSIBLE = {"o2": (0.0, 20.9), "stack": (-60.0, 2000.0), "air": (-60.0, 2000.0), "co": (0.0, 1e6)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_boilers(parser)
    add_range(parser, "7d")
    for option, (role, unit) in _OPTIONS.items():
        parser.add_argument(
            f"--{option}", type=float, metavar="VALUE", help=f"{role.replace('_', ' ')}, {unit}"
        )


def run(args: argparse.Namespace) -> int:
    """Print; exits 1 where nothing is known of a boiler."""
    when = period(args.range)
    change = {
        role: value
        for option, (role, _) in _OPTIONS.items()
        if (value := getattr(args, option)) is not None
    }
    for option, (least, most) in _POSSIBLE.items():
        if (value := getattr(args, option)) is not None and not least <= value <= most:
            raise ConfigError(f"--{option} {value:g} cannot be", hint=f"{least:g} to {most:g}")
    if not change:
        raise ConfigError("nothing is to be changed", hint="give --o2, --stack, --air or --co")

    async def work(boilers: Iterable[Stored]) -> int:
        from gl002.boiler.replay import replay
        from gl002.flow.studying import wishes_of

        found, failed = [], 0
        for boiler in boilers:
            try:
                record = await boiler.record(when)
                curve = wishes_of(boiler.advice, None).curve
                replayed = replay(
                    boiler.bindings.boiler(), record, change, tariff=boiler.tariff, curve=curve
                )
                found.append((replayed, boiler.currency))
            except DataError as error:
                say(str(error))
                failed += 1
        _show(found, json=args.json)
        return 1 if failed else 0

    return over_boilers(args, work)


def _show(found: list[tuple[Replayed, str]], *, json: bool) -> None:
    if json:
        for each, currency in found:
            as_json(_plain(each, currency))
        return
    columns = (
        "boiler", "hours", "efficiency was", "would be", "fuel saved", "95 % band", "MWh", "money",
        "CO2 t",
    )  # fmt: skip
    if found:
        table(columns, [_row(*each) for each in found])
    for each, _ in found:
        for reason in each.reasons:
            print(f"{each.boiler}: {reason}")


def _row(each: Replayed, currency: str) -> list[Any]:
    low, high = (100 * end for end in each.share.band)
    return [
        each.boiler, round(each.hours, 1), round(each.before, 2), round(each.after, 2),
        f"{100 * each.share.value:.2f} %", f"{low:.2f} to {high:.2f} %",
        round(each.fuel.value, 1),
        "" if each.money is None else f"{each.money.value:,.0f} {currency}",
        round(each.co2.value, 2),
    ]  # fmt: skip


def _plain(each: Replayed, currency: str) -> dict[str, Any]:
    from gl002.boiler.recommend.plain import estimate

    return {
        "boiler": each.boiler, "start": to_datetime(each.start).isoformat(),
        "end": to_datetime(each.end).isoformat(), "hours": round(each.hours, 2),
        "efficiency_before": round(each.before, 4), "efficiency_after": round(each.after, 4),
        "fuel_pct": estimate(each.share, 100.0), "fuel_MWh": estimate(each.fuel),
        "money": None if each.money is None else estimate(each.money), "currency": currency,
        "co2_t": estimate(each.co2), "hours_limited": round(each.limited, 2),
        "reasons": list(each.reasons),
    }  # fmt: skip
