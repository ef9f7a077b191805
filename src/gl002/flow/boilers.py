"""Boilers of the configuration as sources of calculated tags: efficiency, losses, why not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from gl002.boiler.findings import Finding
from gl002.boiler.live import NOTE, evaluate, tags
from gl002.boiler.live_economizer import NOTE as ECONOMIZER_NOTE
from gl002.boiler.live_economizer import economizer_tags, evaluate_economizer, has_economizer
from gl002.boiler.live_emissions import NOTE as EMISSIONS_NOTE
from gl002.boiler.live_emissions import emission_tags, evaluate_emissions, has_emissions
from gl002.boiler.live_water import NOTE as DIRECT_NOTE
from gl002.boiler.live_water import evaluate_water, has_direct, water_tags
from gl002.boiler.steadiness import Steadiness
from gl002.config.load import Sections
from gl002.connector import Connector
from gl002.errors import require
from gl002.flow.advising import Advising, Sharing
from gl002.flow.bindings import Bindings
from gl002.flow.calculate import News, moment
from gl002.flow.header_watching import HeaderWatching
from gl002.flow.hub import Hub
from gl002.flow.studying import tariff_of
from gl002.flow.watching import Watching
from gl002.model import Batch, Sample, TagTable, now_ns
from gl002.source import PolledSource, Source

_NUMBER = re.compile(r"\d+")
_NOTES = tuple(f".{note.name}" for note in (NOTE, DIRECT_NOTE, ECONOMIZER_NOTE, EMISSIONS_NOTE))


def boiler_sources(
    sections: Sections,
    hub: Hub,
    table: TagTable,
    state_dir: Path,
    history: Callable[[], Connector[Any]],
) -> Iterator[Source]:
    """The sources of each boiler: efficiency, the watch over its instruments, advice.

    Args:
        sections: `boilers:` and `tariffs:` of the configuration.
        hub: holds the last accepted sample of each tag.
        table: the units of those samples.
        state_dir: where what was learned about the boilers is kept.
        history: the output that advice is drawn from.

    Raises:
        ConfigError: advice is wanted and no output keeps a history.
    """
    bound = {name: Bindings(name, each, table) for name, each in sections.boilers.items()}
    headers = [
        HeaderWatching(name, header, {each: bound[each] for each in header.boilers}, hub, table)
        for name, header in sections.headers.items()
        if header.consumers
    ]
    yield from headers
    for name, settings in sections.boilers.items():
        bindings, doubts = bound[name], Doubts(name, headers)
        if settings.watch is not None and settings.watch.enabled:
            doubts.watching = Watching(bindings, settings.watch, hub, state_dir)
            yield doubts.watching
        yield LiveEfficiency(bindings, hub, doubts)
        if settings.advice is not None:
            tariff = tariff_of(settings, sections.tariffs)
            yield Advising(bindings, settings.advice, history(), tariff, state_dir)
    for name, header in sections.headers.items():
        members = {each: bound[each] for each in header.boilers}
        tariff = tariff_of(sections.boilers[next(iter(members))], sections.tariffs)
        yield Sharing(name, header, members, history(), tariff)


class Doubts:
    """What watches say about the instruments of one boiler.

    Args:
        boiler: its name.
        headers: the watches over headers; those it feeds may know something about it.

    Attributes:
        watching: the watch over its instruments; None where there is none.
    """

    def __init__(self, boiler: str, headers: Sequence[HeaderWatching] = ()) -> None:
        self.watching: Watching | None = None
        self._boiler = boiler
        self._headers = headers

    def __call__(self) -> list[Finding]:
        """What is wrong now; of one role only what its own watch says."""
        found = [] if self.watching is None else list(self.watching.findings)
        known = {finding.role for finding in found}
        for header in self._headers:
            of_header = header.by_boiler.get(self._boiler, ())
            found += [finding for finding in of_header if finding.role not in known]
        return found


class LiveEfficiency(PolledSource):
    """The efficiency of one boiler: results each interval, when there is something new to say.

    A result's time is that of its newest input, or the moment an input became too old. While the
    load changes, and after a start until it is known not to, results are uncertain.

    Args:
        bindings: its roles.
        hub: holds the last accepted sample of each tag.
        doubts: what watches found wrong with its instruments makes results uncertain or bad.

    Raises:
        MissingDependency: the roles of the direct method are bound, and the steam tables are not
            installed.
    """

    def __init__(
        self, bindings: Bindings, hub: Hub, doubts: Callable[[], Sequence[Finding]] | None = None
    ) -> None:
        settings = bindings.settings
        self._bindings = bindings
        self._boiler = bindings.boiler()
        self._direct = has_direct(self._boiler)
        if self._direct:
            require("seuif97", extra="boiler")
        self._max_age = int(settings.max_age * 1e9)
        self._hub = hub
        self._doubts = doubts or Doubts(bindings.name)
        self._steadiness = (
            Steadiness(bindings.tags, self._boiler.steady, max_age=settings.max_age)
            if settings.steady.enabled
            else None
        )
        self._news = News()
        self._reasons: dict[str, str] = {}
        self._economizer = has_economizer(self._boiler)
        self._emissions = has_emissions(self._boiler)
        declared = [
            *tags(bindings.name),
            *(water_tags(bindings.name) if self._direct else ()),
            *(economizer_tags(bindings.name) if self._economizer else ()),
            *(emission_tags(self._boiler) if self._emissions else ()),
        ]
        super().__init__(f"boiler.{bindings.name}", self._read_results, declared, settings.interval)

    async def _read_results(self) -> Batch:
        now = now_ns()
        latest = self._hub.latest
        measured = [latest[tag] for tag in self._bindings.tags.values() if tag in latest]
        time, _ = moment(measured, self._hub, self._max_age, now)
        inputs = dict(self._inputs(now))
        findings = [*self._doubts(), *self._unsteady(inputs)]
        results = evaluate(self._boiler, inputs, now, findings)
        if self._direct:
            results += evaluate_water(self._boiler, inputs, now, findings)
        if self._economizer:
            results += evaluate_economizer(self._boiler, inputs, now, findings)
        if self._emissions:
            results += evaluate_emissions(self._boiler, inputs, now, findings)
        at_their_time = [Sample(r.tag, r.value, time, r.quality) for r in results]
        return [s for s in self._news(at_their_time) if self._says_more(s)]

    def _unsteady(self, inputs: Mapping[str, Sample]) -> Sequence[Finding]:
        """Why the results do not describe the boiler: its load changes."""
        if self._steadiness is None:
            return ()
        self._steadiness.add(inputs)
        return self._steadiness.findings()

    def _inputs(self, now: int) -> Iterator[tuple[str, Sample]]:
        """Each role's sample in the unit the boiler engine takes it in."""
        for role, given in self._bindings.roles.items():
            if given.tag is None:
                yield role, self._bindings.converted(role, Sample(role, given.value, now))
            elif (sample := self._hub.latest.get(given.tag)) is not None:
                if given.tag in self._hub.by_exception:
                    sample = Sample(sample.tag, sample.value, now, sample.quality)
                yield role, self._bindings.converted(role, sample)

    def _says_more(self, sample: Sample) -> bool:
        """A note is news when its words change, not when an age in it grows."""
        if not sample.tag.endswith(_NOTES):
            return True
        said = _NUMBER.sub("#", str(sample.value))
        before, self._reasons[sample.tag] = self._reasons.get(sample.tag, ""), said
        return before != said
