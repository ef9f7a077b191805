"""Learn what is normal for a boiler from a period when all was well: just cleaned, good meters.

The results are kept in the state folder, one file per boiler, and a running gateway picks them up:
the noise of each instrument, the temperature of the clean stack, the fuel before a measure. Give
it two days or more, covering all loads.

Examples:
  gl002 learn boiler1 --range 2026-10-05..2026-10-08
  gl002 learn --range 3d --json
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gl002.cli.output import as_json, say, table
from gl002.cli.period import Period, period
from gl002.cli.stored import Stored, add_boilers, add_range, over_boilers
from gl002.errors import DataError
from gl002.model import to_datetime

if TYPE_CHECKING:
    from gl002.boiler.baseline import Baseline
    from gl002.boiler.learned import Learned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_boilers(parser)
    add_range(parser, "3d")


def run(args: argparse.Namespace) -> int:
    """Learn and say what was learned; exits 1 where nothing was."""
    when = period(args.range)

    async def work(boilers: Iterable[Stored]) -> int:
        failed = 0
        for boiler in boilers:
            try:
                learned, file = await _learn(boiler, when)
            except DataError as error:
                say(str(error))
                failed += 1
                continue
            _show(learned, file, json=args.json)
            failed += not (learned.usual or learned.stack or learned.fuel)
        return 1 if failed else 0

    return over_boilers(args, work)


async def _learn(boiler: Stored, when: Period) -> tuple[Learned, Path]:
    from gl002.boiler.learning import teach
    from gl002.flow.watching import learned_file

    settings = boiler.bindings.settings
    step = settings.watch.step if settings.watch is not None else 5.0
    minutes = await boiler.record(when)
    readings = await boiler.record(when, step=step, means=False)
    learned = teach(boiler.bindings.boiler(), boiler.bindings.watched(), minutes, readings)
    file = learned_file(boiler.gateway.config.state_dir, boiler.name)
    await asyncio.to_thread(_write, file, learned)
    return learned, file


def _write(file: Path, learned: Learned) -> None:
    """Replace the file as a whole: a running gateway reads either the old or the new one."""
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_bytes(learned.encoded())
    new.replace(file)


def _show(learned: Learned, file: Path, *, json: bool) -> None:
    if json:
        as_json(
            {
                "boiler": learned.boiler, "file": str(file),
                "start": to_datetime(learned.start).isoformat(),
                "end": to_datetime(learned.end).isoformat(),
                "noise": dict(learned.usual.noise) if learned.usual else None,
                "stack": _plain(learned.stack), "fuel": _plain(learned.fuel),
                "reasons": list(learned.reasons),
            }
        )  # fmt: skip
        return
    rows: list[list[Any]] = []
    if learned.usual is not None:
        rows.append(["instruments", f"noise of {len(learned.usual.noise)}", ""])
    for said, baseline in (("clean stack", learned.stack), ("fuel", learned.fuel)):
        if baseline is not None:
            terms = ", ".join(baseline.terms)
            rows.append([said, f"{baseline.count} readings over {terms}", baseline.deviation])
    table(("learned", "from", "standard deviation"), rows, title=learned.boiler)
    for reason in learned.reasons:
        print(f"{learned.boiler}: {reason}")
    say(f"kept in {file}")


def _plain(baseline: Baseline | None) -> dict[str, Any] | None:
    if baseline is None:
        return None
    return {
        "terms": list(baseline.terms), "deviation": baseline.deviation, "count": baseline.count,
        "cv_rmse": baseline.cv_rmse,
    }  # fmt: skip
