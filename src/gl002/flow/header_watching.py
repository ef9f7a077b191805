"""The watch over the steam meters of a header: its boilers' against those of its consumers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gl002.boiler.findings import Finding
from gl002.boiler.live import Result, as_tag
from gl002.boiler.uncertainty import Accuracy
from gl002.config.boilers import HeaderSettings, RoleSettings
from gl002.errors import DataError, UnitError, require
from gl002.flow.bindings import Bindings
from gl002.flow.calculate import News
from gl002.flow.hub import Hub
from gl002.flow.readings import fixed_values, sound_reading, sound_readings
from gl002.flow.watching import as_samples, finding_tags
from gl002.model import Batch, Quality, Sample, TagTable, now_ns
from gl002.source import PolledSource
from gl002.units import Linear, conversion

if TYPE_CHECKING:
    from gl002.boiler.header_balance import HeaderBalance
    from gl002.boiler.rolling import Rolling

log = logging.getLogger("gl002.watch")

_STEP = 5.0  # seconds between two readings
_INTERVAL = 300.0  # seconds between two looks
_NANOSECONDS = 1e9
_FLOW = "flow"  # the one role of a consumer's meter
_STEAM = Result("steam_flow", "kg/s", "Steam of the header, all meters made to agree")


class HeaderWatching(PolledSource):
    """Reconciles all meters of a header every five minutes, over the last hour.

    Args:
        header: its name.
        settings: its boilers and the meters of its consumers.
        members: bindings of those boilers.
        hub: holds the last accepted sample of each tag.
        table: the units of those samples.
        clock: ns since 1970.

    Attributes:
        by_boiler: what is wrong with the instruments of each boiler now.

    Raises:
        MissingDependency: the extra 'boiler' is not installed.
    """

    def __init__(
        self,
        header: str,
        settings: HeaderSettings,
        members: Mapping[str, Bindings],
        hub: Hub,
        table: TagTable,
        *,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        for module in ("numpy", "seuif97"):
            require(module, extra="boiler")
        self.by_boiler: Mapping[str, Sequence[Finding]] = {}
        self._header = header
        self._consumers = settings.consumers
        self._members = members
        self._hub = hub
        self._table = table
        self._hours: dict[str, Rolling] = {}
        self._clock = clock
        self._look_at = 0
        self._said = ""
        self._news = News()
        declared = [as_tag(header, _STEAM), *finding_tags(header)]
        super().__init__(f"watch.{header}", self._step, declared, _STEP)

    async def _step(self) -> Batch:
        now = self._clock()
        self._take(now)
        if now < self._look_at:
            return []
        self._look_at = now + int(_INTERVAL * _NANOSECONDS)
        try:
            found = await asyncio.to_thread(self._balance, now / _NANOSECONDS)
        except DataError as error:
            log.info("%s: %s", self._header, error)
            found = None
        if found is None:
            self.by_boiler = {}
            nothing = Sample(f"{self._header}.{_STEAM.name}", None, now, Quality.BAD_NO_DATA)
            return self._news([nothing])
        self.by_boiler = found.by_boiler
        findings = [*found.by_consumer, *(f for each in found.by_boiler.values() for f in each)]
        self._tell(findings)
        quality = Quality.UNCERTAIN_SENSOR_NOT_ACCURATE if findings else Quality.GOOD
        steam = Sample(f"{self._header}.{_STEAM.name}", found.steam, now, quality)
        return self._news([steam, *as_samples(self._header, findings, now)])

    def _take(self, now: int) -> None:
        """Note what every meter shows."""
        from gl002.boiler.rolling import Rolling

        for name, bindings in self._members.items():
            shown = sound_readings(bindings, self._hub, now)
            values = {
                r: float(s.value) for r, s in shown.items() if isinstance(s.value, int | float)
            }
            self._hours.setdefault(name, Rolling()).add(now / _NANOSECONDS, values)
        max_age = max(bindings.settings.max_age for bindings in self._members.values())
        for place, meter in enumerate(self._consumers):
            assert meter.tag is not None  # HeaderSettings lets no other pass
            sample = sound_reading(meter.tag, self._hub, now, max_age)
            if sample is None or not isinstance(sample.value, int | float):
                continue
            try:
                flow = self._line(meter)(float(sample.value))
            except UnitError as error:
                log.warning("headers.%s.consumers: %s: %s", self._header, meter.tag, error)
                continue
            self._hours.setdefault(f":{place}", Rolling()).add(now / _NANOSECONDS, {_FLOW: flow})

    def _line(self, meter: RoleSettings) -> Linear:
        assert meter.tag is not None
        return conversion(self._table.unit(meter.tag) or meter.unit or "kg/s", "kg/s")

    def _balance(self, now: float) -> HeaderBalance | None:
        from gl002.boiler.header_balance import Consumer, HeaderMember, balance_header
        from gl002.boiler.record import completed

        consumers, members = [], []
        for place, meter in enumerate(self._consumers):
            hour = self._hours.get(f":{place}")
            flow = None if hour is None else hour.record(now).roles.get(_FLOW)
            if flow is None:
                return None
            assert meter.tag is not None
            consumers.append(Consumer(meter.tag, flow, self._accuracy(meter)))
        for name, bindings in self._members.items():
            boiler = bindings.boiler()
            record = self._hours[name].record(now, fixed_values(bindings))
            members.append(HeaderMember(boiler, completed(record, boiler)))
        return balance_header(self._header, members, consumers)

    def _accuracy(self, meter: RoleSettings) -> Accuracy:
        """As configured, else as is assumed of the steam meter of a boiler."""
        if meter.accuracy is not None:
            return meter.accuracy.accuracy(self._line(meter).slope)
        first = next(iter(self._members.values()))
        return first.boiler().instruments.accuracy("steam_flow")

    def _tell(self, findings: Sequence[Finding]) -> None:
        """One line in the log when something new is wrong, and when all is well again."""
        said = "; ".join(dict.fromkeys(finding.reason for finding in findings))
        names = ", ".join(sorted({finding.role for finding in findings}))
        if names != self._said:
            self._said = names
            log.warning("%s: %s", self._header, said) if said else log.info(
                "%s: all meters agree again", self._header
            )
