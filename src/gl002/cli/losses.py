"""Where each boiler's fuel went: losses over a period, from stored history.

Losses are weighted by the fuel burnt and counted only when all inputs are known.

Examples:
  gl002 losses                                 all boilers, the last seven days
  gl002 losses boiler1 --range 2026-10
  gl002 losses --range 2026-10-01..2026-10-15 --json
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from gl002.boiler.efficiency import REFERENCE_TEMPERATURE
from gl002.cli.output import as_json, say, table
from gl002.cli.period import period
from gl002.cli.stored import Stored, add_boilers, add_range, over_boilers
from gl002.errors import DataError
from gl002.model import to_datetime

if TYPE_CHECKING:
    from gl002.boiler.account import Account

_SHOWN = ("dry_gas", "hydrogen", "moisture", "co", "solids", "surface")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_boilers(parser)
    add_range(parser, "7d")


def run(args: argparse.Namespace) -> int:
    """Print; exits 1 where a boiler has no losses to show."""
    when = period(args.range)

    async def work(boilers: Iterable[Stored]) -> int:
        from gl002.boiler.account import account

        found, failed = [], 0
        for boiler in boilers:
            try:
                record = await boiler.record(when)
                found.append(account(boiler.bindings.boiler(), record, boiler.tariff))
            except DataError as error:
                say(str(error))
                failed += 1
        _show(found, json=args.json)
        return 1 if failed else 0

    return over_boilers(args, work)


def _show(found: list[Account], *, json: bool) -> None:
    if json:
        for each in found:
            as_json(plain(each))
        return
    if found:
        columns = (
            "boiler", "hours", "efficiency % HHV", "95 % band", *_SHOWN, "air credit",
            "fuel MWh", "cost", "CO2 t",
        )  # fmt: skip
        table(columns, [_row(each) for each in found])
    for each in found:
        for reason in each.reasons:
            print(f"{each.boiler}: {reason}")


def _row(each: Account) -> list[Any]:
    low, high = each.efficiency.band
    cost = "" if each.money is None else f"{each.money:,.0f} {each.currency}"
    losses = shown_losses(each)
    return [
        each.boiler, round(each.hours, 1), round(each.efficiency.value, 2),
        f"{low:.2f} to {high:.2f}", *(round(losses[name], 2) for name in _SHOWN),
        round(each.credit_air, 2), round(each.fuel, 1), cost, round(each.co2, 1),
    ]  # fmt: skip


def shown_losses(each: Account) -> dict[str, float]:
    """Losses as people speak of them: water together, ash and carbon in it together."""
    of = each.losses
    return {
        "dry_gas": of["dry_gas"], "hydrogen": of["hydrogen"],
        "moisture": of["fuel_moisture"] + of["air_moisture"], "co": of["co"],
        "solids": of["unburnt_carbon"] + of["ash"], "surface": of["surface"],
    }  # fmt: skip


def plain(each: Account) -> dict[str, Any]:
    """An account in plain numbers and words."""
    from gl002.boiler.recommend.plain import estimate

    return {
        "boiler": each.boiler, "start": to_datetime(each.start).isoformat(),
        "end": to_datetime(each.end).isoformat(), "hours": round(each.hours, 2),
        "method": "ptc4_style", "basis": "HHV", "oxygen_basis": each.conditions.basis,
        "reference_degC": REFERENCE_TEMPERATURE,
        "efficiency_hhv": estimate(each.efficiency),
        "efficiency_lhv": round(each.efficiency_lhv, 3),
        "losses": {name: round(value, 4) for name, value in each.losses.items()},
        "credit_air": round(each.credit_air, 4), "excess_air_pct": round(each.excess_air, 2),
        "mean_inputs": {
            name: value if isinstance(value, str) else round(value, 5)
            for name, value in each.conditions.inputs().items()
        },
        "fuel_MWh": round(each.fuel, 3), "money": each.money, "currency": each.currency,
        "co2_t": round(each.co2, 3), "co2_fossil_t": round(each.co2_fossil, 3),
        "steam_t": each.steam, "atmosphere_kPa": round(each.atmosphere / 1000, 3),
         "reasons": list(each.reasons),
    }  # fmt: skip
