"""Boilers of the configuration as sources of calculated tags: efficiency, losses, why not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from gl002.boiler.fuels import FUELS
from gl002.boiler.live import NOTE, OPTIONAL, REQUIRED, ROLE_UNITS, Boiler, evaluate, tags
from gl002.config.sections import BoilerSettings, RoleSettings
from gl002.errors import UnitError
from gl002.flow.calculate import News, moment
from gl002.flow.hub import Hub
from gl002.model import Batch, Quality, Sample, TagTable, now_ns, worst
from gl002.source import PolledSource, Source
from gl002.units import conversion

_NUMBER = re.compile(r"\d+")


def boiler_sources(
    boilers: Mapping[str, BoilerSettings], hub: Hub, table: TagTable
) -> Iterator[Source]:
    """One source for each boiler.

    Args:
        boilers: `boilers:` of the configuration.
        hub: holds the last accepted sample of each tag.
        table: the units of those samples.
    """
    for name, settings in boilers.items():
        yield LiveEfficiency(name, settings, hub, table)


class LiveEfficiency(PolledSource):
    """The efficiency of one boiler: results each interval, when there is something new to say.

    A result's time is that of its newest input, or the moment an input became too old.

    Args:
        name: of the boiler, prefix of the result tags.
        settings: its block of the configuration.
        hub: holds the last accepted sample of each tag.
        table: the units of those samples.
    """

    def __init__(self, name: str, settings: BoilerSettings, hub: Hub, table: TagTable) -> None:
        self._roles = {
            role: given
            for role in REQUIRED + OPTIONAL
            if isinstance(given := getattr(settings, role), RoleSettings)
        }
        self._boiler = Boiler(
            name=name,
            basis=settings.oxygen.basis,
            fuel=FUELS[settings.fuel],
            surface_loss=settings.surface_loss,
            max_age=settings.max_age,
            roles=frozenset(self._roles),
        )
        self._max_age = int(settings.max_age * 1e9)
        self._hub = hub
        self._table = table
        self._news = News()
        self._reason = ""
        super().__init__(f"boiler.{name}", self._read_results, tags(name), settings.interval)

    async def _read_results(self) -> Batch:
        now = now_ns()
        latest = self._hub.latest
        measured = [latest[g.tag] for g in self._roles.values() if g.tag and g.tag in latest]
        time, _ = moment(measured, self._hub, self._max_age, now)
        results = evaluate(self._boiler, dict(self._inputs(now)), now)
        at_their_time = [Sample(r.tag, r.value, time, r.quality) for r in results]
        return [s for s in self._news(at_their_time) if self._says_more(s)]

    def _inputs(self, now: int) -> Iterator[tuple[str, Sample]]:
        """Each role's sample in the unit the boiler engine takes it in."""
        for role, given in self._roles.items():
            if given.tag is None:
                yield role, self._in_unit(role, Sample(role, given.value, now), given.unit)
            elif (sample := self._hub.latest.get(given.tag)) is not None:
                if given.tag in self._hub.by_exception:
                    sample = Sample(sample.tag, sample.value, now, sample.quality)
                yield role, self._in_unit(role, sample, self._table.unit(given.tag) or given.unit)

    def _in_unit(self, role: str, sample: Sample, unit: str) -> Sample:
        value, wanted = sample.value, ROLE_UNITS[role]
        if not unit or unit == wanted or isinstance(value, bool | str | None):
            return sample
        try:
            value = conversion(unit, wanted)(value)
        except UnitError:
            wrong = worst((sample.quality, Quality.BAD_CONFIGURATION_ERROR))
            return Sample(sample.tag, None, sample.time, wrong)
        return Sample(sample.tag, value, sample.time, sample.quality)

    def _says_more(self, sample: Sample) -> bool:
        """The note is news when its words change, not when an age in it grows."""
        if not sample.tag.endswith(f".{NOTE.name}"):
            return True
        before, self._reason = self._reason, _NUMBER.sub("#", str(sample.value))
        return before != self._reason
