"""Advice for a boiler from its stored history: the same for the running gateway and the command."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gl002.boiler.findings import Finding
from gl002.boiler.tariff import Tariff
from gl002.config.boilers import AdviceSettings, BoilerSettings, HeaderSettings
from gl002.config.tariffs import TariffSettings
from gl002.connector import Connector
from gl002.flow.bindings import Bindings
from gl002.flow.past import read_record, read_series
from gl002.flow.watching import learned_file, read_learned, with_last_hour
from gl002.model import is_good
from gl002.units import conversion

if TYPE_CHECKING:
    from gl002.boiler.learned import Learned
    from gl002.boiler.recommend.advice import Advised
    from gl002.boiler.recommend.kinds import Advice
    from gl002.boiler.record import Record
    from gl002.boiler.study import Wishes


def tariff_of(settings: BoilerSettings, tariffs: Mapping[str, TariffSettings]) -> Tariff | None:
    """What the fuel of a boiler costs; None where nothing is configured."""
    found = tariffs.get(tariff_name(settings))
    return None if found is None else found.tariff()


def tariff_name(settings: BoilerSettings) -> str:
    """Key of what the fuel of a boiler costs, whether there is such a tariff or not."""
    return settings.tariff or settings.burnt().name


def wishes_of(settings: AdviceSettings, cleaned: int | None) -> Wishes:
    """What is configured about a boiler beyond its instruments."""
    from gl002.boiler.recommend.oxygen_trim import BurnerCurve
    from gl002.boiler.recommend.steam_traps import Trap
    from gl002.boiler.study import Wishes

    return Wishes(
        curve=BurnerCurve(settings.burner_curve) if settings.burner_curve else None,
        co_limit=settings.co_limit, cleaning_cost=settings.cleaning_cost, cleaned=cleaned,
        solids_limit=settings.solids_limit, least_pressure=settings.least_pressure,
        projects=settings.projects, hours=settings.hours,
        traps=tuple(Trap(t.name, t.orifice, t.pressure) for t in settings.traps),
    )  # fmt: skip


async def last_cleaning(
    history: Connector[Any], settings: AdviceSettings, start: int, end: int
) -> int | None:
    """When the surfaces were cleaned last, as far as history tells, ns since 1970."""
    if settings.cleaned is None:
        return None
    samples = await read_series(history, settings.cleaned, start, end)
    times = [s.time for s in samples if s.value and is_good(s.quality)]
    return max(times, default=None)


async def instruments_now(
    history: Connector[Any], bindings: Bindings, learned: Learned | None, end: int
) -> list[Finding]:
    """What is wrong with the instruments in the hour before `end`.

    The last half hour is compared with what is usual; the means at rest of the hour are checked
    against the balances of water, salts and energy, and against the clean stack.
    """
    from gl002.boiler.watch import WINDOW
    from gl002.boiler.watcher import Watcher

    settings = bindings.settings
    if learned is not None and not learned.holds(settings.burnt()):
        learned = None
    step = settings.watch.step if settings.watch is not None else 5.0
    begin = end - round(WINDOW * 1e9)
    record = await read_record(history, bindings, begin, end, step=step, means=False)
    watcher = Watcher(bindings.watched(), None if learned is None else learned.usual, step=step)
    measured = [role for role in record.roles if role in bindings.tags]
    for number, time in enumerate(record.times):
        row = {role: float(record.roles[role][number]) for role in measured}
        watcher.add(float(time), {role: value for role, value in row.items() if value == value})  # noqa: PLR0124 - what is not a number is not itself
    hour = await read_record(history, bindings, end - 2 * round(WINDOW * 1e9), end)
    return with_last_hour(watcher.findings(), bindings.boiler(), learned, hour)


def study_record(
    bindings: Bindings,
    record: Record,
    wishes: Wishes,
    *,
    tariff: Tariff | None,
    learned: Learned | None,
    findings: Sequence[Finding],
) -> Advised:
    """All advice from a record.

    Raises:
        DataError: nothing is known in the record, or the boiler was never at rest.
    """
    from gl002.boiler.study import Study

    return Study(bindings.boiler(), record, tariff, findings).advise(wishes, learned)


async def allocation_of(
    history: Connector[Any],
    header: str,
    settings: HeaderSettings,
    members: Mapping[str, Bindings],
    period: tuple[int, int],
    *,
    tariff: Tariff | None,
) -> Advice:
    """Whether the steam of a header should be shared otherwise.

    Args:
        history: can HISTORY.
        header: its name.
        settings: its boilers and their limits.
        members: bindings of those boilers, with the units that values are stored in.
        period: first moment and the one after the last, ns since 1970.
        tariff: what the fuel costs.
    """
    from gl002.boiler.recommend.load_allocation import Member, load_allocation

    flow = conversion(settings.unit, "kg/s")
    found = [
        Member(
            boiler=members[name].boiler(),
            record=await read_record(history, members[name], *period),
            least=flow(each.least), most=flow(each.most), start_cost=each.start_cost,
            min_up=each.min_up, min_down=each.min_down,
            tariff=tariff_name(members[name].settings),
        )
        for name, each in settings.boilers.items()
    ]  # fmt: skip
    reserve = settings.reserve if settings.reserve == "n+1" else flow(float(settings.reserve))
    return await asyncio.to_thread(
        load_allocation, header, found, tariff, reserve=reserve, hours=settings.hours
    )


async def learned_of(state_dir: Path, boiler: str) -> Learned | None:
    """What was learned about a boiler; None where nothing was.

    Raises:
        DataError: the file holds something else.
    """
    return await asyncio.to_thread(read_learned, learned_file(state_dir, boiler))
