"""The watch over a boiler's instruments: what it finds is quality, and a plain sentence."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from gl002.boiler.findings import Finding
from gl002.config.boilers import WatchSettings
from gl002.errors import DataError, require
from gl002.flow.bindings import Bindings
from gl002.flow.calculate import News
from gl002.flow.hub import Hub
from gl002.flow.readings import fixed_values, sound_readings
from gl002.model import Batch, Sample, Tag, is_good, now_ns
from gl002.source import PolledSource

if TYPE_CHECKING:
    from gl002.boiler.learned import Learned
    from gl002.boiler.live import Boiler
    from gl002.boiler.rates import Rates
    from gl002.boiler.record import Record
    from gl002.boiler.rolling import Rolling
    from gl002.boiler.watcher import Watcher

log = logging.getLogger("gl002.watch")

_NANOSECONDS = 1e9


def learned_file(state_dir: Path, boiler: str) -> Path:
    """Where what was learned about a boiler is kept."""
    return state_dir / "boilers" / f"{boiler}.json"


def read_learned(file: Path) -> Learned | None:
    """What was learned; None where nothing was.

    Raises:
        DataError: the file holds something else.
    """
    from gl002.boiler.learned import Learned

    try:
        return Learned.decoded(file.read_bytes())
    except FileNotFoundError:
        return None


def finding_tags(name: str) -> list[Tag]:
    """The tags that say what is wrong with the instruments of a boiler or a header."""
    return [
        Tag(
            name=f"{name}.instruments_doubted", source="boiler", type="int",
            description="Instruments whose readings cannot be believed",
        ),
        Tag(
            name=f"{name}.instruments_note", source="boiler", type="str",
            description="What is wrong with the instruments, 'good' where nothing is",
        ),
    ]  # fmt: skip


def as_samples(name: str, found: Sequence[Finding], now: int) -> Batch:
    """Findings as samples of the tags of `finding_tags`."""
    said = "; ".join(dict.fromkeys(finding.reason for finding in found)) or "good"
    count = len({finding.role for finding in found})
    return [
        Sample(f"{name}.instruments_doubted", count, now),
        Sample(f"{name}.instruments_note", said, now),
    ]


class Watching(PolledSource):
    """Compares the readings of one boiler every `step`, judges them every `interval`.

    Args:
        bindings: its roles.
        settings: how often.
        hub: holds the last accepted sample of each tag.
        state_dir: where what was learned about the boiler is kept; read again when it changes.
        clock: ns since 1970.

    Attributes:
        findings: what is wrong with the instruments now.

    Raises:
        MissingDependency: the extra 'boiler' is not installed.
    """

    def __init__(
        self,
        bindings: Bindings,
        settings: WatchSettings,
        hub: Hub,
        state_dir: Path,
        *,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        require("numpy", extra="boiler")
        self.findings: Sequence[Finding] = ()
        self._bindings = bindings
        self._settings = settings
        self._hub = hub
        self._file = learned_file(state_dir, bindings.name)
        self._read_at = -1
        self._watching: tuple[Watcher, Rolling, Rates] | None = None
        self._learned: Learned | None = None
        self._look_at = 0
        self._clock = clock
        self._news = News()
        declared = finding_tags(bindings.name)
        super().__init__(f"watch.{bindings.name}", self._step, declared, settings.step)

    async def _step(self) -> Batch:
        watcher, rolling, rates = await self._prepared()
        now = self._clock()
        readings = sound_readings(self._bindings, self._hub, now)
        values = {
            r: float(s.value) for r, s in readings.items() if isinstance(s.value, int | float)
        }
        watcher.add(now / _NANOSECONDS, values)
        rolling.add(now / _NANOSECONDS, values)
        rates.add({r: (readings[r].time / _NANOSECONDS, value) for r, value in values.items()})
        if now < self._look_at:
            return []
        self._look_at = now + int(self._settings.interval * _NANOSECONDS)
        await self._learn_again(watcher)
        hour = rolling.record(now / _NANOSECONDS, fixed_values(self._bindings))
        found = await asyncio.to_thread(self._judge, watcher, self._clocks(readings), hour)
        found += rates.findings(self._bindings.fastest(), [each.role for each in found])
        self._told(found)
        self.findings = found
        return self._news(as_samples(self._bindings.name, found, now))

    def _judge(self, watcher: Watcher, clocks: Mapping[str, float], hour: Record) -> list[Finding]:
        """The readings by themselves and as usual, then what the last hour at rest shows."""
        from gl002.boiler.record import completed

        boiler = self._bindings.boiler()
        hour = completed(hour, boiler)
        return with_last_hour(watcher.findings(clocks), boiler, self._learned, hour)

    def _clocks(self, readings: Mapping[str, Sample]) -> dict[str, float]:
        """Times of the newest readings that come regularly and are good."""
        return {
            role: sample.time / _NANOSECONDS
            for role, sample in readings.items()
            if sample.tag not in self._hub.by_exception and is_good(sample.quality)
        }

    def _told(self, found: Sequence[Finding]) -> None:
        """One line in the log when something new is wrong, and when all is well again."""
        before = {(f.check, f.role) for f in self.findings}
        for finding in found:
            if (finding.check, finding.role) not in before:
                log.warning("%s: %s", self._bindings.name, finding.reason)
        if before and not found:
            log.info("%s: all instruments are well again", self._bindings.name)

    async def _prepared(self) -> tuple[Watcher, Rolling, Rates]:
        if self._watching is None:
            from gl002.boiler.rates import Rates
            from gl002.boiler.rolling import Rolling
            from gl002.boiler.watcher import Watcher

            boiler = self._bindings.watched()
            self._watching = Watcher(boiler, step=self._settings.step), Rolling(), Rates()
            await self._learn_again(self._watching[0])
        return self._watching

    async def _learn_again(self, watcher: Watcher) -> None:
        """Take up what was learned since the last look."""
        written = await asyncio.to_thread(_written, self._file)
        if written == self._read_at:
            return
        self._read_at = written
        try:
            learned = await asyncio.to_thread(read_learned, self._file)
        except (DataError, OSError) as error:
            log.warning("%s: %s: %s", self._bindings.name, self._file, error)
            return
        burnt = self._bindings.settings.burnt()
        if learned is not None and not learned.holds(burnt):
            log.warning(
                "%s: what is usual was learned from another fuel than %s, and does not count: "
                "gl002 learn", self._bindings.name, burnt.name,
            )  # fmt: skip
            learned = None
        self._learned = learned
        watcher.usual = None if learned is None else learned.usual


def with_last_hour(
    found: list[Finding], boiler: Boiler, learned: Learned | None, hour: Record
) -> list[Finding]:
    """What is wrong with the readings, and what the last hour at rest shows of all others.

    Args:
        found: what the readings show by themselves; it comes first.
        boiler: what is known about it.
        learned: about it; None where nothing was.
        hour: means of a minute, with what follows from other roles.
    """
    from gl002.boiler.balancing import contradictions
    from gl002.boiler.stack_watch import rises_without_soot

    stack = [] if learned is None else rises_without_soot(boiler, learned, hour)
    blamed = {finding.role for finding in found}
    later = (*stack, *contradictions(boiler, hour))
    return found + [finding for finding in later if finding.role not in blamed]


def _written(file: Path) -> int:
    """When a file was last written; 0 where there is none."""
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0
