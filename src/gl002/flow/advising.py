"""Advice as tags: each recommendation an event in JSON, what all of them save as numbers."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from gl002.boiler.tariff import Tariff
from gl002.config.boilers import AdviceSettings, HeaderSettings
from gl002.connector import Connector
from gl002.errors import GL002Error, require
from gl002.flow.bindings import Bindings
from gl002.flow.past import read_record, stored_units
from gl002.flow.studying import (
    allocation_of,
    instruments_now,
    last_cleaning,
    learned_of,
    study_record,
    wishes_of,
)
from gl002.model import Batch, Sample, Tag, TagTable, now_ns
from gl002.source import PolledSource

if TYPE_CHECKING:
    from gl002.boiler.recommend.advice import Advised
    from gl002.boiler.recommend.kinds import Advice

log = logging.getLogger("gl002.advice")

_NUMBERS = {
    "advice_fuel": ("%", "Fuel that all operational recommendations save together"),
    "advice_fuel_low": ("%", "Lower end of the 95 % band of advice_fuel"),
    "advice_fuel_high": ("%", "Upper end of the 95 % band of advice_fuel"),
    "advice_money": ("", "Money they save in a year, in the currency of the tariff"),
    "advice_co2": ("t", "Carbon dioxide they save in a year"),
}
_NOTE = "advice_note"


def advice_tags(boiler: str) -> list[Tag]:
    """The tags of a boiler's advice: one event for each kind, numbers for all together."""
    from gl002.boiler.recommend.kinds import Kind

    events = [
        Tag(
            name=f"{boiler}.advice_{kind}", source="boiler", type="str",
            description=f"Advice on {kind.replace('_', ' ')}, JSON",
        )
        for kind in get_args(Kind)
    ]  # fmt: skip
    numbers = [
        Tag(name=f"{boiler}.{name}", unit=unit, description=text, source="boiler", type="float")
        for name, (unit, text) in _NUMBERS.items()
    ]
    note = Tag(
        name=f"{boiler}.{_NOTE}", source="boiler", type="str",
        description="The first thing to do, or why nothing is advised",
    )  # fmt: skip
    return [*events, *numbers, note]


class Advising(PolledSource):
    """Studies the history of one boiler every `interval`.

    Args:
        bindings: its roles, with the units they have in the gateway.
        settings: what is known about it beyond its instruments.
        history: an output that can be read back.
        tariff: what its fuel costs.
        state_dir: where what was learned about the boiler is kept.

    Raises:
        MissingDependency: the extra 'boiler' is not installed.
    """

    def __init__(
        self,
        bindings: Bindings,
        settings: AdviceSettings,
        history: Connector[Any],
        tariff: Tariff | None,
        state_dir: Path,
    ) -> None:
        require("numpy", extra="boiler")
        require("seuif97", extra="boiler")
        self._bindings = bindings
        self._settings = settings
        self._history = history
        self._tariff = tariff
        self._state_dir = state_dir
        declared = advice_tags(bindings.name)
        super().__init__(
            f"advice.{bindings.name}", self._study, declared, settings.interval
        )  # fmt: skip

    async def _study(self) -> Batch:
        """Advice of now; why there is none is advice, too."""
        now = now_ns()
        try:
            found = await self._advised(now)
        except GL002Error as error:
            log.info("%s: no advice: %s", self._bindings.name, error)
            return [Sample(f"{self._bindings.name}.{_NOTE}", f"none: {error}", now)]
        currency = "" if self._tariff is None else self._tariff.currency
        return samples(self._bindings.name, found, now, currency)

    async def _advised(self, now: int) -> Advised:
        stored = await stored_units(self._history, TagTable())
        bindings = Bindings(self._bindings.name, self._bindings.settings, stored)
        start = now - round(self._settings.history * 1e9)
        learned = await learned_of(self._state_dir, bindings.name)
        record = await read_record(self._history, bindings, start, now)
        cleaned = await last_cleaning(self._history, self._settings, start, now)
        findings = await instruments_now(self._history, bindings, learned, now)
        return await asyncio.to_thread(
            study_record, bindings, record, wishes_of(self._settings, cleaned),
            tariff=self._tariff, learned=learned, findings=findings,
        )  # fmt: skip


def samples(boiler: str, found: Advised, now: int, currency: str = "") -> Batch:
    """Advice as samples of the tags that `advice_tags` declares.

    An event of a kind holds all recommendations of it (instruments may be several), or the reason
    why there is none.
    """
    from gl002.boiler.recommend.plain import advice

    kinds: dict[str, list[dict[str, Any]]] = {}
    everything: list[Advice] = [*found.recommendations, *found.declined]
    for each in everything:
        kinds.setdefault(each.kind, []).append(advice(each, currency))
    batch = [
        Sample(f"{boiler}.advice_{kind}", json.dumps(each, ensure_ascii=False), now)
        for kind, each in kinds.items()
    ]
    values = dict.fromkeys(_NUMBERS, 0.0)
    if found.combined is not None:
        low, high = found.combined.share.band
        year = found.combined.per_year
        values = dict(
            zip(
                _NUMBERS,
                (100 * found.combined.share.value, 100 * low, 100 * high, year.money.value,
                 year.co2.value),
                strict=True,
            )
        )  # fmt: skip
    batch += [Sample(f"{boiler}.{name}", value, now) for name, value in values.items()]
    first = found.recommendations[0].title if found.recommendations else "nothing to do"
    return [*batch, Sample(f"{boiler}.{_NOTE}", first, now)]


class Sharing(PolledSource):
    """Studies how the steam of a header is shared, every `interval`.

    Args:
        header: its name.
        settings: its boilers and their limits.
        members: bindings of those boilers.
        history: an output that can be read back.
        tariff: what the fuel costs.

    Raises:
        MissingDependency: the extra 'boiler' is not installed.
    """

    def __init__(
        self,
        header: str,
        settings: HeaderSettings,
        members: Mapping[str, Bindings],
        history: Connector[Any],
        tariff: Tariff | None,
    ) -> None:
        for module in ("numpy", "seuif97", "scipy"):
            require(module, extra="boiler")
        self._header = header
        self._settings = settings
        self._members = members
        self._history = history
        self._tariff = tariff
        event = Tag(
            name=f"{header}.advice_load_allocation", source="boiler", type="str",
            description="Advice on how to share the steam of the header, JSON",
        )  # fmt: skip
        super().__init__(f"advice.{header}", self._study, [event], settings.interval)

    async def _study(self) -> Batch:
        from gl002.boiler.recommend.plain import advice

        now = now_ns()
        start = now - round(self._settings.history * 1e9)
        try:
            stored = await stored_units(self._history, TagTable())
            members = {
                name: Bindings(name, each.settings, stored) for name, each in self._members.items()
            }
            found = await allocation_of(
                self._history,
                self._header,
                self._settings,
                members,
                (start, now),
                tariff=self._tariff,
            )
        except GL002Error as error:
            log.info("%s: no advice: %s", self._header, error)
            return []
        (tag,) = self.tags()
        currency = "" if self._tariff is None else self._tariff.currency
        return [Sample(tag.name, json.dumps([advice(found, currency)], ensure_ascii=False), now)]
