"""The month of the boilers: what a report says, drawn from their records."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Final

from gl002.boiler.account import Account, account
from gl002.boiler.arrays import np
from gl002.boiler.live import Boiler
from gl002.boiler.recommend.advice import Advised
from gl002.boiler.record import Record
from gl002.boiler.savings import Verified
from gl002.boiler.tariff import Tariff
from gl002.cli.losses import shown_losses
from gl002.cli.reporting.charts import Axis, Bars, Line, Points, axis, bars, chart
from gl002.cli.reporting.page import Block, Grid, Heading, Items, Page, Paragraph, Picture
from gl002.errors import DataError
from gl002.model import to_datetime, to_ns

if TYPE_CHECKING:
    from gl002.boiler.recommend.kinds import Saving

_MOST_POINTS: Final = 1_500
_BIOGENIC: Final = 0.05  # t of carbon dioxide that are worth a sentence
_LOSSES: Final = {
    "dry_gas": "dry flue gas", "hydrogen": "hydrogen", "moisture": "moisture", "co": "CO",
    "solids": "ash and carbon", "surface": "casing",
}  # fmt: skip
_METHOD: Final = (
    "Efficiency is found from the heat losses, in the style of ASME PTC 4 (reference 25 degC, "
    "higher heating value, blowdown counted as output), for every minute in which all inputs are "
    "known, and weighted by the fuel burnt. Bands are 95 % and hold what instruments, fuel and "
    "method leave open. Savings of recommendations are computed one by one and, together, once "
    "for all."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """What there is to say about one boiler.

    Attributes:
        boiler: what is known about it.
        record: its readings.
        tariff: what its fuel costs.
        curve: load and oxygen the burner was commissioned with.
        advised: all advice; None where there is none.
        verified: savings against its baseline; None where nothing was learned.
        remarks: why something is missing, in sentences.
    """

    boiler: Boiler
    record: Record
    tariff: Tariff | None
    curve: Sequence[tuple[float, float]] = ()
    advised: Advised | None = None
    verified: Verified | None = None
    remarks: tuple[str, ...] = ()


def report(title: str, subtitle: str, chapters: Sequence[Chapter], zone: tzinfo | None) -> Page:
    """The whole report.

    Args:
        title: of the report.
        subtitle: period and place.
        chapters: one a boiler.
        zone: in which days begin; the machine's own where None.
    """
    accounts: list[tuple[Chapter, Account | str]] = []
    for chapter in chapters:
        try:
            found = account(chapter.boiler, chapter.record, chapter.tariff)
        except DataError as error:
            accounts.append((chapter, str(error)))
        else:
            accounts.append((chapter, found))
    known = [each for _, each in accounts if isinstance(each, Account)]
    page = Page(title, subtitle, [*_summary(known)])
    for chapter, each in accounts:
        page.blocks.append(Heading(chapter.boiler.name))
        if isinstance(each, str):
            page.blocks.append(Paragraph(each))
        else:
            page.blocks += _chapter(chapter, each, zone)
    page.blocks += [Heading("Method"), Paragraph(_METHOD)]
    return page


def _summary(accounts: Sequence[Account]) -> Iterator[Block]:
    columns = ("boiler", "hours", "efficiency, % HHV", "95 % band", "fuel, MWh", "cost",
               "CO2, t", "steam, t")  # fmt: skip
    rows = []
    for each in accounts:
        low, high = each.efficiency.band
        rows.append(
            (
                each.boiler, f"{each.hours:,.1f}", f"{each.efficiency.value:.2f}",
                f"{low:.2f} to {high:.2f}", f"{each.fuel:,.0f}", _money(each.money, each.currency),
                f"{each.co2:,.1f}", "" if each.steam is None else f"{each.steam:,.0f}",
            )
        )  # fmt: skip
    yield Grid(columns, rows)
    currencies = {each.currency for each in accounts if each.money is not None}
    if len(accounts) > 1 and len(currencies) == 1:
        total = sum(each.money or 0.0 for each in accounts)
        fuel = sum(each.fuel for each in accounts)
        yield Paragraph(f"Together {fuel:,.0f} MWh of fuel for {total:,.0f} {currencies.pop()}.")


def _chapter(chapter: Chapter, found: Account, zone: tzinfo | None) -> Iterator[Block]:
    days = list(_days(chapter, zone))
    if days:
        yield _efficiency_by_day(days)
        yield _losses_by_day(days)
    picture = _oxygen_over_load(chapter)
    if picture is not None:
        yield picture
    yield Heading("Losses", 2)
    losses = shown_losses(found)
    yield Grid(
        ("loss", "% of the fuel (HHV)", "MWh"),
        [
            (said, f"{losses[name]:.2f}", f"{found.fuel * losses[name] / 100:,.1f}")
            for name, said in _LOSSES.items()
        ]
        + [("credit of warm air", f"-{found.credit_air:.2f}",
            f"-{found.fuel * found.credit_air / 100:,.1f}")],
    )  # fmt: skip
    inputs = found.conditions
    yield Paragraph(
        f"Mean over the fuel: oxygen {inputs.oxygen:.2f} % ({inputs.basis}), excess air "
        f"{found.excess_air:.1f} %, stack {inputs.stack_temperature:.1f} degC, air "
        f"{inputs.air_temperature:.1f} degC, load {100 * inputs.load:.0f} %."
    )
    if found.co2 - found.co2_fossil > _BIOGENIC:
        yield Paragraph(
            f"Of {found.co2:,.1f} t of carbon dioxide, {found.co2_fossil:,.1f} t are fossil and "
            f"{found.co2 - found.co2_fossil:,.1f} t from biomass, which is reported apart."
        )
    contributions = list(found.efficiency.contributions.items())[:4]
    said = ", ".join(f"{name.replace('_', ' ')} {size:.2f}" for name, size in contributions)
    yield Paragraph(f"The band comes from (points, one standard deviation): {said}.")
    yield from _advice(chapter, found.currency)
    yield from _verified(chapter)
    remarks = [*found.reasons, *chapter.remarks]
    if remarks:
        yield Heading("What was missing", 2)
        yield Items(remarks)


def _days(chapter: Chapter, zone: tzinfo | None) -> Iterator[tuple[datetime, Account]]:
    """The account of every local day of which something is known."""
    record = chapter.record
    day = to_datetime(record.start).astimezone(zone)
    day = day.replace(hour=0, minute=0, second=0, microsecond=0)
    while to_ns(day) < record.end:
        following = (day + timedelta(days=1)).replace(hour=0)
        part = record.between(max(to_ns(day), record.start), min(to_ns(following), record.end))
        if part.size:
            with suppress(DataError):  # it did not burn that day: a gap in the chart
                yield day, account(chapter.boiler, part, chapter.tariff)
        day = following


def _day_axis(days: Sequence[tuple[datetime, Account]]) -> Axis:
    count = (days[-1][0].date() - days[0][0].date()).days
    every = max(1, round(count / 10))
    names = {
        float(n): (days[0][0] + timedelta(days=n)).strftime("%d %b").lstrip("0")
        for n in range(0, count + 1, every)
    }
    return Axis(label="day", low=-0.6, high=count + 0.6, names=names)


def _efficiency_by_day(days: Sequence[tuple[datetime, Account]]) -> Picture:
    first = days[0][0].date()
    x = [float((day.date() - first).days) for day, _ in days]
    y = [each.efficiency.value for _, each in days]
    low = [each.efficiency.band[0] for _, each in days]
    high = [each.efficiency.band[1] for _, each in days]
    svg = chart(
        "Efficiency by day", _day_axis(days), axis("efficiency, % HHV", [*low, *high]),
        lines=[Line("efficiency with 95 % band", x, y, low, high)],
    )  # fmt: skip
    return Picture(svg, f"Efficiency by day, {min(y):.2f} to {max(y):.2f} % of HHV.")


def _losses_by_day(days: Sequence[tuple[datetime, Account]]) -> Picture:
    first = days[0][0].date()
    count = (days[-1][0].date() - first).days + 1
    parts = []
    for name, said in _LOSSES.items():
        heights = [0.0] * count
        for day, each in days:
            heights[(day.date() - first).days] = shown_losses(each)[name]
        if max(heights) > 0.02:  # noqa: PLR2004 - percent that an eye can see
            parts.append(Bars(said, heights))
    most = max(sum(column) for column in zip(*(part.y for part in parts), strict=True))
    svg = bars(
        "Losses by day", _day_axis(days), Axis(label="losses, % HHV", low=0, high=1.15 * most),
        parts,
    )  # fmt: skip
    return Picture(svg, "Losses by day, percent of the fuel's higher heating value.")


def _oxygen_over_load(chapter: Chapter) -> Picture | None:
    roles = chapter.record.roles
    if "load" not in roles:
        return None
    load, oxygen = roles["load"], roles["oxygen"]
    good = np.flatnonzero(np.isfinite(load) & np.isfinite(oxygen))
    if not good.size:
        return None
    some = good[:: max(1, good.size // _MOST_POINTS)]
    points = Points("minutes", (100 * load[some]).tolist(), oxygen[some].tolist())
    lines = []
    if chapter.curve:
        loads, least = zip(*chapter.curve, strict=True)
        lines.append(Line("commissioned curve", [100 * each for each in loads], list(least)))
    seen = [*points.y, *(value for line in lines for value in line.y)]
    svg = chart(
        "Oxygen over load", Axis(label="load, %", low=0, high=110),
        axis(f"oxygen, % {chapter.boiler.basis}", seen), lines=lines, points=[points],
    )  # fmt: skip
    return Picture(svg, "Oxygen over load; what lies far above the commissioned curve costs fuel.")


def _advice(chapter: Chapter, currency: str) -> Iterator[Block]:
    found = chapter.advised
    if found is None:
        return
    yield Heading("Recommendations", 2)
    rows = [(each.title, *_saving(each.saving, currency)) for each in found.recommendations]
    for said, saving in (("together", found.combined), ("projects after that", found.projects)):
        if saving is not None:
            rows.append((said, *_saving(saving, currency)))
    if rows:
        yield Grid(("what to do", "fuel saved", "95 % band", "a year", "CO2 a year"), rows)
    else:
        yield Paragraph("Nothing to do.")
    yield Items([f"not {no.kind.replace('_', ' ')}: {no.reason}" for no in found.declined])


def _saving(saving: Saving | None, currency: str) -> tuple[str, str, str, str]:
    if saving is None:
        return "", "", "", ""
    low, high = (100 * each for each in saving.share.band)
    year = saving.per_year
    money = f"{year.money.value:,.0f} {currency}" if currency else f"{year.fuel.value:,.0f} MWh"
    return (
        f"{100 * saving.share.value:.2f} %", f"{low:.2f} to {high:.2f} %", money,
        f"{year.co2.value:,.0f} t",
    )  # fmt: skip


def _verified(chapter: Chapter) -> Iterator[Block]:
    found = chapter.verified
    if found is None:
        return
    low, high = (100 * each for each in found.share.band)
    yield Heading("Verified savings", 2)
    yield Paragraph(
        f"Against the fuel learned before, at the same steam and air temperature: "
        f"{100 * found.share.value:.2f} % ({low:.2f} to {high:.2f} %) over {found.count / 6:.0f} h."
    )
    if found.reasons:
        yield Items(found.reasons)


def _money(value: float | None, currency: str) -> str:
    return "" if value is None else f"{value:,.0f} {currency}"
