"""Monthly report of the boilers: efficiency with its band, losses, advice, savings; HTML or PDF.

The HTML is one self-contained file with plots. PDF needs the extra 'report'.

Examples:
  gl002 report --month 2026-10
  gl002 report boiler1 --month 2026-10 --output october.pdf
  gl002 report --month 2026-10 --json
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from gl002.cli.advise import advised_from
from gl002.cli.losses import plain
from gl002.cli.output import as_json, say
from gl002.cli.period import Period, period
from gl002.cli.stored import Stored, add_boilers, over_boilers
from gl002.errors import ConfigError, DataError
from gl002.model import now_ns

if TYPE_CHECKING:
    from gl002.cli.reporting.month import Chapter


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    add_boilers(parser)
    last = (datetime.now().astimezone().replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    parser.add_argument(
        "--month", metavar="YYYY-MM", default=last, help="or any range that gl002 losses takes"
    )
    parser.add_argument(
        "-o", "--output", metavar="FILE", help="default report-<month>.html; .pdf makes a PDF"
    )


def run(args: argparse.Namespace) -> int:
    """Write the report and say where; exits 1 where nothing is known of a boiler."""
    start, end = period(args.month)
    when = start, min(end, now_ns())
    if not start < when[1]:
        raise ConfigError(f"{args.month} is not here yet")
    file = Path(args.output or f"report-{args.month.replace('..', '-to-')}.html")
    if file.suffix not in {".html", ".pdf"}:
        raise ConfigError(f"{file} is neither .html nor .pdf")

    async def work(boilers: Iterable[Stored]) -> int:
        chapters = [await _chapter(boiler, when) for boiler in boilers]
        known = sum(chapter.advised is not None for chapter in chapters)
        if args.json:
            _as_json(chapters)
        else:
            await asyncio.to_thread(_write, file, chapters, args.month)
            say(f"written to {file}")
        return 0 if known == len(chapters) else 1

    return over_boilers(args, work)


async def _chapter(boiler: Stored, when: Period) -> Chapter:
    from gl002.boiler.learning import verified
    from gl002.cli.reporting.month import Chapter

    record = await boiler.record(when)
    learned = await boiler.learned()
    remarks, advised, saved = [], None, None
    try:
        advised = await advised_from(boiler, record, when)
    except DataError as error:
        remarks.append(str(error))
    if learned is not None and learned.fuel is not None and learned.end <= when[0]:
        try:
            saved = verified(boiler.bindings.boiler(), record, learned)
        except DataError as error:
            remarks.append(str(error))
    return Chapter(
        boiler=boiler.bindings.boiler(), record=record, tariff=boiler.tariff,
        curve=boiler.advice.burner_curve, advised=advised, verified=saved, remarks=tuple(remarks),
    )  # fmt: skip


def _as_json(chapters: Iterable[Chapter]) -> None:
    from gl002.boiler.account import account
    from gl002.boiler.recommend.plain import advised

    for each in chapters:
        try:
            found = plain(account(each.boiler, each.record, each.tariff))
        except DataError as error:
            found = {"boiler": each.boiler.name, "reasons": [str(error)]}
        currency = "" if each.tariff is None else each.tariff.currency
        advice = None if each.advised is None else advised(each.advised, currency)
        as_json({**found, "advice": advice, "remarks": list(each.remarks)})


def _write(file: Path, chapters: list[Chapter], month: str) -> None:
    from gl002.cli.reporting.html import as_html
    from gl002.cli.reporting.month import report
    from gl002.cli.reporting.pdf import as_pdf

    names = ", ".join(each.boiler.name for each in chapters)
    page = report(f"Boilers in {month}", f"{names}; local time", chapters, None)
    data = as_pdf(page) if file.suffix == ".pdf" else as_html(page).encode()
    file.write_bytes(data)
